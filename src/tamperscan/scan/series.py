"""Which frames make up a volume, and which only claim to."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tamperscan.errors import ScanError
from tamperscan.scan.dicom import STACK_KEYWORDS
from tamperscan.scan.frames import Frame
from tamperscan.scan.geometry import SAME_PLACE_MM, STEP_TOLERANCE, distances, natural_key, usual_step

Report = Callable[[ScanError], None]
Digest = Callable[[Frame], str]

SHORTEST_RUN: Final = 4
"""Fewest evenly spaced slices that count as a volume where the header's own step speaks against it."""

SPARSE: Final = 3.0
"""A step of more than this many slice thicknesses makes a few slices separate images."""

EVEN_IF_SPARSE: Final = 0.9
"""Part of the steps that must then be even for more slices to make a volume all the same."""

COVERAGE: Final = 0.5
"""Part of the slices between the first and the last that must be there."""

ALONE: Final = "The file claims to belong to a series, but the slices of that series make no volume; read by itself."


@dataclass(frozen=True)
class Volume:
    """Frames in slice order that make up one volume, and what had to be done to get it."""

    frames: tuple[Frame, ...]
    warnings: tuple[str, ...] = ()


def plan_volumes(frames: Iterable[Frame], digest: Digest, report: Report) -> list[Volume]:
    """Sort frames into volumes.

    Parameters
    ----------
    frames
        Headers of any number of series.
    digest
        Gives equal texts for frames of equal pixels, and raises ScanError for a frame that can't be decoded.
        It is asked only about frames at the same place.
    report
        Is told of every frame that becomes part of no volume.

    Returns
    -------
    list of Volume
        In the order in which their first frames came.
    """
    series: dict[tuple[object, ...], list[Frame]] = defaultdict(list)
    for frame in frames:
        series[(frame.series, frame.modality, frame.lookup.get("StackID", ""))].append(frame)
    return [volume for members in series.values() for volume in _volumes_of_series(members, digest, report)]


def _volumes_of_series(members: list[Frame], digest: Digest, report: Report) -> list[Volume]:
    wanted = [frame for frame in members if not frame.is_localizer]
    for frame in members:
        if frame.is_localizer:
            problem = "is a localizer (scout view), which is not screened"
            report(ScanError(frame.label, problem, "Give the series that was planned on it"))
    groups = _same_geometry(wanted)
    notes = ["The series holds images of other sizes, spacings or orientations; they are scans of their own."]
    volumes = [volume for group in groups for volume in _volumes_of_group(group, digest, report)]
    return [_with(volume, notes if len(groups) > 1 else []) for volume in volumes]


def _with(volume: Volume, notes: Sequence[str]) -> Volume:
    return Volume(volume.frames, (*volume.warnings, *notes))


def _same_geometry(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Make groups of equal size, spacing and orientation."""
    groups: dict[tuple[object, ...], list[list[Frame]]] = defaultdict(list)
    for frame in frames:
        alike = groups[(frame.rows, frame.columns, frame.position is None, frame.row_axis is None)]
        for group in alike:
            if _close(group[0], frame):
                group.append(frame)
                break
        else:
            alike.append([frame])
    return [group for alike in groups.values() for group in alike]


def _close(one: Frame, other: Frame) -> bool:
    if (one.pixel_spacing is None) != (other.pixel_spacing is None):
        return False
    if one.pixel_spacing and other.pixel_spacing:
        wide, narrow = np.array(one.pixel_spacing), np.array(other.pixel_spacing)
        if (np.abs(wide - narrow) > 1e-3 * wide).any():
            return False
    return bool(np.abs(one.axes - other.axes).max() < 2e-3)


def _volumes_of_group(group: list[Frame], digest: Digest, report: Report) -> list[Volume]:
    stacks = split_stacks(group, ("source", *STACK_KEYWORDS))
    notes = [f"The series holds {len(stacks)} stacks at the same place; they are scans of their own."]
    found = [volume for stack in stacks for volume in _volumes_of_stack(stack, digest, report)]
    return [_with(volume, notes if len(stacks) > 1 else []) for volume in found]


def split_stacks(frames: list[Frame], keywords: Sequence[str]) -> list[list[Frame]]:
    """Part frames that lie at the same places into stacks that don't.

    Parameters
    ----------
    frames
        Frames of one geometry.
    keywords
        What to tell them apart by, in the order of trial (``"source"`` for the multi-frame file).

    Returns
    -------
    list of lists of Frame
        One list if nothing tells them apart.
    """
    places = _place_numbers(frames)
    depth = max(Counter(places).values())
    if depth == 1:
        return [frames]
    for number, keyword in enumerate(keywords):
        parts = _parts(frames, keyword)
        if len(parts) > 1 and all(_is_cleaner(part, depth, len(set(places))) for part in parts):
            return [stack for part in parts for stack in split_stacks(part, keywords[number + 1 :])]
    return [frames]


def _parts(frames: Sequence[Frame], keyword: str) -> list[list[Frame]]:
    parts: dict[object, list[Frame]] = defaultdict(list)
    for frame in frames:
        by_file = id(frame.source) if frame.count > 1 else None
        parts[by_file if keyword == "source" else frame.lookup.get(keyword)].append(frame)
    return list(parts.values())


def _is_cleaner(part: Sequence[Frame], depth: int, places: int) -> bool:
    """Whether fewer frames share a place than before, and most places are there."""
    counts = Counter(_place_numbers(part))
    return max(counts.values()) < depth and len(counts) >= max(2, COVERAGE * places)


def _place_numbers(frames: Sequence[Frame]) -> list[int]:
    """Give each frame a number, equal where frames lie at the same place."""
    places = distances(frames)
    order = np.argsort(places, kind="stable")
    numbers = np.empty(len(frames), int)
    numbers[order] = np.concatenate([[0], np.cumsum(np.diff(places[order]) > SAME_PLACE_MM)])
    return numbers.tolist()


def _volumes_of_stack(stack: list[Frame], digest: Digest, report: Report) -> list[Volume]:
    kept, conflicts, duplicates = _without_duplicates(stack, digest, report)
    notes = []
    if duplicates:
        noun = "slice was" if duplicates == 1 else "slices were"
        notes.append(f"{duplicates} duplicate {noun} dropped (same place, same pixels).")
    if conflicts and kept:
        notes.append(f"{len(conflicts)} slices at the same place as others, with other pixels, are not part of it.")
    alone = "Other files of its series claim the same place with other pixels; read by itself."
    return [
        *(_with(volume, notes) for volume in _even_runs(kept)),
        *(Volume((frame,), (alone,)) for frame in conflicts),
    ]


def _without_duplicates(stack: list[Frame], digest: Digest, report: Report) -> tuple[list[Frame], list[Frame], int]:
    """Frames alone at their place, frames in conflict about one, and how many duplicates were left out."""
    by_place: dict[int, list[Frame]] = defaultdict(list)
    for frame, place in zip(stack, _place_numbers(stack), strict=True):
        by_place[place].append(frame)
    kept: list[Frame] = []
    conflicts: list[Frame] = []
    duplicates = 0
    for rivals in by_place.values():
        readable, unique = _unique(rivals, digest, report)
        duplicates += readable - len(unique)
        (kept if len(unique) == 1 else conflicts).extend(unique)
    return kept, conflicts, duplicates


def _unique(rivals: list[Frame], digest: Digest, report: Report) -> tuple[int, list[Frame]]:
    """How many of the frames at one place can be decoded, and the first of each distinct image."""
    if len(rivals) == 1:
        return 1, rivals
    digests: dict[str, Frame] = {}
    readable = 0
    for frame in sorted(rivals, key=lambda frame: natural_key(frame.label)):
        try:
            digests.setdefault(digest(frame), frame)
            readable += 1
        except ScanError as error:
            report(error)
    return readable, list(digests.values())


def _even_runs(frames: list[Frame]) -> list[Volume]:
    """Find the volumes among frames that lie at different places."""
    if not frames:
        return []
    places = distances(frames)
    order = np.argsort(places, kind="stable")
    ordered, places = [frames[index] for index in order], places[order]
    if is_volume(places, frames[0].nominal_step):
        return [Volume(tuple(ordered))]
    return [volume for run in _runs(places) for volume in _run_volumes(ordered[run], places[run])]


def _run_volumes(run: list[Frame], places: NDArray[np.float64]) -> list[Volume]:
    if len(run) >= SHORTEST_RUN and is_volume(places, run[0].nominal_step):
        note = "The slices of its series lie far apart; each stretch of them is a scan of its own."
        return [Volume(tuple(run), (note,))]
    return [Volume((frame,), (ALONE,)) for frame in run]


def _runs(places: NDArray[np.float64]) -> list[slice]:
    """Part sorted ``places`` where a step is over one and a half times the usual one."""
    steps = np.diff(places)
    usual = float(np.percentile(steps, 25, method="lower"))
    ends = [0, *(np.flatnonzero(steps > (1 + COVERAGE) * usual) + 1).tolist(), len(places)]
    return [slice(start, stop) for start, stop in itertools.pairwise(ends)]


def is_volume(places: NDArray[np.float64], nominal_step: float | None) -> bool:
    """Whether slices at sorted ``places`` (mm) make a volume, perhaps with a few missing.

    At least half of the steps must be about the usual one, at least half of the slices between the first and
    the last must be there. Slices much farther apart than ``nominal_step`` (mm, None if unknown) must be
    several and even, as in high-resolution CT with intervals.
    """
    if len(places) == 1:
        return True
    step = usual_step(places)
    even = np.abs(np.diff(places) / step - 1) <= 2 * STEP_TOLERANCE
    slots = (places[-1] - places[0]) / step + 1
    sparse = nominal_step is not None and step > SPARSE * nominal_step
    if sparse and (len(places) < SHORTEST_RUN or even.mean() < EVEN_IF_SPARSE):
        return False
    return bool(even.mean() >= COVERAGE and len(places) >= COVERAGE * slots)
