"""From instances to jobs: a series that has become quiet is queued, and again as a new revision when it grows."""

from __future__ import annotations

import hashlib
import logging
import shutil
import sqlite3
import time
from collections.abc import Sequence
from typing import Final

from tamperscan.files import sync
from tamperscan.serve.database import Database
from tamperscan.serve.queue import insert_job, job_id, utc_now
from tamperscan.serve.rules import Rule, Rules, SeriesFacts

_log = logging.getLogger("tamperscan.serve.grouping")

_MEMBERS: Final = (
    "SELECT * FROM instances WHERE study_uid = ? AND series_uid = ? AND kept = 1 "
    "AND state IN ('waiting', 'assigned') ORDER BY id"
)


class Grouper:
    """Makes jobs of the series that are complete.

    Parameters
    ----------
    database, rules
        Of the node.
    started
        When the node started (seconds since 1970). After a crash senders need time to try again, so that the quiet time
        begins anew.
    """

    def __init__(self, database: Database, rules: Rules, started: float) -> None:
        self._database, self._rules, self._started = database, rules, started
        with database.transaction() as connection:  # the rules may be others than before
            connection.execute(
                "UPDATE instances SET state = 'waiting', reason = '' WHERE state = 'ignored' AND kept = 1"
            )

    def close_quiet(self, *, at_once: bool = False) -> int:
        """Queue the series of which nothing has arrived for the quiet time; gives how many were looked at.

        Parameters
        ----------
        at_once
            Whether to wait no longer, as when the node is to end.
        """
        quiet = self._rules.quiet
        # What is not looked into yet may belong to any study: only the time before it is known.
        unknown = self._database.row("SELECT MIN(arrived) AS first FROM instances WHERE state = 'received'")
        known_until = unknown["first"] if unknown and unknown["first"] is not None else time.time()
        count = 0
        for row in self._database.rows("SELECT DISTINCT study_uid, series_uid FROM instances WHERE state = 'waiting'"):
            first, last = (max(arrived, self._started) for arrived in self._arrivals(row, quiet.of))
            if at_once or min(last + quiet.seconds, first + quiet.at_most) <= known_until:
                self._close(row["study_uid"], row["series_uid"])
                count += 1
        return count

    def _arrivals(self, row: sqlite3.Row, of: str) -> tuple[float, float]:
        """Tell when the first image of a series arrived that waits, and the last of it or of its study."""
        counted = "FROM instances WHERE state IN ('waiting', 'assigned') AND study_uid = ?"
        study, series = row["study_uid"], row["series_uid"]
        first = self._database.row(
            f"SELECT MIN(arrived) AS at {counted} AND series_uid = ? AND state = 'waiting'", (study, series)
        )
        last = self._database.row(
            f"SELECT MAX(arrived) AS at {counted} AND (series_uid = ? OR ? = 'study')", (study, series, of)
        )
        assert first is not None and last is not None  # noqa: PT018 - an aggregate has one row
        return float(first["at"]), float(last["at"])

    def _close(self, study: str, series: str) -> None:
        members = self._database.rows(_MEMBERS, (study, series))
        rule = self._rules.rule_for(_facts(members[0]))
        if rule is None or not rule.screen:
            self._ignore(members, rule)
            return
        for version in sorted({int(row["version"]) for row in members}):
            self._queue(study, series, version, _of_version(members, version), rule)

    def _ignore(self, members: Sequence[sqlite3.Row], rule: Rule | None) -> None:
        reason = "no rule fits" if rule is None else f"rule {rule.name!r} does not screen"
        kept = int(rule is None or rule.keep_originals)
        with self._database.transaction() as connection:
            connection.executemany(
                "UPDATE instances SET state = 'ignored', reason = ?, kept = ? WHERE id = ?",
                [(reason, kept, row["id"]) for row in members],
            )
        if not kept:
            for row in members:
                (self._database.home.spool / row["file"]).unlink(missing_ok=True)
        _log.info("not to be screened", extra={"facts": {"series": members[0]["series_uid"], "reason": reason}})

    def _queue(self, study: str, series: str, version: int, members: Sequence[sqlite3.Row], rule: Rule) -> None:
        first = members[0]
        model = rule.model_for(first["modality"])
        key = _key(study, series, version, members, f"{model} {rule.head} {rule.alarm_rate}")
        identifier = job_id(key)
        if self._database.row("SELECT 1 FROM jobs WHERE id = ?", (identifier,)) is None:
            self._link(identifier, members)
        earlier = self._database.rows(
            "SELECT id FROM jobs WHERE study_uid = ? AND series_uid = ? AND version = ? "
            "AND origin = 'node' AND id != ?",
            (study, series, version, identifier),
        )
        values = {
            "id": identifier,
            "key": key,
            "origin": "node",
            "model": model,
            "head": rule.head,
            "alarm_rate": rule.alarm_rate,
            "title": " ".join(f"{first['modality']} {first['series_description']}".split()) or "series",
            "note": _note(members, version),
            "modality": first["modality"],
            "study_uid": study,
            "series_uid": series,
            "version": version,
            "revision": len(earlier) + 1,
            "sender": first["sender"],
            "rule": rule.name,
            "source": str(self._database.home.source_folder(identifier)),
            "received": utc_now(),
        }
        with self._database.transaction() as connection:
            new = insert_job(connection, values)
            connection.executemany(
                "INSERT OR IGNORE INTO job_instances VALUES (?, ?)", [(identifier, row["id"]) for row in members]
            )
            connection.executemany(
                "UPDATE instances SET state = 'assigned' WHERE id = ?", [(row["id"],) for row in members]
            )
        if new:
            facts = {"job": identifier, "series": series, "images": len(members), "revision": len(earlier) + 1}
            _log.info("queued", extra={"facts": facts})

    def _link(self, identifier: str, members: Sequence[sqlite3.Row]) -> None:
        """Make a job's source folder, all at once: hard links, so that it costs no room."""
        home = self._database.home
        target = home.source_folder(identifier)
        temporary = target.with_name(f".{identifier}.tmp")
        for folder in (temporary, target):
            shutil.rmtree(folder, ignore_errors=True)
        temporary.mkdir(mode=0o700)
        for row in members:
            (temporary / f"{row['sha256']}.dcm").hardlink_to(home.spool / row["file"])
        sync(temporary)
        temporary.rename(target)
        sync(home.sources)


def _facts(row: sqlite3.Row) -> SeriesFacts:
    return SeriesFacts(
        modality=row["modality"],
        body_part=row["body_part"],
        description=row["series_description"],
        slice_thickness=row["slice_thickness"],
        sender=row["sender"],
    )


def _of_version(members: Sequence[sqlite3.Row], version: int) -> list[sqlite3.Row]:
    """Choose the images of a version: its own, and of UIDs that it does not have those of the version before."""
    chosen: dict[str, sqlite3.Row] = {}
    for row in members:
        known = chosen.get(row["sop_uid"])
        if row["version"] <= version and (known is None or known["version"] < row["version"]):
            chosen[row["sop_uid"]] = row
    return list(chosen.values())


def _key(study: str, series: str, version: int, members: Sequence[sqlite3.Row], how: str) -> str:
    images = hashlib.sha256(" ".join(sorted(row["sha256"] for row in members)).encode()).hexdigest()
    return f"node {study} {series} {version} {images} {how}"


def _note(members: Sequence[sqlite3.Row], version: int) -> str:
    if not version:
        return ""
    count = sum(row["version"] == version for row in members)
    return (
        f"{count} images of this series came again under the same UIDs, and are other images; these are the later ones."
    )
