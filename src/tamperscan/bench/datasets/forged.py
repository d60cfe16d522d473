"""Folders of scans that `tamperscan forge` tampered with, whose tampered voxels are known exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from tamperscan.bench.cases import Case, Kind, Target
from tamperscan.bench.datasets.rows import DataSet, Skipped, UnusableError, check_inside, usable
from tamperscan.errors import BenchError, ForgeError
from tamperscan.forge.folder import StoredForgery, read_forgeries
from tamperscan.forge.method import Action

_KINDS: Final[MappingProxyType[Action, Kind]] = MappingProxyType({"inject": "injected", "remove": "removed"})


@dataclass(frozen=True)
class Origin:
    """What must be known of the authentic scan that a forgery was made of.

    Attributes
    ----------
    group
        Its patient.
    scanner
        As in `Case`.
    """

    group: str
    scanner: str = ""


def origins_of(cases: Iterable[Case]) -> dict[str, Origin]:
    """Return the origins that authentic cases are, by the name of the scan."""
    return {case.name: Origin(case.group, case.scanner) for case in cases if not case.tampered}


def read_forged(folder: Path, origins: Mapping[str, Origin] | None = None) -> DataSet:
    """Read the forgeries in a folder.

    Parameters
    ----------
    folder
        What ``tamperscan forge --out`` wrote to.
    origins
        The authentic scans that may be tested on, as from `origins_of`; forgeries of others are skipped, since a
        contender may have learned from them. None to take all, each source scan as a patient of its own.

    Returns
    -------
    DataSet
        A case for each forgery; its generator is the method.

    Raises
    ------
    BenchError
        If there is no such folder, or no forgery in it.
    """
    skipped: list[Skipped] = []

    def damaged(error: ForgeError) -> None:
        skipped.append(Skipped(folder.name, str(error).replace(f"{folder}/", "")))

    try:
        found = read_forgeries(folder, damaged)
    except ForgeError as error:
        raise BenchError(str(error)) from error
    if not found and not skipped:
        raise BenchError(f"{folder}: holds no forgery. Give the folder that 'tamperscan forge --out' wrote to.")
    cases = tuple(usable(found, _case_of(origins), lambda stored: stored.name, skipped))
    return DataSet(cases, tuple(skipped))


def _case_of(origins: Mapping[str, Origin] | None) -> Callable[[StoredForgery], Case]:
    def make(stored: StoredForgery) -> Case:
        record = stored.record
        try:
            source, modality = str(record.source["name"]), str(record.source["modality"])
            slices, rows, columns = (int(side) for side in record.source["shape"])
        except (KeyError, TypeError, ValueError) as error:
            raise UnusableError("has a record that does not tell its source") from error
        if modality not in ("CT", "MR"):
            raise UnusableError(f"is of the modality '{modality}'")
        if origins is not None and source not in origins:
            raise UnusableError("was made of a scan that is not among the authentic scans of the test")
        origin = Origin(source) if origins is None else origins[source]
        check_inside(record.place.index, (slices, rows, columns))
        return Case(
            name=stored.name,
            group=origin.group,
            modality=modality,
            generator=record.method,
            task=record.action,
            scan=stored.scan,
            targets=(Target(*record.place.index, _KINDS[record.action]),),
            mask=stored.mask,
            scanner=origin.scanner,
        )

    return make
