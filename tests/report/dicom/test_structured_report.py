import highdicom as hd
import numpy as np
import pytest
from highdicom.sr.utils import find_content_items

from tamperscan.report.dicom import codes


def groups(path):
    report = hd.sr.srread(path)
    content = report.content
    return (
        content.get_image_measurement_groups()[0],
        content.get_volumetric_roi_measurement_groups(),
        content.get_planar_roi_measurement_groups(),
    )


def values(group):
    return {each.name.value: each.value for each in group.get_measurements()}


def texts(path, code):
    report = hd.sr.srread(path)
    items = find_content_items(report, name=code, value_type="TEXT", recursive=True)
    return [item.TextValue for item in items]


def test_the_verdict_and_all_that_it_depends_on(results):
    scan, _, _ = groups(results.structured_report)
    assert values(scan) == {"SCORE": 7.0, "P_VALUE": 0.02, "ALARM_RATE": 0.05}
    (verdict,) = (each for each in scan.get_qualitative_evaluations() if each.name == codes.VERDICT)
    assert verdict.value == codes.VERDICTS["suspicious"]
    path = results.structured_report
    assert texts(path, codes.WEIGHTS) == ["cd" * 32]
    assert texts(path, codes.REASON) == ["About 2 of 100 authentic scans score as high."]
    assert "NOT FOR DIAGNOSIS" in texts(path, codes.COMMENT)[0]


def test_software_and_version_are_stated(results):
    report = hd.sr.srread(results.structured_report)
    versions = find_content_items(report, name=hd.sr.CodedConcept("111003", "DCM", "Algorithm Version"), recursive=True)
    assert {item.TextValue for item in versions} == {report.SoftwareVersions}


def test_each_finding_has_its_size_sign_and_segment(results):
    _, (first, second), planar = groups(results.structured_report)
    assert planar == []
    assert values(first)["SIZE_ROW"] == 8.0
    assert values(first)["P_VALUE"] == 0.02
    assert {each.unit.value for each in first.get_measurements()} == {"1", "mm"}
    signs = [each.value for group in (first, second) for each in group.get_qualitative_evaluations()]
    assert [sign for sign in signs if sign.scheme_designator == "99TAMPERSCAN"] == [
        codes.SIGNS["too smooth"],
        codes.OTHER_SIGN,
    ]
    segmentation = hd.seg.segread(results.segmentation)
    for number, group in enumerate((first, second), start=1):
        assert group.referenced_segment.referenced_sop_instance_uid == segmentation.SOPInstanceUID
        assert group.referenced_segment.referenced_segment_numbers == [number]


def test_a_sign_without_a_code_is_told_in_words(results):
    assert texts(results.structured_report, codes.EVIDENCE) == ["Made up.", "like rain. Made up."]


def test_the_centre_is_in_the_patient(results, screened):
    report = hd.sr.srread(results.structured_report)
    centres = find_content_items(report, name=codes.CENTER, value_type="SCOORD3D", recursive=True)
    for finding, centre in zip(screened.findings, centres, strict=True):
        wanted = (screened.scan.affine @ [*finding.centre, 1.0])[:3]
        np.testing.assert_allclose(centre.value[0], wanted, atol=1e-4)
        assert centre.ReferencedFrameOfReferenceUID == "1.2.826.0.1.3680043.8.498.4"


def test_the_centre_lies_in_its_own_slice_beyond_a_gap(series, screen, write):
    scan = series(6, each=lambda index: {"ImagePositionPatient": [0, 0, 2.5 * (index + 3 * (index > 2))]})
    results = write(screen(scan))
    report = hd.sr.srread(results.structured_report)
    (centre, _) = find_content_items(report, name=codes.CENTER, value_type="SCOORD3D", recursive=True)
    assert centre.value[0][2] == pytest.approx(2.5 * 6)


def test_unplaced_findings_are_circles_in_their_images(series, screen, write):
    scan = series(3, FrameOfReferenceUID=None)
    results = write(screen(scan))
    _, volumetric, (first, _) = groups(results.structured_report)
    assert volumetric == []
    region = first.roi
    assert region.graphic_type == hd.sr.GraphicTypeValues.CIRCLE
    np.testing.assert_array_equal(region.value[0], [22.5, 24.5])


def test_every_source_image_is_evidence(results):
    (study,) = hd.sr.srread(results.structured_report).CurrentRequestedProcedureEvidenceSequence
    counts = sorted(len(series.ReferencedSOPSequence) for series in study.ReferencedSeriesSequence)
    assert counts == [1, 5]  # the segmentation and the images


@pytest.mark.parametrize("code", codes.PRIVATE, ids=lambda code: code.value)
def test_every_private_code_is_documented(code):
    from pathlib import Path

    page = Path(__file__).parents[3] / "docs" / "reference" / "dicom-results.md"
    assert f"| `{code.value}` | {code.meaning} |" in page.read_text()
    assert len(code.value) <= 16  # SH
    assert len(code.meaning) <= 64  # LO
