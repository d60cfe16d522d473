"""Puts pulled series into the queue of a home, with their pixel digests in its audit log."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tamperscan.errors import ScanError
from tamperscan.files import make_folder
from tamperscan.serve.audit import RECEIVED, AuditLog
from tamperscan.serve.dicomweb.find import FoundSeries
from tamperscan.serve.dicomweb.pull import PulledSeries
from tamperscan.serve.home import Home
from tamperscan.serve.pixel_digest import decoded_digest, stored_digest
from tamperscan.serve.queue import Queue


class HomeIntake:
    """Takes pulled series into a home.

    Parameters
    ----------
    home
        The home of a node or a page; prepared where it is not yet.
    host
        The archive, for the audit log and as the jobs' sender.
    rule
        Name of the node's rule that says where results go; they go nowhere without one.

    Attributes
    ----------
    folder
        Where the series go.

    Raises
    ------
    OutputError
        If the home can't be written to.
    ServeError
        If its database can't be used.
    """

    def __init__(self, home: Home, host: str, rule: str = "") -> None:
        home.prepare()
        self.folder = home.root / "pulled"
        make_folder(self.folder)
        self._host, self._rule = host, rule
        self._audit = AuditLog(home.audit_log)
        self._queue = Queue(home)

    def arrived(self, found: FoundSeries, instance: str, file: Path) -> None:
        """Keep the digests of an instance before it counts as there: a crash in between costs a second line, no more.

        Raises
        ------
        OutputError
            If the audit log can't be written.
        """
        try:
            digests = stored_digest(file), decoded_digest(file)
        except ScanError:  # told when it is screened
            digests = None, None
        self._audit.append(
            RECEIVED,
            study=found.study,
            series=found.series,
            instance=instance,
            sender=self._host,
            stored_sha256=digests[0],
            decoded_sha256=digests[1],
        )

    def queue(self, pulled: PulledSeries) -> str | None:
        """Queue a series that is whole, and give its job's id; the same instances are queued once."""
        if not pulled.whole:
            return None
        names = sorted(path.name for path in pulled.folder.glob("*.dcm"))
        model = "mr" if pulled.modality == "MR" else "ct"
        parts = [pulled.study, pulled.series, model, *names]
        job = self._queue.add(
            f"pull {hashlib.sha256('|'.join(parts).encode()).hexdigest()}",
            origin="pull",
            model=model,
            source=str(pulled.folder.resolve()),
            title=f"{pulled.modality} series from {self._host}",
            modality=pulled.modality,
            study_uid=pulled.study,
            series_uid=pulled.series,
            sender=self._host,
            rule=self._rule,
        )
        return job.id
