"""The worklist, one job of it, and what a reader decides."""

from __future__ import annotations

import getpass
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request

from tamperscan.errors import ServeError
from tamperscan.serve.audit import DECIDED
from tamperscan.serve.web.models import Decision, DecisionRequest, JobFacts, JobPage, Problem, State, Verdict, job_facts
from tamperscan.serve.web.serving import MISSING, FoundJob, Served

router = APIRouter(prefix="/api/jobs", tags=["worklist"])

MOST_LISTED = 500


@router.get("", summary="List jobs, the latest first")
def list_jobs(
    service: Served,
    state: Annotated[State | None, Query(description="Only jobs in this state.")] = None,
    verdict: Annotated[Verdict | None, Query(description="Only jobs with this verdict.")] = None,
    decision: Annotated[Decision | None, Query(description="Only these; an empty text: nobody decided.")] = None,
    text: Annotated[str | None, Query(max_length=200, description="In title, sender, modality, model or UID.")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_LISTED, description="Most jobs to list.")] = 100,
    offset: Annotated[int, Query(ge=0, le=10**9, description="How many to pass over.")] = 0,
) -> JobPage:
    """Give part of the worklist, with the number of all jobs that meet the filters."""
    queue = service.queue
    found = queue.jobs(state, verdict, decision, text, limit, offset)
    return JobPage(items=[job_facts(job) for job in found], total=queue.count(state, verdict, decision, text))


@router.get("/{job_id}", summary="Show a job and how far it is", responses=MISSING)
def show_job(job: FoundJob) -> JobFacts:
    """Give one job; ask again, once a second or so, to follow its progress."""
    return job_facts(job)


@router.post(
    "/{job_id}/retry",
    summary="Screen a failed job again",
    responses={**MISSING, 409: {"model": Problem, "description": "It did not fail."}},
)
def retry_job(service: Served, job: FoundJob) -> JobFacts:
    """Queue a job again that failed for good."""
    try:
        service.queue.retry(job.id)
    except ServeError as error:
        raise HTTPException(409, "This job did not fail, so there is nothing to try again.") from error
    return job_facts(service.queue.job(job.id))


@router.put(
    "/{job_id}/decision",
    summary="Keep what a reader makes of a result",
    responses={**MISSING, 409: {"model": Problem, "description": "It is not screened yet."}},
)
def decide(service: Served, job: FoundJob, wanted: DecisionRequest, request: Request) -> JobFacts:
    """Confirm or dismiss a result with a comment, or take that back; the audit trail keeps every step."""
    if job.state != "done":
        raise HTTPException(409, "This scan is not screened yet. Decide when it is.")
    proven = str(request.state.reviewer)
    reviewer = proven or _printable(wanted.reviewer) or getpass.getuser()
    # First the trail, then the worklist: a decision that the trail could not take is not shown either.
    service.audit.append(
        DECIDED,
        job=job.id,
        study=job.study_uid,
        decision=wanted.decision or "taken back",
        comment=_printable(wanted.comment),
        reviewer=reviewer,
        reviewer_known_by="sign-in proxy" if proven else "own word",
        before=job.decision,
    )
    return job_facts(service.queue.decide(job.id, wanted.decision, wanted.comment.strip(), reviewer))


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()
