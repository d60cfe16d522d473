"""What is to be screened: a job, and how it is named."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

Origin = Literal["node", "page", "pull"]
State = Literal["queued", "running", "done", "failed", "skipped"]
Decision = Literal["", "confirmed", "dismissed"]


@dataclass(frozen=True)
class Job:
    """One series, or one upload, to be screened.

    Attributes
    ----------
    id
        32 hexadecimal digits, never made from UIDs alone; names the folders of the job.
    origin
        ``"node"``, ``"page"`` or ``"pull"``.
    state
        ``"queued"``, ``"running"``, ``"done"``, ``"failed"`` (a dead letter, which `Queue.retry` queues again) or
        ``"skipped"``.
    model, head
        The detector that screens it, and one of its heads (None for the strongest).
    title
        What a person calls it; never a patient's name.
    note
        What is worth knowing beforehand, such as images that arrived twice with other pixels, or what a reader made of
        an earlier revision.
    modality, study_uid, series_uid, sender
        From the images and the association; empty where unknown.
    version
        0 for the images as they came first; 1 and more where images of the same UIDs came with other pixels.
    revision, superseded
        A series that grows is screened again as the next revision, and once that is done the earlier one is superseded.
    rule
        Name of the rule that matched.
    source
        The folder or file that is read.
    progress
        0 to 1.
    attempts, error
        How often it was begun, and why it failed last.
    verdict, score, p_value, alarm_rate
        What was said of the most suspicious scan of the source; the alarm rate is what was asked for (None: default).
    received, finished
        ISO times in UTC.
    decision, comment, reviewer
        What a reader made of it: ``"confirmed"``, ``"dismissed"`` or nothing yet.
    """

    id: str
    origin: str
    state: str
    model: str
    head: str | None
    title: str
    note: str
    modality: str
    study_uid: str
    series_uid: str
    version: int
    revision: int
    superseded: bool
    sender: str
    rule: str
    source: str
    progress: float
    attempts: int
    error: str
    verdict: str
    score: float | None
    p_value: float | None
    alarm_rate: float | None
    received: str
    finished: str
    decision: str
    comment: str
    reviewer: str


def utc_now() -> str:
    """Give the time as ISO text in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def job_id(key: str) -> str:
    """Give the id of the job of a key: the same key, the same job."""
    return hashlib.sha256(f"tamperscan job {key}".encode()).hexdigest()[:32]
