"""Where the results of a job are, and what of them may be downloaded.

Nothing a visitor sends becomes part of a path: he names a job by its id, which must be one in the queue, a scan by its
number, and a file by one of the names below.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tamperscan.report.schema import ScreeningDocument
from tamperscan.report.write import DICOM, DOCUMENT, NIFTI, PAGE
from tamperscan.serve.web.models import Download, ScanResult

VOLUMES: Final = ("scan", "suspicion", "residual")

_MOST_DOCUMENT: Final = 2**26
_CHUNK: Final = 2**16


@dataclass(frozen=True)
class ResultFolder:
    """The results of one scan.

    Attributes
    ----------
    folder
        What `tamperscan.report.write_report` wrote, with ``dicom`` and ``nifti`` in it.
    """

    folder: Path

    @property
    def document(self) -> Path:
        """``screening.json``."""
        return self.folder / DOCUMENT

    @property
    def page(self) -> Path:
        """``report.html``."""
        return self.folder / PAGE

    def volume(self, name: str) -> Path:
        """Path of one of `VOLUMES`."""
        return self.folder / NIFTI / f"{name}.nii.gz"

    @property
    def dicom(self) -> list[Path]:
        """DICOM results, by name."""
        return sorted((self.folder / DICOM).glob("*.dcm"))

    def read_document(self) -> dict[str, Any]:
        """Read ``screening.json``.

        Raises
        ------
        OSError, ValueError
            If it is missing or damaged.
        """
        if self.document.stat().st_size > _MOST_DOCUMENT:
            raise ValueError("too large")
        document: dict[str, Any] = json.loads(self.document.read_bytes())
        return document

    def pdf(self) -> bytes:
        """Make the report for printing, of what ``screening.json`` and the pictures beside it say.

        Raises
        ------
        OSError, ValueError
            If the document is missing or damaged.
        """
        from tamperscan.report.pdf import render_pdf

        document = ScreeningDocument.model_validate(self.read_document())
        pictures = {path.name: path.read_bytes() for path in self.folder.glob("*.png")}
        return render_pdf(document, pictures)


def result_folders(top: Path) -> list[ResultFolder]:
    """Find the scans in a job's result folder: the folder itself, or ``scan-1``, ``scan-2`` and so on in it."""
    if (top / DOCUMENT).is_file():
        return [ResultFolder(top)]
    folders = [folder for folder in top.glob("scan-*") if (folder / DOCUMENT).is_file()]
    return [ResultFolder(folder) for folder in sorted(folders, key=lambda one: (len(one.name), one.name))]


def scan_result(result: ResultFolder, number: int, address: str) -> ScanResult:
    """Say what came of a scan and what there is to download.

    Parameters
    ----------
    result
        Where it lies.
    number
        Of the scan, within its job.
    address
        Where the API has it, without a slash at the end.

    Raises
    ------
    OSError, ValueError, KeyError
        If its document is missing or damaged.
    """
    document = result.read_document()
    return ScanResult(
        number=number,
        name=document["scan"]["name"],
        verdict=document["verdict"],
        score=document["score"],
        p_value=document["p_value"],
        document=f"{address}/{DOCUMENT}",
        volumes={name: f"{address}/volumes/{name}.nii.gz" for name in VOLUMES if result.volume(name).is_file()},
        downloads=list(_downloads(result, address)),
    )


def _downloads(result: ResultFolder, address: str) -> Iterator[Download]:
    if result.page.is_file():
        yield Download(label="Report (HTML)", url=f"{address}/{PAGE}", bytes=result.page.stat().st_size)
    yield Download(label="Report (PDF)", url=f"{address}/report.pdf")
    yield Download(label="Result (JSON)", url=f"{address}/{DOCUMENT}", bytes=result.document.stat().st_size)
    if dicom := result.dicom:
        size = sum(path.stat().st_size for path in dicom)
        yield Download(label=f"DICOM results ({len(dicom)} objects, zip)", url=f"{address}/dicom.zip", bytes=size)
    suspicion = result.volume("suspicion")
    if suspicion.is_file():
        url = f"{address}/volumes/suspicion.nii.gz"
        yield Download(label="Suspicion map (NIfTI)", url=url, bytes=suspicion.stat().st_size)


def zipped(paths: list[Path]) -> Iterator[bytes]:
    """Pack files into a zip, on the disk and not in memory, and give it piece by piece."""
    with tempfile.TemporaryFile() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in paths:
                archive.write(path, path.name)
        file.seek(0)
        while chunk := file.read(_CHUNK):
            yield chunk
