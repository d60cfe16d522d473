import numpy as np
import pytest
from dicom_maker import write_slice
from pydicom import dcmread
from pydicom.uid import JPEG2000, JPEGLSLossless, generate_uid

from tamperscan.errors import OutputError
from tamperscan.scan.places import Place
from tamperscan.serve.audit import CONFLICT, DIGESTED, RECEIVED, SENT, AuditLog
from tamperscan.serve.compare import State, StudyDigests
from tamperscan.serve.pixel_digest import decoded_digest, stored_digest

STUDY = "1.2.3"


def facts(path):
    image = dcmread(path)
    digests = {"stored_sha256": stored_digest(path), "decoded_sha256": decoded_digest(path)}
    return {"study": STUDY, "series": str(image.SeriesInstanceUID), "instance": str(image.SOPInstanceUID), **digests}


@pytest.fixture
def study(tmp_path):
    """Three images that a node received."""
    rng = np.random.default_rng(1)
    paths = [
        write_slice(
            tmp_path / f"{number}.dcm",
            rng.integers(-1000, 1000, (40, 40), dtype=np.int16),
            StudyInstanceUID=STUDY,
            SeriesInstanceUID="1.2.3.1",
            SOPInstanceUID=f"1.2.3.1.{number}",
        )
        for number in range(3)
    ]
    AuditLog(tmp_path / "audit.jsonl").append_all([(RECEIVED, facts(path)) for path in paths])
    return paths


@pytest.fixture
def log(tmp_path):
    return tmp_path / "audit.jsonl"


def compared(log, paths, **more):
    return {one.instance: one for one in StudyDigests(log, STUDY).compare([Place(str(path)) for path in paths], **more)}


def states(log, paths):
    return [one.state for one in compared(log, paths).values()]


def edit(path, **values):
    image = dcmread(path)
    for keyword, value in values.items():
        setattr(image, keyword, value)
    image.save_as(path)


def test_untouched_copies_are_unchanged(log, study):
    assert states(log, study) == [State.UNCHANGED] * 3


def test_changed_pixels_are_told(log, study):
    pixels = bytearray(dcmread(study[1]).PixelData)
    pixels[10] ^= 1
    edit(study[1], PixelData=bytes(pixels))
    assert states(log, study) == [State.UNCHANGED, State.CHANGED, State.UNCHANGED]


def test_the_same_bytes_with_another_rescale_are_a_change(log, study):
    edit(study[0], RescaleIntercept="-5")
    one = compared(log, study)["1.2.3.1.0"]
    assert one.state is State.CHANGED
    assert "another rescale" in one.note


def test_compression_without_loss_is_no_change(log, study):
    image = dcmread(study[0])
    image.compress(JPEGLSLossless, generate_instance_uid=False)
    image.save_as(study[0])
    one = compared(log, study)["1.2.3.1.0"]
    assert (one.state, one.note) == (State.UNCHANGED, "stored otherwise now: JPEG-LS Lossless Image Compression")


def test_compression_with_loss_is_a_change_and_named(log, study):
    image = dcmread(study[0])
    image.compress(JPEG2000, generate_instance_uid=False, j2k_cr=[8])
    image.save_as(study[0])
    one = compared(log, study)["1.2.3.1.0"]
    assert one.state is State.CHANGED
    assert "lossy compression" in one.note


def test_missing_and_new_images_are_told(log, study):
    edit(study[2], SOPInstanceUID="1.2.3.1.9")
    found = compared(log, study)
    assert found["1.2.3.1.2"].state is State.MISSING
    assert found["1.2.3.1.9"].state is State.NEW


def test_our_own_results_are_not_new(log, study, tmp_path):
    result = write_slice(tmp_path / "result.dcm", StudyInstanceUID=STUDY, SOPInstanceUID="1.2.9")
    AuditLog(log).append(SENT, study=STUDY, instance="1.2.9", receiver="PACS")
    assert compared(log, [*study, result])["1.2.9"].state is State.OWN


def test_images_of_other_studies_are_passed_over(log, study):
    edit(study[2], StudyInstanceUID=generate_uid(), SOPInstanceUID="1.2.8")
    assert "1.2.8" not in compared(log, study)


def test_digests_that_come_later_complete_the_first(tmp_path, study):
    log = tmp_path / "late.jsonl"
    first = facts(study[0])
    AuditLog(log).append(RECEIVED, **(first | {"decoded_sha256": None}))
    AuditLog(log).append(DIGESTED, **first)
    image = dcmread(study[0])
    image.compress(JPEGLSLossless, generate_instance_uid=False)
    image.save_as(study[0])
    assert states(log, study[:1]) == [State.UNCHANGED]


def test_without_a_decoded_digest_other_bytes_tell_nothing(tmp_path, study):
    log = tmp_path / "stored.jsonl"
    AuditLog(log).append(RECEIVED, **(facts(study[0]) | {"decoded_sha256": None}))
    image = dcmread(study[0])
    image.compress(JPEGLSLossless, generate_instance_uid=False)
    image.save_as(study[0])
    assert states(log, study[:1]) == [State.UNKNOWN]


def test_pixels_that_came_later_under_the_same_uid_are_named(log, study):
    edit(study[0], PixelData=bytes(len(dcmread(study[0]).PixelData)))
    AuditLog(log).append(CONFLICT, **facts(study[0]))
    one = compared(log, study)["1.2.3.1.0"]
    assert one.state is State.CHANGED
    assert "came later under the same UID" in one.note


def test_a_copy_that_can_not_be_read_is_not_called_missing(log, study):
    found = compared(log, study[:2], failed={"1.2.3.1.2": "no answer"})
    assert (found["1.2.3.1.2"].state, found["1.2.3.1.2"].note) == (State.UNKNOWN, "no answer")


def test_a_copy_that_can_not_be_decoded_is_told(log, study):
    edit(study[0], PixelData=dcmread(study[0]).PixelData[:50])
    assert states(log, study)[0] is State.UNKNOWN


def test_a_study_that_never_arrived_is_told(log, study):
    with pytest.raises(OutputError, match="knows of no image"):
        StudyDigests(log, "9.9")
