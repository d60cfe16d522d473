"""How many images a second a node takes from many senders at once, beside DCMTK's storescp in the same run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from tamperscan.bench.node_instances import SyntheticSeries, write_series
from tamperscan.bench.node_process import NodeProcess, free_port
from tamperscan.errors import BenchError

SENDERS: Final = 20
SIDE: Final = 512
IMAGES_EACH: Final = 20
IMAGES_EACH_ALONE: Final = 8
REPEATS: Final = 3

Tell = Callable[[str], None]


@dataclass(frozen=True)
class SpeedRow:
    """One receiver's figures.

    Attributes
    ----------
    name
        What it was.
    safe
        Whether it has an image on the disk before it says so.
    many, single
        Images a second over one association a sender, and over one an image; one value a repeat.
    failed
        Images that it did not take.
    """

    name: str
    safe: bool
    many: tuple[float, ...]
    single: tuple[float, ...]
    failed: int

    @property
    def medians(self) -> tuple[float, float]:
        """The medians of both."""
        return median(self.many), median(self.single)


@dataclass(frozen=True)
class NodeSpeed:
    """What was measured.

    Attributes
    ----------
    rows
        The receivers.
    senders, images, images_alone, side
        How many sent at once, how many images each over one association and over one an image, and their rows and
        columns.
    cores
        Cores of the machine, which senders and receiver share.
    """

    rows: tuple[SpeedRow, ...]
    senders: int
    images: int
    images_alone: int
    side: int
    cores: int


def measure_speed(folder: Path, *, repeats: int = REPEATS, senders: int = SENDERS, tell: Tell = print) -> NodeSpeed:
    """Send the same images to every receiver by turns.

    Parameters
    ----------
    folder
        For the images and the receivers.
    repeats
        How often; the receivers take turns, so that what else the machine does hits all of them.
    senders
        How many storescu processes send at a time.
    tell
        Is told how it goes.

    Raises
    ------
    BenchError
        If DCMTK is not installed, or the node does not start.
    """
    for program in ("storescu", "storescp"):
        if shutil.which(program) is None:
            raise BenchError(f"{program} is not installed. Install DCMTK, then measure again.")
    series = [write_series(folder / f"s{n}", slices=IMAGES_EACH, side=SIDE, seed=n) for n in range(senders)]
    runs: dict[str, list[tuple[float, float, int]]] = {name: [] for name, _, _ in _receivers()}
    for number in range(repeats):
        for name, _, begin in _receivers():
            place = folder / f"run-{number}-{len(runs[name])}-{list(runs).index(name)}"
            with begin(place) as port:
                many = _rate(series, lambda one, port=port: _send_together(one, port))  # type: ignore[misc]
                single = _rate(series, lambda one, port=port: _send_one_by_one(one, port))  # type: ignore[misc]
            shutil.rmtree(place, ignore_errors=True)
            runs[name].append((many[0], single[0], many[1] + single[1]))
            tell(f"{name}: {many[0]:.0f} and {single[0]:.0f} images a second")
    rows = tuple(_row(name, safe, runs[name]) for name, safe, _ in _receivers())
    return NodeSpeed(rows, senders, IMAGES_EACH, IMAGES_EACH_ALONE, SIDE, os.cpu_count() or 1)


def _receivers() -> list[tuple[str, bool, Callable[[Path], Any]]]:
    return [
        ("tamperscan node", True, lambda place: _node(place)),
        ("tamperscan node, `durable: false`", False, lambda place: _node(place, durable=False)),
        ("DCMTK storescp", False, lambda place: _storescp(place)),
        ("DCMTK storescp --fork", False, lambda place: _storescp(place, "--fork")),
        ("DCMTK storescp --fork, TCP_NODELAY", False, lambda place: _storescp(place, "--fork", nodelay=True)),
    ]


def _row(name: str, safe: bool, runs: Sequence[tuple[float, float, int]]) -> SpeedRow:
    many, single, failed = zip(*runs, strict=True)
    return SpeedRow(name, safe, tuple(many), tuple(single), sum(failed))


@contextmanager
def _node(place: Path, *, durable: bool = True) -> Iterator[int]:
    settings = {"durable": durable, "receivers": os.cpu_count() or 1}
    rules = {"node": settings, "quiet": {"seconds": 3600}, "rules": [{"name": "none", "screen": False}]}
    with NodeProcess(place, rules) as node:
        time.sleep(2.0)  # until all receivers listen
        yield node.port


@contextmanager
def _storescp(place: Path, *options: str, nodelay: bool = False) -> Iterator[int]:
    place.mkdir(parents=True)
    port = free_port()
    environment = {**os.environ, **({"TCP_NODELAY": "1"} if nodelay else {})}
    words = ["storescp", *options, "-od", str(place), str(port)]
    process = subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment, start_new_session=True
    )
    try:
        time.sleep(1.0)
        yield port
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def _rate(series: Sequence[SyntheticSeries], send: Callable[[SyntheticSeries], tuple[int, int]]) -> tuple[float, int]:
    """Let every sender send its series; gives images a second, and how many failed."""
    begun = time.monotonic()
    with ThreadPoolExecutor(len(series)) as pool:
        outcomes = list(pool.map(send, series))
    seconds = time.monotonic() - begun
    return sum(taken for taken, _ in outcomes) / seconds, sum(failed for _, failed in outcomes)


def _send_together(series: SyntheticSeries, port: int) -> tuple[int, int]:
    count = len(series.files)
    folder = next(iter(series.files.values())).parent
    return (count, 0) if _storescu(port, "+sd", str(folder)) else (0, count)


def _send_one_by_one(series: SyntheticSeries, port: int) -> tuple[int, int]:
    paths = list(series.files.values())[:IMAGES_EACH_ALONE]
    taken = sum(_storescu(port, str(path)) for path in paths)
    return taken, len(paths) - taken


def _storescu(port: int, *words: str) -> bool:
    # -R: propose what the files need, and not the hundred contexts that take storescu longer than its image.
    command = ["storescu", "-R", "-aec", "TAMPERSCAN", "127.0.0.1", str(port), *words]
    environment = {**os.environ, "TCP_NODELAY": "1"}
    return subprocess.run(command, capture_output=True, check=False, env=environment).returncode == 0
