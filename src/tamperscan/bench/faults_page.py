"""The section on faults."""

from __future__ import annotations

from typing import Final

from tamperscan.bench.document import Provenance, title
from tamperscan.bench.faults import FaultsResult
from tamperscan.bench.faults_trial import KILLS_IN_A_ROW, Row
from tamperscan.bench.tables import paragraph, table

_HEAD: Final = (
    "command",
    "fault",
    "tried",
    "struck",
    "lost",
    "damaged",
    "told twice",
    "tracebacks",
    "aborted",
    "other",
    "left over",
)


def faults_page(result: FaultsResult, origin: Provenance) -> str:
    """Tell what faults did."""
    rows = [_cells(row) for row in result.rows]
    parts = [title("Faults"), origin.markdown(), _commits(result), _what_was_done()]
    parts += [table(_HEAD, rows), _columns(), _summary(result)]
    parts += [f"Not tried here: {reason}." for reason in result.skipped]
    notes = [f"- {row.command}, {row.fault}: {note}" for row in result.rows for note in dict.fromkeys(row.notes)]
    parts = [part for part in parts if part]
    return "\n\n".join([*parts, *(["What was seen:", "\n".join(notes)] if notes else [])])


def _commits(result: FaultsResult) -> str:
    """Say at which state of the source each command was tried: rows of earlier runs in the same folder stay."""
    by_commit: dict[str, list[str]] = {}
    for command, commit in result.commits.items():
        by_commit.setdefault(commit, []).append(f"`{command}`")
    told = "; ".join(f"at `{commit}`: {', '.join(commands)}" for commit, commands in by_commit.items())
    return paragraph(f"Commands can be tried one by one (`--only`); these rows were: {told}.")


def _what_was_done() -> str:
    return paragraph(
        "Each command runs on inputs that take seconds, once undisturbed and then with a fault. *Killed*: SIGKILL to",
        "it and all that it started, by turns at a moment drawn evenly from its life and as soon as it has changed its",
        f"folder a number of times; up to {KILLS_IN_A_ROW} times in a row, then it may go on to its end. *Disk full*:",
        "it writes to a file system in memory of 2 to 98 % of what it needs, which then grows. *Too little memory*: it",
        "gets 20 to 100 % of the address space that it takes undisturbed. *Line cut*: the TCP line to the archive ends",
        "after any number of bytes, until it is mended. *No network*: it runs without any network device. After each",
        "fault every file under its own name is read to its end, and the command is given again: it must come to the",
        "same results as the undisturbed run. Trainings save their state every half second here, not every 45.",
        "`serve` is killed in the first seconds of each of its lives while scans are uploaded; each upload that it",
        "acknowledged must be screened, once. `calibrate with canaries` is killed while it forges and scores them. Of",
        "`archive` the rows of its table are compared, series by series; it is not tried without a network, as Ray's",
        "parts speak to each other by the machine's own.",
    )


def _columns() -> str:
    return paragraph(
        "Struck: the command ended of the fault; the other times it was done before, or had enough. Lost: results that",
        "were missing in the end, or other than undisturbed. Damaged: files that could not be read to their end. Told",
        "twice: results that an undisturbed run does not have, or instances stored with two contents. Tracebacks: runs",
        "that showed one, or called it a fault in tamperscan. Aborted: runs that the system or a library in C++ ended",
        "by a signal, as it got no memory; nothing can be said then. Other: failures without a line that says what is",
        "wrong, or with another exit code than 2 or 3. Left over: temporary files after the end, which nothing takes",
        "for results. The node is killed by a command of its own: see [the DICOM node](results.md).",
    )


def _summary(result: FaultsResult) -> str:
    tried, struck = (sum(getattr(row, name) for row in result.rows) for name in ("tried", "struck"))
    counts = {name: sum(getattr(row, name) for row in result.rows) for name in ("lost", "damaged", "twice")}
    shown = sum(row.tracebacks + row.other for row in result.rows)
    return paragraph(
        f"In all {tried} faults, {struck} of which struck: {counts['lost']} results lost, {counts['damaged']} files",
        f"damaged, {counts['twice']} told twice, {shown} failures that were not told as they should be,",
        f"{sum(row.crashed for row in result.rows)} aborted.",
    )


def _cells(row: Row) -> list[str]:
    counts = (
        *(row.tried, row.struck, row.lost, row.damaged, row.twice),
        *(row.tracebacks, row.crashed, row.other, row.leftovers),
    )
    return [f"`{row.command}`", row.fault, *(str(count) for count in counts)]
