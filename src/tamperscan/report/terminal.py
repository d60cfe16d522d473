"""A screening in the terminal: the verdict, the findings, and where the report lies."""

from __future__ import annotations

from rich import box
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tamperscan.report.schema import ScreeningDocument
from tamperscan.report.wording import (
    RESEARCH_USE,
    further_reasons,
    headline,
    is_alarming,
    p_in_words,
    score_in_words,
    size_in_words,
)
from tamperscan.report.write import ReportFiles

_STYLES = {"suspicious": "bold dark_orange", "clear": "bold blue", "abstained": "bold"}


def print_screening(console: Console, document: ScreeningDocument, files: ReportFiles | None = None) -> None:
    """Print a summary of one screening.

    In a terminal it is coloured and wrapped; anywhere else it is plain text, one line a sentence.

    Parameters
    ----------
    console
        Where to.
    document
        The screening.
    files
        The files of its report, where they were written.
    """
    plain = not console.is_terminal
    for part in _parts(document, plain=plain):
        console.print(part, soft_wrap=plain and isinstance(part, Text), highlight=False)
    if files is not None:  # in one line however narrow the terminal, to be copied or clicked
        places = [("Report", files.page)]
        places += [(what, paths[0].parent) for what, paths in (("DICOM", files.dicom), ("NIfTI", files.nifti)) if paths]
        for what, place in places:
            console.print(Text(f"  {what}: {place}"), soft_wrap=True, highlight=False)
    console.print()


def print_research_use(console: Console) -> None:
    """Print what the results must not be used for, once a run."""
    console.print(Text(RESEARCH_USE, style="dim"))


def _parts(document: ScreeningDocument, *, plain: bool) -> list[RenderableType]:
    words = headline(document)
    title = Text.assemble((f"{words.word}: ", _STYLES[words.kind]), (document.scan.name, "bold"))
    parts: list[RenderableType] = [title]
    parts += [_indented(line, plain) for line in (words.sentence, words.chance) if line]
    if document.score is not None:
        parts.append(_indented(_numbers(document), plain))
    parts += [_indented(reason, plain) for reason in further_reasons(document)]
    if document.findings:
        parts.append(_findings_table(document, plain))
    parts += [_indented(f"Note: {warning}", plain, "yellow") for warning in document.scan.warnings]
    runtime = document.detector.settings.get("runtime")
    if runtime:
        parts.append(_indented(f"Screened in {document.seconds:.1f} s by {runtime}.", plain, "dim"))
    return parts


def _indented(line: str, plain: bool, style: str = "") -> RenderableType:
    # A path or a sentence that is piped on must stay in one line, which padding would not let it.
    return Text(f"  {line}") if plain else Padding(Text(line, style=style), (0, 0, 0, 2))


def _numbers(document: ScreeningDocument) -> str:
    return (
        f"Score {score_in_words(document.score)}, p-value {p_in_words(document.p_value)} "
        f"(alarm at {document.alarm_rate:.3g} or less)."
    )


def _findings_table(document: ScreeningDocument, plain: bool) -> RenderableType:
    table = Table(box=None if plain else box.SIMPLE_HEAD, pad_edge=False, header_style="" if plain else "bold")
    for heading in ("#", "slice", "row", "column"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("size", no_wrap=True)
    table.add_column("how it differs", no_wrap=plain)
    for heading in ("score", "p"):
        table.add_column(heading, justify="right", no_wrap=True)
    for number, finding in enumerate(document.findings, start=1):
        style = "dark_orange" if is_alarming(finding.p_value, document.alarm_rate) and not plain else ""
        table.add_row(
            str(number),
            *(str(index) for index in finding.centre),
            size_in_words(finding.size_mm),
            Text(finding.sign),
            score_in_words(finding.score),
            p_in_words(finding.p_value),
            style=style,
        )
    return Padding(table, (0, 0, 0, 2))
