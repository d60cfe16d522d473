"""What fuzzing starts from: small files of every kind, made here, and the odd files of the shared data."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fuzz.counters import FOLDER
from fuzz.targets import NAMES

LARGEST = 2**14
"""Larger files give their first bytes."""


def plant(data: Path) -> dict[str, int]:
    """Write the seeds of every target; gives how many there are of each."""
    odd = sorted((data / "odd").glob("*.dcm"))
    files = [path.read_bytes()[:LARGEST] for path in odd]
    compressed = [content for content in files if b"1.2.840.10008.1.2.4." in content[:1024]]
    native = [content for content in files if b"1.2.840.10008.1.2.4." not in content[:1024]]
    made = [_image()]
    kinds: dict[str, list[bytes]] = {
        "dicom": [*made, *native],
        "frames": [*made, *compressed],
        "dicomdir": [*made, *_directories()],
        "nifti": list(_nifti()),
        "numpy": list(_numpy()),
        "zip": list(_zips()),
        "zip-names": [b"a.dcm\n../b\n/etc/c\nd/e.zip\n\x1b[31mf"],
        "any-file": [*made, *_nifti(), *_numpy(), *_zips(), *files[::8]],
        "rules": list(_rules()),
        "card": list(_cards("tamperscan/data")),
        "forge-card": list(_cards("tamperscan/data")),
        "forgery": [json.dumps({"format": 1}).encode()],
        "marks": list(_marks(data)),
        "anchors": [json.dumps({"lines": 3, "head": "0" * 64}).encode()],
        "audit-log": [b'{"number": 1, "time": "2025-01-01T00:00:00Z", "event": "received", "previous": ""}\n'],
        "screening": [json.dumps({"scan": {"pixel_sha256": "0"}}).encode()],
        "form": [_form()],
    }
    kinds |= {name: list(_choices()) for name in NAMES if name.endswith("-values")}
    for target, contents in kinds.items():
        folder = FOLDER / "corpus" / target
        folder.mkdir(parents=True, exist_ok=True)
        for number, content in enumerate(contents):
            (folder / f"seed-{number:03}").write_bytes(content)
    return {target: len(contents) for target, contents in kinds.items()}


def _choices() -> Iterator[bytes]:
    """Make bytes that hypothesis draws its choices from."""
    random = np.random.default_rng(7)
    for size in (64, 256, 512, 1024, 2048, 4096):
        yield from (random.bytes(size) for _ in range(4))


def _image() -> bytes:
    """Make a CT image of 16 x 16 pixels."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID = "1.2.3.1"
    image.Modality, image.SeriesInstanceUID, image.StudyInstanceUID = "CT", "1.2.3", "1.2"
    image.Rows = image.Columns = 16
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.RescaleSlope, image.RescaleIntercept, image.SliceThickness = 1, -1024, 1
    image.PixelSpacing, image.ImagePositionPatient = [1, 1], [0, 0, 0]
    image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    image.PixelPaddingValue, image.InstanceNumber = 0, 1
    image.PixelData = np.arange(256, dtype="<u2").tobytes()
    stored = io.BytesIO()
    image.save_as(stored, enforce_file_format=True)
    return stored.getvalue()


def _directories() -> Iterator[bytes]:
    """Make a DICOMDIR that lists a file."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    directory = Dataset()
    directory.file_meta = FileMetaDataset()
    directory.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    directory.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    directory.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    record = Dataset()
    record.DirectoryRecordType, record.ReferencedFileID = "IMAGE", ["DICOM", "IM1"]
    directory.DirectoryRecordSequence = [record, record]
    stored = io.BytesIO()
    directory.save_as(stored, enforce_file_format=True)
    yield stored.getvalue()


def _nifti() -> Iterator[bytes]:
    import nibabel

    for kind in (nibabel.Nifti1Image, nibabel.Nifti2Image):
        for dtype in ("i2", "f4", "u1"):
            yield kind(np.ones((16, 16, 2), dtype), np.eye(4)).to_bytes()
    yield gzip.compress(nibabel.Nifti1Image(np.ones((16, 16, 2), "i2"), np.eye(4)).to_bytes())


def _numpy() -> Iterator[bytes]:
    for array in (np.ones((2, 16, 16), "f4"), np.ones((16, 16), "i2"), np.ones((2, 16, 16), ">f8")):
        stored = io.BytesIO()
        np.save(stored, array)
        yield stored.getvalue()


def _zips() -> Iterator[bytes]:
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        stored = io.BytesIO()
        with zipfile.ZipFile(stored, "w", method) as archive:
            archive.writestr("scan/1.dcm", _image())
            archive.writestr("readme.txt", "x")
        yield stored.getvalue()


def _rules() -> Iterator[bytes]:
    yield Path("docs/how-to/node-rules.yaml").read_bytes()
    yield b"rules:\n  - name: all\n    when: {modality: [CT, MR], slice_thickness: {at_most: 3}}\n    screen: true\n"
    yield b"a: &a [x, x]\nb: &b [*a, *a]\nrules: [{name: x, send_to: *b}]\n"


def _cards(package: str) -> Iterator[bytes]:
    for path in sorted(Path("src", package).rglob("card.json"))[:4]:
        yield path.read_bytes()[:LARGEST]
    yield b'{"files": {}}'


def _marks(data: Path) -> Iterator[bytes]:
    for path in sorted(data.glob("ct/series/*/*.json"))[:6]:
        yield path.read_bytes()[:LARGEST]
    yield b'[{"reader": "1", "slices": [1], "y": 1, "x": 2, "bbox_w": 3, "malignancy": 3}]'
    yield b'[{"bbox": [1, 2, 3, 4], "slice": 1}]'


def _form() -> bytes:
    head = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a/../1.dcm"\r\n\r\n'
    return head + b"content\r\n--b--\r\n"
