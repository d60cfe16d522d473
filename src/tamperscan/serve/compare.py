"""Compares an archive's copy of a study with the pixel digests that the audit log has kept since it arrived."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from tamperscan.errors import OutputError, ScanError
from tamperscan.scan.places import Place
from tamperscan.serve.audit import CONFLICT, DIGESTED, RECEIVED, SENT
from tamperscan.serve.audit_check import read_lines
from tamperscan.serve.looking import CopyFacts, copy_digest, copy_facts

_ARRIVALS: Final = frozenset({RECEIVED, DIGESTED, CONFLICT})


class State(StrEnum):
    """What became of an instance since it arrived."""

    UNCHANGED = "unchanged"
    CHANGED = "pixels changed"
    MISSING = "missing"
    NEW = "new"
    OWN = "our result"
    UNKNOWN = "can't be told"


@dataclass(frozen=True)
class Compared:
    """One instance and what became of it.

    Attributes
    ----------
    instance, series
        SOP instance and series UIDs.
    state
        What became of it.
    note
        More about it in one line; empty where there is nothing to say.
    """

    instance: str
    series: str
    state: State
    note: str = ""


@dataclass(frozen=True)
class _Kept:
    """The digests of one arrival of an instance."""

    series: str
    stored: str
    decoded: str
    time: str


class StudyDigests:
    """What an audit log has kept of a study.

    Parameters
    ----------
    log
        The audit log.
    study
        StudyInstanceUID.

    Raises
    ------
    OutputError
        If the log can't be read, or knows nothing of the study.
    """

    def __init__(self, log: Path, study: str) -> None:
        self.study = study
        self._kept: dict[str, list[_Kept]] = {}
        self._own: set[str] = set()
        for line in read_lines(log):
            if line.get("study") == study:
                self._take(line)
        if not self._kept:
            raise OutputError(
                f"{log}: knows of no image of study {study[:80]!r}. "
                f"Give the StudyInstanceUID of a study that this node received."
            )

    @property
    def instances(self) -> int:
        """How many instances of the study arrived."""
        return len(self._kept)

    def compare(self, copies: Iterable[Place], failed: Mapping[str, str] | None = None) -> Iterator[Compared]:
        """Compare copies with what is kept; at the end come the instances that have no copy.

        Parameters
        ----------
        copies
            DICOM files of the archive; each is read when its turn comes. Those of other studies are passed over.
        failed
            Why, by SOP instance UID, a copy that the archive has could not be had; may be filled meanwhile.

        Yields
        ------
        Compared
            One for each copy of the study and each instance without one.
        """
        seen: set[str] = set()
        for source in copies:
            compared = self._compare(source, seen)
            if compared is not None:
                yield compared
        failed = failed or {}
        for instance, reason in failed.items():
            yield Compared(instance, "", State.UNKNOWN, reason)
        for instance, arrivals in self._kept.items():
            if instance not in seen and instance not in failed:
                yield Compared(instance, arrivals[0].series, State.MISSING, f"arrived {arrivals[0].time}")

    def _take(self, line: dict[str, Any]) -> None:
        instance, event = str(line.get("instance", "")), line.get("event")
        if event == SENT and instance:
            self._own.add(instance)
        if event in _ARRIVALS and instance:
            texts = (line.get(name) for name in ("series", "stored_sha256", "decoded_sha256", "time"))
            _enter(self._kept.setdefault(instance, []), _Kept(*(str(text or "")[:80] for text in texts)))

    def _compare(self, place: Place, seen: set[str]) -> Compared | None:
        try:
            facts = copy_facts(place)
        except ScanError as error:
            return Compared("", "", State.UNKNOWN, str(error))
        if facts.study != self.study:
            return None
        seen.add(facts.instance)
        state, note = self._judge(place, facts)
        return Compared(facts.instance, facts.series, state, note)

    def _judge(self, place: Place, facts: CopyFacts) -> tuple[State, str]:
        instance = facts.instance
        arrivals = self._kept.get(instance, [])
        if not arrivals and instance in self._own:
            return State.OWN, ""
        if not arrivals:
            return State.NEW, f"{facts.modality or 'no modality'}; never arrived here"
        same = [kept for kept in arrivals if kept.stored and kept.stored == facts.stored_sha256]
        if not same:
            return _by_samples(place, facts, arrivals)
        if _means_otherwise(place, same[0]):
            return State.CHANGED, "the same bytes with another rescale, photometric interpretation or shape"
        return (State.UNCHANGED, "") if same[0] is arrivals[0] else _later(same[0])


def _enter(arrivals: list[_Kept], kept: _Kept) -> None:
    """Add an arrival's digests, or complete those that came before of the same pixels."""
    for index, before in enumerate(arrivals):
        if before.stored and before.stored == kept.stored:
            arrivals[index] = replace(before, decoded=before.decoded or kept.decoded)
            return
    if kept.stored or kept.decoded:
        arrivals.append(kept)


def _by_samples(place: Place, facts: CopyFacts, arrivals: list[_Kept]) -> tuple[State, str]:
    """Compare the decoded samples, which are the same for every lossless encoding."""
    known = [kept for kept in arrivals if kept.decoded]
    if not known:
        return State.UNKNOWN, "the bytes of its pixels differ, and no digest of its decoded pixels was kept"
    try:
        decoded = copy_digest(place)
    except ScanError as error:
        return State.UNKNOWN, error.problem
    same = [kept for kept in known if kept.decoded == decoded]
    if not same:
        return State.CHANGED, _how(facts)
    if same[0].decoded != arrivals[0].decoded:
        return _later(same[0])
    return State.UNCHANGED, f"stored otherwise now: {facts.syntax}"


def _means_otherwise(place: Place, kept: _Kept) -> bool:
    """Whether the same bytes make another image by now."""
    try:
        return bool(kept.decoded) and copy_digest(place) != kept.decoded
    except ScanError:
        return False


def _later(kept: _Kept) -> tuple[State, str]:
    return State.CHANGED, f"they are those that came later under the same UID, at {kept.time}"


def _how(facts: CopyFacts) -> str:
    return f"the copy is in {facts.syntax}" + (f"; {facts.lossy.rstrip('.').lower()}" if facts.lossy else "")
