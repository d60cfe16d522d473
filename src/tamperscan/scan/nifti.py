"""NIfTI-1 and NIfTI-2 files, ``.nii`` and ``.nii.gz``.

The voxels come out as a DICOM series of the same scan would: the slice axis first, then rows and columns in
the radiologist's view (axial: row 0 anterior, column 0 the patient's right; sagittal: row 0 superior, column
0 anterior; coronal: row 0 superior, column 0 the patient's right).
"""

from __future__ import annotations

import gzip
import io
import warnings
import zlib
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from tamperscan.errors import ScanError
from tamperscan.scan import watch
from tamperscan.scan.assemble import value_notes
from tamperscan.scan.checks import check_count, check_finite, check_size
from tamperscan.scan.forged import NOTE, says_forged
from tamperscan.scan.sources import Source, unreadable
from tamperscan.scan.volume import Scan, pixel_sha256

AIR_HU: Final = -500.0
"""Values below this are taken for CT."""

SLICE_AXIS_RATIO: Final = 1.2
"""An axis whose voxels are longer than the others' by this factor is the slice axis."""

_HEADER_BYTES: Final = 540
_LABEL_INTENT: Final = 1002
_LPS_OF_RAS: Final = np.diag([-1.0, -1.0, 1.0, 1.0])
_UNITS: Final = {0: "unknown", 1: "meter", 2: "mm", 3: "micron"}
"""Of lengths, by the lowest three bits of xyzt_units (nifti1.h)."""
_PLANES: Final = {0: ("R", "I", "P"), 1: ("P", "I", "L"), 2: ("S", "P", "L")}
"""Where (slice, row, column) indices grow for a slice axis along x (sagittal), y (coronal) and z (axial)."""

_ADVICE: Final = "Export the volume again as NIfTI, or give the DICOM series"


def _nibabel() -> Any:
    """Import nibabel, which is not needed for DICOM and takes a moment."""
    import nibabel

    return nibabel


def is_nifti(source: Source) -> bool:
    """Whether a file is NIfTI, by its name or its first bytes."""
    if source.suffix in (".nii", ".nii.gz"):
        return True
    with source.open() as stream:
        start = stream.read(_HEADER_BYTES)
    return start[344:348] == b"n+1\0" or start[4:8] == b"n+2\0"


def read_nifti(source: Source, name: str) -> Scan:
    """Read one NIfTI volume.

    Parameters
    ----------
    source
        The file.
    name
        The scan's name.

    Returns
    -------
    Scan
        Its modality is a guess: CT if values reach below -500, else MR.

    Raises
    ------
    ScanError
        If the file is damaged, has more than one volume, or holds colours, labels, complex values, NaN or
        infinity.
    """
    watch.reading(source.label, watch.PIXELS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = _load(source)
        stored = _values(source.label, image)
        _check_affine(source.label, image.affine)
    notes = _header_notes(image)
    voxels, affine = _canonical(stored, np.asarray(image.affine, np.float64), _slice_axis(image, stored))
    check_size(source.label, *voxels.shape)
    check_finite(source.label, voxels)
    modality = "CT" if float(voxels.min()) < AIR_HU else "MR"
    guess = f"NIfTI does not tell the modality; {modality} was guessed from the values."
    return Scan(
        voxels=voxels,
        spacing_mm=_spacing(affine),
        modality=modality,
        name=name,
        warnings=(guess, *notes, *value_notes(voxels, modality)),
        affine=affine,
        sha256=pixel_sha256(voxels),
        sources=(source.label,),
    )


def _load(source: Source) -> Any:
    """Open the image with its data not yet converted."""
    try:
        content = nifti_content(source)
        nibabel = _nibabel()
        kind = nibabel.Nifti2Image if content[4:8] == b"n+2\0" else nibabel.Nifti1Image
        return kind.from_bytes(content)
    except ScanError:
        raise
    except OSError as error:
        raise unreadable(source.label, error) from error
    except Exception as error:  # nibabel raises whatever the bytes provoke
        raise ScanError(source.label, f"is not a NIfTI file that can be read ({error})", _ADVICE) from error


def nifti_content(source: Source) -> bytes:
    """Read the header and all bytes that it asks for, unpacked.

    Raises
    ------
    ScanError
        If the file is damaged or cut short, or holds more than one volume.
    """
    with source.open() as stream:
        packed = stream.read(2) == b"\x1f\x8b"
        stream.seek(0)
        if not packed:
            return _exactly(source.label, stream)
        try:
            with gzip.open(stream) as unpacked:
                return _exactly(source.label, unpacked)  # type: ignore[arg-type]
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ScanError(source.label, f"is damaged or cut short ({error})", _ADVICE) from error


def _exactly(label: str, stream: BinaryIO) -> bytes:
    """Read the header, then as many bytes as it asks for, and no more."""
    start = stream.read(_HEADER_BYTES)
    if len(start) < 348:
        raise ScanError(label, "is too short for a NIfTI file", _ADVICE)
    if start[344:348] == b"ni1\0":
        raise ScanError(label, "is a NIfTI header without its image (.hdr and .img)", "Convert the pair to one .nii")
    nibabel = _nibabel()
    kind = nibabel.Nifti2Header if start[4:8] == b"n+2\0" else nibabel.Nifti1Header
    header = kind.from_fileobj(io.BytesIO(start), check=False)
    shape = _shape(label, header.get_data_shape())
    length = int(np.prod(shape, dtype=object)) * header.get_data_dtype().itemsize
    end = int(header.get_data_offset()) + length
    content = start + stream.read(max(0, end - len(start)))
    if len(content) < end:
        raise ScanError(label, f"is cut short: {len(content)} of {end} bytes", "Copy or export the file again")
    return content


def _shape(label: str, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Three sides, of a possible size; 2-D images get a third."""
    if len(shape) < 2:
        raise ScanError(label, "holds no image", _ADVICE)
    sides = (*shape, 1, 1, 1)
    if any(side != 1 for side in sides[3:]):
        problem = f"holds more than one volume (shape {' x '.join(map(str, shape))})"
        raise ScanError(label, problem, "Give one three-dimensional volume at a time")
    if min(sides) < 1:
        raise ScanError(label, f"has an impossible shape ({' x '.join(map(str, shape))})", _ADVICE)
    check_count(label, sides[:3])
    return sides[0], sides[1], sides[2]


def _values(label: str, image: Any) -> NDArray[np.float32]:
    """Give the scaled values as float32, ``[i, j, k]``."""
    kind = image.get_data_dtype()
    if kind.names or kind.kind not in "iuf":
        raise ScanError(label, f"holds {_kind_name(kind)} instead of intensities", "Give the grey-scale volume itself")
    if int(image.header["intent_code"]) == _LABEL_INTENT:
        raise ScanError(label, "is a label map, not an image", "Give the CT or MR volume that it belongs to")
    values = np.array(image.dataobj.get_unscaled(), np.float32)
    if image.dataobj.slope != 1:
        values *= np.float32(image.dataobj.slope)
    if image.dataobj.inter:
        values += np.float32(image.dataobj.inter)
    return values.reshape((*values.shape, 1, 1, 1)[:3])


def _kind_name(kind: np.dtype[Any]) -> str:
    return "colours" if kind.names else f"values of type {kind}"


def _check_affine(label: str, affine: NDArray[np.float64]) -> None:
    """Refuse an orientation that is no orientation."""
    whole = np.isfinite(affine).all() and abs(np.linalg.det(affine[:3, :3])) >= 1e-9
    if not whole or np.isnan(_nibabel().orientations.io_orientation(affine)).any():
        raise ScanError(label, "has a damaged header: its orientation matrix is singular", _ADVICE)


def _header_notes(image: Any) -> list[str]:
    """Tell what the header leaves open."""
    header = image.header
    notes = []
    if not int(header["qform_code"]) and not int(header["sform_code"]):
        notes.append("The NIfTI header has no orientation; the order of its axes was taken as it is.")
    unit = _UNITS.get(int(header["xyzt_units"]) % 8, "a unit that there is not")
    if unit not in ("mm", "unknown"):
        notes.append(f"The NIfTI header states its lengths in {unit}; mm was assumed.")
    if says_forged(bytes(header["descrip"].item()).decode("latin-1")):
        notes.append(NOTE)
    return notes


def _slice_axis(image: Any, stored: NDArray[np.float32]) -> int:
    """Which patient axis the scan was stacked along: 0 left-right, 1 front-back, 2 head-foot.

    CT is axial. For MR the header's slice axis counts, then the axis of clearly the longest voxels, then the
    third.
    """
    if float(stored.min()) < AIR_HU:
        return 2
    patient_axes = _nibabel().orientations.io_orientation(image.affine)[:, 0].astype(int)
    stated = image.header.get_dim_info()[2]
    lengths = np.linalg.norm(np.asarray(image.affine)[:3, :3], axis=0)
    longest = int(np.argmax(lengths))
    distinct = lengths[longest] > SLICE_AXIS_RATIO * np.delete(lengths, longest).max()
    axis = stated if stated is not None else longest if distinct else 2
    return int(patient_axes[axis])


def _canonical(
    stored: NDArray[np.float32], ras: NDArray[np.float64], slice_axis: int
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Voxels ``[slice, row, column]`` in the radiologist's view, and their affine to LPS."""
    turns = _nibabel().orientations
    wanted = turns.axcodes2ornt(_PLANES[slice_axis])
    change = turns.ornt_transform(turns.io_orientation(ras), wanted)
    turned = turns.apply_orientation(stored, change)
    affine = _LPS_OF_RAS @ ras @ turns.inv_ornt_aff(change, stored.shape)
    return np.ascontiguousarray(turned, np.float32), affine


def _spacing(affine: NDArray[np.float64]) -> tuple[float, float, float]:
    slices, rows, columns = np.linalg.norm(affine[:3, :3], axis=0).tolist()
    return slices, rows, columns
