"""The making of a self-forged head: patients held out, crops drawn, members trained and joined."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")

from tamperscan.detect.crops import CropSource
from tamperscan.detect.self_forged import SelfForgedNetwork, read_facts
from tamperscan.detect.self_forging import (
    CACHE_FOLDER,
    PATIENTS_FILE,
    ForgingSource,
    PredictorToSend,
    assemble_head,
    cache_patients,
    denoiser,
    members_of,
    train_member,
)
from tamperscan.diffusion.head import HeadSettings
from tamperscan.diffusion.predictor import NoisePredictor
from tamperscan.errors import TrainingError, WeightsError
from tamperscan.scan import PlannedScan
from tamperscan.scan.places import Place
from tamperscan.scan.windows import IntensityWindow

from .phantom import chest_scan

TINY = HeadSettings(widths=(8, 12), crop_px=48, batch=2, steps=2)


def patients():
    return ((f"patient {seed}", replace(chest_scan(seed), name=f"scan-{seed}")) for seed in range(4))


@pytest.fixture(scope="module")
def made(run, tmp_path_factory):
    """The weights of a head that was trained for two steps, and the folder of its run."""
    _, _, weights = run
    folder = tmp_path_factory.mktemp("head")
    settings = replace(TINY, levels_hu=weights.card.levels_hu)
    scans = cache_patients(patients, folder, of="phantoms")
    for member in range(2):
        train_member(weights, scans, folder, member, settings, members=2)
    return assemble_head(weights, scans, folder, folder / "weights", settings, members=2), folder


def test_every_patient_is_held_out_by_one_member():
    dealt = members_of(["a", "a", "b", "c", "d", "d"], 2)
    assert dealt == {"a": 0, "b": 1, "c": 0, "d": 1}


def test_too_few_patients_are_refused():
    assert members_of(["a", "b", "c"], 3) == {"a": 0, "b": 1, "c": 2}
    with pytest.raises(TrainingError, match="2 patients are too few"):
        members_of(["a", "b"], 3)


def test_the_head_says_whom_it_has_not_seen(made):
    weights, _ = made
    assert read_facts(weights).held_out == (("patient 0", "patient 2"), ("patient 1", "patient 3"))
    assert read_facts(weights).training["settings"]["steps"] == 2


def test_the_head_runs_on_any_size(made):
    weights, _ = made
    image = np.zeros((50, 61), dtype=np.float32)
    odds = SelfForgedNetwork(weights, threads=1).log_odds(image, np.zeros((2, 50, 61), dtype=np.float32))
    assert odds.shape == (2, 50, 61)
    assert np.isfinite(odds).all()


def test_the_cache_is_found_again_with_its_patients(made):
    _, folder = made
    again = cache_patients(lambda: pytest.fail("the scans were read again"), folder, of="phantoms")
    assert [patient for patient, _ in again] == [f"patient {seed}" for seed in range(4)]
    with pytest.raises(TrainingError, match="other scans"):
        cache_patients(patients, folder, of="others")


def test_weights_without_a_head_say_so(run):
    _, _, weights = run
    with pytest.raises(WeightsError, match="train-head"):
        SelfForgedNetwork(weights)


def test_denoising_leaves_what_the_window_clips(run):
    _, _, weights = run
    window = IntensityWindow(*weights.card.window)
    image = np.full((32, 32), -800.0, dtype=np.float32)
    image[:4] = 1500.0
    clean = denoiser(NoisePredictor(weights, threads=1), window)(image, 20.0)
    np.testing.assert_array_equal(clean[:4], image[:4])
    assert np.isfinite(clean).all()


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="this system does not tell which cores a process may use"
)
def test_the_head_uses_the_cores_that_the_process_may_use(made):
    weights, _ = made
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        head, predictor = (each(weights, precision="float32") for each in (SelfForgedNetwork, NoisePredictor))
    finally:
        os.sched_setaffinity(0, allowed)
    assert [each.network._session.get_session_options().intra_op_num_threads for each in (head, predictor)] == [1, 1]


def test_a_process_that_forges_draws_the_same(run, tmp_path):
    _, _, weights = run
    scans = cache_patients(patients, tmp_path, of="phantoms")
    window = IntensityWindow(*weights.card.window)
    crops = CropSource(tmp_path / CACHE_FOLDER, [each for _, each in scans], crop_px=48, window=window)
    source = ForgingSource(crops, PredictorToSend(weights), window, 48)
    drawn = source.draw(np.random.default_rng(1), 3)
    sent = pickle.loads(pickle.dumps(source)).draw(np.random.default_rng(1), 3)  # noqa: S301
    for here, there in zip(drawn, sent, strict=True):
        np.testing.assert_array_equal(here, there)


def test_noise_does_not_depend_on_what_was_asked_before(run):
    _, _, weights = run
    image = np.random.default_rng(3).normal(0.0, 0.05, (32, 32)).astype(np.float32)
    level = np.array([0.031], np.float32)
    used, fresh = PredictorToSend(weights), PredictorToSend(weights)
    for other in np.linspace(0.01, 0.09, 12, dtype=np.float32):
        used.predict(image, other[None])
    np.testing.assert_array_equal(used.predict(image, level), fresh.predict(image, level))


def test_a_scan_that_can_not_be_read_is_nobodys(tmp_path):
    def planned():
        for seed, (patient, scan) in enumerate(patients()):
            unread = PlannedScan(scan.name, (Place(f"{seed}.dcm"),), lambda: None)
            yield patient, unread if seed == 1 else scan

    scans = cache_patients(planned, tmp_path, of="phantoms")
    assert [(patient, cached.name) for patient, cached in scans] == [
        ("patient 0", "scan-0"),
        ("patient 2", "scan-2"),
        ("patient 3", "scan-3"),
    ]
    (tmp_path / PATIENTS_FILE).unlink()  # as a kill between the two files would leave it
    assert cache_patients(planned, tmp_path, of="phantoms") == scans
