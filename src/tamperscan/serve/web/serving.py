"""What every route works with: the queue, the settings, and the way from a job's id to its files."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import Depends, HTTPException, Request, Response
from fastapi import Path as InPath
from starlette.responses import FileResponse

from tamperscan.errors import ServeError
from tamperscan.serve.audit import AuditLog
from tamperscan.serve.home import Home
from tamperscan.serve.queue import Job, Queue
from tamperscan.serve.web.models import Problem
from tamperscan.serve.web.results import ResultFolder, result_folders
from tamperscan.serve.web.settings import PageSettings

JobId = Annotated[str, InPath(pattern="^[0-9a-f]{32}$", description="Id of a job.")]
ScanNumber = Annotated[int, InPath(ge=0, le=9999, description="Number of a scan within the job, from 0.")]

REFUSALS: Final[dict[int | str, dict[str, Any]]] = {
    401: {"model": Problem, "description": "Sign in first."},
    403: {"model": Problem, "description": "The request came from another site, or not through the proxy."},
    421: {"model": Problem, "description": "The page is not served under that name."},
}
"""What any route may answer, as the guard comes before all of them."""

MISSING: Final[dict[int | str, dict[str, Any]]] = {404: {"model": Problem, "description": "There is no such thing."}}


@dataclass(frozen=True)
class Service:
    """What a running page has at hand.

    Attributes
    ----------
    home, queue, audit, settings
        Whose page it is, and how it is served.
    probing
        Held while an upload is looked into, which takes a process and its memory.
    refusing
        Held while a wrong token is answered, which takes a while.
    """

    home: Home
    queue: Queue
    audit: AuditLog
    settings: PageSettings
    probing: asyncio.Lock = field(default_factory=asyncio.Lock)
    refusing: asyncio.Lock = field(default_factory=asyncio.Lock)


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


Served = Annotated[Service, Depends(_service)]


def find_job(service: Served, job_id: JobId) -> Job:
    """Find a job, or answer 404."""
    try:
        return service.queue.job(job_id)
    except ServeError as error:
        raise HTTPException(404, "There is no such job. It may have been removed; see the worklist.") from error


FoundJob = Annotated[Job, Depends(find_job)]


def find_result(service: Served, job: FoundJob, number: ScanNumber) -> ResultFolder:
    """Find what came of a scan, or answer 404."""
    folders = result_folders(service.home.result_folder(job.id))
    if number >= len(folders):
        raise HTTPException(404, "There is no such result. The scan may not be screened yet.")
    return folders[number]


FoundResult = Annotated[ResultFolder, Depends(find_result)]


def file_response(request: Request, path: Path, media_type: str, *, download: str = "") -> Response:
    """Give a file: in parts where a part is asked for, and not again where the browser has it already.

    Parameters
    ----------
    request
        Its ``Range`` and ``If-None-Match`` are heeded.
    path
        The file.
    media_type
        What it is.
    download
        Name to save it under; empty to show it.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise HTTPException(404, "There is no such file in this result.") from error
    # A result is written once; the browser may keep it, but asks whether it is still the same.
    etag = f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'
    headers = {"Cache-Control": "private, no-cache", "ETag": etag}
    headers["Last-Modified"] = formatdate(stat.st_mtime, usegmt=True)
    if etag in [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]:
        return Response(status_code=304, headers=headers)
    return FileResponse(path, media_type=media_type, headers=headers, filename=download or None, stat_result=stat)
