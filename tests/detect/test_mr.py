"""The way of an MR from a network to a verdict: with a network that learned nothing, then with the packaged one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tamperscan.data import packaged_weights
from tamperscan.detect.calibrating_parts import calibrate_on_parts
from tamperscan.detect.detector import Detector
from tamperscan.detect.ground_mr import SEEN
from tamperscan.detect.load import load_detector
from tamperscan.detect.measure import SliceMeter
from tamperscan.diffusion.predictor import NoisePredictor
from tamperscan.errors import TrainingError, WeightsError
from tamperscan.scan import read_scan

from .phantom import chest_scan
from .phantom_mr import PLACE, SPACING, mr_scan

PIXELS = SPACING[1:]


@pytest.fixture(scope="module")
def patients():
    """Three patients with a series of many slices each."""
    return [(f"patient {seed}", mr_scan(seed, slices=16)) for seed in range(3)]


@pytest.fixture(scope="module")
def made(untrained_mr, patients, tmp_path_factory):
    """A detector that counts in parts of two slices."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("tamperscan.detect.calibrating_parts.PART_SLICES", 2)
        return calibrate_on_parts(untrained_mr, patients, tmp_path_factory.mktemp("mr"), threads=1)


@pytest.fixture(scope="module")
def packaged():
    if "mr" not in packaged_weights():
        pytest.skip("this checkout holds no packaged weights for MR")
    return load_detector("mr", threads=1)


def test_gain_of_the_receiver_changes_no_measurement(untrained_mr):
    meter = SliceMeter(NoisePredictor(untrained_mr, threads=1), untrained_mr.card)
    scan = mr_scan(slices=2)
    louder = replace(scan, voxels=scan.voxels * np.float32(16.0))
    one, other = (meter.of(each).measure(each.voxels[0], PIXELS).statistics for each in (scan, louder))
    assert np.array_equal(one.inside, other.inside)
    assert np.allclose(one.energy, other.energy, atol=1e-3, equal_nan=True)
    assert np.isfinite(one.energy).sum() > 500


def test_mr_needs_levels_of_the_range(untrained_mr):
    without = untrained_mr.card.model_copy(update={"levels_of_range": ()})
    with pytest.raises(WeightsError, match="untrained-mr: screening needs"):
        SliceMeter(NoisePredictor(untrained_mr, threads=1), without)


def test_card_of_a_run_for_mr_holds_levels_of_the_range():
    from tamperscan.detect.training import TrainingOptions, _card
    from tamperscan.diffusion.presets import LOW_NOISE_CT, LOW_NOISE_MR

    mr, ct = (_card(TrainingOptions(preset, "made"), [], {}) for preset in (LOW_NOISE_MR, LOW_NOISE_CT))
    assert (mr.levels_hu, ct.levels_of_range) == ((), ())
    assert all(LOW_NOISE_MR.levels.sigma_min < level < LOW_NOISE_MR.levels.sigma_max for level in mr.levels_of_range)
    assert ct.levels_hu


def test_parts_of_scans_are_counted_and_told(made):
    detector = Detector(made, threads=1)
    assert detector.card.calibration["patients"] == 3
    assert detector.card.calibration["parts"] == 24
    assert len(detector.calibration.scan_scores) == 24
    assert detector.calibration.patients == 3
    assert set(detector.card.calibration[SEEN]) >= {"noise", "grain", "pixel_mm"}


def test_a_patient_of_the_same_scanner_gets_a_verdict_with_its_reservations(made):
    screening = Detector(made, threads=1).screen(mr_scan(11))
    assert screening.verdict in ("clear", "suspicious")
    assert "24 parts of authentic scans of 3 patients" in " ".join(screening.reasons)
    assert "not independent" in " ".join(screening.reasons)
    assert screening.settings["levels_of_range"] == [0.01, 0.03]
    assert "window_hu" not in screening.settings


def test_one_patient_is_too_few(untrained_mr, patients, tmp_path):
    with pytest.raises(TrainingError, match="second patient"):
        calibrate_on_parts(untrained_mr, patients[:1], tmp_path, threads=1)


def test_few_slices_are_too_few(untrained_mr, patients, tmp_path):
    with pytest.raises(TrainingError, match="3 parts of scans are too few"):
        calibrate_on_parts(untrained_mr, patients, tmp_path, threads=1)


def test_packaged_detector_keeps_the_contract(packaged):
    assert packaged.name == "tamperscan-mr"
    assert packaged.card.modality == "MR"
    assert packaged.card.calibration["patients"] == 3


def test_packaged_detector_screens_a_phantom(packaged):
    screening = packaged.screen(mr_scan(3))
    assert screening.verdict in ("clear", "suspicious")
    assert 0 < screening.p_value <= 1
    assert np.isfinite(screening.score)
    assert "3 patients" in " ".join(screening.reasons)
    assert np.isfinite(packaged.score_patch(mr_scan(3), 1, *PLACE))


def test_packaged_detector_does_not_judge_ct(packaged):
    screening = packaged.screen(chest_scan(0))
    assert screening.verdict == "abstained"
    assert "CT" in screening.reasons[0]


@pytest.mark.parametrize("fill", [0.0, 300.0])
def test_packaged_detector_does_not_judge_nothing(packaged, fill):
    scan = mr_scan(slices=1)
    assert packaged.screen(replace(scan, voxels=np.full_like(scan.voxels, fill))).verdict == "abstained"


def test_packaged_network_gives_the_same_in_a_tile_as_in_the_whole_slice(packaged):
    image = mr_scan(slices=1).voxels[0]
    model = (image / image.max() * 2 - 1).astype(np.float32)
    predictor = NoisePredictor(packaged.weights, threads=1, precision="float32")
    levels = np.array([2 * level for level in packaged.card.levels_of_range], dtype=np.float32)
    whole = predictor.predict(model, levels)
    tile = predictor.predict(model[32:224, 40:232], levels)
    reach = 64
    inner = (slice(None), slice(reach, -reach), slice(reach, -reach))
    assert np.abs(whole[:, 32:224, 40:232][inner] - tile[inner]).max() < 1e-4


def test_packaged_detector_judges_the_breast_and_not_what_it_never_saw(packaged, real_scans):
    breast = read_scan(real_scans / "mr" / "series" / "UCSF-BR-06_Sagittal-IR_3DFGRE_t0")
    some = replace(breast, voxels=breast.voxels[25:31])
    assert packaged.screen(some).verdict != "abstained"
    other = read_scan(real_scans / "odd" / "MR_1.2.840.10008.1.2.4.70_b7d45f.dcm")
    screening = packaged.screen(other)
    assert screening.verdict == "abstained"
    assert all(reason for reason in screening.reasons)
