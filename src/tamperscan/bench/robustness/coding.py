"""Treatments that store values anew: in coarser steps, in 8 bits, as JPEG, as JPEG 2000."""

from __future__ import annotations

import io
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from tamperscan.bench.robustness.subjects import Image, TestSlice

# The usual window for lungs, W 1500 and L -600.
_LUNG_WINDOW_HU: Final = (-1350.0, 150.0)
_LARGEST_BYTE: Final = 255.0
# CT as most scanners store it: 12 bits from -1024 HU on.
_LOWEST_HU: Final = -1024.0
_BITS: Final = 12


def quantised(subject: TestSlice, *, step: int) -> Image:
    """Round to multiples of a step in HU."""
    rounded: Image = np.rint(subject.image / np.float32(step)) * np.float32(step)
    return rounded


def through_window(subject: TestSlice) -> Image:
    """Show in a lung window with 256 shades, and take the shades for HU again."""
    return _from_shades(_shades(subject.image))


def through_jpeg(subject: TestSlice, *, quality: int) -> Image:
    """Compress the 256 shades of a lung window as a JPEG (of 8 bits: Pillow writes no others)."""
    stream = io.BytesIO()
    Picture.fromarray(_shades(subject.image)).save(stream, "JPEG", quality=quality)
    return _from_shades(np.asarray(Picture.open(stream)))


def through_jpeg2000(subject: TestSlice, *, ratio: float) -> Image:
    """Compress 12-bit values by JPEG 2000 with its irreversible wavelet, to a part of their size."""
    from openjpeg.utils import decode, encode_array

    stored = np.clip(subject.image - _LOWEST_HU, 0, 2**_BITS - 1).round().astype(np.uint16)
    coded = encode_array(stored, bits_stored=_BITS, compression_ratios=[ratio])
    return np.asarray(decode(bytes(coded)), np.float32) + np.float32(_LOWEST_HU)


def _shades(image: Image) -> NDArray[np.uint8]:
    low, high = _LUNG_WINDOW_HU
    shares = np.clip((image - low) / (high - low), 0.0, 1.0)
    shades: NDArray[np.uint8] = np.rint(shares * _LARGEST_BYTE).astype(np.uint8)
    return shades


def _from_shades(shades: NDArray[np.uint8]) -> Image:
    low, high = _LUNG_WINDOW_HU
    image: Image = (shades.astype(np.float32) / np.float32(_LARGEST_BYTE)) * np.float32(high - low) + np.float32(low)
    return image
