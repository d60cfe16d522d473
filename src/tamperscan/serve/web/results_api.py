"""What came of a job: its documents, volumes and downloads."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi import Path as InPath
from starlette.responses import StreamingResponse

from tamperscan.report.schema import ScreeningDocument
from tamperscan.serve.web.models import ScanResult
from tamperscan.serve.web.results import result_folders, scan_result, zipped
from tamperscan.serve.web.serving import MISSING, FoundJob, FoundResult, JobId, ScanNumber, Served, file_response

router = APIRouter(prefix="/api/jobs/{job_id}/scans", tags=["results"])

REPORT_POLICY = "sandbox allow-downloads; default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""A report has its style and pictures inside and no scripts."""

_PARTIAL: dict[int | str, dict[str, Any]] = {
    206: {"description": "The part that was asked for."},
    304: {"description": "As the browser has it."},
}


def _is(kind: str, words: str) -> dict[int | str, dict[str, Any]]:
    schema = {"schema": {"type": "string", "format": "binary"}}
    return {200: {"content": {kind: schema}, "description": words}, **_PARTIAL, **MISSING}


@router.get("", summary="List the scans of a job and what came of each", responses=MISSING)
def list_results(service: Served, job: FoundJob) -> list[ScanResult]:
    """Give the results that there are; none before the job is done."""
    folders = result_folders(service.home.result_folder(job.id))
    try:
        return [
            scan_result(folder, number, f"/api/jobs/{job.id}/scans/{number}") for number, folder in enumerate(folders)
        ]
    except (OSError, ValueError, KeyError) as error:
        raise HTTPException(404, "The result of this job is damaged. Screen the scan again.") from error


@router.get(
    "/{number}/screening.json",
    summary="The result for machines",
    response_model=ScreeningDocument,
    responses={**_PARTIAL, **MISSING},
)
def screening_document(request: Request, result: FoundResult) -> Response:
    """Give `screening.json` as `tamperscan screen` writes it."""
    return file_response(request, result.document, "application/json")


@router.get(
    "/{number}/report.html",
    summary="The report for people",
    response_class=Response,
    responses=_is("text/html", "One page that needs nothing else."),
)
def report_page(request: Request, result: FoundResult) -> Response:
    """Give `report.html`, under a policy that lets nothing in it run or fetch."""
    response = file_response(request, result.page, "text/html")
    response.headers["Content-Security-Policy"] = REPORT_POLICY
    return response


@router.get(
    "/{number}/report.pdf",
    summary="The report for printing",
    response_class=Response,
    responses=_is("application/pdf", "The same as the page, to print."),
)
def report_pdf(job_id: JobId, number: ScanNumber, result: FoundResult) -> Response:
    """Give the PDF report."""
    try:
        content = result.pdf()
    except (OSError, ValueError) as error:
        raise HTTPException(404, "The result of this job is damaged. Screen the scan again.") from error
    name = f'inline; filename="tamperscan-{job_id[:8]}-{number}.pdf"'
    return Response(content, media_type="application/pdf", headers={"Content-Disposition": name})


@router.get(
    "/{number}/dicom.zip",
    summary="The results as DICOM",
    response_class=Response,
    responses=_is("application/zip", "Segmentation, structured report, key image and PDF."),
)
def dicom_results(job_id: JobId, number: ScanNumber, result: FoundResult) -> Response:
    """Give all DICOM objects of a result in one zip."""
    files = result.dicom
    if not files:
        raise HTTPException(404, "There are no DICOM results of this scan, as it was no DICOM itself.")
    name = f'attachment; filename="tamperscan-{job_id[:8]}-{number}-dicom.zip"'
    return StreamingResponse(zipped(files), media_type="application/zip", headers={"Content-Disposition": name})


@router.get(
    "/{number}/volumes/{name}.nii.gz",
    summary="A volume as NIfTI",
    response_class=Response,
    responses=_is("application/gzip", "The scan, the suspicion in it, or the noise that was predicted in it."),
)
def volume(
    request: Request,
    result: FoundResult,
    name: Annotated[Literal["scan", "suspicion", "residual"], InPath(description="Which volume.")],
) -> Response:
    """Give a volume; parts of it can be asked for by `Range`."""
    return file_response(request, result.volume(name), "application/gzip")
