"""Checks an audit log: whether its lines are those that were written, all of them and in their order."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from tamperscan.errors import OutputError
from tamperscan.safe_json import parse_json
from tamperscan.serve.audit import BROKEN, FIRST, LONGEST_LINE, Head, head_path, line_sha256, read_head

MOST_PROBLEMS: Final = 100
"""So many problems are told in full; a log with more is broken beyond telling."""

LARGEST_ANCHORS: Final = 2**24
"""Bytes of the largest file of anchors that is read."""

NO_ANCHOR: Final = (
    "The head beside the log is no proof against whoever may write both: only an anchor kept elsewhere shows that the "
    "end was cut and the head adapted, or that all of it was written anew"
)


@dataclass(frozen=True)
class AuditCheck:
    """What came of checking an audit log.

    Attributes
    ----------
    path
        The log.
    head
        Its end as found: number of lines and SHA-256 of the last one.
    first, last
        Time of the first and of the last line, ISO 8601; empty where there is none.
    problems
        What is wrong, one sentence each, with the number of the line.
    notes
        What could not be checked, or is unusual without being wrong, one sentence each.
    anchors
        How many anchors were compared with.
    """

    path: Path
    head: Head
    first: str
    last: str
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    anchors: int

    @property
    def intact(self) -> bool:
        """Whether nothing wrong was found."""
        return not self.problems


def verify(path: str | Path, anchors: Sequence[Head] = ()) -> AuditCheck:
    """Check an audit log line by line.

    A line that was altered, taken out, put in or moved is found by the hash in the line after it; an altered last
    line and a cut end by the head beside the log, and by anchors. Reading holds one line in memory.

    Parameters
    ----------
    path
        The log.
    anchors
        Heads that were kept elsewhere; the line of that number must still have that hash.

    Raises
    ------
    OutputError
        If the log can't be read.
    """
    path = Path(path)
    check = _Check(anchors)
    try:
        with path.open("rb") as file:
            left, kept = _end(file, path)
            while left > 0 and (line := file.readline(min(left, LONGEST_LINE + 1))):
                left -= len(line)
                check.add(line)
    except OSError as error:
        problem = error.strerror or str(error)
        raise OutputError(f"{path}: the audit log can't be read ({problem}). Check the path.") from error
    check.end(kept, has_head=head_path(path).exists())
    return AuditCheck(
        path, check.head, check.first, check.last, tuple(check.problems), tuple(check.notes), len(anchors)
    )


def _end(file: BinaryIO, path: Path) -> tuple[int, Head | None]:
    """Give a log's size and head of one moment, though someone may be writing to it."""
    fcntl.flock(file, fcntl.LOCK_SH)
    try:
        return os.fstat(file.fileno()).st_size, read_head(path)
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def read_anchors(path: str | Path) -> list[Head]:
    """Read anchors that ``tamperscan audit anchor`` printed, one JSON object a line.

    Raises
    ------
    OutputError
        If the file can't be read, or a line of it is no anchor.
    """
    try:
        text = Path(path).read_bytes()[:LARGEST_ANCHORS].decode()
    except (OSError, UnicodeDecodeError) as error:
        problem = getattr(error, "strerror", None) or "it is no text"
        raise OutputError(f"{path}: the anchors can't be read ({problem}). Check the path.") from error
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if not lines:
        raise OutputError(f"{path}: holds no anchor. Make one with: tamperscan audit anchor HOME >> FILE")
    return [_anchor(path, number, line) for number, line in lines]


def _anchor(path: str | Path, number: int, line: str) -> Head:
    try:
        found = parse_json(line)
        head = Head(int(found["lines"]), str(found["head"]).lower())
        if head.number < 0 or not re.fullmatch("[0-9a-f]{64}", head.sha256):
            raise ValueError
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        advice = "Give the lines as tamperscan audit anchor printed them"
        raise OutputError(f"{path}, line {number}: is no anchor. {advice}.") from error
    return head


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Give a log's lines as objects, without checking them; what is no object is left out.

    Raises
    ------
    OutputError
        If the log can't be read.
    """
    try:
        with path.open("rb") as file:
            while line := file.readline(LONGEST_LINE + 1):
                found = _parsed(line)
                if found is not None:
                    yield found
    except OSError as error:
        problem = error.strerror or str(error)
        raise OutputError(f"{path}: the audit log can't be read ({problem}). Check the path.") from error


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        found = parse_json(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


class _Check:
    """What is known after some lines."""

    def __init__(self, anchors: Sequence[Head]) -> None:
        self.head = Head(0, FIRST)
        self.first = self.last = ""
        self.problems: list[str] = []
        self.notes: list[str] = []
        self._anchors: dict[int, set[str]] = {}
        for anchor in anchors:
            self._anchors.setdefault(anchor.number, set()).add(anchor.sha256)
        self._compare_with_anchor()
        self._torn: int | None = None
        self._numbers_off = 0

    def add(self, line: bytes) -> None:
        """Look at the next line."""
        number = self.head.number + 1
        whole = line.endswith(b"\n")
        found = _parsed(line) if whole else None
        if found is None:
            self._torn = number if self._torn is None else self._torn
        else:
            self._chain(number, found)
        self.head = Head(number, line_sha256(line))
        self._compare_with_anchor()

    def end(self, kept: Head | None, *, has_head: bool) -> None:
        """Compare the end with the head beside the log."""
        if self._torn is not None:
            self._problem(f"Line {self._torn} is no whole line: it was altered, or the machine stopped midway in it")
        for number in sorted(number for number in self._anchors if number > self.head.number):
            self._problem(f"The log has {self.head.number} lines, but had {number} when its anchor was made: cut")
        if kept is None:
            what = "is damaged" if has_head else "is missing"
            self.notes.append(f"The head beside the log {what}: whether the end was cut or altered can't be told")
        elif kept.number > self.head.number:
            self._problem(f"The log has {self.head.number} lines, but its head says {kept.number}: its end was cut")
        elif kept.number == self.head.number and kept.sha256 != self.head.sha256:
            self._problem(f"Line {kept.number}, the last one, is not the one that was written")
        elif kept.number < self.head.number:
            lag = self.head.number - kept.number
            self.notes.append(f"The head beside the log is {lag} lines behind, as a power cut leaves it, or a writer")
        if not self._anchors:
            self.notes.append(NO_ANCHOR)

    def _chain(self, number: int, found: dict[str, Any]) -> None:
        if found.get("previous") != self.head.sha256:
            what = f"Line {number - 1} was altered, or lines" if number > 1 else "Lines"
            self._problem(f"{what} before line {number} were taken out, put in or moved")
        elif self._torn is not None:
            self.notes.append(f"Line {self._torn} broke off when the machine stopped; the next line confirms it")
        self._torn = None
        off = _whole(found.get("number")) - number
        if off != self._numbers_off:
            self._numbers_off = off
            self._problem(f"Line {number} bears the number {str(found.get('number'))[:20]}")
        if found.get("event") == BROKEN:
            expected = str(found.get("expected_number"))[:20]
            self._problem(f"Line {number} says that the log had been cut or altered: it had {expected} lines before")
        time = found.get("time")
        if isinstance(time, str):
            self.first, self.last = self.first or time[:40], time[:40]

    def _compare_with_anchor(self) -> None:
        for sha256 in self._anchors.get(self.head.number, ()):
            if sha256 != self.head.sha256:
                self._problem(f"Line {self.head.number} is not the one of the anchor: what is before it was altered")

    def _problem(self, text: str) -> None:
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(text)
        elif len(self.problems) == MOST_PROBLEMS:
            self.problems.append("More is wrong; only the first problems are told")


def _whole(number: object) -> int:
    return number if isinstance(number, int) and not isinstance(number, bool) else -1
