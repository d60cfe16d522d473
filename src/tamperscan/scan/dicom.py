"""From a DICOM file to the headers of its frames. No pixel is decoded here."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Mapping
from typing import BinaryIO, Final

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from tamperscan.errors import ScanError
from tamperscan.scan import watch
from tamperscan.scan.attributes import Attributes
from tamperscan.scan.checks import check_size
from tamperscan.scan.elements import check_elements, too_deep
from tamperscan.scan.frames import Frame, Vector
from tamperscan.scan.limits import limits, too_large
from tamperscan.scan.sources import Source, unreadable

pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE

SMALLEST_FRAME: Final = 16
"""Bytes that a frame takes at least, however it is compressed: one item with its head and a few bytes."""

SMALLEST_MM: Final = 1e-4
"""Spacings below this are damage, and count as absent."""

STACK_KEYWORDS: Final = (
    "AcquisitionNumber",
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
    "EchoNumbers",
    "EchoTime",
    "EffectiveEchoTime",
    "DiffusionBValue",
    "DiffusionGradientOrientation",
    "DiffusionDirectionality",
    "InversionTime",
    "RepetitionTime",
    "FlipAngle",
    "KVP",
    "ConvolutionKernel",
    "TriggerTime",
    "NominalPercentageOfCardiacPhase",
    "NominalCardiacTriggerDelayTime",
    "ImageType",
    "FrameType",
    "ComplexImageComponent",
    "AcquisitionDateTime",
    "AcquisitionTime",
    "FrameReferenceDateTime",
    "ContentTime",
    "ConcatenationUID",
)
"""What may tell apart stacks that lie at the same place, in the order of trial."""

_KEYWORDS: Final = (
    "SpecificCharacterSet",
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "SeriesNumber",
    "SeriesDescription",
    "Modality",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "BitsAllocated",
    "PhotometricInterpretation",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
    "SliceLocation",
    "InstanceNumber",
    "GantryDetectorTilt",
    "ImageType",
    "PerFrameFunctionalGroupsSequence",
    "SharedFunctionalGroupsSequence",
    "DirectoryRecordSequence",
    *STACK_KEYWORDS,
)

_MODALITY_OF_CLASS: Final = {
    "1.2.840.10008.5.1.4.1.1.2": "CT",
    "1.2.840.10008.5.1.4.1.1.2.1": "CT",
    "1.2.840.10008.5.1.4.1.1.2.2": "CT",
    "1.2.840.10008.5.1.4.1.1.4": "MR",
    "1.2.840.10008.5.1.4.1.1.4.1": "MR",
    "1.2.840.10008.5.1.4.1.1.4.4": "MR",
}

_NOT_DICOM_ADVICE: Final = "Give a DICOM, NIfTI or NumPy file, a zip, or a folder of them"


def read_dataset(source: Source, *, pixels: bool) -> Dataset:
    """Parse one file, with or without the DICOM preamble. What pydicom warns of is left to the caller.

    Parameters
    ----------
    source
        The file.
    pixels
        Whether to read the pixel data and every attribute too; otherwise only what grouping needs.

    Raises
    ------
    ScanError
        If it is no DICOM file, it can't be parsed, or a value or the nesting of its header is over the limits.
    """
    watch.reading(source.label, watch.PIXELS if pixels else watch.HEADERS)
    try:
        with source.open() as stream:
            _check_inflated(source.label, stream)
            dataset = pydicom.dcmread(
                stream,
                force=True,
                stop_before_pixels=not pixels,
                specific_tags=None if pixels else list(_KEYWORDS),
            )
            _ = len(dataset)
        check_elements(source.label, dataset)
    except ScanError:
        raise
    except OSError as error:
        raise unreadable(source.label, error) from error
    except MemoryError as error:
        raise too_large(source.label) from error
    except RecursionError as error:
        raise too_deep(source.label) from error
    except Exception as error:  # pydicom raises whatever the bytes provoke
        raise ScanError(source.label, "is not a DICOM file that can be parsed", _NOT_DICOM_ADVICE) from error
    return dataset


def read_frames(source: Source) -> list[Frame]:
    """Read the header of one file.

    Returns
    -------
    list of Frame
        One for each frame of a CT or MR image.

    Raises
    ------
    ScanError
        If the file is not DICOM, not CT or MR, not a grey-scale image, or of an impossible size.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _frames(source, read_dataset(source, pixels=False))
    except ScanError:
        raise
    except Exception as error:
        problem = f"has a header that can't be understood ({type(error).__name__}: {error})"
        raise ScanError(source.label, problem, "Export it again from the archive") from error


def _frames(source: Source, dataset: Dataset) -> list[Frame]:
    root = Attributes(dataset)
    modality = _modality(source.label, root)
    rows, columns, count = _size(source.label, root)
    _check_room(source, dataset, count)
    return [
        _frame(source, Attributes(dataset, index), index, count, (modality, rows, columns)) for index in range(count)
    ]


def _check_room(source: Source, dataset: Dataset, count: int) -> None:
    """Refuse more frames than the file has room for: looking at each takes its time."""
    meta = getattr(dataset, "file_meta", None)
    deflated = meta is not None and meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian
    if count > 1 and not deflated and count * SMALLEST_FRAME > source.size:
        problem = f"has a damaged header: {count} frames in a file of {source.size} bytes"
        raise ScanError(source.label, problem, "Export it again from the archive")


def _modality(label: str, root: Attributes) -> str:
    """``"CT"`` or ``"MR"``, from the modality or, without one, from the SOP class."""
    sop_class = root.text("SOPClassUID")
    stated = root.text("Modality").upper() or _MODALITY_OF_CLASS.get(sop_class, "")
    if not sop_class and root.value("Rows") is None and not stated:
        raise ScanError(label, "is not a DICOM image, or its header is damaged", _NOT_DICOM_ADVICE)
    if stated in ("CT", "MR"):
        return stated
    kind = UID(sop_class).name
    what = stated or (kind if kind != sop_class else "") or "modality not stated"
    raise ScanError(label, f"is not a CT or MR image ({what})", "Give a CT or MR series")


def _size(label: str, root: Attributes) -> tuple[int, int, int]:
    """Rows, columns and frames, after a check that this is a grey-scale image of a possible size."""
    _check_image(label, root)
    rows, columns = (int(root.number(keyword) or 0) for keyword in ("Rows", "Columns"))
    frames = root.number("NumberOfFrames")
    count = 1 if frames is None else int(frames)
    if rows < 1 or columns < 1 or not 1 <= count <= limits().frames:
        problem = f"has a damaged header: {rows} rows, {columns} columns, {count} frames"
        raise ScanError(label, problem, "Export it again from the archive")
    check_size(label, count, rows, columns)
    return rows, columns, count


def _check_image(label: str, root: Attributes) -> None:
    if root.value("Rows") is None and root.value("Columns") is None:
        raise ScanError(label, "holds no image", "Give the CT or MR images themselves")
    for keyword in ("Rows", "Columns", "BitsAllocated"):
        if root.number(keyword) is None:
            raise ScanError(label, f"has a damaged header: {keyword} is missing", "Export it again from the archive")
    if (root.number("SamplesPerPixel") or 1) != 1 or "PALETTE" in root.text("PhotometricInterpretation").upper():
        raise ScanError(label, "is a colour image", "Give the grey-scale images that the scanner made")
    if "MOSAIC" in root.text("ImageType").upper().split("\\"):
        raise ScanError(label, "is a mosaic of many slices in one image", "Convert the series to NIfTI and give that")


def _frame(source: Source, facts: Attributes, index: int, count: int, kind: tuple[str, int, int]) -> Frame:
    modality, rows, columns = kind
    row_axis, column_axis = _axes(facts.numbers("ImageOrientationPatient", 6))
    located = count == 1 or facts.has_own
    image_type = facts.text("FrameType") or facts.text("ImageType")
    return Frame(
        source=source,
        index=index,
        count=count,
        series=facts.text("SeriesInstanceUID") or f"folder {source.folder}",
        modality=modality,
        rows=rows,
        columns=columns,
        row_axis=row_axis,
        column_axis=column_axis,
        position=_vector(facts.numbers("ImagePositionPatient", 3)) if located else None,
        pixel_spacing=_pixel_spacing(facts),
        slice_step=_positive(facts.number("SpacingBetweenSlices")),
        thickness=_positive(facts.number("SliceThickness")),
        slice_location=facts.number("SliceLocation") if located else None,
        instance_number=facts.number("InstanceNumber") if count == 1 else float(index),
        tilt=facts.number("GantryDetectorTilt") or 0.0,
        image_type=tuple(part.strip().upper() for part in image_type.split("\\")),
        lookup=_lookup(facts),
        description=facts.text("SeriesDescription") or f"series{facts.text('SeriesNumber')}",
    )


def _lookup(facts: Attributes) -> Mapping[str, str]:
    found = {keyword: facts.text(keyword) for keyword in ("StackID", *STACK_KEYWORDS)}
    return {keyword: text for keyword, text in found.items() if text}


def _positive(value: float | None) -> float | None:
    return abs(value) if value and abs(value) >= SMALLEST_MM else None


def _vector(values: tuple[float, ...] | None) -> Vector | None:
    return None if values is None else (values[0], values[1], values[2])


def _pixel_spacing(facts: Attributes) -> tuple[float, float] | None:
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        values = facts.numbers(keyword, 2)
        if values and min(values) >= SMALLEST_MM:
            return values[0], values[1]
    return None


def _axes(values: tuple[float, ...] | None) -> tuple[Vector | None, Vector | None]:
    """Make unit vectors of ImageOrientationPatient; none if they are not at right angles."""
    if values is None:
        return None, None
    pair = np.array(values).reshape(2, 3)
    lengths = np.linalg.norm(pair, axis=1)
    if (np.abs(lengths - 1) > 0.05).any() or abs(pair[0] @ pair[1]) > 0.01:
        return None, None
    first = pair[0] / lengths[0]
    second = pair[1] - (pair[1] @ first) * first
    return _vector(tuple(first.tolist())), _vector(tuple((second / np.linalg.norm(second)).tolist()))


def _check_inflated(label: str, stream: BinaryIO) -> None:
    """Refuse a deflated data set that would unpack to more than memory should hold."""
    start = stream.read(1024)
    deflated = DeflatedExplicitVRLittleEndian.encode() in start
    if deflated and start[128:140] == b"DICM\x02\0\0\0UL\x04\0":
        stream.seek(144 + int.from_bytes(start[140:144], "little"))
        _count_inflated(label, stream)
    stream.seek(0)


def _count_inflated(label: str, stream: BinaryIO) -> None:
    unpacker, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while block := unpacker.unconsumed_tail or stream.read(2**16):
        total += len(unpacker.decompress(block, 2**24))
        if total > limits().inflated:
            raise ScanError(label, f"unpacks to more than {limits().inflated} bytes", "Check where this file is from")
        if unpacker.eof:
            return
