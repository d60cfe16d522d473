"""Digests of pixel data: of the bytes as stored, and of the samples that they decode to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import UID

from tamperscan.errors import ScanError
from tamperscan.scan.attributes import Attributes
from tamperscan.scan.codecs import stored_values
from tamperscan.scan.dicom import read_dataset
from tamperscan.scan.sources import FileSource
from tamperscan.scan.stored import complete_file_meta, masked

PIXELS: Final = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
"""Attributes that hold pixels; an image has one of them (PS3.3 C.7.6.3, C.7.6.24)."""

LARGEST_DECODED: Final = 2**29
"""Most bytes (512 MiB) that pixels may decode to, by the header, before a decoder is asked at all."""

_LAYOUT: Final = (
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
)


def stored_digest(source: str | Path | Dataset) -> str | None:
    """SHA-256 of the pixel data as it is stored, byte for byte; of compressed pixels the compressed bytes.

    Parameters
    ----------
    source
        A DICOM file, or a data set with its pixels.

    Returns
    -------
    str or None
        64 hexadecimal digits; None for an object without pixels.

    Raises
    ------
    ScanError
        If the file can't be parsed.
    """
    dataset = _read(source)
    for keyword in PIXELS:
        if keyword in dataset:
            return hashlib.sha256(dataset[keyword].value or b"").hexdigest()
    return None


def meaning_digest(dataset: Dataset) -> str:
    """SHA-256 of what makes an image of stored bytes: their layout, and what makes intensities of samples.

    The same bytes under another meaning are another image.

    Parameters
    ----------
    dataset
        A data set; its pixels are not looked at.
    """
    complete_file_meta(dataset)
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    coding = "compressed" if syntax.is_encapsulated else f"little endian {syntax.is_little_endian}"
    facts = Attributes(dataset)
    digest = hashlib.sha256(" ".join([coding, *(repr(facts.number(keyword)) for keyword in _LAYOUT)]).encode())
    # Not NumberOfFrames, which may be any number: only these can differ.
    for index in range(max(1, len(facts.value("PerFrameFunctionalGroupsSequence") or ()))):
        digest.update(_meaning(Attributes(dataset, index)).encode())
    return digest.hexdigest()


def decoded_digest(source: str | Path | Dataset) -> str | None:
    """SHA-256 of the decoded samples: the same for every lossless transfer syntax.

    It is taken of the text ``frames x rows x columns`` and, for each frame, of what makes intensities of its samples
    (PhotometricInterpretation, RescaleSlope, RescaleIntercept: whoever changes these changes the image) and of the
    samples as little-endian 32-bit integers (of 64 bits where they need it; floats of their own width), bits outside
    BitsStored dropped.

    Parameters
    ----------
    source
        A DICOM file, or a data set with its pixels.

    Returns
    -------
    str or None
        64 hexadecimal digits; None for an object without pixels.

    Raises
    ------
    ScanError
        If the file can't be parsed, its pixels can't be decoded, they are in colour, or more than `LARGEST_DECODED`.
    """
    dataset = _read(source)
    if not any(keyword in dataset for keyword in PIXELS):
        return None
    complete_file_meta(dataset)
    label = _label(source)
    try:
        return _of_frames(dataset, label)
    except ScanError:
        raise
    except Exception as error:  # the decoders raise whatever damaged data provokes
        problem = f"has pixel data that can't be decoded ({' '.join(str(error).split())[:200] or type(error).__name__})"
        raise ScanError(label, problem, "Copy or export the file again") from error


def _of_frames(dataset: Dataset, label: str) -> str:
    facts = Attributes(dataset)
    if int(facts.number("SamplesPerPixel") or 1) != 1:
        raise ScanError(label, "is a colour image", "Only grey-scale images are compared by their samples")
    count, rows, columns = (int(facts.number(keyword) or 0) for keyword in ("NumberOfFrames", "Rows", "Columns"))
    count = count or 1
    if count * rows * columns * (int(facts.number("BitsAllocated") or 0) + 7) // 8 > LARGEST_DECODED:
        raise ScanError(label, f"unpacks to more than {LARGEST_DECODED >> 20} MiB", "Split it")
    digest = hashlib.sha256(f"{count} x {rows} x {columns}".encode())
    for index, plane in enumerate(_planes(dataset, count, facts)):
        digest.update(_meaning(Attributes(dataset, index)).encode())
        digest.update(plane.tobytes())
    return digest.hexdigest()


def _meaning(facts: Attributes) -> str:
    rescale = (facts.number(keyword) for keyword in ("RescaleSlope", "RescaleIntercept"))
    return " ".join([facts.text("PhotometricInterpretation").upper(), *map(repr, rescale)])


def _planes(dataset: Dataset, count: int, facts: Attributes) -> Iterator[NDArray[Any]]:
    for plane in stored_values(dataset, range(count)):
        if plane.dtype.kind == "f":
            yield plane.astype(plane.dtype.newbyteorder("<"))
        else:
            yield masked(plane, facts).astype("<i8" if plane.dtype.itemsize > 2 else "<i4")


def _read(source: str | Path | Dataset) -> Dataset:
    return source if isinstance(source, Dataset) else read_dataset(FileSource(Path(source)), pixels=True)


def _label(source: str | Path | Dataset) -> str:
    if isinstance(source, Dataset):
        return f"image {Attributes(source).text('SOPInstanceUID') or 'without UID'}"
    return str(source)
