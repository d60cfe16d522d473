"""Reading scans: the functions that the rest of the package, and its users, call.

What is in a file is parsed and decoded in a process of its own, within `Limits`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from tamperscan.errors import ScanError
from tamperscan.plain_text import printable
from tamperscan.scan import isolated
from tamperscan.scan.limits import DEFAULT, Limits
from tamperscan.scan.names import Namer, safe_name
from tamperscan.scan.places import Found, Place, Report
from tamperscan.scan.volume import Scan

_ADVICE: Final = "Give a DICOM, NIfTI or NumPy file of CT or MR, a zip, or a folder of them"


@dataclass(frozen=True)
class PlannedScan:
    """A scan that was found by its headers and not decoded yet.

    Attributes
    ----------
    name
        As the scan will be named.
    sources
        Where the files are that it is made of, each once.
    read
        Decodes it; None where that fails, after telling why.
    """

    name: str
    sources: tuple[Place, ...]
    read: Callable[[], Scan | None]


def read_scan(path: str | Path, *, limits: Limits = DEFAULT) -> Scan:
    """Read the one volume of a file, folder, zip or DICOMDIR.

    Parameters
    ----------
    path
        A DICOM, NIfTI or NumPy file, a zip or DICOMDIR, or a folder, searched with all folders below it.
    limits
        What reading may take.

    Returns
    -------
    Scan
        With the files that could not be read among its warnings.

    Raises
    ------
    ScanError
        If there is no scan, more than one, or it can't be read.
    """
    errors: list[ScanError] = []
    with isolated.plan(Path(path), errors.append, limits) as plan:
        if len(plan.found) > 1:
            raise _several(path, plan.found)
        scan = plan.build(0, safe_name(plan.found[0].hint)) if plan.found else None
    if scan is None:
        raise _nothing(path, errors)
    return replace(scan, warnings=tuple(dict.fromkeys((*scan.warnings, *_told(errors)))))


def read_scans(path: str | Path, *, on_error: Report | None = None, limits: Limits = DEFAULT) -> list[Scan]:
    """Read every volume under a path.

    Parameters
    ----------
    path
        A DICOM, NIfTI or NumPy file, a zip or DICOMDIR, or a folder, searched with all folders below it.
    on_error
        Is called with a ScanError for everything that can't be read; the others are read all the same.
    limits
        What reading may take.

    Returns
    -------
    list of Scan
        At least one; no two have the same name.

    Raises
    ------
    ScanError
        If nothing at all could be read; it says why.
    """
    return list(iter_scans(path, on_error=on_error, limits=limits))


def iter_scans(path: str | Path, *, on_error: Report | None = None, limits: Limits = DEFAULT) -> Iterator[Scan]:
    """Read every volume under a path, one at a time, so that only one is in memory.

    All headers are read before the first scan is given; pixels are decoded only as each scan is asked for.

    Parameters
    ----------
    path, on_error, limits
        As for `read_scans`.

    Yields
    ------
    Scan
        No two have the same name.

    Raises
    ------
    ScanError
        At the end, if nothing at all could be read; it says why.
    """
    for planned in plan_scans(path, on_error=on_error, limits=limits):
        scan = planned.read()
        if scan is not None:
            yield scan
        del scan  # or it would stay in memory while the next one is read


def plan_scans(path: str | Path, *, on_error: Report | None = None, limits: Limits = DEFAULT) -> Iterator[PlannedScan]:
    """Find every volume under a path by the headers, and leave it to the caller which ones are decoded.

    Parameters
    ----------
    path, on_error, limits
        As for `read_scans`.

    Yields
    ------
    PlannedScan
        No two have the same name. They can be read until the next one is asked for.

    Raises
    ------
    ScanError
        At the end, if there was nothing, or nothing of it could be read; it says why.
    """
    errors: list[ScanError] = []
    failed: set[str] = set()

    def report(error: ScanError) -> None:
        errors.append(error)
        if on_error is not None:
            on_error(error)

    with isolated.plan(Path(path), report, limits) as plan:

        def read(number: int, name: str) -> Scan | None:
            scan = plan.build(number, name)
            if scan is None:
                failed.add(name)
            return scan

        namer = Namer()
        for number, found in enumerate(plan.found):
            name = namer.name(found.hint)
            yield PlannedScan(name, found.places, partial(read, number, name))
    if len(failed) == len(plan.found):
        raise _nothing(path, errors)


def _several(path: str | Path, planned: Sequence[Found]) -> ScanError:
    namer = Namer()
    names = [namer.name(one.hint) for one in planned]
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return ScanError(path, f"holds {len(names)} volumes ({shown})", "Use read_scans, or give the path of one of them")


def _nothing(path: str | Path, errors: list[ScanError]) -> ScanError:
    """Why nothing could be read, in sum."""
    if not errors:
        return ScanError(path, "holds no scan", _ADVICE)
    if len(errors) == 1:
        return errors[0]
    problems = Counter(error.problem for error in errors).most_common(3)
    reasons = "; ".join(f"{count} x {problem}" for problem, count in problems)
    return ScanError(path, f"holds no scan that can be read: {reasons}", errors[0].advice)


def _told(errors: list[ScanError]) -> list[str]:
    """Tell what could not be read, one sentence for each problem."""
    by_problem: dict[str, list[str]] = {}
    for error in errors:
        by_problem.setdefault(error.problem, []).append(error.path)
    return [
        f"{len(paths)} file(s) left out: {problem} (first: {printable(Path(paths[0]).name)})."
        for problem, paths in by_problem.items()
    ]
