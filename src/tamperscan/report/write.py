"""Writing a report's files, each whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import io
import os
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np

from tamperscan.detect.results import Screening
from tamperscan.errors import OutputError
from tamperscan.report.schema import FileNames, ScreeningDocument, screening_document

DOCUMENT = "screening.json"
PAGE = "report.html"
SLICES = "slices.png"
COMPARISON = "comparison.png"
SUSPICION = "suspicion.npz"
MOST_PICTURES = 10


@dataclass(frozen=True)
class ReportFiles:
    """Where a report's files lie.

    Attributes
    ----------
    folder
        The folder that holds them all.
    document
        What ``screening.json`` holds.
    json
        ``screening.json``.
    page
        ``report.html``.
    pictures
        The PNGs, none where they were not asked for.
    suspicion
        ``suspicion.npz``, None where the detector measured nothing.
    """

    folder: Path
    document: ScreeningDocument
    json: Path
    page: Path
    pictures: tuple[Path, ...] = ()
    suspicion: Path | None = None


def write_report(screening: Screening, folder: str | Path, *, pictures: bool = True) -> ReportFiles:
    """Write a screening's report into a folder, which is made where it is missing.

    Each file replaces one of the same name from an earlier run in a single step, and nothing else in the
    folder is touched. ``screening.json`` comes last: where it is new, everything that it names is there.

    Parameters
    ----------
    screening
        What a detector said of a scan.
    folder
        Where the files go.
    pictures
        Whether to draw the findings, the slices and the comparison.

    Raises
    ------
    OutputError
        Where the folder or a file in it can't be written.
    """
    folder = Path(folder)
    make_folder(folder)
    document = screening_document(screening)
    drawn = draw_pictures(screening, document) if pictures else {}
    suspicion = _suspicion_archive(screening)
    document = document.model_copy(update={"files": _file_names(drawn, suspicion is not None)})
    for name, picture in drawn.items():
        write_file(folder / name, picture)
    if suspicion is not None:
        write_file(folder / SUSPICION, suspicion)
    write_file(folder / PAGE, _page(document, drawn))
    write_file(folder / DOCUMENT, (document.model_dump_json(indent=2) + "\n").encode())
    return ReportFiles(
        folder=folder,
        document=document,
        json=folder / DOCUMENT,
        page=folder / PAGE,
        pictures=tuple(folder / name for name in drawn),
        suspicion=None if suspicion is None else folder / SUSPICION,
    )


def draw_pictures(screening: Screening, document: ScreeningDocument) -> dict[str, bytes]:
    """Draw all pictures of a report: PNGs by file name.

    Parameters
    ----------
    screening
        What a detector said of a scan.
    document
        The same, as the document that charts are drawn from.
    """
    # Drawing loads matplotlib, which a run without pictures has no use for.
    from tamperscan.report.charts import comparison_figure, slices_figure
    from tamperscan.report.figures import finding_figure

    drawn: dict[str, bytes] = {}
    if any(result.score is not None for result in document.slices):
        drawn[SLICES] = slices_figure(document)
    comparison = comparison_figure(document)
    if comparison is not None:
        drawn[COMPARISON] = comparison
    for number, finding in enumerate(screening.findings[:MOST_PICTURES], start=1):
        drawn[f"finding_{number:02}.png"] = finding_figure(screening, finding)
    return drawn


def make_folder(folder: Path) -> None:
    """Make a folder, with those above it, where it is missing.

    Parameters
    ----------
    folder
        The folder.

    Raises
    ------
    OutputError
        Where it can't be made, or may not be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise OutputError(f"{folder}: {_in_plain_words(error)}.") from error


def write_file(path: Path, content: bytes) -> None:
    """Write a file in one step: whoever reads it meanwhile sees the old content or the new, never a part.

    Parameters
    ----------
    path
        Where to; its folder must exist.
    content
        What to write.

    Raises
    ------
    OutputError
        Where it can't be written; nothing is left behind then.
    """
    try:
        _replace(path, content)
    except OSError as error:
        raise OutputError(f"{path}: {_in_plain_words(error)}.") from error


def _replace(path: Path, content: bytes) -> None:
    # In the same folder, as a rename is a single step only within one file system.
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _in_plain_words(error: OSError) -> str:
    """Say what is in the way and what to do."""
    other = "or name another folder with --out"
    if error.errno in (errno.EEXIST, errno.ENOTDIR, errno.EISDIR):
        return f"something else of that name is in the way. Move it away, {other}"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"no permission to write here. Ask for it, {other}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left to write. Make room, {other}"
    if error.errno == errno.ENAMETOOLONG:
        return "the name is too long for this file system. Name a shorter folder with --out"
    return f"can't be written ({error.strerror or error}). Check the disk, {other}"


def _suspicion_archive(screening: Screening) -> bytes | None:
    """Pack the suspicion map; None where the detector measured nothing.

    Half floats of 7 binary digits, 1 % of the value, are more than the map means and pack to half of what 10
    take; zeros outside the regions pack to nothing.
    """
    if not screening.regions.any():
        return None
    largest = 60_000.0  # what a half float holds, less what rounding may add
    measured = np.where(screening.regions, np.nan_to_num(screening.suspicion), 0)
    halves = np.clip(measured, -largest, largest).astype(np.float16)
    rounded = ((halves.view(np.uint16) + 4) & 0xFFF8).astype(np.uint16).view(np.float16)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, suspicion=rounded)
    return buffer.getvalue()


def _file_names(drawn: dict[str, bytes], has_suspicion: bool) -> FileNames:
    return FileNames(
        report=PAGE,
        slices=SLICES if SLICES in drawn else None,
        comparison=COMPARISON if COMPARISON in drawn else None,
        findings=[name for name in drawn if name.startswith("finding_")],
        suspicion=SUSPICION if has_suspicion else None,
    )


def _page(document: ScreeningDocument, drawn: dict[str, bytes]) -> bytes:
    from tamperscan.report.html import render_html

    return render_html(document, drawn).encode()
