"""Looking into what was received: what it is, whether it was here before, and whether with other pixels.

It happens after the acknowledgement and before anything is screened, in batches that are kept whole or not at all.
"""

from __future__ import annotations

import json
import logging
import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tamperscan.errors import OutputError, ScanError
from tamperscan.serve.audit import CONFLICT, DIGESTED, RECEIVED, AuditLog, Fact
from tamperscan.serve.database import Database
from tamperscan.serve.differences import OTHER_PIXELS, OTHER_VALUES, SAME, difference, event_of
from tamperscan.serve.digester import Digester
from tamperscan.serve.looking import Received, received
from tamperscan.serve.rules import Rules, SeriesFacts
from tamperscan.serve.signatures import signature_lines

BATCH: Final = 50
MANUFACTURER: Final = "tamperscan"
SCANS: Final = ("CT", "MR")
"""What is never a result of ours, whatever it says: nobody is to keep a scan from being screened by a word in it."""

LONGEST_TEXT: Final = 200
_SERIES: Final = ("study_uid", "series_uid")
_UID: Final = re.compile(r"[0-9.]{1,64}")
_TAIL: Final = 2**20

_log = logging.getLogger("tamperscan.serve.indexing")


@dataclass
class Indexed:
    """What was found out about one instance."""

    id: int
    file: str
    state: str
    columns: dict[str, Any] = field(default_factory=dict)
    lines: list[tuple[str, Mapping[str, Fact]]] = field(default_factory=list)

    @property
    def gone(self) -> bool:
        """Whether its file is not needed: it is here already, or it is a result of our own."""
        return self.state in ("duplicate", "own")


class Indexer:
    """Looks into received instances.

    Parameters
    ----------
    database, rules, audit
        Of the node.
    """

    def __init__(self, database: Database, rules: Rules, audit: AuditLog) -> None:
        self._database, self._rules, self._audit = database, rules, audit
        self._spool = database.home.spool
        self._digester = Digester()
        self._told = _told_before(database.home.audit_log)

    def index(self) -> int:
        """Look into the next instances; gives how many there were."""
        rows = self._database.rows(
            "SELECT * FROM instances WHERE state = 'received' ORDER BY arrived LIMIT ?", (BATCH,)
        )
        found: dict[str, Indexed] = {}
        for row in rows:
            one = self._look_into(
                row, [other for other in found.values() if other.columns["sop_uid"] == row["sop_uid"]]
            )
            found[row["file"]] = one
        self._audit.append_all([line for one in found.values() if one.file not in self._told for line in one.lines])
        with self._database.transaction() as connection:
            for one in found.values():
                _enter(connection, one)
        for one in found.values():
            if one.gone:
                (self._spool / one.file).unlink(missing_ok=True)
        self._told.clear()
        return len(rows)

    def digest(self) -> bool:
        """Take the digest of the decoded pixels of one instance that lacks it; False where none does."""
        row = self._database.row(
            "SELECT id, file, study_uid, series_uid, sop_uid, pixel_digest "
            "FROM instances INDEXED BY instances_undigested "
            "WHERE decoded_digest = '' AND pixel_digest != '' AND kept = 1 AND state IN ('waiting', 'assigned') LIMIT 1"
        )
        if row is None:
            return False
        self._note_digest(row["id"], "none")  # first: what brings everything down is not tried again
        decoded = self._digester.decoded(self._spool / row["file"])
        try:
            self._audit.append(
                DIGESTED,
                study=row["study_uid"],
                series=row["series_uid"],
                instance=row["sop_uid"],
                stored_sha256=row["pixel_digest"],
                decoded_sha256=decoded.digest,
                problem=decoded.problem or None,
            )
        except OutputError:  # a full disk may pass
            self._note_digest(row["id"], "")
            raise
        if decoded.digest:
            self._note_digest(row["id"], decoded.digest)
        return True

    def _note_digest(self, id: int, digest: str) -> None:
        with self._database.transaction() as connection:
            connection.execute("UPDATE instances SET decoded_digest = ? WHERE id = ?", (digest, id))

    def _look_into(self, row: sqlite3.Row, batch: list[Indexed]) -> Indexed:
        try:
            header = received(self._spool / row["file"])
            columns = _columns(header, row)
        except ScanError as error:
            return self._unreadable(row, error.problem)
        facts = SeriesFacts(
            modality=columns["modality"],
            body_part=columns["body_part"],
            description=columns["series_description"],
            slice_thickness=columns["slice_thickness"],
            sender=row["sender"],
        )
        rule = self._rules.rule_for(facts)
        columns["passing"] = int(rule is not None and not rule.keep_originals)
        one = Indexed(row["id"], row["file"], "waiting", {**columns, "sop_uid": row["sop_uid"]})
        told = {**_names(row, columns), "sender": row["sender"], "receipt": row["file"]}
        if self._rules.node.patient_names:
            told |= {"patient_name": header.patient_name, "patient_id": header.patient_id}
        one.lines.append((RECEIVED, told))
        if header.signed:
            one.lines += signature_lines(self._spool / row["file"], one.lines[0][1])
        if columns["modality"] not in SCANS and self._is_own(row["sop_uid"], header):
            one.state, one.columns["reason"] = "own", "a result of our own"
        else:
            self._compare(one, row, batch)
        return one

    def _unreadable(self, row: sqlite3.Row, problem: str) -> Indexed:
        one = Indexed(row["id"], row["file"], "unreadable", {"reason": problem, "sop_uid": row["sop_uid"]})
        facts = {"instance": row["sop_uid"], "sender": row["sender"], "receipt": row["file"], "problem": problem}
        one.lines.append((RECEIVED, facts))
        _log.warning("unreadable", extra={"facts": facts})
        return one

    def _is_own(self, uid: str, header: Received) -> bool:
        known = self._database.row("SELECT 1 FROM own_objects WHERE sop_uid = ?", (uid,))
        return known is not None or header.manufacturer.lower() == MANUFACTURER

    def _compare(self, one: Indexed, row: sqlite3.Row, batch: list[Indexed]) -> None:
        """Tell an instance that is here already from one that came again otherwise, which is kept and told."""
        earlier = [
            dict(zip(other.keys(), tuple(other), strict=True))
            for other in self._database.rows(
                "SELECT study_uid, series_uid, sha256, pixel_digest, pixel_meaning, decoded_digest, "
                "transfer_syntax, file, kept, version FROM instances WHERE sop_uid = ? "
                "AND state NOT IN ('received', 'unreadable', 'duplicate', 'own') "
                "AND NOT (state = 'ignored' AND kept = 0)",
                (row["sop_uid"],),
            )
        ]
        earlier += [{**other.columns, "kept": 1} for other in batch if other.state == "waiting"]
        one.columns |= {"sha256": row["sha256"], "transfer_syntax": row["transfer_syntax"], "file": row["file"]}
        here = [other for other in earlier if all(other[name] == one.columns[name] for name in _SERIES)]
        differences: list[str] = []
        for other in here or earlier:
            differences.append(difference(one.columns, other, self._spool, self._digester))
            if differences[-1] == SAME:  # what comes after may have to be decoded
                break
        if here and SAME in differences:
            one.state, one.columns["reason"] = "duplicate", "is here already"
            return
        if not earlier:
            return
        event = event_of(differences)
        facts = {
            **_names(row, one.columns),
            "sender": row["sender"],
            "receipt": row["file"],
            "earlier_sha256": str(earlier[0]["pixel_digest"]) or None,
        }
        if event == CONFLICT:
            one.columns["version"] = max(int(other.get("version", 0)) for other in earlier) + 1
            facts["difference"] = OTHER_VALUES if OTHER_VALUES in differences else OTHER_PIXELS
        one.lines.append((event, facts))
        _log.warning("came again otherwise under a known UID", extra={"facts": {"event": event, **facts}})


def _columns(header: Received, row: sqlite3.Row) -> dict[str, Any]:
    if header.instance != row["sop_uid"]:
        raise ScanError(row["file"], "says that it is another object than its sender did", "Ask the sender")
    if not _UID.fullmatch(header.study) or not _UID.fullmatch(header.series):
        raise ScanError(row["file"], "has no valid study and series UIDs", "Ask the sender")
    return {
        "study_uid": header.study,
        "series_uid": header.series,
        "modality": header.modality[:16],
        "body_part": header.body_part[:LONGEST_TEXT],
        "series_description": header.description[:LONGEST_TEXT],
        "slice_thickness": header.thickness,
        "pixel_digest": header.stored_sha256,
        "pixel_meaning": header.meaning,
        "forged": int(header.forged),
    }


def _names(row: sqlite3.Row, columns: Mapping[str, Any]) -> dict[str, Fact]:
    return {
        "study": columns["study_uid"],
        "series": columns["series_uid"],
        "instance": row["sop_uid"],
        "sop_class": row["sop_class"],
        "stored_sha256": columns["pixel_digest"] or None,
    }


def _enter(connection: sqlite3.Connection, one: Indexed) -> None:
    columns = {**one.columns, "state": one.state, "kept": int(not one.gone)}
    connection.execute(
        f"UPDATE instances SET {', '.join(f'{name} = ?' for name in columns)} WHERE id = ?",
        (*columns.values(), one.id),
    )


def _told_before(log: Path) -> set[str]:
    """Find the receipts among the last lines of the audit log: a crash may have come between a line and its row."""
    if not log.exists():
        return set()
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL))
        lines = file.read().splitlines()
    told = set()
    for line in lines:
        try:
            told.add(str(json.loads(line)["receipt"]))
        except (ValueError, KeyError, TypeError):
            continue
    return told
