"""Reading scans: the functions that the rest of the package, and its users, call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tamperscan.errors import ScanError
from tamperscan.scan import nifti, numpy_file
from tamperscan.scan.assemble import build_scan, frame_digest
from tamperscan.scan.collect import collect
from tamperscan.scan.dicom import read_frames
from tamperscan.scan.frames import Frame
from tamperscan.scan.names import Namer, safe_name
from tamperscan.scan.series import Volume, plan_volumes
from tamperscan.scan.sources import FileSource, Source
from tamperscan.scan.volume import Scan

Report = Callable[[ScanError], None]

_ADVICE: Final = "Give a DICOM, NIfTI or NumPy file of CT or MR, a zip, or a folder of them"


@dataclass(frozen=True)
class _Planned:
    """A volume that was found and not decoded yet."""

    hint: str
    build: Callable[[str], Scan]


def read_scan(path: str | Path) -> Scan:
    """Read the one volume of a file, folder, zip or DICOMDIR.

    Parameters
    ----------
    path
        A DICOM, NIfTI or NumPy file, a zip or DICOMDIR, or a folder, searched with all folders below it.

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
    with ExitStack() as opened:
        planned = _plan(Path(path), opened, errors.append)
        if len(planned) > 1:
            raise _several(path, planned)
        scans = [_try(one, safe_name(one.hint), errors.append) for one in planned]
    if not scans or scans[0] is None:
        raise _nothing(path, errors)
    return replace(scans[0], warnings=tuple(dict.fromkeys((*scans[0].warnings, *_told(errors)))))


def read_scans(path: str | Path, *, on_error: Report | None = None) -> list[Scan]:
    """Read every volume under a path.

    Parameters
    ----------
    path
        A DICOM, NIfTI or NumPy file, a zip or DICOMDIR, or a folder, searched with all folders below it.
    on_error
        Is called with a ScanError for everything that can't be read; the others are read all the same.

    Returns
    -------
    list of Scan
        At least one; no two have the same name.

    Raises
    ------
    ScanError
        If nothing at all could be read; it says why.
    """
    return list(iter_scans(path, on_error=on_error))


def iter_scans(path: str | Path, *, on_error: Report | None = None) -> Iterator[Scan]:
    """Read every volume under a path, one at a time, so that only one is in memory.

    All headers are read before the first scan is given; pixels are decoded only as each scan is asked for.

    Parameters
    ----------
    path, on_error
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
    errors: list[ScanError] = []

    def report(error: ScanError) -> None:
        errors.append(error)
        if on_error is not None:
            on_error(error)

    given = 0
    with ExitStack() as opened:
        namer = Namer()
        for planned in _plan(Path(path), opened, report):
            scan = _try(planned, namer.name(planned.hint), report)
            if scan is not None:
                given += 1
                yield scan
            del scan  # or it would stay in memory while the next one is read
    if not given:
        raise _nothing(path, errors)


def _try(planned: _Planned, name: str, report: Report) -> Scan | None:
    try:
        return planned.build(name)
    except ScanError as error:
        report(error)
    except MemoryError:
        report(ScanError(name, "is too large for this machine's memory", "Use a larger machine"))
    except Exception as error:  # one odd file must not end a run over many
        problem = f"can't be read, for a reason that was not foreseen ({type(error).__name__}: {error})"
        report(ScanError(name, problem, "Please report this, with the file if you may"))
    return None


def _plan(path: Path, opened: ExitStack, report: Report) -> list[_Planned]:
    """Find the volumes under ``path`` by the headers alone, and choose what to name them after."""
    frames: list[Frame] = []
    others: list[tuple[Source, Callable[[str], Scan]]] = []
    for source in collect(path, opened, report):
        try:
            if (reader := _volume_reader(source)) is not None:
                others.append((source, reader))
            else:
                frames += read_frames(source)
        except ScanError as error:
            report(error)
    volumes = plan_volumes(frames, frame_digest, report)
    alone = len(volumes) + len(others) == 1
    hints = [FileSource(path.resolve()).stem] if alone else _hints(volumes)
    dicom = [
        _Planned(hint, lambda name, volume=volume: build_scan(volume, name, report))  # type: ignore[misc]
        for hint, volume in zip(hints, volumes, strict=False)
    ]
    return [*dicom, *(_Planned(source.stem, reader) for source, reader in others)]


def _volume_reader(source: Source) -> Callable[[str], Scan] | None:
    """How to read a file that is a volume by itself; None for DICOM."""
    if nifti.is_nifti(source):
        return lambda name: nifti.read_nifti(source, name)
    if numpy_file.is_numpy(source):
        return lambda name: numpy_file.read_numpy(source, name)
    return None


def _hints(volumes: list[Volume]) -> list[str]:
    """Choose what to name volumes after: their folder if it is theirs alone, else the file or the series."""
    folders = Counter(volume.frames[0].source.folder for volume in volumes)
    return [_hint(volume, folders[volume.frames[0].source.folder]) for volume in volumes]


def _hint(volume: Volume, neighbours: int) -> str:
    first = volume.frames[0]
    folder = Path(first.source.folder).name
    if neighbours == 1 and folder:
        return folder
    if len(volume.frames) == 1 and first.count == 1:
        return first.source.stem
    return f"{folder}_{first.description}" if folder else first.description


def _several(path: str | Path, planned: list[_Planned]) -> ScanError:
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
        f"{len(paths)} file(s) left out: {problem} (first: {Path(paths[0]).name})."
        for problem, paths in by_problem.items()
    ]
