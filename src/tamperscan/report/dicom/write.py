"""Writing a screening as DICOM: what there is to write, in which order, and what could not be written and why."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tamperscan.detect.results import Screening
from tamperscan.files import make_folder
from tamperscan.report.dicom.common import Job
from tamperscan.report.dicom.document import write_document
from tamperscan.report.dicom.key_images import MOST, write_key_images
from tamperscan.report.dicom.segmentation import FILE as FINDINGS_FILE
from tamperscan.report.dicom.segmentation import write_segmentation
from tamperscan.report.dicom.sources import read_sources
from tamperscan.report.dicom.structured_report import write_structured_report
from tamperscan.report.dicom.suspicion_map import FILE as SUSPICION_FILE
from tamperscan.report.dicom.suspicion_map import write_suspicion_map
from tamperscan.report.dicom.uids import numbering
from tamperscan.report.schema import screening_document
from tamperscan.report.write import draw_pictures


@dataclass(frozen=True)
class DicomResults:
    """Where the results lie, and what is missing.

    Attributes
    ----------
    structured_report, document
        The Structured Report and the Encapsulated PDF; there is always one of each.
    key_images
        The Secondary Captures, at least one.
    segmentation
        The findings; None where there are none, or they can't be placed.
    suspicion_map
        None where nothing was measured, or it can't be placed.
    notes
        What was left out although there was something to write, and why, one sentence each.
    """

    structured_report: Path
    document: Path
    key_images: tuple[Path, ...]
    segmentation: Path | None = None
    suspicion_map: Path | None = None
    notes: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files that were written."""
        all_of_them = (self.segmentation, self.suspicion_map, self.structured_report, *self.key_images, self.document)
        return tuple(path for path in all_of_them if path is not None)


def write_dicom_results(
    screening: Screening,
    folder: str | Path,
    *,
    now: datetime | None = None,
    pictures: Mapping[str, bytes] | None = None,
) -> DicomResults:
    """Write a screening as DICOM objects in the patient's own study.

    UIDs are derived from the source images, the pixels and the detector: the same screening, written again, gives
    the same objects, so that an archive that gets both keeps one.

    Parameters
    ----------
    screening
        What a detector said of a scan that was read from DICOM files, which are read once more.
    folder
        Where the files go; it is made where it is missing.
    now
        When the results are made, as stated in them; the present if None.
    pictures
        What `tamperscan.report.write.draw_pictures` drew of it; it is asked to if None.

    Raises
    ------
    OutputError
        Where the source can't be read any more or names no study, or a file can't be written.
    """
    folder = Path(folder)
    sources = read_sources(screening.scan)
    make_folder(folder)
    job = Job(screening, sources, numbering(screening, sources), folder, now or datetime.now().astimezone())
    document = screening_document(screening)
    drawn = draw_pictures(screening, document) if pictures is None else pictures
    with_findings = bool(screening.findings) and not sources.unplaced
    with_map = bool(screening.regions.any()) and not sources.unplaced
    _clear(folder, keep_findings=with_findings, keep_map=with_map)
    segmentation = write_segmentation(job) if with_findings else None
    return DicomResults(
        segmentation=segmentation,
        suspicion_map=write_suspicion_map(job) if with_map else None,
        structured_report=write_structured_report(job, segmented=with_findings),
        key_images=write_key_images(job, document, drawn),
        document=write_document(job, document, drawn),
        notes=_notes(screening, sources.unplaced),
    )


def _notes(screening: Screening, unplaced: str) -> tuple[str, ...]:
    if not unplaced or not screening.regions.any():
        return ()
    what = "segmentation and the suspicion map were" if screening.findings else "suspicion map was"
    return (f"{unplaced} The {what} left out; the other DICOM results are there.",)


def _clear(folder: Path, *, keep_findings: bool, keep_map: bool) -> None:
    """Take away files of an earlier run that would pass for results of this one."""
    stale = [folder / f"key_image_{number:02}.dcm" for number in range(1, MOST + 1)]
    stale += [] if keep_findings else [folder / FINDINGS_FILE]
    stale += [] if keep_map else [folder / SUSPICION_FILE]
    for path in stale:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
