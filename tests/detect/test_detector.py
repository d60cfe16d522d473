from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from tamperscan.detect.detector import mean_around
from tamperscan.detect.ground import reasons_to_abstain
from tamperscan.report.schema import screening_document
from tamperscan.report.wording import further_reasons
from tamperscan.scan.volume import Scan

from .conftest import CALIBRATION_PATIENTS, PLACE, TAMPERED_SLICES
from .phantom import PIXEL_MM, chest, chest_scan, lossy, scan_of

OTHER_LUNG = (PLACE[0], 255 - PLACE[1])


def distance_mm(place):
    return float(np.hypot(*(np.array(place) - PLACE)) * PIXEL_MM)


@pytest.mark.parametrize(("name", "sign"), [("tampered", "too noisy"), ("smoothed", "too smooth")])
def test_planted_place_is_the_first_finding(screened, name, sign):
    first = screened[name].findings[0]
    assert distance_mm(first.centre[1:]) < 16
    assert first.centre[0] in TAMPERED_SLICES
    assert first.sign == sign
    assert sign == "too smooth" or set(range(first.slice_range[0], first.slice_range[1] + 1)) >= {*TAMPERED_SLICES}


def test_tampered_scan_is_suspicious_and_the_authentic_one_clear(screened):
    assert screened["tampered"].verdict == screened["smoothed"].verdict == "suspicious"
    assert screened["authentic"].verdict == "clear"
    assert screened["tampered"].p_value == pytest.approx(1 / (len(CALIBRATION_PATIENTS) + 1))
    assert screened["authentic"].p_value > 0.2
    assert screened["tampered"].score > screened["smoothed"].score > screened["authentic"].score


def test_peak_of_each_tampered_slice_is_the_place(screened):
    authentic, tampered = screened["authentic"].slices, screened["tampered"].slices
    for index in TAMPERED_SLICES:
        assert distance_mm(tampered[index].peak) < 16
        assert tampered[index].score > authentic[index].score + 1
        assert tampered[index].p_value <= authentic[index].p_value


def test_slices_that_were_not_touched_score_less(screened):
    tampered = screened["tampered"].slices
    for index in (0, 4):  # what their neighbours lend them is weaker than what lies there
        assert tampered[index].score < min(tampered[each].score for each in TAMPERED_SLICES)


def test_slices_by_themselves_have_no_say_in_each_other(detector, authentic, tampered):
    index = 0
    alone = replace(tampered, voxels=tampered.voxels[index : index + 1])
    untouched = replace(authentic, voxels=authentic.voxels[index : index + 1])
    assert detector.screen(alone).slices == detector.screen(untouched).slices


def test_suspicion_is_highest_at_the_place(screened, tampered):
    suspicion = screened["tampered"].suspicion
    assert (suspicion.shape, suspicion.dtype) == (tampered.shape, np.float32)
    index, *place = np.unravel_index(suspicion.argmax(), suspicion.shape)
    assert index in TAMPERED_SLICES
    assert distance_mm(place) < 16


def test_suspicion_is_of_the_lung_only(screened):
    screening = screened["tampered"]
    assert np.isfinite(screening.suspicion).all()
    assert not screening.suspicion[~screening.regions].any()
    assert 0.8 < screening.regions[2].sum() / chest().lungs.sum() < 1.2


def test_slice_scores_are_the_peaks_of_the_map(screened):
    screening = screened["tampered"]
    for each, suspicion in zip(screening.slices, screening.suspicion, strict=True):
        assert suspicion.max() == pytest.approx(each.score, rel=0.1)
        assert suspicion[each.peak] == pytest.approx(each.score, rel=0.15)


def test_every_slice_has_a_result(screened):
    for screening in screened.values():
        assert [each.index for each in screening.slices] == list(range(5))
        assert all(0 < each.p_value <= 1 for each in screening.slices)


def test_findings_are_in_order_and_inside_the_scan(screened):
    for screening in screened.values():
        scores = [finding.score for finding in screening.findings]
        assert scores == sorted(scores, reverse=True)
        assert len(scores) <= 10
        for finding in screening.findings:
            assert screening.regions[finding.centre]
            assert 0 < finding.p_value <= 0.5
            assert screening.p_value <= finding.p_value
            assert min(finding.size_mm) > 0


def test_evidence_names_the_tissue_and_the_deviation(screened):
    first = screened["tampered"].findings[0]
    assert "the slice's other lung tissue" in first.evidence
    assert "(+" in first.evidence
    assert "(-" in screened["smoothed"].findings[0].evidence


def test_patch_scores_higher_where_it_was_planted(detector, authentic, tampered):
    here, before = (detector.score_patch(scan, 2, *PLACE) for scan in (tampered, authentic))
    assert here > 2 * before
    assert here > 2 * detector.score_patch(tampered, 2, *OTHER_LUNG)


def test_patch_outside_the_lung_has_no_score(detector, authentic):
    assert math.isnan(detector.score_patch(authentic, 2, 2, 2))
    assert math.isnan(detector.score_patch(scan_of(np.zeros((1, 80, 80))), 0, 40, 40))


@pytest.mark.parametrize("place", [(5, 0, 0), (0, 256, 0), (0, 0, 256), (-1, 0, 0), (0, -1, 5)])
def test_patch_outside_the_scan(detector, authentic, place):
    with pytest.raises(IndexError, match="outside the scan"):
        detector.score_patch(authentic, *place)


def test_mean_around_is_of_the_disc():
    grid = np.full((20, 20), 1.0, np.float32)
    grid[10, 10], grid[0] = 22.0, np.nan
    scan = scan_of(np.zeros((1, 40, 40)), spacing_mm=(1.0, 2.0, 2.0))
    # 49 cells of 4 mm have their middle within 8 mm of a cell's own middle; from a pixel's corner fewer do.
    value = mean_around(grid, 2, scan, 21, 21)
    cells = round(21 / (value - 1))
    assert value == pytest.approx(1 + 21 / cells)
    assert 10 <= cells <= 14
    assert math.isnan(mean_around(np.full((20, 20), np.nan, np.float32), 2, scan, 20, 20))


def abstained(detector, scan):
    screening = detector.screen(scan)
    assert (screening.verdict, screening.p_value, screening.findings) == ("abstained", None, ())
    assert math.isnan(screening.score)
    assert screening.suspicion.shape == screening.regions.shape == scan.shape
    assert [each.index for each in screening.slices] == list(range(scan.shape[0]))
    return " ".join(screening.reasons)


def with_spacing(scan: Scan, *spacing_mm: float) -> Scan:
    return replace(scan, spacing_mm=spacing_mm)


def test_mr_is_abstained(detector, authentic):
    assert "is MR" in abstained(detector, replace(authentic, modality="MR"))


def test_scan_without_lung_is_abstained(detector):
    assert "No lung" in abstained(detector, scan_of(np.full((2, 100, 90), 40)))


@pytest.mark.parametrize("fill", [-1024, 0, 32767, -32768])
def test_constant_scan_is_abstained(detector, fill):
    assert "No lung" in abstained(detector, scan_of(np.full((1, 64, 64), fill)))


@pytest.mark.parametrize(
    ("spacing_mm", "reason"),
    [
        ((5, 1.6, 1.6), "1.6 to 1.6 mm wide"),
        ((5, 0.2, 0.2), "0.2 to 0.2 mm wide"),
        ((5, 0.7, 1.2), "not square"),
        ((15, 1.2, 1.2), "15 mm apart"),
    ],
)
def test_odd_geometry_is_abstained(detector, authentic, spacing_mm, reason):
    assert reason in abstained(detector, with_spacing(authentic, *spacing_mm))


def test_lossy_scan_is_abstained(detector, authentic):
    assert "lossy" in abstained(detector, lossy(authentic))


@pytest.mark.parametrize("axes", [(2, 0, 1), (0, 1, 2)])
def test_coronal_and_sagittal_slices_are_abstained(detector, authentic, axes):
    affine = np.zeros((4, 4))
    affine[list(axes), [1, 0, 2]] = 1.2
    assert "not axial" in abstained(detector, replace(authentic, affine=affine))


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 63, 300), (3, 300, 5)])
def test_tiny_images_are_abstained(detector, shape):
    assert "at least 64 x 64" in abstained(detector, scan_of(np.full(shape, -800)))


def test_all_reasons_are_told(detector, authentic):
    scan = with_spacing(lossy(authentic), 20, 2.0, 1.6)
    assert len(reasons_to_abstain(scan, detector.card)) == 4


def test_single_thick_slice_is_screened(detector, tampered):
    screening = detector.screen(replace(tampered, voxels=tampered.voxels[2:3], spacing_mm=(15.0, 1.2, 1.2)))
    assert screening.verdict != "abstained"
    assert distance_mm(screening.findings[0].centre[1:]) < 16


def test_sides_that_fit_no_stride(detector, tampered):
    screening = detector.screen(replace(tampered, voxels=tampered.voxels[1:3, :251, :253]))
    assert screening.suspicion.shape == (2, 251, 253)
    assert distance_mm(screening.findings[0].centre[1:]) < 16


def test_slices_without_lung_between_others(detector, tampered):
    voxels = tampered.voxels.copy()
    voxels[[0, 4]] = 40
    screening = detector.screen(replace(tampered, voxels=voxels))
    empty = screening.slices[4]
    assert math.isnan(empty.score)
    assert empty.p_value is empty.peak is None
    assert not screening.suspicion[4].any()
    assert screening.findings[0].centre[0] in TAMPERED_SLICES


def test_alarm_rate_that_so_few_patients_can_not_support(detector, tampered):
    screening = detector.screen(tampered, alarm_rate=0.01)
    assert screening.verdict == "clear"
    assert "8 authentic patients can't support an alarm rate of 0.01" in screening.reasons[1]
    assert "0.11" in screening.reasons[1]


def test_alarm_rate_is_five_of_a_hundred_if_none_is_given(detector, tampered):
    assert detector.screen(replace(tampered, voxels=tampered.voxels[:1])).alarm_rate == 0.05


def test_reasons_count_in_a_hundred(screened):
    assert screened["tampered"].reasons[0].startswith("About 11.1 of 100 authentic scans score as high (8 authentic")
    assert "at most 20 are allowed" in screened["tampered"].reasons[0]
    assert "the alarm is at 20." in screened["authentic"].reasons[0]
    assert not any("e+" in reason for screening in screened.values() for reason in screening.reasons)


def test_a_report_says_the_chance_once(screened):
    for screening in screened.values():
        assert further_reasons(screening_document(screening)) == list(screening.reasons[1:])


def test_progress_is_told(detector, authentic):
    told = []
    detector.screen(authentic, progress=lambda done, total: told.append((done, total)))
    assert told == [(index, 5) for index in range(1, 6)]


def test_same_scan_gives_the_same_screening(detector, tampered, screened):
    again = detector.screen(tampered, alarm_rate=0.2)
    assert again.findings == screened["tampered"].findings
    assert np.array_equal(again.suspicion, screened["tampered"].suspicion)


def test_screening_says_what_made_it(detector, screened, calibrated):
    screening = screened["tampered"]
    assert (screening.detector_name, screening.weights_sha256) == ("tiny", calibrated.sha256)
    assert screening.settings["calibration_patients"] == len(CALIBRATION_PATIENTS)
    assert json.dumps(dict(screening.settings))
    assert (detector.name, detector.card) == ("tiny", calibrated.card)


def test_scan_is_left_as_it_was(detector):
    scan = chest_scan(51, slices=1)
    before = scan.voxels.copy()
    detector.screen(scan)
    assert np.array_equal(scan.voxels, before)


def test_more_noise_in_the_whole_scan_is_no_tampering(detector, screened):
    voxels = np.stack([chest(50_000 + index, noise_hu=40).hu for index in range(5)])
    louder = detector.screen(scan_of(voxels))
    assert louder.score < screened["smoothed"].score


def test_places_of_a_slice_are_scored_alike_in_any_order(detector, tampered):
    places = [(2, *PLACE), (0, *PLACE), (2, PLACE[0], PLACE[1] + 20), (2, *PLACE)]
    scores = [detector.score_patch(tampered, *place) for place in places]
    assert scores[0] == scores[3]
    assert len(set(scores)) == 3
    assert detector.score_patch(replace(tampered), 2, *PLACE) == scores[0]
