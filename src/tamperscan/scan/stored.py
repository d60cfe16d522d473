"""What the header says about stored pixel values: their bits, their padding, their compression."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from tamperscan.scan.attributes import Attributes
from tamperscan.scan.codecs import is_irreversible
from tamperscan.scan.forged import NOTE, is_forged
from tamperscan.scan.preamble import other_kind
from tamperscan.scan.volume import LOSSY

SIGNED: Final = "Carries a DICOM digital signature, which was not verified here; `tamperscan audit signatures` does."
"""What the reader says of a signed file."""

POLYGLOT: Final = "A file of it is"
"""How the warning begins that a file is a program or another document too."""

_LOSSY_SYNTAXES: Final = {
    "1.2.840.10008.1.2.4.50": "JPEG Baseline",
    "1.2.840.10008.1.2.4.51": "JPEG Extended",
    "1.2.840.10008.1.2.4.53": "JPEG Spectral Selection",
    "1.2.840.10008.1.2.4.55": "JPEG Full Progression",
    "1.2.840.10008.1.2.4.81": "JPEG-LS Near-lossless",
}


_JPEG_2000: Final = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91")


def masked(plane: NDArray[Any], facts: Attributes) -> NDArray[Any]:
    """Drop the bits outside BitsStored of integers ``[row, column]``, keeping the sign (PS3.3 C.7.6.3.1)."""
    if plane.dtype.kind not in "iu":
        return plane
    allocated = plane.dtype.itemsize * 8
    stored = int(facts.number("BitsStored") or allocated)
    high = int(facts.number("HighBit") or stored - 1)
    if not 0 < stored < allocated or not stored - 1 <= high < allocated:
        return plane
    kept: NDArray[Any] = (plane << (allocated - 1 - high)) >> (allocated - stored)
    return kept


def inverted(plane: NDArray[Any], facts: Attributes) -> NDArray[Any]:
    """Mirror stored values ``[row, column]`` within the range that BitsStored gives them."""
    if plane.dtype.kind == "f":
        return -plane
    bits = int(facts.number("BitsStored") or plane.dtype.itemsize * 8)
    largest = -1 if plane.dtype.kind == "i" else 2**bits - 1
    wide = plane.astype(np.int64 if bits > 16 else np.int32)
    return np.asarray(largest - wide)


def padding_mask(stored: NDArray[Any], facts: Attributes) -> NDArray[np.bool_] | None:
    """Where the image is padding, [row, column]; None if the header names no padding."""
    first = facts.number("PixelPaddingValue")
    if first is None or stored.dtype.kind not in "iu":
        return None
    ends = sorted(_wrapped(end, stored.dtype) for end in (first, facts.number("PixelPaddingRangeLimit") or first))
    mask: NDArray[np.bool_] = (stored >= ends[0]) & (stored <= ends[1])
    return mask


def _wrapped(value: float, dtype: np.dtype[Any]) -> int:
    """Give the value in the pixels' own sign: GE writes -2000 as 63536."""
    limits, span = np.iinfo(dtype), 2 ** (dtype.itemsize * 8)
    whole = int(value)
    if whole > limits.max:
        whole -= span
    elif whole < limits.min:
        whole += span
    return int(np.clip(whole, limits.min, limits.max))


def complete_file_meta(dataset: Dataset) -> None:
    """Give a file without file meta information the transfer syntax it was parsed by."""
    if not hasattr(dataset, "file_meta"):
        dataset.file_meta = FileMetaDataset()
    if dataset.file_meta.get("TransferSyntaxUID"):
        return
    implicit, little = dataset.original_encoding
    explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit


def file_notes(dataset: Dataset) -> Iterator[str]:
    """Tell what the header says against the pixels."""
    facts = Attributes(dataset)
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    if syntax in _LOSSY_SYNTAXES:
        yield f"{LOSSY} ({_LOSSY_SYNTAXES[syntax]})."
    elif syntax in _JPEG_2000 and is_irreversible(dataset):
        yield f"{LOSSY} (JPEG 2000 with the irreversible wavelet)."
    elif facts.text("LossyImageCompression") == "01":
        yield f"{LOSSY} at some time before (LossyImageCompression is 01)."
    image_type = facts.text("ImageType").upper().split("\\")
    if "DERIVED" in (part.strip() for part in image_type):
        yield "A derived image (ImageType), not as the scanner first made it."
    if "SECONDARY" in (part.strip() for part in image_type):
        yield "A secondary image (ImageType), not as the scanner first made it."
    if kind := other_kind(getattr(dataset, "preamble", None) or b""):
        yield f"{POLYGLOT} {kind} as well as a DICOM image (its preamble); don't open it with anything else."
    if "DigitalSignaturesSequence" in dataset:
        yield SIGNED
    if is_forged(dataset):
        yield NOTE
