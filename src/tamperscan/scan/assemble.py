"""From a planned volume to a Scan: decoding, and what is done about slices that fail."""

from __future__ import annotations

import hashlib
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tamperscan.errors import ScanError
from tamperscan.scan import watch
from tamperscan.scan.checks import check_size
from tamperscan.scan.codecs import DECODERS
from tamperscan.scan.frames import Frame
from tamperscan.scan.geometry import measure
from tamperscan.scan.pixels import FileDecoder
from tamperscan.scan.series import Volume
from tamperscan.scan.volume import Scan, pixel_sha256

HIGHEST_DARK: Final = -200.0
"""Every CT has air: a volume wholly above this, in HU, gets a warning."""

_Slots = list[tuple[int, Frame]]
_Outcome = tuple[dict[str, None], dict[str, str], ScanError | None]


def frame_digest(frame: Frame) -> str:
    """SHA-256 of one frame's decoded pixels; raises ScanError if they can't be decoded."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plane = next(FileDecoder(frame.source, frame.modality).frames([frame.index]))
    return hashlib.sha256(plane.tobytes()).hexdigest()


def build_scan(volume: Volume, name: str, report: Callable[[ScanError], None]) -> Scan:
    """Decode a volume.

    Parameters
    ----------
    volume
        The frames, in slice order.
    name
        The scan's name.
    report
        Is told of slices that can't be decoded; they are left out of the scan, with a warning.

    Raises
    ------
    ScanError
        If no slice, or fewer than half of them, can be decoded.
    """
    frames = volume.frames
    check_size(frames[0].source.label, len(frames), frames[0].rows, frames[0].columns)
    watch.idle()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        voxels, outcomes = _decode(frames)
    watch.reading(frames[0].source.label, watch.PIXELS)
    kept, notes = _readable(frames, outcomes, report)
    voxels = voxels if len(kept) == len(frames) else voxels[kept]
    good = [frames[slot] for slot in kept]
    geometry = measure(good)
    found = next(metadata for _, metadata, error in outcomes.values() if error is None)
    told = (*volume.warnings, *geometry.warnings, *notes, *value_notes(voxels, good[0].modality))
    return Scan(
        voxels=voxels,
        spacing_mm=geometry.spacing_mm,
        modality=good[0].modality,
        name=name,
        warnings=tuple(dict.fromkeys(told)),
        affine=geometry.affine,
        sha256=pixel_sha256(voxels),
        sources=tuple(dict.fromkeys(frame.source.label for frame in good)),
        metadata=found,
    )


def _decode(frames: Sequence[Frame]) -> tuple[NDArray[np.float32], dict[int, _Outcome]]:
    """Voxels ``[slice, row, column]``, and per file the notes, the metadata and the error, if any."""
    voxels = np.empty((len(frames), frames[0].rows, frames[0].columns), np.float32)
    files: dict[int, _Slots] = defaultdict(list)
    for slot, frame in enumerate(frames):
        files[id(frame.source)].append((slot, frame))
    with ThreadPoolExecutor(DECODERS) as pool:
        outcomes = pool.map(lambda slots: _decode_file(slots, voxels), files.values())
        return voxels, dict(zip(files, outcomes, strict=True))


def _decode_file(slots: _Slots, voxels: NDArray[np.float32]) -> _Outcome:
    """Decode the wanted frames of one file into their slots."""
    source, modality = slots[0][1].source, slots[0][1].modality
    try:
        decoder = FileDecoder(source, modality)
        ordered = sorted(slots, key=lambda pair: pair[1].index)
        planes = decoder.frames([frame.index for _, frame in ordered])
        for (slot, _), plane in zip(ordered, planes, strict=True):
            voxels[slot] = plane
    except ScanError as error:
        return {}, {}, error
    finally:
        watch.idle()
    return decoder.notes, decoder.metadata, None


def _readable(
    frames: Sequence[Frame], outcomes: dict[int, _Outcome], report: Callable[[ScanError], None]
) -> tuple[list[int], tuple[str, ...]]:
    """Slots that were decoded, and every note."""
    kept = [slot for slot, frame in enumerate(frames) if outcomes[id(frame.source)][2] is None]
    errors = [error for _, _, error in outcomes.values() if error is not None]
    _check_enough(frames, len(kept), errors)
    for error in errors:
        report(error)
    notes = dict.fromkeys(note for found, _, _ in outcomes.values() for note in found)
    if errors:
        notes[f"{len(frames) - len(kept)} slices can't be decoded and were left out ({errors[0].problem})."] = None
    return kept, tuple(notes)


def _check_enough(frames: Sequence[Frame], kept: int, errors: Sequence[ScanError]) -> None:
    if len(errors) == 1 and not kept:
        raise errors[0]
    if kept < len(frames) / 2 or not kept:
        problem = f"{len(frames) - kept} of {len(frames)} slices can't be decoded; the first: {errors[0].problem}"
        raise ScanError(errors[0].path, problem, errors[0].advice)


def value_notes(voxels: NDArray[np.float32], modality: str) -> tuple[str, ...]:
    """Warnings about the values of a volume, [slice, row, column]: all the same, or no air in CT."""
    lowest, highest = float(voxels.min()), float(voxels.max())
    if lowest == highest:
        return (f"Every voxel has the same value ({lowest:g}).",)
    if modality == "CT" and lowest > HIGHEST_DARK:
        return (f"No voxel is below {HIGHEST_DARK:g} HU; the values may not be Hounsfield units.",)
    return ()
