"""Writing a forged DICOM series: the authentic files, with the altered pixels in them and marked as forged.

Every value that was not altered keeps the bits that it was stored with. Altered values go back through the rescale
that the reader applied (see `tamperscan.scan.pixels`), and stay within what the file's bits can hold.
"""

from __future__ import annotations

import io
import warnings
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import ExplicitVRLittleEndian

from tamperscan.errors import ForgeError, ScanError
from tamperscan.files import write_file
from tamperscan.forge.dicom_header import mark_forged
from tamperscan.forge.forgery import Forgery
from tamperscan.forge.site import Mask, Voxels
from tamperscan.scan.assemble import frame_digest
from tamperscan.scan.attributes import Attributes
from tamperscan.scan.codecs import DECODERS, stored_values
from tamperscan.scan.dicom import read_dataset, read_frames
from tamperscan.scan.frames import Frame
from tamperscan.scan.series import plan_volumes
from tamperscan.scan.sources import Source
from tamperscan.scan.stored import complete_file_meta, file_notes, inverted
from tamperscan.scan.volume import LOSSY

_PIXELS: Final = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_OFFSETS: Final = ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")


@dataclass(frozen=True)
class _File:
    """One file to write: which one of the series, where it came from, and the (slice, frame) that it holds."""

    number: int
    source: Source
    slots: tuple[tuple[int, Frame], ...]


def write_dicom(forgery: Forgery, sources: Sequence[Source], folder: Path) -> Mask:
    """Write a forged series, one file for each of the authentic files.

    Parameters
    ----------
    forgery
        A forgery of a DICOM scan.
    sources
        The authentic scan's files, in slice order.
    folder
        Where ``forged_0001.dcm`` and so on go; it must exist.

    Returns
    -------
    bool ``[slice, row, column]``: the voxels whose stored value differs.

    Raises
    ------
    ForgeError
        If the files are not those that the scan was read from, or can't be written in their own way.
    OutputError
        If a file can't be written.
    """
    changed: Mask = np.zeros(forgery.scan.shape, dtype=bool)
    with warnings.catch_warnings(), ThreadPoolExecutor(DECODERS) as pool:
        warnings.simplefilter("ignore")
        files = _files(forgery, sources)
        for _ in pool.map(lambda file: _write_file(file, forgery, changed, folder), files):
            pass
    return changed


def _files(forgery: Forgery, sources: Sequence[Source]) -> list[_File]:
    """Find out again which frame of which file each slice came from."""
    failures: list[ScanError] = []
    frames = [frame for source in sources for frame in read_frames(source)]
    volumes = plan_volumes(frames, frame_digest, failures.append)
    if len(volumes) != 1 or len(volumes[0].frames) != forgery.scan.shape[0]:
        problem = str(failures[0]) if failures else "they hold other slices than this scan, or several volumes."
        raise ForgeError(
            f"{forgery.scan.name}: its files can't be written again as one series: {problem} "
            f"Export the scan as a series of its own, or as NIfTI."
        )
    slots: dict[str, list[tuple[int, Frame]]] = defaultdict(list)
    for index, frame in enumerate(volumes[0].frames):
        slots[frame.source.label].append((index, frame))
    return [_File(number, held[0][1].source, tuple(held)) for number, held in enumerate(slots.values(), start=1)]


def _write_file(file: _File, forgery: Forgery, changed: Mask, folder: Path) -> None:
    dataset = read_dataset(file.source, pixels=True)
    complete_file_meta(dataset)
    lossy = any(note.startswith(LOSSY) for note in file_notes(dataset))
    planes = list(stored_values(dataset, range(file.slots[0][1].count)))
    for index, frame in file.slots:
        old, facts = planes[frame.index], Attributes(dataset, frame.index)
        new = _altered(old, forgery.scan.voxels[index], forgery.mask[index], facts, frame.modality)
        changed[index] = new != old
        planes[frame.index] = new
    _put_pixels(dataset, np.stack(planes))
    mark_forged(dataset, forgery.record, file.number, lossy=lossy)
    write_file(folder / f"forged_{file.number:04}.dcm", _encoded(dataset, file.source.label))


def _altered(plane: NDArray[Any], voxels: Voxels, mask: Mask, facts: Attributes, modality: str) -> NDArray[Any]:
    """Put altered intensities into stored values, all ``[row, column]``."""
    if not mask.any():
        return plane
    if facts.value("ModalityLUTSequence"):
        raise ForgeError(
            "Scans with a modality look-up table can't be written with altered pixels. Export the scan as NIfTI."
        )
    slope, intercept = facts.number("RescaleSlope") or 1.0, facts.number("RescaleIntercept") or 0.0
    values: NDArray[Any] = (voxels[mask].astype(np.float64) - intercept) / slope
    low, high, shift = _bits(plane.dtype, facts)
    if plane.dtype.kind != "f":
        values = np.clip(np.rint(values), low, high).astype(plane.dtype)
    if modality == "MR" and facts.text("PhotometricInterpretation").upper() == "MONOCHROME1":
        values = inverted(values, facts)  # mirroring is its own inverse
    altered = plane.copy()
    altered[mask] = values if plane.dtype.kind == "f" else (values.astype(np.int64) << shift).astype(plane.dtype)
    return altered


def _bits(kind: np.dtype[Any], facts: Attributes) -> tuple[int, int, int]:
    """Return the lowest and highest whole number that BitsStored holds, and how far HighBit shifts it up.

    As PS3.3 C.7.6.3.1 has it, and as `tamperscan.scan.stored.masked` reads it.
    """
    allocated = kind.itemsize * 8
    bits = int(facts.number("BitsStored") or allocated)
    high = int(facts.number("HighBit") or bits - 1)
    if not 0 < bits < allocated or not bits - 1 <= high < allocated:
        bits, high = allocated, allocated - 1
    low = -(2 ** (bits - 1)) if kind.kind == "i" else 0
    return low, low + 2**bits - 1, high - bits + 1


def _put_pixels(dataset: Dataset, planes: NDArray[Any]) -> None:
    """Store pixels ``[frame, row, column]`` without compression."""
    keyword = next(name for name in _PIXELS if name in dataset)
    for name in _OFFSETS:
        if name in dataset:
            delattr(dataset, name)
    content = planes.astype(planes.dtype.newbyteorder("<")).tobytes()
    setattr(dataset, keyword, content + b"\0" * (len(content) % 2))
    if keyword == "PixelData":
        dataset["PixelData"].VR = "OB" if planes.dtype.itemsize == 1 else "OW"
        dataset.PixelRepresentation = int(planes.dtype.kind == "i")
    dataset.BitsAllocated = planes.dtype.itemsize * 8


def _encoded(dataset: Dataset, label: str) -> bytes:
    """Encode as Explicit VR Little Endian, with file meta information of its own."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    buffer = io.BytesIO()
    try:
        dataset.preamble = bytes(128)  # what a stranger put there goes nowhere
        # Not save_as, which refuses what was big-endian; the pixels are little-endian already.
        dcmwrite(buffer, dataset, enforce_file_format=True, implicit_vr=False, little_endian=True)
    except Exception as error:  # pydicom raises whatever a malformed header provokes
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ForgeError(
            f"{label}: its header can't be written again ({reason}). Export the scan again, or as NIfTI."
        ) from error
    return buffer.getvalue()
