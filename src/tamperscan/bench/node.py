"""What is measured of a node: crashes, and speed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tamperscan.bench.node_crashes import CrashResult, crash_run
from tamperscan.bench.node_speed import NodeSpeed, measure_speed
from tamperscan.errors import BenchError


@dataclass(frozen=True)
class NodeResult:
    """Both."""

    crashes: CrashResult
    speed: NodeSpeed


def measure_node(
    out: Path, *, kills: int, instances: int, repeats: int, seed: int, tell: Callable[[str], None]
) -> NodeResult:
    """Measure the speed of a node, then kill one again and again.

    Parameters
    ----------
    out
        Folder of the run.
    kills, instances, seed
        As for `tamperscan.bench.node_crashes.crash_run`.
    repeats
        As for `tamperscan.bench.node_speed.measure_speed`.
    tell
        Is told how it goes.

    Raises
    ------
    BenchError
        If DCMTK is not installed, the folder holds something else, or the node does not come to rest.
    """
    if out.exists() and any(path.name not in ("speed", "crashes") for path in out.iterdir()):
        raise BenchError(f"{out}: holds something else. Name an empty folder with --out.")
    for name in ("speed", "crashes"):
        shutil.rmtree(out / name, ignore_errors=True)
    speed = measure_speed(out / "speed", repeats=repeats, tell=tell)
    crashes = crash_run(out / "crashes", kills=kills, instances=instances, seed=seed, tell=tell)
    return NodeResult(crashes, speed)
