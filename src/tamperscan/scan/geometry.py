"""Where the slices of a volume lie: their order, spacing, affine, and what is odd about them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tamperscan.scan.frames import Frame

SAME_PLACE_MM: Final = 0.01
"""Slices nearer to each other than this lie at the same place."""

STEP_TOLERANCE: Final = 0.1
"""How far a step may differ from the usual one and still be the same, as a part of it."""

TILT_DEGREES: Final = 0.5
"""Angle between the slices' normal and their stacking beyond which a gantry tilt is told."""


@dataclass(frozen=True)
class Geometry:
    """Spacing in mm along (slice, row, column), index-to-LPS affine [4, 4], and what was unusual."""

    spacing_mm: tuple[float, float, float]
    affine: NDArray[np.float64]
    warnings: tuple[str, ...]


def distances(frames: Sequence[Frame]) -> NDArray[np.float64]:
    """Place of each frame along the slices' common normal.

    ImagePositionPatient counts first, then SliceLocation, then InstanceNumber, then the file names.

    Parameters
    ----------
    frames
        Frames of one orientation.

    Returns
    -------
    ndarray
        float64 ``[frame]``, mm.
    """
    if all(frame.position is not None for frame in frames):
        positions = np.array([frame.position for frame in frames], np.float64)
        return np.asarray(positions @ frames[0].axes[0])
    if all(frame.slice_location is not None for frame in frames):
        return np.array([frame.slice_location for frame in frames], float)
    return _numbers(frames) * (frames[0].nominal_step or 1.0)


def _numbers(frames: Sequence[Frame]) -> NDArray[np.float64]:
    if all(frame.instance_number is not None for frame in frames):
        return np.array([frame.instance_number for frame in frames], float)
    order = sorted(range(len(frames)), key=lambda index: natural_key(frames[index].label))
    ranks = np.empty(len(frames))
    ranks[order] = np.arange(len(frames))
    return ranks


def natural_key(text: str) -> tuple[tuple[int, str], ...]:
    """Sort key by which ``slice2`` comes before ``slice10``."""
    parts = re.split(r"(\d+)", text)
    return tuple((int(part), "") if part.isdigit() and part.isascii() else (-1, part) for part in parts)


def usual_step(places: NDArray[np.float64]) -> float:
    """Median distance between neighbours, of sorted ``places`` in mm; the smaller of two middle ones."""
    return float(np.percentile(np.diff(places), 50, method="lower"))


def measure(frames: Sequence[Frame]) -> Geometry:
    """Spacing, affine and warnings of a volume.

    Parameters
    ----------
    frames
        The frames in slice order, none at the same place as another.

    Returns
    -------
    Geometry
        The affine maps (slice, row, column, 1) to millimetres in LPS. Where slices are missing it holds up
        to the first gap, since the slices are stacked without filling.
    """
    places = distances(frames)
    notes = [*_order_notes(frames)]
    if len(frames) > 1:
        step = usual_step(places)
        notes += _step_notes(places, step)
    else:
        step = _single_step(frames[0], notes)
    rows, columns = frames[0].pixel_spacing or _assumed_pixels(notes)
    shift, tilt_notes = _shift(frames, step)
    return Geometry((step, rows, columns), _affine(frames[0], shift, rows, columns), (*notes, *tilt_notes))


def _order_notes(frames: Sequence[Frame]) -> list[str]:
    notes = []
    if any(frame.position is None for frame in frames) and len(frames) > 1:
        basis = "file name"
        if all(frame.slice_location is not None for frame in frames):
            basis = "slice location"
        elif all(frame.instance_number is not None for frame in frames):
            basis = "instance number"
        notes.append(f"Slice positions are missing; slices were sorted by {basis}.")
    if any(frame.row_axis is None for frame in frames):
        notes.append("The orientation is missing or impossible; axial slices were assumed.")
    return notes


def _single_step(frame: Frame, notes: list[str]) -> float:
    if frame.nominal_step is None:
        notes.append("The slice thickness is unknown; 1 mm was assumed.")
    return frame.nominal_step or 1.0


def _assumed_pixels(notes: list[str]) -> tuple[float, float]:
    notes.append("The pixel spacing is unknown; 1 mm was assumed.")
    return 1.0, 1.0


def _step_notes(places: NDArray[np.float64], step: float) -> list[str]:
    """Gaps and uneven steps."""
    steps = np.diff(places) / step
    whole = np.maximum(np.round(steps), 1)
    notes = []
    gaps = np.flatnonzero(whole > 1)
    if gaps.size:
        missing = int((whole[gaps] - 1).sum())
        where = ", ".join(f"{places[gap]:.1f} and {places[gap + 1]:.1f} mm" for gap in gaps[:3])
        more = f" and {gaps.size - 3} more places" if gaps.size > 3 else ""
        noun = "slice is" if missing == 1 else "slices are"
        notes.append(f"{missing} {noun} missing (between {where}{more}); the others were stacked without filling.")
    off = np.abs(steps - whole) > STEP_TOLERANCE
    if off.any():
        low, high = np.diff(places).min(), np.diff(places).max()
        notes.append(f"The slice spacing is not uniform ({low:.2f} to {high:.2f} mm, usually {step:.2f} mm).")
    return notes


def _shift(frames: Sequence[Frame], step: float) -> tuple[NDArray[np.float64], list[str]]:
    """Find the way from one slice to the next in mm, [3], and warn where it is not along the normal."""
    normal = frames[0].axes[0]
    notes = []
    if frames[0].tilt:
        notes.append(f"The gantry was tilted by {frames[0].tilt:g} degrees (GantryDetectorTilt).")
    if len(frames) == 1 or any(frame.position is None for frame in frames):
        return normal * step, notes
    first, last = np.array(frames[0].position), np.array(frames[-1].position)
    way = (last - first) / ((last - first) @ normal) * step
    angle = math.degrees(math.acos(min(1.0, step / float(np.linalg.norm(way)))))
    if angle > TILT_DEGREES:
        notes.append(f"Slices are stacked at {angle:.1f} degrees to their normal; the spacing is along the normal.")
    return way, [*notes, *_alignment_notes(frames, way / step)]


def _alignment_notes(frames: Sequence[Frame], way: NDArray[np.float64]) -> list[str]:
    """Slices that are shifted sideways against the line through the first and the last."""
    positions = np.array([frame.position for frame in frames], float)
    along = distances(frames) - distances(frames[:1])
    aside = np.linalg.norm(positions - positions[0] - along[:, None] * way, axis=1)
    if aside.max() > 1.0:
        return [f"Slices are not aligned: they are shifted sideways by up to {aside.max():.1f} mm."]
    return []


def _affine(frame: Frame, shift: NDArray[np.float64], rows: float, columns: float) -> NDArray[np.float64]:
    affine = np.eye(4)
    affine[:3, 0] = shift
    affine[:3, 1] = frame.axes[1] * rows
    affine[:3, 2] = frame.axes[2] * columns
    affine[:3, 3] = frame.position or (0.0, 0.0, 0.0)
    return affine
