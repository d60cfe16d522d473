"""Taking a scan from a browser or a program, and queueing it."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from tamperscan.serve.audit import REFUSED
from tamperscan.serve.queue import Job
from tamperscan.serve.web.arriving import UPLOADED, queue_scan
from tamperscan.serve.web.form_files import Received, UploadError
from tamperscan.serve.web.models import JobFacts, Problem, job_facts
from tamperscan.serve.web.probe import probe
from tamperscan.serve.web.serving import Served, Service
from tamperscan.serve.web.uploads import check_announced, receive

router = APIRouter(prefix="/api/scans", tags=["scans"])

_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"file": {"type": "array", "items": {"type": "string", "format": "binary"}}},
                }
            }
        },
    }
}


@router.post(
    "",
    status_code=201,
    summary="Upload a scan and queue it",
    openapi_extra=_BODY,
    responses={
        400: {"model": Problem, "description": "The upload is damaged or empty."},
        408: {"model": Problem, "description": "Nothing more came for a minute."},
        413: {"model": Problem, "description": "It is larger than an upload may be."},
        415: {"model": Problem, "description": "It is no multipart/form-data."},
        422: {"model": Problem, "description": "There is no scan in it."},
        507: {"model": Problem, "description": "The disk is nearly full."},
    },
)
async def upload_scan(service: Served, request: Request) -> JobFacts:
    """Take the files of one scan: DICOM files, a zip of them, or a NIfTI file, one part a file.

    With curl: `curl -F file=@study.zip http://127.0.0.1:8765/api/scans`.
    """
    headers = request.headers
    uploads, limit = service.home.uploads, service.settings.upload_limit
    try:
        boundary = check_announced(headers.get("content-type", ""), headers.get("content-length", ""), uploads, limit)
        received = await receive(request.stream(), boundary, uploads, limit)
    except UploadError as error:
        # What was not read of a refused upload must not be taken for the next request.
        raise HTTPException(error.status, str(error), headers={"Connection": "close"}) from error
    except ClientDisconnect as error:
        raise HTTPException(400, "The upload broke off.") from error
    async with service.probing:
        return job_facts(await run_in_threadpool(_queue, service, received))


def _queue(service: Service, received: Received) -> Job:
    contents = probe(received.source)
    if contents.problem:
        received.discard()
        service.audit.append(REFUSED, origin="page", reason=contents.problem, bytes=received.size)
        raise HTTPException(422, f"There is no scan in this upload: {contents.problem}.".replace("..", "."))
    return queue_scan(
        service.queue,
        service.audit,
        contents,
        key=f"upload {received.folder.name}",
        source=received.source,
        title=received.title,
        event=UPLOADED,
        size=received.size,
    )
