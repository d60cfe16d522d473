from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from tamperscan.detect.calibrating import calibrate_weights, score_patients
from tamperscan.detect.calibration import CALIBRATION_FILE
from tamperscan.detect.heads import TYPICALITY_FILE, Head
from tamperscan.detect.measure import SliceMeasurement
from tamperscan.detect.measured import MeasuredScan, measure_scan, scores_of
from tamperscan.detect.typicality import fit_typicality
from tamperscan.diffusion.weights import open_weights
from tamperscan.errors import TrainingError

from .acquisitions import acquisition
from .conftest import CALIBRATION_PATIENTS
from .phantom import chest_scan, lossy, made_up_windows, scan_of

# Slices so far apart that none has a say in its neighbour.
SPACING = (20.0, 3.0, 3.0)


def slice_scores(scan, typicality):
    return scores_of(scan, Head("typicality", typicality))


def score_typicality(patients, learned_from, **options):
    return score_patients(patients, learned_from, lambda patient, typicality: Head("typicality", typicality), **options)


def measured(*seeds, factor=1.0):
    windows = [made_up_windows(seed) for seed in seeds]
    slices = tuple(replace(each, energy=each.energy * factor, whiteness=each.whiteness * factor) for each in windows)
    return MeasuredScan("scan", slices, SPACING, acquisition())


class CountingMeter:
    """Measures every slice whose first voxel is not zero, and remembers which."""

    def __init__(self):
        self.seen = []

    def of(self, scan):
        return self

    def measure(self, hu, spacing_mm):
        self.seen.append(int(hu[0, 0]))
        return SliceMeasurement(made_up_windows(), None) if hu[0, 0] else None


def numbered_scan(slices, slice_mm):
    voxels = np.broadcast_to(np.arange(slices)[:, None, None], (slices, 4, 4))
    return scan_of(np.ascontiguousarray(voxels), spacing_mm=(slice_mm, 1.0, 1.0))


@pytest.mark.parametrize("slice_mm", [0.6, 2.5, 8.0])
def test_all_slices_are_measured_as_in_screening(slice_mm):
    meter = CountingMeter()
    found = measure_scan(meter, numbered_scan(12, slice_mm))
    assert meter.seen == list(range(12))
    assert len(found.slices) == 11  # slice 0 holds nothing
    assert found.spacing_mm == (slice_mm, 1.0, 1.0)


def test_slice_score_is_the_highest_suspicion():
    scan, typical = measured(1, 2, 3), fit_typicality([[made_up_windows(seed)] for seed in range(10, 20)])
    odd = replace(scan.slices[1], energy=scan.slices[1].energy * 3)
    scores = slice_scores(replace(scan, slices=(scan.slices[0], odd, scan.slices[2])), typical)
    assert scores.shape == (3,)
    assert scores.argmax() == 1
    assert slice_scores(scan, typical)[[0, 2]] == pytest.approx(scores[[0, 2]])


def test_patient_has_no_say_in_what_is_typical_for_it():
    others = {f"patient {number}": [measured(10 * number, 10 * number + 1)] for number in range(1, 6)}
    calm = {**others, "odd": [measured(90), measured(91)]}
    wild = {**others, "odd": [measured(90), measured(91, factor=50.0)]}
    scores_calm, scores_wild = (score_typicality(patients, list(patients))["odd"] for patients in (calm, wild))
    assert np.array_equal(scores_calm[0].slice_scores, scores_wild[0].slice_scores)
    assert scores_wild[1].slice_scores > 20 * scores_calm[1].slice_scores


def test_patient_has_a_say_in_what_is_typical_for_the_others():
    patients = {f"patient {number}": [measured(number)] for number in range(1, 6)}
    wild = {**patients, "patient 1": [measured(1, factor=50.0)]}
    before, after = (score_typicality(each, list(each))["patient 2"][0].slice_scores for each in (patients, wild))
    assert after < 0.3 * before
    left_out = score_typicality(wild, [name for name in wild if name != "patient 1"])
    others = score_typicality({name: scans for name, scans in wild.items() if name != "patient 1"}, list(wild)[1:])
    assert np.array_equal(left_out["patient 2"][0].slice_scores, others["patient 2"][0].slice_scores)
    assert left_out["patient 1"][0].slice_scores > 10 * before


def test_so_many_patients_that_several_are_left_out_at_once():
    patients = {f"patient {number}": [measured(number % 5)] for number in range(81)}
    told = []
    scored = score_typicality(patients, list(patients), progress=lambda done, total: told.append((done, total)))
    assert set(scored) == set(patients)
    assert len(told) == 40
    assert told[-1] == (81, 81)


@pytest.mark.parametrize("count", [0, 2, 4])
def test_too_few_patients(untrained, tmp_path, count):
    scans = [(f"patient {seed}", chest_scan(seed, 1)) for seed in range(count)]
    with pytest.raises(TrainingError, match=rf"^{count} patients .* at least 5 are needed, and 19"):
        calibrate_weights(untrained, scans, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_scans_of_one_patient_are_one_patient(untrained, tmp_path):
    scans = [("one and the same", chest_scan(seed, 1)) for seed in range(6)]
    with pytest.raises(TrainingError, match=r"^1 patients"):
        calibrate_weights(untrained, scans, tmp_path)


def test_what_can_not_be_used_is_told(untrained, tmp_path):
    good = chest_scan(1, 2)
    scans = [good, replace(good, modality="MR"), lossy(good), scan_of(np.full((1, 90, 90), 40), name="belly")]
    told = []
    with pytest.raises(TrainingError):
        calibrate_weights(
            untrained, [("p", scan) for scan in scans], tmp_path, on_scan=lambda name, outcome: told.append(outcome)
        )
    assert told[0] == "2 slices"
    assert "is MR" in told[1]
    assert "lossy" in told[2]
    assert told[3] == "no lung"


def test_detector_holds_the_network_and_the_calibration(calibrated, run):
    names = {*run[2].card.files, TYPICALITY_FILE, CALIBRATION_FILE}
    assert set(calibrated.card.files) == names
    assert calibrated.network_path.read_bytes() == run[2].network_path.read_bytes()
    assert open_weights(calibrated.folder).sha256 == calibrated.sha256 != run[2].sha256


def test_card_tells_what_it_was_calibrated_on(calibrated):
    facts = calibrated.card.calibration
    assert facts["patients"] == len(CALIBRATION_PATIENTS)
    assert facts["scans"][0] == {"patient": "patient 1", "name": "patient-1", "slices": 3}
    assert len(facts["scans"]) == len(CALIBRATION_PATIENTS)


def test_calibration_has_a_score_for_each_patient(calibrated):
    stored = json.loads((calibrated.folder / CALIBRATION_FILE).read_text())
    assert len(stored["scan_scores"]) == len(CALIBRATION_PATIENTS)
    assert len(stored["slice_scores"]) == 3 * len(CALIBRATION_PATIENTS)
    assert sum(stored["slice_weights"]) == pytest.approx(len(CALIBRATION_PATIENTS))


def test_folder_can_be_calibrated_anew_in_place(untrained, tmp_path):
    scans = [(f"patient {seed}", chest_scan(seed, 1)) for seed in range(6)]
    first = calibrate_weights(untrained, scans, tmp_path)
    again = calibrate_weights(first, scans[:5], tmp_path)
    assert again.card.calibration["patients"] == 5
    assert set(again.card.files) == set(first.card.files)
