"""Compares an archive's copy of a study with the pixel digests that the audit log has kept since it arrived."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.uid import UID

from tamperscan.errors import OutputError, ScanError
from tamperscan.scan.attributes import Attributes
from tamperscan.scan.dicom import read_dataset
from tamperscan.scan.sources import Source
from tamperscan.scan.stored import complete_file_meta, file_notes
from tamperscan.scan.volume import LOSSY
from tamperscan.serve.audit import CONFLICT, DIGESTED, RECEIVED, SENT
from tamperscan.serve.audit_check import read_lines
from tamperscan.serve.pixel_digest import decoded_digest, stored_digest

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

    def compare(self, copies: Iterable[Source], failed: Mapping[str, str] | None = None) -> Iterator[Compared]:
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

    def _compare(self, source: Source, seen: set[str]) -> Compared | None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                dataset = read_dataset(source, pixels=True)
        except ScanError as error:
            return Compared("", "", State.UNKNOWN, str(error))
        facts = Attributes(dataset)
        if facts.text("StudyInstanceUID") != self.study:
            return None
        instance, series = facts.text("SOPInstanceUID"), facts.text("SeriesInstanceUID")
        seen.add(instance)
        state, note = self._judge(dataset, instance)
        return Compared(instance, series, state, note)

    def _judge(self, dataset: Dataset, instance: str) -> tuple[State, str]:
        arrivals = self._kept.get(instance, [])
        if not arrivals and instance in self._own:
            return State.OWN, ""
        if not arrivals:
            return State.NEW, f"{Attributes(dataset).text('Modality') or 'no modality'}; never arrived here"
        stored = stored_digest(dataset)
        same = [kept for kept in arrivals if kept.stored and kept.stored == stored]
        if not same:
            return _by_samples(dataset, arrivals)
        if _means_otherwise(dataset, same[0]):
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


def _by_samples(dataset: Dataset, arrivals: list[_Kept]) -> tuple[State, str]:
    """Compare the decoded samples, which are the same for every lossless encoding."""
    known = [kept for kept in arrivals if kept.decoded]
    if not known:
        return State.UNKNOWN, "the bytes of its pixels differ, and no digest of its decoded pixels was kept"
    try:
        decoded = decoded_digest(dataset)
    except ScanError as error:
        return State.UNKNOWN, error.problem
    same = [kept for kept in known if kept.decoded == decoded]
    if not same:
        return State.CHANGED, _how(dataset)
    if same[0].decoded != arrivals[0].decoded:
        return _later(same[0])
    return State.UNCHANGED, f"stored otherwise now: {_syntax(dataset)}"


def _means_otherwise(dataset: Dataset, kept: _Kept) -> bool:
    """Whether the same bytes make another image by now."""
    try:
        return bool(kept.decoded) and decoded_digest(dataset) != kept.decoded
    except ScanError:
        return False


def _later(kept: _Kept) -> tuple[State, str]:
    return State.CHANGED, f"they are those that came later under the same UID, at {kept.time}"


def _how(dataset: Dataset) -> str:
    complete_file_meta(dataset)
    lossy = [note for note in file_notes(dataset) if note.startswith(LOSSY)]
    return f"the copy is in {_syntax(dataset)}" + (f"; {lossy[0].rstrip('.').lower()}" if lossy else "")


def _syntax(dataset: Dataset) -> str:
    complete_file_meta(dataset)
    return UID(dataset.file_meta.TransferSyntaxUID).name[:80]
