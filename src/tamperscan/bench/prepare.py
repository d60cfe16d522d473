"""The forged test set: every method at the same places of authentic test scans."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from tamperscan.bench.cases import Case
from tamperscan.bench.choices import some
from tamperscan.bench.datasets.rows import Skipped
from tamperscan.bench.fingerprints import fingerprint, hash_of
from tamperscan.bench.ledger import Ledger
from tamperscan.bench.plan import FORGED_FOLDER, Plan
from tamperscan.bench.protocols.evidence import CaseFacts
from tamperscan.errors import ForgeError, OutputError, TamperscanError
from tamperscan.forge.forgery import forge
from tamperscan.forge.method import ACTIONS, METHODS, Action, Method, load_method
from tamperscan.forge.places import find_place
from tamperscan.forge.write import write_forgery
from tamperscan.scan import Scan, read_scan

VERSION: Final = 1
"""Raised where places are chosen in another way, so that older forgeries are not taken for new ones."""

ABLE: Final[Mapping[str, tuple[Action, ...]]] = {"smooth": ("remove",), "nodule": ("inject",)}
"""What some methods can do at all; the others do both."""

Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Order:
    """One forgery that is to be made.

    Attributes
    ----------
    case
        The authentic scan.
    method
        How.
    action
        What.
    seed
        Of place and forgery; all methods get the same, and so the same places.
    folder
        Where forgeries of this method with these settings go.
    key
        Names it by everything that decides what comes out.
    planar
        Whether the scan is a single slice.
    """

    case: Case
    method: Method
    action: Action
    seed: int
    folder: Path
    key: str
    planar: bool


@dataclass(frozen=True)
class Prepared:
    """The forged test set.

    Attributes
    ----------
    folders
        The forgeries.
    skipped
        Methods that can't be used here, and places where one could do nothing.
    """

    folders: tuple[Path, ...]
    skipped: tuple[Skipped, ...]


class ForgedSet:
    """The forged test set of a plan, as far as it is made.

    Parameters
    ----------
    plan
        Which methods, how many places.
    authentic
        Authentic test cases; those without any known place hold nothing to tamper with and are left out.
    facts
        About their scans, by name of the case.

    Raises
    ------
    ForgeError
        If the plan names a method that does not exist.
    """

    def __init__(self, plan: Plan, authentic: Sequence[Case], facts: Mapping[str, CaseFacts]) -> None:
        methods, self._unusable = usable_methods(plan)
        self.orders = tuple(orders_of(plan, authentic, facts, methods))
        self._ledger = Ledger(plan.out / FORGED_FOLDER / "orders.jsonl")

    @property
    def missing(self) -> list[Order]:
        """The orders that were not carried out; one that could not be is not tried again."""
        return [order for order in self.orders if not _is_there(order, self._ledger)]

    def make(self, orders: Sequence[Order], report: Report = lambda done, total: None) -> None:
        """Forge.

        Parameters
        ----------
        orders
            Some of the missing ones.
        report
            Called with (forgeries done, forgeries in all).

        Raises
        ------
        ScanError
            If a scan can't be read any more.
        OutputError
            If a forgery can't be written.
        """
        for done, (order, result) in enumerate(_carried_out(orders), start=1):
            self._ledger.add(order.key, result)
            report(done, len(orders))

    def seconds_left(self, report: Report = lambda done, total: None) -> float:
        """Estimate how long the missing forgeries take, by making the first of each method and kind of scan."""
        kinds = {(order.method.name, order.planar): order for order in reversed(self.missing)}
        self.make(list(kinds.values()), report)
        took = {kind: float(self._ledger[order.key]["seconds"]) for kind, order in kinds.items()}
        return sum(took[order.method.name, order.planar] for order in self.missing)

    def result(self) -> Prepared:
        """Return what is made so far."""
        told = [(order, self._ledger[order.key]) for order in self.orders if _is_there(order, self._ledger)]
        problems = [Skipped(_words(order), one["problem"]) for order, one in told if one["problem"]]
        folders = tuple(order.folder / one["name"] for order, one in told if one["name"])
        return Prepared(folders, (*self._unusable, *problems))


def usable_methods(plan: Plan) -> tuple[list[Method], list[Skipped]]:
    """Load the methods of a plan; those that lack weights or packages are skipped.

    Raises
    ------
    ForgeError
        If the plan names a method that does not exist.
    """
    methods, skipped = [], []
    names = plan.preset.methods if plan.preset.methods is not None else tuple(METHODS)
    for name in names:
        try:
            methods.append(load_method(name))
        except ForgeError as error:
            if name not in METHODS:
                raise
            skipped.append(Skipped(f"method {name}", str(error)))
    return methods, skipped


def orders_of(
    plan: Plan, authentic: Sequence[Case], facts: Mapping[str, CaseFacts], methods: Sequence[Method]
) -> Iterator[Order]:
    """Yield what is to be forged, scan by scan; each single slice once by every method and action."""
    known = [case for case in authentic if case.targets and facts[case.name].readable]
    volumes = some([case for case in known if not facts[case.name].planar], plan.preset.volumes)
    singles = some([case for case in known if facts[case.name].planar], plan.preset.singles)
    folders = {method.name: plan.out / FORGED_FOLDER / _folder_name(method) for method in methods}
    for case in (*volumes, *singles):
        planar, files = facts[case.name].planar, fingerprint(case.scan)
        for action in ACTIONS:
            for seed in range(plan.seed, plan.seed + (1 if planar else plan.preset.places)):
                for method in (one for one in methods if action in ABLE.get(one.name, ACTIONS)):
                    folder = folders[method.name]
                    key = hash_of(VERSION, files, folder.name, action, seed)
                    yield Order(case, method, action, seed, folder, key, planar)


def _folder_name(method: Method) -> str:
    return f"{method.name}-{hash_of(dict(method.settings))[:8]}"


def _is_there(order: Order, ledger: Ledger) -> bool:
    """Whether an order was carried out; one that could not be is not tried again."""
    told = ledger.get(order.key, None)
    return told is not None and (not told["name"] or (order.folder / told["name"]).is_dir())


def _carried_out(orders: Sequence[Order]) -> Iterator[tuple[Order, dict[str, Any]]]:
    """Forge, reading each scan once."""
    for path, same in groupby(orders, key=lambda order: order.case.scan):
        scan = read_scan(path)
        for order in same:
            yield order, _carry_out(order, scan)


def _carry_out(order: Order, scan: Scan) -> dict[str, Any]:
    begun, name, problem = time.perf_counter(), "", ""
    try:
        place = find_place(scan, order.action, order.seed)
        made = forge(scan, order.method, order.action, place, seed=order.seed)
        name = write_forgery(made, order.case.scan, order.folder).name
    except OutputError:
        raise
    except Exception as error:  # whatever goes wrong inside a method costs this forgery, not the run
        problem = str(error) if isinstance(error, TamperscanError) else f"{type(error).__name__}: {error}"
    return {"name": name, "problem": problem, "seconds": time.perf_counter() - begun}


def _words(order: Order) -> str:
    return f"{order.method.name} {order.action} {order.case.name}"
