"""One forgery of each method and action in each block, kept as the voxels that differ."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import numpy as np

from tamperscan.bench.fingerprints import hash_of
from tamperscan.bench.ledger import Ledger
from tamperscan.bench.prepare import ABLE
from tamperscan.bench.volumes_blocks import Block, read_blocks
from tamperscan.errors import BenchError, ForgeError, OutputError, TamperscanError
from tamperscan.files import make_folder, write_file
from tamperscan.forge.forgery import Forgery, forge
from tamperscan.forge.method import ACTIONS, METHODS, Action, Method, load_method
from tamperscan.forge.places import find_place
from tamperscan.forge.site import Index
from tamperscan.scan import Scan

VERSION: Final = 1
"""Raised where places are chosen in another way, so that older forgeries are not taken for new ones."""

METHOD_ORDER: Final = ("gan", "copymove", "smooth", "nodule", "diffusion")
"""What is forged with, the slowest last."""

FOLDER: Final = "forged"

_ATTEMPTS: Final = 3

Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Order:
    """One forgery that is to be made.

    Attributes
    ----------
    block
        The authentic block.
    method, action
        How, and what.
    seed
        Of place and forgery; of a block's own, and the same for all methods, so that they get the same places.
    key
        Names it by everything that decides what comes out.
    """

    block: Block
    method: Method
    action: Action
    seed: int
    key: str


@dataclass(frozen=True)
class Made:
    """What became of an order.

    Attributes
    ----------
    order
        The order.
    place
        Voxel (slice, row, column) of the tampering in the block; None where it could not be done.
    problem
        Why it could not be done, empty if it was.
    """

    order: Order
    place: Index | None
    problem: str


class ForgedBlocks:
    """The forgeries of some blocks, as far as they are made.

    Parameters
    ----------
    out
        Folder of the run.
    blocks
        Authentic blocks.
    methods
        How to forge.
    seed
        Of places and forgeries.

    Raises
    ------
    BenchError
        If what an earlier run made can't be read.
    """

    def __init__(self, out: Path, blocks: Sequence[Block], methods: Sequence[Method], seed: int = 0) -> None:
        self._folder = out / FOLDER
        self._ledger = Ledger(self._folder / "orders.jsonl")
        self.orders = tuple(_orders(blocks, methods, seed))

    @property
    def missing(self) -> list[Order]:
        """The orders that were not carried out; one that could not be is not tried again."""
        return [order for order in self.orders if not self._is_there(order)]

    def make(self, report: Report = lambda done, total: None) -> None:
        """Carry out the missing orders, block by block.

        Parameters
        ----------
        report
            Called with (forgeries done, forgeries in all).

        Raises
        ------
        ScanError
            If a series can't be read any more.
        OutputError
            If a forgery can't be written.
        """
        missing, done = self.missing, 0
        wanted = {block: list(same) for block, same in groupby(missing, key=lambda order: order.block)}
        for block, scan in read_blocks(wanted):
            for order in wanted[block]:
                self._ledger.add(order.key, self._carry_out(order, scan))
                done += 1
                report(done, len(missing))

    def seconds_left(self) -> float | None:
        """Estimate how long the missing forgeries take, from those that were made; None where nothing tells."""
        took: dict[str, list[float]] = {}
        for told in self._ledger.values():
            took.setdefault(told["method"], []).append(told["seconds"])
        missing = [order.method.name for order in self.missing]
        if not all(name in took for name in missing):
            return None
        return float(sum(np.mean(took[name]) for name in missing))

    def made(self) -> list[Made]:
        """Return what became of the orders that were carried out."""
        told = [(order, self._ledger[order.key]) for order in self.orders if self._is_there(order)]
        return [
            Made(order, None if one["place"] is None else tuple(one["place"]), one["problem"]) for order, one in told
        ]

    def tampered(self, made: Made, block: Scan) -> Scan:
        """Return a block with its forgery in it.

        Parameters
        ----------
        made
            What became of an order that could be carried out.
        block
            The authentic block.

        Raises
        ------
        BenchError
            If the stored voxels can't be read.
        """
        path = self._path(made.order)
        try:
            with np.load(path) as held:
                box = tuple(slice(first, stop) for first, stop in held["box"])
                voxels = block.voxels.copy()
                voxels[box] = held["voxels"].astype(np.float32)
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise BenchError(f"{path}: can't be read ({error}). Take it away to forge it anew.") from error
        order = made.order
        name = f"forged_{block.name}_{order.method.name}_{order.action}_{order.seed}"
        return replace(block, voxels=voxels, name=name, sha256="")

    def _is_there(self, order: Order) -> bool:
        told = self._ledger.get(order.key, None)
        return told is not None and (told["place"] is None or self._path(order).is_file())

    def _path(self, order: Order) -> Path:
        return self._folder / order.method.name / f"{order.key}.npz"

    def _carry_out(self, order: Order, scan: Scan) -> dict[str, Any]:
        begun, index, problem = time.perf_counter(), None, ""
        try:
            made = _forged(order, scan)
            _store(made, self._path(order))
            index = list(made.record.place.index)
        except OutputError:
            raise
        except Exception as error:  # whatever goes wrong inside a method costs this forgery, not the run
            problem = str(error) if isinstance(error, TamperscanError) else f"{type(error).__name__}: {error}"
        return {
            "method": order.method.name,
            "action": order.action,
            "block": order.block.name,
            "place": index,
            "problem": problem,
            "seconds": time.perf_counter() - begun,
        }


def usable_methods(names: Sequence[str] | None = None) -> tuple[list[Method], dict[str, str]]:
    """Load forging methods; those that lack weights or packages are told with their reason.

    Parameters
    ----------
    names
        Which; `METHOD_ORDER` if None.

    Raises
    ------
    ForgeError
        If there is no method of such a name.
    """
    methods, problems = [], {}
    for name in METHOD_ORDER if names is None else names:
        try:
            methods.append(load_method(name))
        except ForgeError as error:
            if name not in METHODS:
                raise
            problems[name] = str(error)
    return methods, problems


def _forged(order: Order, scan: Scan) -> Forgery:
    """Forge at the block's place; a method that can't work there gets a few further ones, which are of its own."""
    for attempt in range(_ATTEMPTS):
        seed = order.seed + attempt
        try:
            return forge(scan, order.method, order.action, find_place(scan, order.action, seed), seed=seed)
        except ForgeError as error:
            refused = error
    raise refused


def _orders(blocks: Sequence[Block], methods: Sequence[Method], seed: int) -> Iterator[Order]:
    for block in blocks:
        # A seed of its own, or every block would get a lesion of the same size.
        own = int(hash_of(seed, block.name), 16) % 2**31
        for method in methods:
            for action in ABLE.get(method.name, ACTIONS):
                key = hash_of(VERSION, block.key, method.name, dict(method.settings), action, own)
                yield Order(block, method, action, own, key)


def _store(made: Forgery, path: Path) -> None:
    """Write the part of the block that differs, whole numbers in two bytes."""
    altered = np.argwhere(made.mask)
    box = np.stack([altered.min(axis=0), altered.max(axis=0) + 1], axis=1)
    voxels = made.scan.voxels[tuple(slice(first, stop) for first, stop in box)]
    whole = np.array_equal(voxels, np.rint(np.clip(voxels, -32768, 32767)))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, box=box, voxels=voxels.astype(np.int16) if whole else voxels)
    make_folder(path.parent)
    write_file(path, buffer.getvalue())
