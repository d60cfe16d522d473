import numpy as np
import pytest

from tamperscan.data import sample_path
from tamperscan.serve.pixel_digest import stored_digest
from tamperscan.serve.web import probe as probing
from tamperscan.serve.web.probe import Contents, look, probe


def test_sample_is_a_ct(tmp_path):
    contents = probe(sample_path())
    assert (contents.modality, contents.images, contents.problem) == ("CT", 1, "")
    assert contents.study_uid.startswith("1.3.6.1.4.1.14519")


def test_each_image_is_told_with_its_digest():
    (arrival,) = probe(sample_path()).arrivals
    assert arrival.stored_sha256 == stored_digest(sample_path())
    assert arrival.instance.startswith("1.3.6.1.4.1.14519")


def test_images_that_time_does_not_suffice_for_go_without_a_digest(monkeypatch):
    monkeypatch.setattr(probing, "DIGEST_SECONDS", 0.0)
    contents = look(sample_path())
    assert contents.arrivals[0].stored_sha256 is None
    assert contents.study_uid == contents.arrivals[0].study


def test_volume_file_tells_its_slices(tmp_path):
    np.save(tmp_path / "volume.npy", np.full((3, 32, 32), -800, np.int16))
    assert look(tmp_path).images == 3


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", b"hello", "no DICOM or NIfTI file"),
        ("a.dcm", b"hello", "not a DICOM"),
        ("a.zip", b"PK\x03\x04 and no more", "damaged zip"),
        ("a.nii.gz", b"\x1f\x8b\x08nonsense", ""),
        ("a.dcm", b"", ""),
    ],
)
def test_no_scan_is_told_why(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    contents = look(tmp_path)
    assert said in contents.problem
    assert contents.problem
    assert str(tmp_path) not in contents.problem


def test_empty_folder(tmp_path):
    assert look(tmp_path).problem == "there is no DICOM or NIfTI file in it"


def test_what_takes_too_long_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(probing, "PATIENCE", 0.01)
    assert "too long" in probe(sample_path()).problem


def test_what_kills_its_reader_is_told(tmp_path):
    assert probe(tmp_path / "is not there") == Contents(
        problem="it can't be read: it is damaged, or made to fill the memory"
    )
