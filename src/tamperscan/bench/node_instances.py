"""Synthetic CT series to load a node with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, generate_uid


@dataclass(frozen=True)
class SyntheticSeries:
    """One series on the disk.

    Attributes
    ----------
    study_uid, series_uid
        Its UIDs.
    files
        Its images by SOP instance UID.
    """

    study_uid: str
    series_uid: str
    files: dict[str, Path]


def write_series(folder: Path, *, slices: int, side: int, seed: int = 0, modality: str = "CT") -> SyntheticSeries:
    """Write a series of noise: images as a scanner sends them, which no detector takes for a patient.

    Parameters
    ----------
    folder
        Where to; it is made.
    slices, side
        Number of images, and their rows and columns.
    seed
        Chooses the noise and the UIDs.
    modality
        What the images say that they are.
    """
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    study, series = (generate_uid(entropy_srcs=[str(folder), str(seed), kind]) for kind in ("study", "series"))
    files: dict[str, Path] = {}
    for index in range(slices):
        uid = generate_uid(entropy_srcs=[series, str(index)])
        image = make_image(study, series, uid, index=index, side=side, generator=generator, modality=modality)
        files[uid] = folder / f"{index:04}.dcm"
        image.save_as(files[uid], enforce_file_format=True)
    return SyntheticSeries(study, series, files)


def make_image(
    study: str, series: str, uid: str, *, index: int, side: int, generator: np.random.Generator, modality: str = "CT"
) -> Dataset:
    """Make one CT image of noise (PS3.3 A.3), in Explicit VR Little Endian.

    Parameters
    ----------
    study, series, uid
        Its UIDs.
    index
        Which slice; they lie 2 mm apart.
    side
        Rows and columns.
    generator
        Draws the noise.
    modality
        What it says that it is.
    """
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = CTImageStorage
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = UID(uid)
    image.StudyInstanceUID, image.SeriesInstanceUID = study, series
    image.PatientName, image.PatientID, image.PatientBirthDate, image.PatientSex = "Synthetic^Patient", "S1", "", ""
    image.StudyDate, image.StudyTime, image.StudyID, image.AccessionNumber = "20200101", "120000", "1", ""
    image.ReferringPhysicianName, image.Manufacturer, image.FrameOfReferenceUID = "", "Synthetic", f"{series}.1"[:64]
    image.PositionReferenceIndicator, image.SeriesNumber, image.AcquisitionNumber = "", 1, 1
    image.Modality, image.SeriesDescription, image.BodyPartExamined = modality, "synthetic", "CHEST"
    image.InstanceNumber, image.ImageType, image.KVP = index + 1, ["ORIGINAL", "PRIMARY", "AXIAL"], 120
    image.Rows = image.Columns = side
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 1
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.PixelSpacing, image.SliceThickness = [0.7, 0.7], 2
    image.ImageOrientationPatient, image.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 2 * index]
    image.RescaleIntercept, image.RescaleSlope, image.RescaleType = 0, 1, "HU"
    image.PixelData = generator.normal(0, 20, (side, side)).astype("<i2").tobytes()
    return image
