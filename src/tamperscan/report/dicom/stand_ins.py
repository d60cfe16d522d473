"""Stand-ins for source images, which highdicom places its frames on, and the real images put in their place."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Final

from pydicom.dataset import Dataset

from tamperscan.report.dicom.sources import SINGLE_FRAME, SourceSeries

_STAND_IN: Final = "2.25.1"


def stand_ins(sources: SourceSeries, indices: Sequence[int], modality: str, sides: tuple[int, int]) -> list[Dataset]:
    """Make single-frame headers of some slices, for highdicom to place its frames on.

    Whatever the source is made of (single frames, one file of many frames, several stacks in a file), these have one
    image a slice, all of one orientation. `restore_references` puts the real images in their place.

    Parameters
    ----------
    sources
        A series that is not unplaced.
    indices
        Which slices.
    modality
        Of the scan.
    sides
        Rows and columns to state.
    """
    made = []
    for index in indices:
        slice_ = sources.slices[index]
        header = copy.deepcopy(slice_.header)
        header.SOPClassUID = SINGLE_FRAME[modality]
        header.SOPInstanceUID = f"{_STAND_IN}.{index + 1}"
        header.Rows, header.Columns = sides
        header.ImagePositionPatient = [decimal(part) for part in slice_.position or ()]
        header.ImageOrientationPatient = [decimal(part) for part in sources.orientation or ()]
        header.PixelSpacing = [decimal(part) for part in sources.spacing or ()]
        if sources.thickness:
            header.SliceThickness = decimal(sources.thickness)
        if sources.step:
            header.SpacingBetweenSlices = decimal(sources.step)
        made.append(header)
    return made


def restore_references(made: Dataset, sources: SourceSeries) -> None:
    """Refer to the real images where a result refers to stand-ins, with the frame where an image has several."""
    for element in made:
        if element.VR == "SQ":
            real = [_restored(item, sources) for item in element.value]
            # The list of all images names each of them once, and no frames (PS3.3 C.12.1.1.9).
            if element.keyword == "ReferencedInstanceSequence":
                real = list({str(item.ReferencedSOPInstanceUID): item for item in real}.values())
                for item in real:
                    item.pop("ReferencedFrameNumber", None)
            element.value = real


def _restored(item: Dataset, sources: SourceSeries) -> Dataset:
    uid = str(item.get("ReferencedSOPInstanceUID", ""))
    if not uid.startswith(f"{_STAND_IN}."):
        restore_references(item, sources)
        return item
    slice_ = sources.slices[int(uid.rpartition(".")[2]) - 1]
    item.ReferencedSOPClassUID = slice_.header.SOPClassUID
    item.ReferencedSOPInstanceUID = slice_.header.SOPInstanceUID
    if slice_.frame is not None:
        item.ReferencedFrameNumber = slice_.frame
    return item


def decimal(value: float) -> str:
    """Write a number as a decimal string (DS, PS3.5 section 6.2), which has 16 characters at the most."""
    for digits in range(16, 0, -1):
        text = f"{value:.{digits}g}"
        if len(text) <= 16:
            return text
    return f"{value:.0e}"
