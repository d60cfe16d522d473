"""A detector on forged blocks of volumes of held-out patients: what the slices around a tampering add."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tamperscan.bench.subjects import detector_key, load_headed, made_of, name_with_head
from tamperscan.bench.volumes_blocks import Block, find_blocks
from tamperscan.bench.volumes_figures import MethodResult, evaluate, kind_of
from tamperscan.bench.volumes_forging import ForgedBlocks, usable_methods
from tamperscan.bench.volumes_measuring import measure_forgeries
from tamperscan.errors import BenchError, ScanError

Step = Callable[[str], Callable[[int, int], None]]


@dataclass(frozen=True)
class VolumesRequest:
    """What to measure, and on what.

    Attributes
    ----------
    data
        Folder with ``ct/`` in it.
    split
        JSON file of part to globs below ``ct/``.
    out
        Folder of forgeries and of what was measured.
    detector, head
        A packaged detector or a folder, and which of its heads; None for its own choice.
    methods
        Forging methods; None for all that can be used.
    blocks
        How many blocks at most; None for all.
    seed
        Of places and forgeries.
    threads
        CPU threads; None for all.
    step, tell
        Called with the name of each part of the work, and with lines for the user.
    on_error
        Called with what can't be read.
    """

    data: Path
    split: Path
    out: Path
    detector: str = "ct"
    head: str | None = None
    methods: tuple[str, ...] | None = None
    blocks: int | None = None
    seed: int = 0
    threads: int | None = None
    step: Step = lambda name: lambda done, total: None
    tell: Callable[[str], None] = lambda line: None
    on_error: Callable[[ScanError], None] = lambda error: None


@dataclass(frozen=True)
class VolumesResult:
    """A detector's results on forged blocks.

    Attributes
    ----------
    detector, weights_sha256
        What was measured.
    blocks
        Number of blocks of each patient.
    methods
        By method and action.
    problems
        Why forgeries could not be made, and how many.
    used_series
        Series that the detector's card names, among those that it was calibrated on.
    """

    detector: str
    weights_sha256: str
    blocks: Mapping[str, int]
    methods: tuple[MethodResult, ...]
    problems: Mapping[str, int]
    used_series: tuple[str, ...]


def run_volumes(request: VolumesRequest) -> VolumesResult:
    """Forge what is missing, screen what is not known, and measure.

    Raises
    ------
    ScanError, WeightsError, TrainingError, ForgeError
        If the scans, the detector, the split or a method can't be used.
    BenchError
        If there is no block, or nothing could be forged.
    """
    detector = load_headed(request.detector, request.head, threads=request.threads)
    methods, unusable = usable_methods(request.methods)
    blocks = find_blocks(request.data, request.split, most=request.blocks, on_error=request.on_error)
    if not blocks:
        raise BenchError(f"{request.data}: holds no held-out volume of 40 mm with lungs. Give the split of this data.")
    forged = ForgedBlocks(request.out, blocks, methods, request.seed)
    request.tell(_plan(blocks, forged))
    forged.make(request.step("Forging"))
    key = detector_key(detector)
    measured = list(measure_forgeries(detector, key, forged, request.out, request.step("Screening")))
    if not measured:
        raise BenchError(f"{request.data}: nothing could be forged in its {len(blocks)} blocks. Name other methods.")
    return VolumesResult(
        detector=name_with_head(detector),
        weights_sha256=detector.weights.sha256,
        blocks=Counter(block.patient for block in blocks),
        methods=tuple(evaluate(measured)),
        problems=Counter(
            [*(f"{kind_of(one)}: {one.problem}" for one in forged.made() if one.problem), *unusable.values()]
        ),
        used_series=tuple(sorted(made_of(detector.card) & {block.series for block in blocks})),
    )


def _plan(blocks: Sequence[Block], forged: ForgedBlocks) -> str:
    seconds = forged.seconds_left()
    takes = "" if not seconds else f", about {math.ceil(seconds / 60)} min"
    patients = len({block.patient for block in blocks})
    return (
        f"{len(blocks)} blocks of {patients} patients, {len(forged.orders)} forgeries: {len(forged.missing)} are still "
        f"to be made{takes}. Then each block is screened, authentic and forged."
    )
