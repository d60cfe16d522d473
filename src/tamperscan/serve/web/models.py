"""What the API takes and gives; FastAPI makes the OpenAPI description from these."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from tamperscan.serve.queue import Job

State = Literal["queued", "running", "done", "failed", "skipped"]
Verdict = Literal["clear", "suspicious", "abstained"]
Decision = Literal["", "confirmed", "dismissed"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Problem(_Part):
    """Why a request was refused."""

    detail: str = Field(description="What is wrong and what to do, in one or two sentences.")


class About(_Part):
    """What a page needs to know before anything else."""

    version: str = Field(description="Version of tamperscan.")
    disclaimer: str = Field(description="What a reader of any result must know.")
    upload_limit: int = Field(description="Most bytes of one upload.")
    reviewer: str = Field(description="Who the sign-in proxy says this is; empty where there is none.")
    signed_in: bool = Field(description="Whether a token was asked for, so that signing out makes sense.")


class JobFacts(_Part):
    """One scan, or several that came together, on its way through the queue."""

    id: str = Field(description="32 hexadecimal digits.")
    title: str = Field(description="What people call it; no patient's name.")
    origin: Literal["node", "page", "pull"] = Field(description="How it came.")
    state: State
    model: str = Field(description="The detector that screens it.")
    modality: str = Field(description='"CT" or "MR"; empty where unknown.')
    study_uid: str = Field(description="StudyInstanceUID; empty where unknown.")
    series_uid: str = Field(description="SeriesInstanceUID; empty where unknown.")
    sender: str = Field(description="Who sent it, such as an AE title; empty where unknown.")
    note: str = Field(description="What is worth knowing beforehand; mostly empty.")
    progress: float = Field(ge=0, le=1, description="How much of it is screened.")
    attempts: int = Field(description="How often screening was begun.")
    error: str = Field(description="Why it failed last; empty where it did not.")
    verdict: Literal["", "clear", "suspicious", "abstained"] = Field(description="Of its most suspicious scan.")
    score: float | None = Field(description="Larger is more suspicious.")
    p_value: float | None = Field(description="Chance of such a score on an authentic scan.")
    received: str = Field(description="ISO time, UTC.")
    finished: str = Field(description="ISO time, UTC; empty where it is not finished.")
    decision: Decision = Field(description="What a reader made of it; empty where nobody decided.")
    comment: str
    reviewer: str = Field(description="Who decided.")


class JobPage(_Part):
    """Part of the worklist."""

    items: list[JobFacts] = Field(description="The latest first.")
    total: int = Field(description="How many there are in all that meet the filters.")


class DecisionRequest(_Part):
    """What a reader makes of a result."""

    decision: Decision = Field(description="An empty text takes an earlier decision back.")
    comment: str = Field(default="", max_length=2000)
    reviewer: str = Field(
        default="", max_length=200, description="Who decides; only where no sign-in proxy says who it is."
    )


class LoginRequest(_Part):
    """The token, to be exchanged for a cookie."""

    token: str = Field(max_length=1000)


class Download(_Part):
    """A file that can be had of a result."""

    label: str = Field(description="What it is, for people.")
    url: str = Field(description="Where it is, beginning with a slash.")
    bytes: int | None = Field(default=None, description="How large it is; null where it is made on demand.")


class ScanResult(_Part):
    """What came of one scan of a job."""

    number: int = Field(description="From 0, within the job.")
    name: str
    verdict: Verdict
    score: float | None
    p_value: float | None
    document: str = Field(description="Address of screening.json.")
    volumes: dict[Literal["scan", "suspicion", "residual"], str] = Field(
        description="Addresses of the NIfTI volumes that there are; all have the scan's grid."
    )
    downloads: list[Download]


def job_facts(job: Job) -> JobFacts:
    """Give a job as the API gives it: without the paths of this machine."""
    return JobFacts.model_validate({name: getattr(job, name) for name in JobFacts.model_fields})
