"""A scan and its maps as NIfTI, for viewers that take no DICOM and for the page.

The files hold voxels as (column, row, slice) with an affine to RAS, which is how a DICOM series becomes NIfTI
elsewhere too, or, of a NIfTI file, in its own order, so that they fit it voxel by voxel. They are written
slice by slice where they can be, so that a long series needs no memory of its own.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tamperscan.detect.residual import NoiseResidual
from tamperscan.detect.results import Screening
from tamperscan.diffusion.weights import Weights
from tamperscan.files import make_folder, new_file
from tamperscan.report.nifti_grid import Grid, grid_of, plain_grid
from tamperscan.report.nifti_grid import ras_affine as ras_affine
from tamperscan.report.places import finding_masks
from tamperscan.scan.forged import NOTE, REMARK
from tamperscan.scan.volume import Scan

Progress = Callable[[int, int], None]

SCAN: Final = "scan.nii.gz"
SUSPICION: Final = "suspicion.nii.gz"
RESIDUAL: Final = "residual.nii.gz"
FINDINGS: Final = "findings.nii.gz"

# The map means less than these steps of its highest value, and packs the better for them.
_SUSPICION_STEPS: Final = 4095
# Steps of a part of the noise level lose nothing that the eye or a statistic would see.
_STEPS_PER_SIGMA: Final = 8.0
_LARGEST: Final = 32767
_SPEED: Final = 1  # of gzip: noise hardly packs, however long one tries


@dataclass(frozen=True)
class NiftiFiles:
    """Where the files lie.

    Attributes
    ----------
    scan
        ``scan.nii.gz``, the voxels in HU or signal; None where only maps were asked for.
    suspicion
        ``suspicion.nii.gz``, 0 where nothing was measured; None where nothing was measured at all.
    residual
        ``residual.nii.gz``, the predicted noise in HU or signal in the rectangle around where the detector looked, in
        all of the scan where it looked nowhere; None without weights that predict it.
    findings
        ``findings.nii.gz``, labels: 1 for the first finding and so on; None where there are none.
    """

    scan: Path | None = None
    suspicion: Path | None = None
    residual: Path | None = None
    findings: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files that were written."""
        return tuple(path for path in (self.scan, self.suspicion, self.residual, self.findings) if path is not None)


def write_nifti(
    screening: Screening,
    folder: str | Path,
    *,
    weights: Weights | None = None,
    with_scan: bool = True,
    like_source: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
) -> NiftiFiles:
    """Write a scan and its maps as NIfTI files on one grid.

    Parameters
    ----------
    screening
        What a detector said of a scan.
    folder
        Where the files go; it is made where it is missing.
    weights
        The detector's (``detector.weights``): with them the noise residual is predicted again, slice by slice. Without
        them, or with weights of another kind or modality, there is no residual.
    with_scan
        Whether to write the scan too, or the maps alone.
    like_source
        Whether the files of a scan that was read from NIfTI have the shape and the order of axes of that file, so that
        they fit it voxel by voxel; (column, row, slice) otherwise.
    threads
        CPU threads for the residual; None for all that this process may use.
    progress
        Called with (slices done, slices in all) while the residual is predicted.

    Raises
    ------
    OutputError
        Where the folder or a file can't be written.
    WeightsError
        If the runtime can't load the network.
    """
    folder = Path(folder)
    make_folder(folder)
    scan = screening.scan
    grid = grid_of(scan) if like_source else plain_grid(scan)
    return NiftiFiles(
        scan=_write_scan(scan, grid, folder / SCAN) if with_scan else None,
        suspicion=_write_suspicion(screening, grid, folder / SUSPICION),
        residual=_write_residual(screening, grid, folder / RESIDUAL, weights, threads, progress),
        findings=_write_findings(screening, grid, folder / FINDINGS),
    )


def _write_scan(scan: Scan, grid: Grid, path: Path) -> Path:
    if _holds_whole_numbers(scan.voxels):
        return _write(path, scan, grid, "scan", (plane.astype("<i2") for plane in scan.voxels))
    low, high = float(scan.voxels.min()), float(scan.voxels.max())
    slope, middle = (high - low) / (2 * _LARGEST), (high + low) / 2
    planes = (_stepped(plane - np.float32(middle), slope) for plane in scan.voxels)
    return _write(path, scan, grid, "scan", planes, slope=slope, intercept=middle)


def _holds_whole_numbers(voxels: NDArray[np.float32]) -> bool:
    """Whether 16 bits hold every voxel as it is."""
    return all(float(np.abs(plane).max()) <= _LARGEST and bool((plane == np.rint(plane)).all()) for plane in voxels)


def _write_suspicion(screening: Screening, grid: Grid, path: Path) -> Path | None:
    highest = float(screening.suspicion.max(initial=0.0, where=screening.regions))
    if highest <= 0.0:
        _take_away(path)
        return None
    slope = highest / _SUSPICION_STEPS
    both = zip(screening.suspicion, screening.regions, strict=True)
    planes = (_stepped(np.where(looked, plane, np.float32(0)), slope) for plane, looked in both)
    return _write(path, screening.scan, grid, "suspicion", planes, slope=slope)


def _write_residual(
    screening: Screening,
    grid: Grid,
    path: Path,
    weights: Weights | None,
    threads: int | None,
    progress: Progress | None,
) -> Path | None:
    scan = screening.scan
    if weights is None or not NoiseResidual.can_predict(weights.card, scan.modality):
        _take_away(path)
        return None
    residual = NoiseResidual(weights, threads=threads)
    slope = residual.sigma(scan) / _STEPS_PER_SIGMA
    planes = (
        _stepped(plane, slope) for plane in _told(residual.slices(scan, screening.regions), scan.shape[0], progress)
    )
    return _write(path, scan, grid, "predicted noise", planes, slope=slope)


def _told(planes: Iterator[NDArray[np.float32]], count: int, progress: Progress | None) -> Iterator[NDArray[Any]]:
    for done, plane in enumerate(planes, start=1):
        yield plane
        if progress:
            progress(done, count)


def _write_findings(screening: Screening, grid: Grid, path: Path) -> Path | None:
    if not screening.findings:
        _take_away(path)
        return None
    labels = np.zeros(screening.scan.shape, np.uint8)
    numbered = list(enumerate(finding_masks(screening), start=1))
    for number, place in reversed(numbered):  # where two overlap, the more suspicious one is seen
        labels[place.box][place.mask] = number
    return _write(path, screening.scan, grid, "findings", labels, label=True)


def _take_away(path: Path) -> None:
    """Take away the file of an earlier run, which would pass for one of this run."""
    path.unlink(missing_ok=True)


def _stepped(plane: NDArray[np.float32], slope: float) -> NDArray[np.int16]:
    steps = np.rint(plane / np.float32(slope or 1.0))
    stepped: NDArray[np.int16] = np.clip(steps, -_LARGEST, _LARGEST).astype("<i2")
    return stepped


def _write(
    path: Path,
    scan: Scan,
    grid: Grid,
    what: str,
    planes: Iterable[NDArray[Any]],
    *,
    slope: float = 1.0,
    intercept: float = 0.0,
    label: bool = False,
) -> Path:
    header = _header(grid, np.uint8 if label else np.int16, slope or 1.0, intercept)
    remark = f"{REMARK}: " if NOTE in scan.warnings else ""
    header["descrip"] = f"{remark}{what}, tamperscan. NOT FOR DIAGNOSIS".encode()[:79]
    if label:
        header.set_intent("label", name=what)
    with new_file(path) as file, gzip.GzipFile("", "wb", _SPEED, file, mtime=0) as packed:
        packed.write(header.binaryblock + b"\0" * 4)  # and no extensions
        for piece in grid.packed(planes, scan):
            packed.write(piece)
    return path


def _header(grid: Grid, kind: type[np.generic], slope: float, intercept: float) -> Any:
    from nibabel.nifti1 import Nifti1Header

    header: Any = Nifti1Header(endianness="<")  # type: ignore[no-untyped-call]
    header.set_data_dtype(kind)
    header.set_data_shape(grid.shape)
    header.set_sform(grid.affine, code="scanner")
    header.set_qform(grid.affine, code="scanner", strip_shears=True)
    header.set_xyzt_units("mm")
    header.set_slope_inter(slope, intercept)
    header["magic"], header["vox_offset"] = b"n+1", 352
    return header
