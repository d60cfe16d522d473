"""Writing a report's files, each whole or not at all."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
from numpy.typing import NDArray

from tamperscan.detect.ahead import map_ahead
from tamperscan.detect.results import Screening
from tamperscan.errors import OutputError
from tamperscan.files import make_folder, write_file
from tamperscan.report.schema import FileNames, ScreeningDocument, screening_document

if TYPE_CHECKING:  # loaded only where they are asked for
    from tamperscan.diffusion.weights import Weights
    from tamperscan.report.dicom import DicomResults

DOCUMENT = "screening.json"
PAGE = "report.html"
SLICES = "slices.png"
COMPARISON = "comparison.png"
SUSPICION = "suspicion.npz"
DICOM = "dicom"
NIFTI = "nifti"
MOST_PICTURES = 10
_LARGEST_HALF = 60_000.0  # what a half float holds, less what rounding may add
_PACKING = 4  # half the time of zlib's own choice for a map that is 7 % larger


@dataclass(frozen=True)
class ReportFiles:
    """Where a report's files lie.

    Attributes
    ----------
    folder
        The folder that holds them all.
    document
        What ``screening.json`` holds.
    json
        ``screening.json``.
    page
        ``report.html``.
    pictures
        The PNGs, none where they were not asked for.
    suspicion
        ``suspicion.npz``, None where the detector measured nothing.
    dicom, nifti
        What was written in the folders ``dicom`` and ``nifti``, nothing where it was not asked for.
    notes
        What DICOM results leave out and why, one sentence each.
    problem
        Why there are no DICOM results although they were asked for, a sentence; empty where they are there.
    """

    folder: Path
    document: ScreeningDocument
    json: Path
    page: Path
    pictures: tuple[Path, ...] = ()
    suspicion: Path | None = None
    dicom: tuple[Path, ...] = ()
    nifti: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    problem: str = ""


def write_report(
    screening: Screening,
    folder: str | Path,
    *,
    pictures: bool = True,
    dicom: bool = False,
    nifti: bool = False,
    like_source: bool = False,
    weights: Weights | None = None,
    threads: int | None = None,
) -> ReportFiles:
    """Write a screening's report into a folder, which is made where it is missing.

    Each file replaces one of the same name from an earlier run in a single step, and nothing else in the
    folder is touched. ``screening.json`` comes last: where it is new, everything that it names is there.

    Parameters
    ----------
    screening
        What a detector said of a scan.
    folder
        Where the files go.
    pictures
        Whether to draw the findings, the slices and the comparison.
    dicom
        Whether to write DICOM results, in the folder ``dicom``. A scan that was not read from DICOM has none; then, and
        where its study can't take them, the report says so in ``problem``.
    nifti
        Whether to write the scan and its maps as NIfTI, in the folder ``nifti``.
    like_source
        Whether the NIfTI files of a NIfTI scan have its order of axes, see `tamperscan.report.nifti.write_nifti`.
    weights
        The detector's, for the noise residual among the NIfTI files.
    threads
        CPU threads for the residual; None for all that this process may use.

    Raises
    ------
    OutputError
        Where the folder or a file in it can't be written.
    """
    folder = Path(folder)
    make_folder(folder)
    document = screening_document(screening)
    drawn = draw_pictures(screening, document) if pictures else {}
    suspicion = _suspicion_archive(screening)
    results, problem = _dicom_results(screening, folder / DICOM, drawn if pictures else None) if dicom else (None, "")
    maps = _nifti_files(screening, folder / NIFTI, weights, threads, like_source) if nifti else ()
    files = _file_names(drawn, suspicion is not None).model_copy(
        update={
            "dicom": [f"{DICOM}/{path.name}" for path in (results.paths if results else ())],
            "nifti": [f"{NIFTI}/{path.name}" for path in maps],
        }
    )
    document = document.model_copy(update={"files": files})
    for name, picture in drawn.items():
        write_file(folder / name, picture)
    if suspicion is not None:
        write_file(folder / SUSPICION, suspicion)
    write_file(folder / PAGE, _page(document, drawn))
    write_file(folder / DOCUMENT, (document.model_dump_json(indent=2) + "\n").encode())
    return ReportFiles(
        folder=folder,
        document=document,
        json=folder / DOCUMENT,
        page=folder / PAGE,
        pictures=tuple(folder / name for name in drawn),
        suspicion=None if suspicion is None else folder / SUSPICION,
        dicom=results.paths if results else (),
        nifti=maps,
        notes=results.notes if results else (),
        problem=problem,
    )


def _dicom_results(
    screening: Screening, folder: Path, drawn: dict[str, bytes] | None
) -> tuple[DicomResults | None, str]:
    """Write DICOM results, or say why there are none: the rest of the report is worth having all the same."""
    from tamperscan.report.dicom import write_dicom_results

    try:
        return write_dicom_results(screening, folder, pictures=drawn), ""
    except OutputError as error:
        return None, str(error)


def _nifti_files(
    screening: Screening, folder: Path, weights: Weights | None, threads: int | None, like_source: bool
) -> tuple[Path, ...]:
    from tamperscan.report.nifti import write_nifti

    return write_nifti(screening, folder, weights=weights, threads=threads, like_source=like_source).paths


def draw_pictures(screening: Screening, document: ScreeningDocument) -> dict[str, bytes]:
    """Draw all pictures of a report: PNGs by file name.

    Parameters
    ----------
    screening
        What a detector said of a scan.
    document
        The same, as the document that charts are drawn from.
    """
    # Drawing loads matplotlib, which a run without pictures has no use for.
    from tamperscan.report.charts import comparison_figure, slices_figure
    from tamperscan.report.figures import finding_figure, suspicion_range

    drawn: dict[str, bytes] = {}
    if any(result.score is not None for result in document.slices):
        drawn[SLICES] = slices_figure(document)
    comparison = comparison_figure(document)
    if comparison is not None:
        drawn[COMPARISON] = comparison
    findings = screening.findings[:MOST_PICTURES]
    heat_range = suspicion_range(screening) if findings else (0.0, 0.0)
    for number, finding in enumerate(findings, start=1):
        drawn[f"finding_{number:02}.png"] = finding_figure(screening, finding, heat_range)
    return drawn


def _suspicion_archive(screening: Screening) -> bytes | None:
    """Pack the suspicion map as NumPy would; None where the detector measured nothing.

    Slices are rounded ahead of the packing, so that no second map of the whole scan is made.
    """
    if not screening.regions.any():
        return None
    buffer = io.BytesIO()
    facts = {"descr": "<f2", "fortran_order": False, "shape": screening.suspicion.shape}
    slices = zip(screening.suspicion, screening.regions, strict=True)
    with (
        ZipFile(buffer, "w", ZIP_DEFLATED, compresslevel=_PACKING) as archive,
        archive.open("suspicion.npy", "w", force_zip64=True) as packed,
    ):
        np.lib.format.write_array_header_1_0(packed, facts)
        for halves in map_ahead(lambda each: _halves(*each), slices, workers=2):
            packed.write(halves.tobytes())
    return buffer.getvalue()


def _halves(suspicion: NDArray[np.float32], looked: NDArray[np.bool_]) -> NDArray[np.float16]:
    """Round one slice to half floats of 7 binary digits.

    1 % of the value is more than the map means, and packs to half of what 10 digits take; zeros outside the regions
    pack to nothing.
    """
    values = np.where(looked, np.nan_to_num(suspicion), 0)
    bits = np.clip(values, -_LARGEST_HALF, _LARGEST_HALF).astype("<f2").view("<u2")
    bits += 4
    bits &= 0xFFF8
    return bits.view("<f2")


def _file_names(drawn: dict[str, bytes], has_suspicion: bool) -> FileNames:
    return FileNames(
        report=PAGE,
        slices=SLICES if SLICES in drawn else None,
        comparison=COMPARISON if COMPARISON in drawn else None,
        findings=[name for name in drawn if name.startswith("finding_")],
        suspicion=SUSPICION if has_suspicion else None,
    )


def _page(document: ScreeningDocument, drawn: dict[str, bytes]) -> bytes:
    from tamperscan.report.html import render_html

    return render_html(document, drawn).encode()
