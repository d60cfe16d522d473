"""The self-forged head for MR: crops on the scale of HU, members trained on them, patients left out in parts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")

from tamperscan.detect.calibrating_parts import calibrate_on_parts
from tamperscan.detect.calibration import calibration_file
from tamperscan.detect.crops import CropSource
from tamperscan.detect.heads import COMBINATION_FILE, HEADS
from tamperscan.detect.load import load_detector
from tamperscan.detect.self_forged import head_levels, read_facts
from tamperscan.detect.self_forging import CACHE_FOLDER, ForgingSource, assemble_head, cache_patients, train_member
from tamperscan.diffusion.head import HeadSettings
from tamperscan.diffusion.predictor import NoisePredictor
from tamperscan.errors import TrainingError, WeightsError
from tamperscan.scan.windows import LUNG_NOISE_CT

from .phantom_mr import mr_scan


def patients():
    return [(f"patient {seed}", replace(mr_scan(seed, slices=14), name=f"scan-{seed}")) for seed in range(3)]


@pytest.fixture(scope="module")
def headed(untrained_mr, tmp_path_factory):
    """Weights with a head of three members that learned for a few steps, and the folder of the run."""
    folder = tmp_path_factory.mktemp("mr-head")
    settings = HeadSettings(levels_hu=head_levels(untrained_mr.card), widths=(8, 12), crop_px=48, batch=4, steps=20)
    scans = cache_patients(patients, folder, of="phantoms")
    for member in range(3):
        train_member(untrained_mr, scans, folder, member, settings, members=3)
    return assemble_head(untrained_mr, scans, folder, folder / "weights", settings, members=3), folder


@pytest.fixture(scope="module")
def made(headed, tmp_path_factory):
    """A detector with all heads that counts in parts of two slices."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("tamperscan.detect.calibrating_parts.PART_SLICES", 2)
        return calibrate_on_parts(headed[0], patients(), tmp_path_factory.mktemp("mr-heads"), threads=1)


def test_levels_of_the_range_are_told_in_hu(headed):
    assert read_facts(headed[0]).levels_hu == pytest.approx((15.0, 45.0))


def test_every_member_has_learned_from_two_of_three(headed):
    assert read_facts(headed[0]).held_out == (("patient 0",), ("patient 1",), ("patient 2",))


def test_head_for_other_levels_is_refused(headed, untrained_mr):
    weights, _ = headed
    other = replace(weights, card=weights.card.model_copy(update={"levels_of_range": (0.02, 0.03)}))
    with pytest.raises(WeightsError, match="other noise levels"):
        read_facts(other)


def test_published_predictor_can_have_no_head(headed, untrained_mr):
    _, folder = headed
    scans = cache_patients(patients, folder, of="phantoms")
    published = replace(untrained_mr, card=untrained_mr.card.model_copy(update={"kind": "published"}))
    with pytest.raises(TrainingError, match="needs a low-noise predictor"):
        train_member(published, scans, folder / "other", 0, HeadSettings(), members=3)


def test_forged_crops_are_stored_in_the_steps_of_their_scan(headed, untrained_mr):
    _, folder = headed
    cached = [each for _, each in cache_patients(patients, folder, of="phantoms")][:1]
    crops = CropSource(folder / CACHE_FOLDER, cached, crop_px=48, window=None)
    source = ForgingSource(crops, NoisePredictor(untrained_mr, threads=1), LUNG_NOISE_CT, 48, "MR")
    images, masks = source.draw(np.random.default_rng(0), 8)
    assert images.shape == masks.shape == (8, 1, 48, 48)
    assert -1 <= images.min() < images.max() <= 1
    assert {0.0} < {float(mask.max()) for mask in masks}  # some are authentic, most are altered
    stored = (images + 1) / 2 * cached[0].high
    below = stored < cached[0].high - 1
    np.testing.assert_allclose(stored[below], np.rint(stored[below]), atol=0.01)


def test_gain_changes_a_crop_and_its_step(headed):
    _, folder = headed
    cached = [each for _, each in cache_patients(patients, folder, of="phantoms")]
    plain, varied = (
        CropSource(folder / CACHE_FOLDER, cached[:1], crop_px=48, window=None, gain=gain) for gain in (1.0, 1.4)
    )
    assert plain.draw_body(np.random.default_rng(0), 48)[1] == pytest.approx(LUNG_NOISE_CT.width / cached[0].high)
    steps = {varied.draw_body(np.random.default_rng(seed), 48)[1] for seed in range(5)}
    assert len(steps) == 5


def test_every_head_is_calibrated_on_parts(made):
    assert {calibration_file(head) for head in HEADS} | {COMBINATION_FILE} <= made.card.files.keys()
    for head in HEADS:
        detector = load_detector(made.folder, head=head, threads=1)
        assert len(detector.calibration.scan_scores) == 21
        assert detector.calibration.patients == 3


@pytest.mark.parametrize("head", HEADS)
def test_every_head_screens_mr(made, head):
    screening = load_detector(made.folder, head=head, threads=1).screen(mr_scan(11), alarm_rate=0.2)
    assert screening.settings["head"] == head
    assert screening.verdict in ("clear", "suspicious")
    assert np.isfinite(screening.score)
