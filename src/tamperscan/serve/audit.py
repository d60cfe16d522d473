"""The audit trail: lines of JSON in one file that is only ever added to, each with the hash of the one before.

A line is an object with ``number`` (from 1), ``time`` (UTC), ``event``, the facts of the event and, last,
``previous``: the SHA-256 of the line before, without its line end (64 zeros in the first). So no line can be
altered, taken out or moved without the next one saying so. Beside the log lies ``<log>.head`` with the number and hash
of its last line, so that an altered last line and a cut end show as well.

What this cannot tell: whoever may write the log and the head beside it can cut its end or write all of it anew, and
adapt the head. Only a head that was kept elsewhere shows that; `tamperscan.serve.audit_check.verify` compares with it.

A line holds UIDs, digests, AE titles and numbers; who appends sees to it that no patient is named.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tamperscan.errors import OutputError

RECEIVED: Final = "received"
"""An instance was acknowledged: study, series, instance, sop_class, sender, stored_sha256, decoded_sha256."""

DIGESTED: Final = "digested"
"""The decoded digest of an instance received before: study, series, instance, stored_sha256, decoded_sha256."""

SCREENED: Final = "screened"
"""A series was screened: job, study, series, revision, verdict, score, p_value, weights_sha256, mark."""

NOT_SCREENED: Final = "not-screened"
"""A job failed for good: job, study, series, reason, mark."""

SENT: Final = "sent"
"""An object was taken by a receiver: job, study, instance, receiver."""

REFUSED: Final = "refused"
"""An object, an association or a receiver's answer was refused: reason, and what is known of the object."""

CONFLICT: Final = "conflict"
"""An instance came again under the same UID as another image: study, series, instance, both digests, difference."""

OTHER_SERIES: Final = "other-series"
"""An instance came again in another study or series with the same pixels: study, series, instance."""

OTHER_HEADER: Final = "other-header"
"""An object without pixels came again under the same UID and is not the same: study, series, instance."""

SIGNATURE: Final = "signature"
"""A digital signature in an instance was verified: study, series, instance, state, reason, certificate_sha256."""

DECIDED: Final = "decided"
"""A reviewer decided: job, study, decision, reviewer."""

BROKEN: Final = "audit-broken"
"""The log did not end as its head says when the next line was to be written: expected_number, expected_sha256."""

FIRST: Final = "0" * 64
"""What stands as ``previous`` in the first line."""

LONGEST_TEXT: Final = 1000
"""Texts in a line are cut after so many characters."""

LONGEST_LINE: Final = 2**16
"""No line is longer, in bytes."""

Fact = str | int | float | bool | None


@dataclass(frozen=True)
class Head:
    """The end of a log: how many lines it has, and the SHA-256 of the last one."""

    number: int
    sha256: str


class AuditLog:
    """Appends to an audit log; any number of processes and threads may do so at once.

    Parameters
    ----------
    path
        The log, ``audit.jsonl``; made when first written to, readable by its owner alone.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)

    def append(self, event: str, **facts: Fact) -> None:
        """Add one line, which is on the disk when this returns.

        Parameters
        ----------
        event
            What happened: one of the names above, or a new one.
        facts
            What is to be kept of it. None is left out.

        Raises
        ------
        OutputError
            If it can't be written.
        """
        self.append_all([(event, facts)])

    def append_all(self, entries: Iterable[tuple[str, Mapping[str, Fact]]]) -> None:
        """Add several lines in one step, which costs the disk no more than one.

        Parameters
        ----------
        entries
            Event and facts of each.

        Raises
        ------
        OutputError
            If they can't be written.
        """
        entries = list(entries)
        if not entries:
            return
        try:
            with _locked(self._path) as file:
                _write(file, self._path, entries)
        except OSError as error:
            problem = error.strerror or str(error)
            raise OutputError(f"{self._path}: the audit log can't be written ({problem}). Check the disk.") from error


def head_path(path: Path) -> Path:
    """Where the head of a log lies: beside it."""
    return path.with_name(f"{path.name}.head")


def line_sha256(line: bytes) -> str:
    """SHA-256 of a line, without its line end."""
    return hashlib.sha256(line.rstrip(b"\n")).hexdigest()


def read_head(path: Path) -> Head | None:
    """Read the head kept beside a log; None where there is none or it is damaged."""
    try:
        kept = json.loads(head_path(path).read_bytes()[:1000])
        return Head(int(kept["number"]), str(kept["sha256"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Open a log to append to it, while nobody else does."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(file)


def _write(file: int, path: Path, entries: list[tuple[str, Mapping[str, Fact]]]) -> None:
    size = os.fstat(file).st_size
    start, end = _end(file, size)
    kept = read_head(path)
    lines = bytearray(start)
    if kept is not None and _is_other(kept, end):
        broken: dict[str, Fact] = {"expected_number": kept.number, "expected_sha256": kept.sha256}
        end = _add(lines, end, BROKEN, broken)
    for event, facts in entries:
        end = _add(lines, end, event, facts)
    _write_whole(file, bytes(lines), size)
    os.fsync(file)
    _keep_head(path, end)


def _is_other(kept: Head, end: Head) -> bool:
    """Whether the log does not end as its head says. A head that lags is what a power cut leaves."""
    return kept.number > end.number or (kept.number == end.number and kept.sha256 != end.sha256)


def _end(file: int, size: int) -> tuple[bytes, Head]:
    """Find a log's last line; where a crash cut it off midway, also the line end that it lacks."""
    if size == 0:
        return b"", Head(0, FIRST)
    tail = os.pread(file, min(size, 2 * LONGEST_LINE), max(0, size - 2 * LONGEST_LINE))
    torn = b"" if tail.endswith(b"\n") else b"\n"
    lines = tail.rstrip(b"\n").split(b"\n")
    # A torn line has no number of its own: it counts as one line after the one before it.
    for back, line in enumerate(reversed(lines)):
        number = _number(line)
        if number is not None:
            return torn, Head(number + back, line_sha256(lines[-1]))
    return torn, Head(len(lines), line_sha256(lines[-1]))


def _number(line: bytes) -> int | None:
    try:
        return int(json.loads(line)["number"])
    except (ValueError, KeyError, TypeError):
        return None


def _add(lines: bytearray, end: Head, event: str, facts: Mapping[str, Fact]) -> Head:
    """Add a line after ``end``, and give the new end."""
    line = _line(end, event, facts, LONGEST_TEXT)
    if len(line) >= LONGEST_LINE:  # letters that JSON escapes take up to twelve bytes each
        line = _line(end, event, facts, LONGEST_TEXT // 20)
    lines += line + b"\n"
    return Head(end.number + 1, line_sha256(line))


def _line(end: Head, event: str, facts: Mapping[str, Fact], longest: int) -> bytes:
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    content: dict[str, Any] = {"number": end.number + 1, "time": now, "event": _clean(event, longest)}
    content |= {name: _clean(fact, longest) for name, fact in facts.items() if fact is not None and name not in content}
    content["previous"] = end.sha256
    return json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode()


def _clean(fact: Fact, longest: int) -> Fact:
    if isinstance(fact, str):
        return fact[:longest]
    if isinstance(fact, float) and not math.isfinite(fact):  # JSON has no infinity and no NaN
        return str(fact)
    return fact


def _write_whole(file: int, content: bytes, size: int) -> None:
    """Write all of it, or take back what was written: a full disk must not leave a torn line."""
    written = 0
    try:
        while written < len(content):
            written += os.write(file, content[written:])
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(file, size)
        raise


def _keep_head(path: Path, end: Head) -> None:
    """Keep the end beside the log: padded, so that a shorter one leaves no rest of the one before."""
    content = json.dumps({"number": end.number, "sha256": end.sha256}).ljust(127).encode() + b"\n"
    file = os.open(head_path(path), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(file, content, 0)
    finally:
        os.close(file)
