"""Files made to do harm, or that fuzzing found to do some: each is refused, or read with a word about it."""

from __future__ import annotations

import io
import struct
import zipfile

import nibabel
import numpy as np
import pytest
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from tamperscan.errors import ScanError
from tamperscan.scan import Limits, read_scan, read_scans
from tamperscan.scan.preamble import other_kind

from .dicom_maker import dataset, hounsfield, save, write_slice

FORGED = "x\n2026-01-01 all clear\x1b[2J"


def odd(path, **facts):
    """An image whose header says what the standard does not allow."""
    with disable_value_validation():
        return save(dataset(hounsfield(1)[0], **facts), path)


def nested(depth):
    """A sequence in a sequence, and so on."""
    inner = Dataset()
    inner.CodeValue = "1"
    for _ in range(depth):
        outer = Dataset()
        outer.ConceptNameCodeSequence = Sequence([inner])
        inner = outer
    return inner.ConceptNameCodeSequence


def test_headers_forge_no_line(tmp_path):
    path = odd(tmp_path / "a.dcm", Modality=FORGED)
    with pytest.raises(ScanError) as caught:
        read_scan(path)
    assert str(caught.value).isprintable()
    assert caught.value.problem.isprintable()


def test_headers_forge_no_line_in_a_warning_or_a_fact(tmp_path):
    path = odd(tmp_path / "a.dcm", SeriesDescription=FORGED, ConvolutionKernel=FORGED)
    scan = read_scan(path)
    assert all(text.isprintable() for text in (*scan.warnings, *scan.metadata.values(), scan.name))
    assert scan.metadata["ConvolutionKernel"] == "x 2026-01-01 all clear [2J"


def test_names_in_a_zip_forge_no_line(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{FORGED}.dcm", b"nothing")
    with pytest.raises(ScanError) as caught:
        read_scan(path)
    assert str(caught.value).isprintable()
    assert r"\n2026-01-01" in str(caught.value)


def test_names_of_files_forge_no_line_in_a_warning(tmp_path):
    write_slice(tmp_path / "a.dcm")
    (tmp_path / FORGED.replace("/", "")).write_bytes(b"nothing")
    assert all(text.isprintable() for text in read_scan(tmp_path).warnings)


def test_messages_have_an_end(tmp_path):
    path = odd(tmp_path / "a.dcm", Modality="M" * 60_000)
    with pytest.raises(ScanError) as caught:
        read_scan(path)
    assert len(caught.value.problem) < 500


def test_zip_member_without_a_name(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x", write_slice(tmp_path / "a.dcm").read_bytes())
    path.write_bytes(path.read_bytes().replace(b"\1\0\0\0x", b"\0\0\0\0", 1))
    stored = bytearray(path.read_bytes())
    stored[26:28] = b"\0\0"
    central = stored.rindex(b"PK\1\2")
    stored[central + 28 : central + 30] = b"\0\0"
    del stored[central + 46]
    path.write_bytes(stored)
    with pytest.raises(ScanError):
        read_scan(path)


def nifti(path, place, content):
    """A volume with some bytes of its header replaced."""
    image = nibabel.Nifti1Image(np.arange(512, dtype="i2").reshape(16, 16, 2), np.eye(4))
    stored = image.to_bytes()
    path.write_bytes(stored[:place] + content + stored[place + len(content) :])
    return path


def test_nifti_with_units_that_there_are_not(tmp_path):
    path = nifti(tmp_path / "a.nii", 123, b"\xff")
    assert any("a unit that there is not" in warning for warning in read_scan(path).warnings)


@pytest.mark.parametrize(
    "rows",
    [(1, 0, 1e-45, 0, 0, 1, 0, 0, 5e17, 0, 1, 0), (1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0), (*[float("nan")] * 12,)],
)
def test_nifti_with_axes_that_are_none(tmp_path, rows):
    path = nifti(tmp_path / "a.nii", 280, struct.pack("<12f", *rows))
    with pytest.raises(ScanError, match="orientation matrix is singular"):
        read_scan(path)


def test_look_up_table_without_a_descriptor(tmp_path):
    made = dataset(hounsfield(1)[0])
    table = Dataset()
    table.ModalityLUTType = "HU"
    made.ModalityLUTSequence = Sequence([table])
    with pytest.raises(ScanError, match="look-up table that makes no sense"):
        read_scan(save(made, tmp_path / "a.dcm"))


def test_a_sequence_in_place_of_a_text(tmp_path):
    path = save(dataset(hounsfield(1)[0], ConvolutionKernel="B30f"), tmp_path / "a.dcm")
    content = path.read_bytes()
    text = struct.pack("<HH2sH", 0x18, 0x1210, b"SH", 4) + b"B30f"
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 12) + struct.pack("<HH2sHI", 0x28, 0x3000, b"SQ", 0, 2)
    damaged = struct.pack("<HH2sHI", 0x18, 0x1210, b"SQ", 0, len(item)) + item
    path.write_bytes(content.replace(text, damaged))
    assert "ConvolutionKernel" not in read_scan(path).metadata


def test_more_frames_than_a_file_has_room_for(tmp_path):
    path = save(dataset(hounsfield(1)[0], NumberOfFrames=100_000), tmp_path / "a.dcm")
    with pytest.raises(ScanError, match="100000 frames in a file of"):
        read_scan(path, limits=Limits(seconds_a_file=10))


def test_sequences_nested_too_deep(tmp_path):
    made = dataset(hounsfield(1)[0])
    made.ConceptNameCodeSequence = nested(40)
    for item in made.iterall():
        item.is_undefined_length = item.VR == "SQ"
    with pytest.raises(ScanError, match="nested deeper than 32 levels"):
        read_scan(save(made, tmp_path / "a.dcm"))


def test_sequences_nested_beyond_any_stack(tmp_path):
    path = write_slice(tmp_path / "a.dcm")
    content = path.read_bytes()
    place = content.index(struct.pack("<HH", 0x7FE0, 0x10))
    deep = (
        struct.pack("<HH2sHI", 0x40, 0xA730, b"SQ", 0, 2**32 - 1) + struct.pack("<HHI", 0xFFFE, 0xE000, 2**32 - 1)
    ) * 5000
    path.write_bytes(content[:place] + deep + content[place:])
    with pytest.raises(ScanError):
        read_scan(path)


def test_a_value_that_is_too_long(tmp_path):
    path = save(dataset(hounsfield(1)[0], ImageComments="x" * 9000), tmp_path / "a.dcm")
    assert read_scan(path).shape == (1, 20, 24)
    with pytest.raises(ScanError, match=r"value of 9000 bytes in its header \(0020,4000\), over 8000"):
        read_scan(path, limits=Limits(element=8000))


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"MZ\x90\0", "a Windows program"),
        (b"\x7fELF\2", "a Linux program"),
        (b"\xcf\xfa\xed\xfe", "a macOS program"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"#!/bin/sh\n", "a script"),
        (b"PK\x03\x04", "a zip archive"),
        (b"\0\0<SCRIPT>", "a web page"),
    ],
)
def test_programs_that_are_images_too_are_read_and_told(tmp_path, start, kind):
    path = write_slice(tmp_path / "a.dcm")
    path.write_bytes(start.ljust(128, b"\0") + path.read_bytes()[128:])
    assert any(kind in warning for warning in read_scan(path).warnings)


def test_a_preamble_of_zeros_or_of_a_tiff_is_not_worth_a_word(tmp_path):
    assert other_kind(bytes(128)) is None
    assert other_kind(b"II*\0".ljust(128, b"\0")) is None
    assert read_scan(write_slice(tmp_path / "a.dcm")).warnings == ()


def test_a_pickle_is_not_opened(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(ScanError, match="instead of intensities"):
        read_scan(path)


def test_a_folder_of_horrors_leaves_the_good_scan(tmp_path):
    write_slice(tmp_path / "good" / "a.dcm")
    (tmp_path / "b.dcm").write_bytes(bytes(128) + b"DICM" + b"\xff" * 5000)
    (tmp_path / "c.nii.gz").write_bytes(b"\x1f\x8b" + bytes(50))
    (tmp_path / "d.npy").write_bytes(b"\x93NUMPY\1\0\xff\xff" + b"{" * 100)
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w") as archive:
        archive.writestr("../../e.dcm", b"x")
    (tmp_path / "e.zip").write_bytes(stored.getvalue())
    errors = []
    assert [scan.name for scan in read_scans(tmp_path, on_error=errors.append)] == ["good"]
    assert len(errors) == 4
    assert all(str(error).isprintable() for error in errors)
