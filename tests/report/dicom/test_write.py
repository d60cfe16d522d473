import shutil
import zipfile
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pydicom
import pytest
from dicom_maker import enhanced, plane_at, save

from tamperscan.errors import OutputError
from tamperscan.scan import read_scan, read_scans
from tamperscan.scan.forged import is_forged, refuse_forged

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
EVERYTHING = ["document.dcm", "findings.dcm", "key_image_01.dcm", "key_image_02.dcm", "report.dcm", "suspicion.dcm"]
UNPLACED = ["document.dcm", "key_image_01.dcm", "key_image_02.dcm", "report.dcm"]


def names(results):
    return sorted(path.name for path in results.paths)


def read_all(results):
    return [pydicom.dcmread(path) for path in results.paths]


def test_everything_is_written_and_conforms(results, complaints):
    assert names(results) == EVERYTHING
    assert results.notes == ()
    assert [complaint for path in results.paths for complaint in complaints(path)] == []


def test_results_are_of_the_patient_and_study(results):
    for made in read_all(results):
        assert made.PatientName == "Doe^Jane"
        assert (made.PatientID, made.PatientBirthDate, made.AccessionNumber) == ("JD-7", "19500102", "A-99")
        assert made.StudyInstanceUID == "1.2.826.0.1.3680043.8.498.1"
        assert made.SpecificCharacterSet == "ISO_IR 192"


def test_each_kind_is_a_series_near_its_source(results):
    numbers = {made.Modality + made.SOPClassUID.name: made.SeriesNumber for made in read_all(results)}
    assert sorted(numbers.values()) == [3901, 3902, 3903, 3904, 3905]
    assert len({made.SeriesInstanceUID for made in read_all(results)}) == 5
    assert all("NOT FOR DIAGNOSIS" in made.SeriesDescription for made in read_all(results))


def test_every_object_refers_to_the_source_images(results, screened):
    first = "1.2.826.0.1.3680043.8.498.3.3"  # a slice that holds findings
    for made in read_all(results):
        assert any(element.value == first for element in made.iterall() if element.keyword.startswith("Referenced"))
        text = made.to_json()
        assert "2.25.1." not in text  # no stand-in is left


def test_the_same_screening_gives_the_same_objects(screened, write):
    first = read_all(write(screened, "a"))
    second = read_all(write(screened, "b", NOW + timedelta(days=1)))
    assert [made.SOPInstanceUID for made in first] == [made.SOPInstanceUID for made in second]
    assert [made.SeriesInstanceUID for made in first] == [made.SeriesInstanceUID for made in second]


@pytest.mark.parametrize(
    "change", [{"alarm_rate": 0.01}, {"weights_sha256": "ef" * 32}, {"settings": {"head": "typicality"}}]
)
def test_another_detector_gives_other_objects(screened, screen, change, write):
    other = screen(screened.scan, **change)
    one, two = (write(each, str(id(each))) for each in (screened, other))
    uids = [{made.SOPInstanceUID for made in read_all(each)} for each in (one, two)]
    assert uids[0].isdisjoint(uids[1])


def test_uids_are_valid_and_unlike(results):
    uids = [made.SOPInstanceUID for made in read_all(results)]
    assert len(set(uids)) == len(uids)
    assert all(uid.is_valid and uid.startswith("2.25.") for uid in uids)


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 192", "Мюллер^Жанна"),
        ("ISO_IR 100", "Müller^Zoë"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
    ],
)
def test_names_in_any_script_stay_as_they_are(series, screen, complaints, charset, name, write):
    scan = series(2, SpecificCharacterSet=charset, PatientName=name)
    results = write(screen(scan))
    assert {str(made.PatientName) for made in read_all(results)} == {name}
    assert [line for path in results.paths for line in complaints(path) if "SpecificCharacterSet" in line] == []


def test_missing_attributes_become_empty(series, screen, complaints, write):
    missing = dict.fromkeys(
        ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
         "AccessionNumber", "ReferringPhysicianName", "SpecificCharacterSet", "SeriesNumber", "BodyPartExamined")
    )  # fmt: skip
    results = write(screen(series(2, **missing)))
    assert {made.SeriesNumber for made in read_all(results)} == {901, 902, 903, 904, 905}
    assert all(made.PatientName == "" for made in read_all(results))
    assert [line for path in results.paths for line in complaints(path) if line.startswith("Error")] == []


def test_a_malformed_attribute_is_left_out(series, screen, write):
    scan = series(2, each=lambda index: {"PatientAge": "30Y", "PatientIdentityRemoved": "YES"})
    results = write(screen(scan))
    made = pydicom.dcmread(results.structured_report)
    assert "PatientAge" not in made
    assert made.DeidentificationMethod == "Not stated in the source images"


@pytest.mark.parametrize("missing", ["FrameOfReferenceUID", "ImagePositionPatient", "PixelSpacing"])
def test_what_can_not_be_placed_is_told(series, screen, complaints, missing, write):
    scan = series(3, **{missing: None, "SliceLocation": None})
    results = write(screen(scan))
    assert names(results) == UNPLACED
    assert "segmentation and the suspicion map were left out" in results.notes[0]
    assert [line for path in results.paths for line in complaints(path)] == []


def test_files_of_an_earlier_run_are_taken_away(screened, screen, tmp_path, write):
    write(screened)
    clear = screen(screened.scan, findings=(), verdict="clear")
    write(clear)
    assert sorted(path.name for path in (tmp_path / "dicom").iterdir()) == [
        "document.dcm", "key_image_01.dcm", "report.dcm", "suspicion.dcm",
    ]  # fmt: skip


def test_an_abstained_scan_has_no_map(screened, screen, complaints, write):
    nothing = screen(
        screened.scan,
        verdict="abstained",
        score=float("nan"),
        p_value=None,
        findings=(),
        suspicion=np.zeros(screened.scan.shape, np.float32),
        regions=np.zeros(screened.scan.shape, bool),
        slices=(),
    )
    results = write(nothing)
    assert names(results) == ["document.dcm", "key_image_01.dcm", "report.dcm"]
    assert results.notes == ()
    assert [line for path in results.paths for line in complaints(path)] == []


def test_a_single_slice(series, screen, complaints, write):
    results = write(screen(series(1)))
    assert names(results) == EVERYTHING
    assert [line for path in results.paths for line in complaints(path)] == []


def test_many_frames_in_one_file(tmp_path, screen, complaints, write):
    frames = [plane_at(2.5 * index) for index in (3, 1, 0, 2)]  # not in the order of their places
    volume = np.random.default_rng(0).integers(-900, 100, (4, 48, 48), dtype=np.int16)
    facts = {"StudyInstanceUID": "2.25.5", "SeriesInstanceUID": "2.25.6", "FrameOfReferenceUID": "2.25.7"}
    save(enhanced(volume, frames, **facts), tmp_path / "ct.dcm")
    scan = read_scan(tmp_path / "ct.dcm")
    results = write(screen(scan))
    assert names(results) == EVERYTHING
    made = pydicom.dcmread(results.suspicion_map)
    numbers = [
        group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber
        for group in made.PerFrameFunctionalGroupsSequence
    ]
    assert sorted(numbers) == [1, 2, 3, 4]
    for number, group in zip(numbers, made.PerFrameFunctionalGroupsSequence, strict=True):
        place = frames[number - 1]["PlanePositionSequence"]["ImagePositionPatient"]
        assert group.PlanePositionSequence[0].ImagePositionPatient == place
    (listed,) = made.ReferencedSeriesSequence
    assert len(listed.ReferencedInstanceSequence) == 1


def test_members_of_a_zip(series, screen, tmp_path, write):
    series(3)
    archive = shutil.make_archive(str(tmp_path / "study"), "zip", tmp_path / "series")
    (scan,) = read_scans(archive)
    results = write(screen(scan))
    assert names(results) == EVERYTHING


def test_a_zip_that_became_another(series, screen, tmp_path, write):
    series(2)
    archive = shutil.make_archive(str(tmp_path / "study"), "zip", tmp_path / "series")
    (scan,) = read_scans(archive)
    zipfile.ZipFile(archive, "w").close()
    with pytest.raises(OutputError, match=r"study\.zip.*does not exist any more"):
        write(screen(scan))


def test_a_source_that_is_gone(series, screen, tmp_path, write):
    scan = series(2)
    (tmp_path / "series" / "001.dcm").unlink()
    with pytest.raises(OutputError, match=r"001\.dcm: does not exist any more.*Screen the scan again"):
        write(screen(scan))


def test_a_source_that_is_another_series_now(series, screen, write):
    scan = series(2)
    series(2, SeriesInstanceUID="2.25.99")
    with pytest.raises(OutputError, match="of another series than when they were screened"):
        write(screen(scan))


def test_a_source_without_a_study(series, screen, write):
    with pytest.raises(OutputError, match="name no study"):
        write(screen(series(2, StudyInstanceUID=None)))


def test_a_scan_that_was_not_dicom(screen, tmp_path, write):
    np.save(tmp_path / "scan.npy", np.zeros((3, 48, 48), np.int16))
    with pytest.raises(OutputError, match="not read from DICOM"):
        write(screen(read_scan(tmp_path / "scan.npy")))


def test_results_of_a_forged_scan_are_marked_as_it_is(series, screen, complaints, write):
    scan = series(2, SeriesDescription="FORGED by tamperscan: inject, copymove, seed 1")
    results = write(screen(scan))
    for made in read_all(results):
        assert is_forged(made)
        with pytest.raises(OutputError, match="never goes to a PACS"):
            refuse_forged(made)
    assert [line for path in results.paths for line in complaints(path) if line.startswith("Error")] == []


def test_results_of_another_scan_are_not_marked(results):
    assert not any(is_forged(made) for made in read_all(results))


def test_times_are_in_the_zone_of_the_source(series, screen, write):
    scan = series(2, TimezoneOffsetFromUTC="+0530")
    results = write(screen(scan))
    made = pydicom.dcmread(results.structured_report)
    local = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert made.ContentTime == f"{local:%H%M%S}" == "180000"
    assert made.TimezoneOffsetFromUTC == "+0530"


def test_a_tilted_series_keeps_its_places(series, screen, complaints, write):
    scan = series(4, each=lambda index: {"ImagePositionPatient": [-20, -30 + 0.7 * index, 2.5 * index]})
    results = write(screen(scan))
    made = pydicom.dcmread(results.suspicion_map)
    places = [
        [float(part) for part in group.PlanePositionSequence[0].ImagePositionPatient]
        for group in made.PerFrameFunctionalGroupsSequence
    ]
    assert sorted(places) == [[-20.0, -30 + 0.7 * index, 2.5 * index] for index in range(4)]
    assert [line for path in results.paths for line in complaints(path)] == []


def test_odd_texts_become_ascii(series, screen, write, complaints):
    scan = series(2, SpecificCharacterSet=["", "ISO 2022 IR 87"])
    odd = screen(
        scan, detector_name="d\u00e9tecteur\\mine\x1b$B", reasons=("\u0421\u043d\u0438\u043c\u043e\u043a.\n\x1b(B",)
    )
    results = write(odd)
    assert {made.ManufacturerModelName for made in read_all(results)} == {"d?tecteur?mine?$B"}
    assert [line for path in results.paths for line in complaints(path)] == []
