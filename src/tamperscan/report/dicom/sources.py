"""The source images of a scan, read again for what results must repeat of them: patient, study, places, UIDs."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage

from tamperscan.errors import OutputError, ScanError
from tamperscan.report.dicom.frames import slots_of
from tamperscan.report.dicom.identity import REQUIRED, identity_of
from tamperscan.scan.attributes import Attributes
from tamperscan.scan.forged import is_forged
from tamperscan.scan.sources import FileSource, Source, ZipSource
from tamperscan.scan.volume import Scan

_AGAIN: Final = "Screen the scan again from where it lies now"
_EVEN: Final = 0.01
"""How far steps may differ and still be the same, as a part of them."""

SINGLE_FRAME: Final = {"CT": CTImageStorage, "MR": MRImageStorage}


@dataclass(frozen=True, eq=False)
class SourceSlice:
    """Where one slice of a scan came from.

    Attributes
    ----------
    header
        What references need of the image: UIDs, size, frame of reference; nothing of the patient.
    frame
        Number of the frame, from 1; None for a single-frame image.
    position
        ImagePositionPatient in mm; None where it is not stated.
    """

    header: Dataset
    frame: int | None
    position: tuple[float, float, float] | None


@dataclass(frozen=True, eq=False)
class SourceSeries:
    """The series that a scan came from.

    Attributes
    ----------
    identity
        The patient and study modules, as they are in the source, with its character sets.
    slices
        In the order of the scan's slices.
    orientation, spacing, thickness
        ImageOrientationPatient, PixelSpacing and SliceThickness in mm; None where they are not stated.
    step
        Distance between neighbouring slices along their normal in mm; None where it is not the same for all.
    unplaced
        Why results can't be placed in the patient, a sentence; empty where they can.
    body_part
        BodyPartExamined and Laterality, as far as they are stated.
    number
        SeriesNumber; None where there is none.
    forged
        Whether the source says that tamperscan forged it.
    """

    identity: Dataset
    slices: tuple[SourceSlice, ...]
    orientation: tuple[float, ...] | None
    spacing: tuple[float, float] | None
    thickness: float | None
    step: float | None
    unplaced: str
    body_part: Dataset
    number: int | None
    forged: bool

    @property
    def first(self) -> Dataset:
        """Header of the first slice's image."""
        return self.slices[0].header

    @property
    def images(self) -> list[Dataset]:
        """Headers of the images, each once."""
        return list({str(slice_.header.SOPInstanceUID): slice_.header for slice_ in self.slices}.values())


def from_dicom(scan: Scan) -> bool:
    """Whether a scan was read from DICOM files."""
    return "TransferSyntaxUID" in scan.metadata


def read_sources(scan: Scan) -> SourceSeries:
    """Read the headers of a scan's source images again.

    Parameters
    ----------
    scan
        A scan that was read from DICOM files, which must still be where they were.

    Raises
    ------
    OutputError
        Where a file is gone or altered, or does not say to which study it belongs.
    """
    if not from_dicom(scan):
        raise OutputError(f"{scan.name}: was not read from DICOM files, so there is no study for DICOM results.")
    with ExitStack() as opened, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _read(scan, _open(scan.sources, opened))
        except ScanError as error:
            raise OutputError(
                f"{error.path}: {error.problem}, so DICOM results can't refer to it. {_AGAIN}."
            ) from error


def _open(labels: Sequence[str], opened: ExitStack) -> list[Source]:
    """Find the files that a scan's labels name, in folders and zip archives."""
    archives: dict[Path, zipfile.ZipFile] = {}
    return [_source(label, archives, opened) for label in labels]


def _source(label: str, archives: dict[Path, zipfile.ZipFile], opened: ExitStack) -> Source:
    path = Path(label)
    if path.is_file():
        return FileSource(path)
    for parent in path.parents:
        if parent.is_file():
            return _member(label, parent, archives, opened)
    raise ScanError(label, "does not exist any more", _AGAIN)


def _member(label: str, path: Path, archives: dict[Path, zipfile.ZipFile], opened: ExitStack) -> Source:
    try:
        if path not in archives:
            archives[path] = opened.enter_context(zipfile.ZipFile(path))
        return ZipSource(archives[path], str(path), archives[path].getinfo(label.removeprefix(f"{path}/")))
    except (KeyError, OSError, zipfile.BadZipFile) as error:
        raise ScanError(label, "does not exist any more", _AGAIN) from error


def _read(scan: Scan, sources: Sequence[Source]) -> SourceSeries:
    datasets = [_header(source) for source in sources]
    facts = [Attributes(dataset) for dataset in datasets]
    _check_named(scan, facts)
    slots = slots_of(scan, sources, datasets)
    places = [Attributes(datasets[file], frame) for file, frame in slots]
    unplaced = _why_unplaced(places)
    frame_of_reference = "" if unplaced else places[0].text("FrameOfReferenceUID")
    headers = [_neutral(dataset, scan, frame_of_reference) for dataset in datasets]
    return SourceSeries(
        identity=identity_of(datasets[0]),
        slices=tuple(
            SourceSlice(headers[file], frame + 1 if _has_frames(datasets[file]) else None, _position(place))
            for (file, frame), place in zip(slots, places, strict=True)
        ),
        orientation=places[0].numbers("ImageOrientationPatient", 6),
        spacing=_pair(places[0].numbers("PixelSpacing", 2)),
        thickness=places[0].number("SliceThickness"),
        step=None if unplaced else _even_step(places),
        unplaced=unplaced,
        body_part=_body_part(facts[0]),
        number=None if (number := facts[0].number("SeriesNumber")) is None else int(number),
        forged=any(is_forged(dataset) for dataset in datasets),
    )


def _has_frames(dataset: Dataset) -> bool:
    """Whether references must name a frame; some single-frame images state that they have one."""
    return "PerFrameFunctionalGroupsSequence" in dataset or int(Attributes(dataset).number("NumberOfFrames") or 1) > 1


def _header(source: Source) -> Dataset:
    """Read everything up to the pixels."""
    try:
        with source.open() as stream:
            dataset = pydicom.dcmread(stream, force=True, stop_before_pixels=True)
            _ = len(dataset)
    except ScanError:
        raise
    except Exception as error:  # pydicom raises whatever the bytes provoke
        raise ScanError(source.label, "can't be read any more", _AGAIN) from error
    return dataset


def _check_named(scan: Scan, facts: Sequence[Attributes]) -> None:
    """Refuse images that results could neither be filed with nor refer to."""
    for keyword, what in (("StudyInstanceUID", "study"), ("SeriesInstanceUID", "series")):
        found = {each.text(keyword) for each in facts}
        if found == {""}:
            raise OutputError(f"{scan.name}: its files name no {what} ({keyword}), so DICOM results belong nowhere.")
        if len(found) > 1:
            raise OutputError(f"{scan.name}: its files name more than one {what}, so DICOM results can't be filed.")
        if found != {scan.metadata.get(keyword)}:
            raise OutputError(f"{scan.name}: its files are of another {what} than when they were screened. {_AGAIN}.")
    if not all(each.text("SOPInstanceUID") for each in facts):
        raise OutputError(f"{scan.name}: has images without a SOPInstanceUID, to which nothing can refer.")


def _why_unplaced(places: Sequence[Attributes]) -> str:
    """Say what is missing to place results in the patient; empty where nothing is."""
    frames = {place.text("FrameOfReferenceUID") for place in places}
    if frames == {""}:
        return "The images name no frame of reference."
    if len(frames) > 1:
        return "The images name more than one frame of reference."
    for keyword, count in (("ImagePositionPatient", 3), ("ImageOrientationPatient", 6), ("PixelSpacing", 2)):
        if any(place.numbers(keyword, count) is None for place in places):
            return f"Images do not state their {keyword}."
    orientations = np.array([place.numbers("ImageOrientationPatient", 6) for place in places])
    if not _at_right_angles(orientations[0]):
        return "The images state an impossible orientation."
    return ""


def _at_right_angles(orientation: NDArray[np.float64]) -> bool:
    pair = orientation.reshape(2, 3)
    return bool((np.abs(np.linalg.norm(pair, axis=1) - 1) < 0.05).all() and abs(pair[0] @ pair[1]) < 0.01)


def _even_step(places: Sequence[Attributes]) -> float | None:
    positions = np.array([place.numbers("ImagePositionPatient", 3) for place in places])
    axes = np.array(places[0].numbers("ImageOrientationPatient", 6)).reshape(2, 3)
    steps = np.diff(positions @ np.cross(axes[0], axes[1]))
    even = steps.size and np.abs(steps - steps[0]).max() <= _EVEN * abs(steps[0])
    return float(np.mean(steps)) if even else None


def _body_part(facts: Attributes) -> Dataset:
    made = Dataset()
    for keyword in ("BodyPartExamined", "Laterality"):
        if text := facts.text(keyword):
            setattr(made, keyword, text)
    return made


def _position(place: Attributes) -> tuple[float, float, float] | None:
    found = place.numbers("ImagePositionPatient", 3)
    return None if found is None else (found[0], found[1], found[2])


def _pair(values: tuple[float, ...] | None) -> tuple[float, float] | None:
    return None if values is None else (values[0], values[1])


def _neutral(dataset: Dataset, scan: Scan, frame_of_reference: str) -> Dataset:
    """Make a header that holds what highdicom needs of a source image, and nothing that could trip it."""
    facts = Attributes(dataset)
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(made, keyword, facts.text(keyword))
    made.SOPClassUID = facts.text("SOPClassUID") or SINGLE_FRAME[scan.modality]
    made.Modality = scan.modality
    for keyword in REQUIRED:
        setattr(made, keyword, "")
    made.Rows, made.Columns = scan.shape[1:]
    made.LossyImageCompression = "01" if scan.lossy else "00"
    if frame_of_reference:
        made.FrameOfReferenceUID, made.PositionReferenceIndicator = frame_of_reference, ""
    return made
