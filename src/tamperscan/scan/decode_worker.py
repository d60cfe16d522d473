"""Decodes compressed frames in a process of its own, since a decoder may take its process down with it.

GDCM ends the whole process on some damaged JPEG streams, and writes to the terminal. So
`tamperscan.scan.codecs` starts this file as a program and asks it frame by frame: a line of JSON, then the
frame; back come a line of JSON and the pixels. It imports nothing of the package, to start quickly.
"""

from __future__ import annotations

import json
import sys
import warnings
from contextlib import suppress
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID

FACTS: Final = ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation")
"""Attributes that decoding needs, all of them whole numbers."""

_ONLY_BY_GDCM: Final = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (51, 53, 55))
"""JPEG of 12 bits, which pydicom leaves out: Extended, Spectral Selection and Full Progression."""

_QUICKER_BY_PYLIBJPEG: Final = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (90, 91))
"""JPEG 2000, which pydicom would hand to GDCM first; that takes a quarter longer."""


def decode(syntax: str, facts: dict[str, int], frame: bytes) -> NDArray[Any]:
    """Decode one frame to stored values.

    Parameters
    ----------
    syntax
        UID of the transfer syntax.
    facts
        The attributes named in `FACTS`.
    frame
        The encoded frame.

    Returns
    -------
    ndarray
        Integers ``[row, column]``.

    Raises
    ------
    Exception
        Of any kind: whatever the decoders make of damaged data.
    """
    if syntax in _ONLY_BY_GDCM and facts["BitsAllocated"] == 16:
        return _by_gdcm(syntax, facts, frame)
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = UID(syntax)
    image.SamplesPerPixel, image.PhotometricInterpretation, image.NumberOfFrames = 1, "MONOCHROME2", 1
    for keyword, value in facts.items():
        setattr(image, keyword, value)
    image.PixelData = encapsulate([frame])
    if syntax in _QUICKER_BY_PYLIBJPEG:
        with suppress(Exception):  # what one decoder refuses another may take
            return pixel_array(image, raw=True, correct_unused_bits=False, decoding_plugin="pylibjpeg")
    return pixel_array(image, raw=True, correct_unused_bits=False)


def _by_gdcm(syntax: str, facts: dict[str, int], frame: bytes) -> NDArray[Any]:
    """Decode as pydicom's own GDCM plugin does for other syntaxes."""
    import gdcm

    fragment, fragments = gdcm.Fragment(), gdcm.SequenceOfFragments.New()
    fragment.SetByteStringValue(frame)
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((facts["Columns"], facts["Rows"], 1))
    image.SetDataElement(element)
    grey = gdcm.PhotometricInterpretation.GetPIType("MONOCHROME2")
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(grey))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax)))
    bits, signed = facts["BitsStored"], facts["PixelRepresentation"]
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, bits, bits - 1, signed))
    values = np.frombuffer(image.GetBuffer().encode("utf-8", "surrogateescape"), "<i2" if signed else "<u2")
    return values.reshape(facts["Rows"], facts["Columns"])


def answer(request: dict[str, Any], frame: bytes) -> tuple[dict[str, Any], bytes]:
    """Decode one frame for the parent process: a head that JSON can hold, and the pixels."""
    try:
        plane = np.ascontiguousarray(decode(request["syntax"], request["facts"], frame))
    except Exception as error:  # the decoders raise whatever damaged data provokes
        return {"error": str(error) or type(error).__name__, "size": 0}, b""
    return {"shape": plane.shape, "kind": plane.dtype.str, "size": plane.nbytes}, plane.tobytes()


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until there are no more."""
    while line := requests.readline():
        request = json.loads(line)
        head, pixels = answer(request, requests.read(request["size"]))
        answers.write(json.dumps(head).encode() + b"\n" + pixels)
        answers.flush()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    serve(sys.stdin.buffer, sys.stdout.buffer)
