"""Options that the sub-commands of ``tamperscan bench`` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DATA = Path("../shared/data")
SPLIT = Path("training/ct-split.json")

OutOption = Annotated[
    Path, typer.Option("--out", "-o", file_okay=False, help="Folder of the run; an ended run goes on from there.")
]
NewOutOption = Annotated[
    Path, typer.Option("--out", "-o", file_okay=False, help="Folder of the run; what is in it is replaced.")
]
DataOption = Annotated[
    Path, typer.Option("--data", file_okay=False, help="Folder of real scans, with ct/ and ctgan/ in it.")
]
DetectorOption = Annotated[str, typer.Option("--detector", help='Packaged detector ("ct") or a folder that holds one.')]
HeadOption = Annotated[
    str | None, typer.Option("--head", help="Which of the detector's heads; its strongest if not given.")
]
SplitOption = Annotated[
    Path, typer.Option("--split", dir_okay=False, help="JSON file of part to globs below ct/; a glob is a patient.")
]
ThreadsOption = Annotated[int | None, typer.Option("--threads", min=1, help="CPU threads; all cores if not given.")]
WriteOption = Annotated[
    Path | None, typer.Option("--write", dir_okay=False, help="Page whose section is written, e.g. docs/results.md.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document, and nothing else.")]


def names(text: str | None) -> tuple[str, ...]:
    """Take apart an option of names with commas between them; nothing where it is not given."""
    return tuple(filter(None, (name.strip() for name in (text or "").split(","))))


def words_of(data: Path, detector: str, head: str | None, split: Path) -> list[str | Path]:
    """Tell what a detector is measured on, so that the command can be run again."""
    return ["--data", data, "--detector", detector, *(["--head", head] if head else []), "--split", split]
