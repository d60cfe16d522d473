"""Killing a node again and again while images arrive, to see whether anything is lost or reported twice."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tamperscan.bench.node_instances import SyntheticSeries, write_series
from tamperscan.bench.node_process import Archive, NodeProcess
from tamperscan.errors import BenchError
from tamperscan.serve.database import Database
from tamperscan.serve.pixel_digest import stored_digest

SIDE: Final = 64
LONGEST_LIFE_SECONDS: Final = 4.0
SETTLE_SECONDS: Final = 1800.0

Tell = Callable[[str], None]


@dataclass(frozen=True)
class CrashResult:
    """What came of it.

    Attributes
    ----------
    kills, instances, series
        How often the node was killed, and what was sent meanwhile.
    acknowledged
        Instances of which a sender was told that they are kept.
    lost
        Those of them that are not kept, or with other pixels than were sent.
    unreported
        Series without a report in the archive.
    reported_twice
        Series of which the archive has more reports than one.
    altered
        Objects that came to the archive twice under one UID with other content.
    sent_again
        Objects that the archive got more than once, the same each time.
    leftovers
        Files in the spool that no ledger knows.
    audit_whole
        Whether the audit trail is unbroken.
    seconds
        How long it took.
    """

    kills: int
    instances: int
    series: int
    acknowledged: int
    lost: int
    unreported: int
    reported_twice: int
    altered: int
    sent_again: int
    leftovers: int
    audit_whole: bool
    seconds: float


@dataclass
class _Sending:
    """What the senders and the killer know of each other."""

    total: int
    kills: int
    killed: int = 0
    acknowledged: dict[str, Path] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def may_send(self) -> bool:
        """Whether sending is not ahead of killing: both are to end together."""
        return len(self.acknowledged) * max(1, self.kills) <= (self.killed + 1) * self.total

    def note(self, uid: str, path: Path) -> None:
        with self.lock:
            self.acknowledged[uid] = path


def crash_run(
    folder: Path,
    *,
    kills: int,
    instances: int,
    slices: int = 20,
    senders: int = 4,
    seed: int = 1,
    longest_life: float = LONGEST_LIFE_SECONDS,
    tell: Tell = print,
) -> CrashResult:
    """Send images to a node that is killed at random moments, and see what it has made of them in the end.

    Parameters
    ----------
    folder
        For the images and the node.
    kills, instances, slices
        How often it is killed, how many images are sent meanwhile, and in series of how many.
    senders
        How many send at a time.
    seed
        Chooses the moments.
    longest_life
        Seconds after which it is killed at the latest.
    tell
        Is told how it goes.

    Raises
    ------
    BenchError
        If the node does not come to rest.
    """
    begun = time.monotonic()
    series = [
        write_series(folder / f"series-{n}", slices=slices, side=SIDE, seed=n) for n in range(instances // slices)
    ]
    with Archive() as archive:
        node = NodeProcess(folder, _rules(archive))
        sending = _Sending(sum(len(one.files) for one in series), kills)
        try:
            node.start()
            with ThreadPoolExecutor(senders) as pool:
                work = [pool.submit(_send_series, one, node.port, sending) for one in series]
                _kill_again_and_again(node, sending, random.Random(seed), longest_life, tell)
                for one in work:
                    one.result()
            tell(f"{len(sending.acknowledged)} images acknowledged, {sending.killed} kills; waiting for results")
            _settle(node, len(series), archive)
        finally:
            node.stop()
        return _judge(node, series, sending, archive, time.monotonic() - begun)


def _rules(archive: Archive) -> dict[str, Any]:
    destination = {"kind": "dicom", "host": "127.0.0.1", "port": archive.port, "ae_title": archive.ae_title}
    return {
        "quiet": {"seconds": 6},
        "destinations": {"archive": destination},
        "rules": [{"name": "all", "send_to": "archive"}],
    }


def _send_series(series: SyntheticSeries, port: int, sending: _Sending) -> None:
    """Send a series, image by image, until each was acknowledged; a new association whenever one breaks."""
    from pynetdicom import AE
    from pynetdicom.sop_class import CTImageStorage  # type: ignore[attr-defined]

    entity = AE(ae_title="SCANNER")
    entity.connection_timeout = entity.acse_timeout = entity.dimse_timeout = 10
    entity.add_requested_context(CTImageStorage)
    association: Any = None
    for uid, path in series.files.items():
        while uid not in sending.acknowledged:
            if association is None or not association.is_established:
                association = entity.associate("127.0.0.1", port, ae_title="TAMPERSCAN")
            if association.is_established:
                try:
                    answer = association.send_c_store(path)
                except (RuntimeError, OSError):  # broke off between the question and the sending
                    continue
                if "Status" in answer and answer.Status == 0:
                    sending.note(uid, path)
                    continue
            time.sleep(0.1)
        while not sending.may_send():
            time.sleep(0.02)
    if association is not None and association.is_established:
        association.release()


def _kill_again_and_again(
    node: NodeProcess, sending: _Sending, chance: random.Random, longest_life: float, tell: Tell
) -> None:
    """Kill the node at random moments, also while it starts; every other time with all that it started."""
    for number in range(sending.kills):
        time.sleep(chance.uniform(0.05, longest_life))
        node.kill(group=bool(number % 2))
        sending.killed += 1
        node.start(wait=False)
        if (number + 1) % 10 == 0:
            tell(f"{number + 1} kills, {len(sending.acknowledged)} images acknowledged")


def _settle(node: NodeProcess, series: int, archive: Archive) -> None:
    """Wait until every series is screened and delivered, or nothing has moved for long."""
    database = Database(node.home)
    question = (
        "SELECT (SELECT COUNT(*) FROM instances WHERE state IN ('received', 'waiting')) AS waiting, "
        "(SELECT COUNT(*) FROM jobs WHERE state IN ('queued', 'running') OR (state = 'done' AND planned = 0)) AS jobs, "
        "(SELECT COUNT(*) FROM deliveries WHERE state = 'waiting') AS deliveries, "
        "(SELECT COUNT(*) FROM jobs) AS known"
    )
    until = time.monotonic() + SETTLE_SECONDS
    try:
        while time.monotonic() < until:
            row = database.row(question)
            if row is not None and row["known"] >= series and not row["waiting"] + row["jobs"] + row["deliveries"]:
                return
            time.sleep(0.5)
    finally:
        database.close()
    raise BenchError(f"The node does not come to rest. Its log is {node.log}.")


def _judge(
    node: NodeProcess, series: Sequence[SyntheticSeries], sending: _Sending, archive: Archive, seconds: float
) -> CrashResult:
    database = Database(node.home)
    kept = {str(row["sop_uid"]): str(row["file"]) for row in database.rows(_KEPT)}
    known = set(kept.values())
    lost = sum(not _is_kept(node, kept.get(uid), path) for uid, path in sending.acknowledged.items())
    leftovers = sum(path.name not in known for path in node.home.spool.iterdir())
    reports = Counter(_reported_series(archive, series))
    database.close()
    return CrashResult(
        kills=sending.killed,
        instances=sending.total,
        series=len(series),
        acknowledged=len(sending.acknowledged),
        lost=lost,
        unreported=sum(not reports[one.series_uid] for one in series),
        reported_twice=sum(reports[one.series_uid] > 1 for one in series),
        altered=sum(len(set(digests)) > 1 for digests in archive.received.values()),
        sent_again=sum(len(digests) > 1 for digests in archive.received.values()),
        leftovers=leftovers,
        audit_whole=_audit_is_whole(node.home.audit_log),
        seconds=seconds,
    )


_KEPT: Final = "SELECT sop_uid, file FROM instances WHERE kept = 1 AND state = 'assigned'"


def _is_kept(node: NodeProcess, name: str | None, sent: Path) -> bool:
    path = node.home.spool / name if name else None
    return path is not None and path.is_file() and stored_digest(path) == stored_digest(sent)


def _reported_series(archive: Archive, series: Sequence[SyntheticSeries]) -> list[str]:
    """List the series that the archive has a structured report of, one entry a report."""
    known = {one.series_uid for one in series}
    found = []
    for report in archive.of_modality("SR"):
        evidence = report.get("CurrentRequestedProcedureEvidenceSequence", [])
        named = {str(one.SeriesInstanceUID) for study in evidence for one in study.ReferencedSeriesSequence}
        found += sorted(named & known)
    return found


def _audit_is_whole(log: Path) -> bool:
    from tamperscan.serve.audit_check import verify

    return verify(log).intact
