"""Where a service keeps everything that must outlive it: one folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tamperscan.errors import ServeError
from tamperscan.files import make_folder

_JOB_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Home:
    """The folder of a node and a page, which share it.

    Attributes
    ----------
    root
        The folder. No name below it is ever made from a UID, or from anything else that a file says.
    """

    root: Path

    @property
    def database(self) -> Path:
        """SQLite: the ledger of instances, the jobs and the deliveries."""
        return self.root / "tamperscan.db"

    @property
    def spool(self) -> Path:
        """Instances as they were received, named by the SHA-256 of their content."""
        return self.root / "spool"

    @property
    def sources(self) -> Path:
        """One folder a job with the instances that it screens, linked from the spool."""
        return self.root / "sources"

    @property
    def results(self) -> Path:
        """One folder a job with what came of it."""
        return self.root / "results"

    @property
    def audit_log(self) -> Path:
        """The audit trail, JSON lines."""
        return self.root / "audit.jsonl"

    @property
    def uploads(self) -> Path:
        """What the page received."""
        return self.root / "uploads"

    def result_folder(self, job_id: str) -> Path:
        """Give the folder of a job's results.

        Parameters
        ----------
        job_id
            32 hexadecimal digits.

        Raises
        ------
        ServeError
            If it is anything else.
        """
        return self.results / _checked(job_id)

    def source_folder(self, job_id: str) -> Path:
        """Give the folder of the instances that a job screens; like `result_folder`."""
        return self.sources / _checked(job_id)

    def prepare(self) -> None:
        """Make the folders that are missing; none but their owner may look into them.

        Raises
        ------
        OutputError
            Where one can't be made or written to.
        """
        for folder in (self.root, self.spool, self.sources, self.results, self.uploads):
            new = not folder.exists()
            make_folder(folder)
            if new:
                folder.chmod(0o700)


def _checked(job_id: str) -> str:
    if not _JOB_ID.fullmatch(job_id):
        raise ServeError(f"{job_id!r} is no job. Take the id from `tamperscan node status --json`.")
    return job_id
