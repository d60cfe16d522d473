"""Decoding of compressed frames: pydicom with its plugins first, GDCM itself for what pydicom leaves out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.utils import iter_pixels

_JPEG_FOR_GDCM: Final = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (51, 53, 55))
"""JPEG with 12 bits: Extended, and the retired Spectral Selection and Full Progression."""


def stored_values(dataset: Dataset, indices: Sequence[int]) -> Iterator[NDArray[Any]]:
    """Decode frames to stored values.

    Parameters
    ----------
    dataset
        A grey-scale image with its pixel data and transfer syntax.
    indices
        Which frames, from 0.

    Yields
    ------
    ndarray
        Integers (or floats, for float pixel data) ``[row, column]``.

    Raises
    ------
    Exception
        Of any kind: whatever pydicom and its plugins make of damaged data.
    """
    silence()
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    if syntax in _JPEG_FOR_GDCM and int(dataset.BitsAllocated) == 16:
        return (_by_gdcm(dataset, syntax, index) for index in indices)
    return iter_pixels(dataset, raw=True, indices=indices)


def _by_gdcm(dataset: Dataset, syntax: str, index: int) -> NDArray[np.uint16]:
    """Decode one 12-bit JPEG frame, as pydicom's own GDCM plugin does for the others."""
    gdcm = _gdcm()
    frames = int(dataset.get("NumberOfFrames") or 1)
    fragment, fragments = gdcm.Fragment(), gdcm.SequenceOfFragments.New()
    fragment.SetByteStringValue(get_frame(dataset.PixelData, index, number_of_frames=frames))
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((int(dataset.Columns), int(dataset.Rows), 1))
    image.SetDataElement(element)
    kind = gdcm.PhotometricInterpretation.GetPIType("MONOCHROME2")
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax)))
    bits = int(dataset.BitsStored)
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, bits, bits - 1, int(dataset.PixelRepresentation)))
    values = np.frombuffer(image.GetBuffer().encode("utf-8", "surrogateescape"), "<u2")
    return values.reshape(int(dataset.Rows), int(dataset.Columns))


def _gdcm() -> Any:
    import gdcm

    return gdcm


@cache
def silence() -> None:
    """Keep GDCM from writing to the terminal about each damaged file."""
    for switch in ("DebugOff", "WarningOff", "ErrorOff"):
        getattr(_gdcm().Trace, switch)()
