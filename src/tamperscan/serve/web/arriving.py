"""Queueing a scan that was looked into, and telling the audit trail of each of its images."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Final, Literal

from tamperscan.serve.audit import RECEIVED, AuditLog
from tamperscan.serve.queue import Job, Queue
from tamperscan.serve.web.probe import Contents

UPLOADED: Final = "uploaded"
"""Event of the audit trail: a scan came by the page. A line for each of its DICOM images comes before it."""

NAMED: Final = "named"
"""Event of the audit trail: a scan of this machine was named to the page. Lines of its images come before it."""


def queue_scan(
    queue: Queue,
    audit: AuditLog,
    contents: Contents,
    *,
    key: str,
    source: Path,
    title: str,
    event: Literal["uploaded", "named"],
    size: int | None = None,
) -> Job:
    """Queue a scan; one that is queued already is given back as it is, and nothing is told of it again.

    Parameters
    ----------
    queue, audit
        Of the home.
    contents
        What there is in the scan.
    key
        What tells this scan from others.
    source
        Where it lies.
    title
        What the page calls it.
    event
        How it came.
    size
        Its bytes, where they are known.
    """
    known = queue.knows(key)
    job = queue.add(
        key,
        origin="page",
        model="mr" if contents.modality == "MR" else "ct",
        source=str(source),
        title=title,
        modality=contents.modality,
        study_uid=contents.study_uid,
        series_uid=contents.series_uid,
    )
    if not known:
        audit.append_all((RECEIVED, {"job": job.id, "origin": "page", **asdict(one)}) for one in contents.arrivals)
        audit.append(event, job=job.id, images=contents.images, bytes=size, study=job.study_uid, series=job.series_uid)
    return job
