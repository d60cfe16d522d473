"""Makes small DICOM files for the tests: every attribute can be set, or left out by giving None."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

CT_CLASS = "1.2.840.10008.5.1.4.1.1.2"
MR_CLASS = "1.2.840.10008.5.1.4.1.1.4"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"
AXIAL = (1, 0, 0, 0, 1, 0)


def hounsfield(count=5, rows=20, columns=24, seed=0):
    """Integers [slice, row, column] between -1000 and 1000."""
    return np.random.default_rng(seed).integers(-1000, 1000, (count, rows, columns), dtype=np.int16)


def dataset(plane, **values):
    """A CT image of HU ``plane`` [row, column] (or stored values, with another RescaleIntercept)."""
    plane = np.asarray(plane)
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = values.pop("syntax", ExplicitVRLittleEndian)
    facts = {
        "SOPClassUID": CT_CLASS,
        "SOPInstanceUID": generate_uid(),
        "StudyInstanceUID": "1.2.3",
        "SeriesInstanceUID": "1.2.3.4",
        "SeriesNumber": 3,
        "PatientName": "Nobody^Knows",
        "Modality": "CT",
        "Manufacturer": "Maker",
        "ConvolutionKernel": "B30f",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "ImageOrientationPatient": list(AXIAL),
        "ImagePositionPatient": [0, 0, 0],
        "PixelSpacing": [0.5, 0.75],
        "SliceThickness": 2,
        "InstanceNumber": 1,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": plane.shape[-2],
        "Columns": plane.shape[-1],
        "BitsAllocated": plane.dtype.itemsize * 8,
        "BitsStored": plane.dtype.itemsize * 8,
        "HighBit": plane.dtype.itemsize * 8 - 1,
        "PixelRepresentation": int(plane.dtype.kind == "i"),
        "RescaleSlope": 1,
        "RescaleIntercept": 0,
        "PixelData": plane.tobytes(),
        **values,
    }
    for keyword, value in facts.items():
        if value is not None:
            setattr(made, keyword, value)
    if "PixelData" in made:
        made["PixelData"].VR = "OW"
    return made


def save(made, path, **options):
    """Write a data set as a DICOM file and give back its path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    made.file_meta.MediaStorageSOPClassUID = made.get("SOPClassUID", CT_CLASS)
    made.file_meta.MediaStorageSOPInstanceUID = made.get("SOPInstanceUID", generate_uid())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.save_as(path, **{"enforce_file_format": True, **options})
    return path


def write_slice(path, plane=None, **values):
    """Write one CT slice."""
    return save(dataset(hounsfield(1)[0] if plane is None else plane, **values), path)


def normal_of(orientation):
    """Unit vector along the slice axis."""
    return np.cross(orientation[:3], orientation[3:])


def write_series(folder, volume=None, *, step=2.0, origin=(0, 0, 0), orientation=AXIAL, order=None, **values):
    """Write HU ``volume`` [slice, row, column] along the normal; ``order`` permutes the file names."""
    volume = hounsfield() if volume is None else volume
    order = range(len(volume)) if order is None else order
    for name, index in enumerate(order):
        position = np.array(origin) + normal_of(orientation) * step * index
        facts = {
            "ImagePositionPatient": [float(f"{part:.8g}") for part in position],
            "ImageOrientationPatient": [float(f"{part:.8g}") for part in orientation],
            "InstanceNumber": int(index) + 1,
        }
        write_slice(folder / f"IM{name:04d}.dcm", volume[index], **{**facts, **values})
    return folder


def item(**values):
    """A data set for use within a sequence; nested dictionaries become sequences of one item."""
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, Sequence([item(**value)]) if isinstance(value, dict) else value)
    return made


def enhanced(volume, frames, shared=None, **values):
    """A multi-frame image; ``frames`` are the functional groups of each frame, ``shared`` those of all."""
    groups = {
        "PixelMeasuresSequence": {"PixelSpacing": [0.5, 0.75], "SliceThickness": 2},
        "PlaneOrientationSequence": {"ImageOrientationPatient": list(AXIAL)},
        "PixelValueTransformationSequence": {
            "RescaleSlope": 1,
            "RescaleIntercept": 0,
            "RescaleType": "HU",
        },
        **(shared or {}),
    }
    top = dict.fromkeys(
        ("ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing", "SliceThickness", "RescaleSlope")
    )
    made = dataset(
        volume,
        **{
            "SOPClassUID": ENHANCED_CT,
            **top,
            "RescaleIntercept": None,
            "NumberOfFrames": len(volume),
            **values,
        },
    )
    made.SharedFunctionalGroupsSequence = Sequence([item(**groups)])
    made.PerFrameFunctionalGroupsSequence = Sequence([item(**frame) for frame in frames])
    return made


def plane_at(z, **content):
    """Functional groups of a frame at height ``z`` in mm."""
    return {
        "PlanePositionSequence": {"ImagePositionPatient": [0, 0, float(z)]},
        "FrameContentSequence": content or {"StackID": "1"},
    }
