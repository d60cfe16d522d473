"""From the pixel data of DICOM files to Hounsfield units (CT) or signal (MR).

Stored values become intensities in this order, each by PS3.3:

1. Bits outside BitsStored are dropped (C.7.6.3.1); old files kept overlays there.
2. MR of MONOCHROME1 is inverted, so that larger is always brighter. CT of MONOCHROME1 is not: it says how a
   screen should show the values, and Hounsfield units stay what they are.
3. The rescale (C.11.1.1.2) or the modality look-up table is applied.
4. Pixel padding (C.7.5.1.1.2) becomes -1024 HU in CT, 0 in MR.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels.processing import apply_modality_lut

from tamperscan.errors import ScanError
from tamperscan.scan import watch
from tamperscan.scan.attributes import Attributes
from tamperscan.scan.codecs import stored_values
from tamperscan.scan.dicom import read_dataset
from tamperscan.scan.limits import too_large
from tamperscan.scan.sources import Source
from tamperscan.scan.stored import complete_file_meta, file_notes, inverted, masked, padding_mask

PADDING: Final = {"CT": -1024.0, "MR": 0.0}
"""What pixel padding becomes."""

DENSEST_PADDING: Final = -300.0
"""CT padding above this, in HU, would replace tissue and is not believed."""

COARSEST_STEP: Final = 1.5
"""Largest rescale slope of CT, in HU, that goes without a warning."""

IMPOSSIBLE_HU: Final = (-8192.0, 16384.0)
"""No CT has much both below and above these, in HU."""

OVERFLOW_SHARE: Final = 1e-3
"""How much is much: a part of the pixels."""

_METADATA: Final = (
    "Manufacturer",
    "ManufacturerModelName",
    "ConvolutionKernel",
    "SliceThickness",
    "KVP",
    "XRayTubeCurrent",
    "SeriesInstanceUID",
    "StudyInstanceUID",
    "SeriesDescription",
    "BodyPartExamined",
    "StudyDate",
    "FrameOfReferenceUID",
)

_DAMAGED_ADVICE: Final = "Copy or export the file again"


class FileDecoder:
    """Decodes chosen frames of one DICOM file.

    Parameters
    ----------
    source
        The file.
    modality
        ``"CT"`` or ``"MR"``.

    Attributes
    ----------
    notes
        What was unusual, one sentence each; filled while frames are decoded.

    Raises
    ------
    ScanError
        If the file can't be parsed, or has no pixel data.
    """

    def __init__(self, source: Source, modality: str) -> None:
        self._label = source.label
        self._modality = modality
        self._dataset = read_dataset(source, pixels=True)
        if "Rows" not in self._dataset:
            raise ScanError(self._label, "is cut short within its pixel data", _DAMAGED_ADVICE)
        complete_file_meta(self._dataset)
        self.notes = dict.fromkeys(file_notes(self._dataset))
        if not any(keyword in self._dataset for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
            raise ScanError(self._label, "has no pixel data", "Give the images themselves")

    @property
    def metadata(self) -> dict[str, str]:
        """Facts about the acquisition, by DICOM keyword; nothing that names the patient."""
        facts = Attributes(self._dataset)
        found = {keyword: facts.text(keyword) for keyword in _METADATA}
        found["TransferSyntaxUID"] = str(self._dataset.file_meta.TransferSyntaxUID)
        return {keyword: text for keyword, text in found.items() if text}

    def frames(self, indices: Sequence[int]) -> Iterator[NDArray[np.float32]]:
        """Decode some frames.

        Parameters
        ----------
        indices
            Which, from 0.

        Yields
        ------
        ndarray
            float32 ``[row, column]`` in HU (CT) or stored signal (MR).

        Raises
        ------
        ScanError
            If the pixel data is damaged or cut short, or CT values can't be turned into Hounsfield units.
        """
        stored: Iterator[NDArray[Any]] | None = None
        for index in indices:
            watch.reading(self._label, watch.PIXELS)
            try:
                stored = stored or stored_values(self._dataset, indices)
                plane = next(stored)
            except StopIteration:
                raise self._damaged("too few frames") from None
            except MemoryError as error:
                raise too_large(self._label) from error
            except Exception as error:  # pydicom and its plugins raise whatever the bytes provoke
                raise self._damaged(_one_line(error)) from error
            yield self._intensities(plane, Attributes(self._dataset, index))

    def _damaged(self, reason: str) -> ScanError:
        return ScanError(self._label, f"has pixel data that can't be decoded ({reason})", _DAMAGED_ADVICE)

    def _intensities(self, plane: NDArray[Any], facts: Attributes) -> NDArray[np.float32]:
        shape = (int(facts.number("Rows") or 0), int(facts.number("Columns") or 0))
        if plane.shape != shape:
            raise self._damaged(f"an image of {plane.shape} instead of {shape}")
        stored = self._masked(plane, facts)
        padding = padding_mask(stored, facts)
        values = self._rescaled(self._upright(stored, facts), facts)
        if not np.isfinite(values).all():
            raise self._damaged("values that are not numbers")
        values = self._padded(values, padding)
        if self._modality == "CT" and _is_overflow(values):
            raise self._damaged(f"impossible values from {values.min():.0f} to {values.max():.0f} HU")
        return values

    def _masked(self, plane: NDArray[Any], facts: Attributes) -> NDArray[Any]:
        kept = masked(plane, facts)
        if not np.array_equal(kept, plane):
            self.notes["Bits outside BitsStored were dropped."] = None
        return kept

    def _upright(self, stored: NDArray[Any], facts: Attributes) -> NDArray[Any]:
        """Invert MONOCHROME1 of MR."""
        if facts.text("PhotometricInterpretation").upper() != "MONOCHROME1":
            return stored
        if self._modality == "CT":
            self.notes["MONOCHROME1 asks for an inverted display; Hounsfield units were left as they are."] = None
            return stored
        self.notes["The images were inverted (MONOCHROME1), so that larger values are brighter."] = None
        return inverted(stored, facts)

    def _rescaled(self, stored: NDArray[Any], facts: Attributes) -> NDArray[np.float32]:
        slope, intercept = facts.number("RescaleSlope"), facts.number("RescaleIntercept")
        if self._modality == "CT":
            self._check_hounsfield(facts, slope, intercept)
        if facts.value("ModalityLUTSequence"):
            try:
                return np.asarray(apply_modality_lut(stored, self._dataset), np.float32)
            except Exception as error:  # pydicom raises whatever a table that is none provokes
                raise self._damaged(f"a modality look-up table that makes no sense: {_one_line(error)}") from error
        values = stored.astype(np.float32)
        if slope not in (None, 0.0, 1.0):
            values *= np.float32(slope)
        if intercept:
            values += np.float32(intercept)
        return values

    def _check_hounsfield(self, facts: Attributes, slope: float | None, intercept: float | None) -> None:
        """Refuse CT whose stored values have no stated way to Hounsfield units."""
        table = bool(facts.value("ModalityLUTSequence"))
        if not table and (not slope or intercept is None):
            problem = "is CT without a rescale slope and intercept, so its values are not Hounsfield units"
            raise ScanError(self._label, problem, "Give the images that the scanner made, not maps derived from them")
        unit = facts.text("RescaleType").upper()
        if unit not in ("", "HU", "HU_MOD", "US"):
            problem = f"is CT in another unit than Hounsfield units ({unit})"
            raise ScanError(self._label, problem, "Give the images in Hounsfield units")
        if unit == "US" and "DERIVED" in facts.text("ImageType").upper():
            problem = "is a map derived from CT, in an unspecified unit instead of Hounsfield units"
            raise ScanError(self._label, problem, "Give the images that the scanner made")
        if slope and not table and abs(slope) > COARSEST_STEP:
            self.notes[f"CT values are stored in coarse steps of {abs(slope):.3g} HU."] = None

    def _padded(self, values: NDArray[np.float32], padding: NDArray[np.bool_] | None) -> NDArray[np.float32]:
        if padding is None or not padding.any():
            return values
        if self._modality == "CT" and float(values[padding].max()) > DENSEST_PADDING:
            self.notes["The padding value in the header is that of tissue; it was ignored."] = None
            return values
        values[padding] = PADDING[self._modality]
        return values


def _is_overflow(values: NDArray[np.float32]) -> bool:
    """Whether CT values, [row, column], wrap around at both ends of 16 bits, as wrong decoding makes them."""
    low, high = IMPOSSIBLE_HU
    return bool(min((values < low).mean(), (values > high).mean()) > OVERFLOW_SHARE)


def _one_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    if "all available plugins" in lines[0]:
        return "every decoder refused it: it is damaged or cut short"
    return lines[0].split(" - the dataset may")[0][:200].rstrip(".")
