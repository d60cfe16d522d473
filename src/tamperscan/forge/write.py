"""Writing a forgery as a folder: the forged scan in the format of the authentic one, the mask and the record."""

from __future__ import annotations

import json
import shutil
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tamperscan.abandoned import owned, remove_abandoned, temporary_name
from tamperscan.errors import ForgeError, OutputError, ScanError
from tamperscan.files import make_folder, sync, write_file
from tamperscan.forge.dicom_header import WARNING
from tamperscan.forge.dicom_output import write_dicom
from tamperscan.forge.forgery import PREFIX, Forgery, Record
from tamperscan.forge.grid import mask_file
from tamperscan.forge.site import Mask
from tamperscan.forge.volume_output import write_nifti, write_numpy
from tamperscan.report.schema import package_version
from tamperscan.scan.collect import collect
from tamperscan.scan.forged import NOTE
from tamperscan.scan.nifti import is_nifti
from tamperscan.scan.numpy_file import is_numpy
from tamperscan.scan.read import read_scan
from tamperscan.scan.sources import Source
from tamperscan.scan.volume import Scan

SCAN: Final = "scan"
MASK: Final = "mask.nii.gz"
RECORD: Final = "forgery.json"


def write_forgery(forgery: Forgery, path: str | Path, out: Path) -> Path:
    """Write a forgery to ``OUT/<name of the forged scan>``, a folder that appears whole or not at all.

    Parameters
    ----------
    forgery
        What `forge` made.
    path
        What the authentic scan was read from: its files are copied with the altered voxels in them.
    out
        Folder of forgeries; made where it is missing.

    Returns
    -------
    Path
        The forgery's folder. If the same forgery is there already it is left as it is.

    Raises
    ------
    ForgeError
        If the authentic files changed since, or can't be written again in their own format.
    OutputError
        If something can't be written, or another forgery of that name is there.
    """
    folder = out / forgery.scan.name
    make_folder(out)
    if folder.exists():
        _check_same(folder, forgery)
        return folder
    remove_abandoned(out, folders=True)
    temporary = out / temporary_name()
    try:
        temporary.mkdir()
        with owned(temporary):
            (temporary / SCAN).mkdir(parents=True)
            _fill(temporary, forgery, path)
            sync(temporary / SCAN, temporary)
            temporary.rename(folder)
            sync(out)
    except OSError as error:
        raise OutputError(
            f"{folder}: the forgery can't be written ({error.strerror or error}). Check the disk, or name another "
            f"folder with --out."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def is_forged_scan(scan: Scan) -> bool:
    """Whether a scan is a forgery of ours, by its header, its name or what lies beside it.

    Parameters
    ----------
    scan
        A scan as it was read.
    """
    beside = (Path(source).parent.parent / RECORD for source in scan.sources[:1])
    return NOTE in scan.warnings or scan.name.startswith(PREFIX) or any(record.is_file() for record in beside)


def _fill(folder: Path, forgery: Forgery, path: str | Path) -> None:
    mask, grid = _write_scan(forgery, path, folder / SCAN)
    record = _record_of_written(forgery, mask, folder / SCAN)
    write_file(folder / MASK, mask_file(mask, forgery.scan, grid))
    write_file(folder / RECORD, (json.dumps(_document(forgery.scan.name, record), indent=2) + "\n").encode())


def _write_scan(forgery: Forgery, path: str | Path, folder: Path) -> tuple[Mask, NDArray[np.float64] | None]:
    """Write in the format of the authentic files; tell what differs, and a volume file's grid."""
    with ExitStack() as opened:
        sources = _sources(forgery, Path(path), opened)
        if is_nifti(sources[0]):
            return write_nifti(forgery, sources[0], folder)
        if is_numpy(sources[0]):
            return write_numpy(forgery, sources[0], folder), None
        return write_dicom(forgery, sources, folder), None


def _sources(forgery: Forgery, path: Path, opened: ExitStack) -> list[Source]:
    """Find the authentic scan's files again, in slice order."""
    found = {source.label: source for source in collect(path, opened, lambda error: None)}
    missing = [label for label in forgery.scan.sources if label not in found]
    if missing or not forgery.scan.sources:
        what = missing[0] if missing else "any file"
        raise ForgeError(
            f"{path}: does not hold {what} that {forgery.scan.name} was made from. Give the path that it was read from."
        )
    return [found[label] for label in forgery.scan.sources]


def _record_of_written(forgery: Forgery, mask: Mask, folder: Path) -> Record:
    """Read the scan back, check that only what was to differ does, and record what is in the files."""
    name = forgery.scan.name
    altered = np.flatnonzero(mask.any(axis=(1, 2)))
    if not altered.size:
        raise ForgeError(f"{name}: the change is smaller than the steps in which the file stores values.")
    try:
        written = read_scan(folder)
    except ScanError as error:
        raise ForgeError(f"{name}: can't be read again once written: {error}") from error
    kept = ~forgery.mask
    if written.shape != forgery.scan.shape or not np.array_equal(written.voxels[kept], forgery.scan.voxels[kept]):
        raise ForgeError(f"{name}: its authentic files are not what they were when they were read. Read them again.")
    return replace(
        forgery.record,
        slice_range=(int(altered[0]), int(altered[-1])),
        voxels_changed=int(mask.sum()),
        sha256=written.sha256,
    )


def _document(name: str, record: Record) -> dict[str, Any]:
    head = {"forged": True, "warning": WARNING, "tamperscan_version": package_version(), "name": name}
    return {**head, "scan": SCAN, "mask": MASK, **record.as_dict()}


def _check_same(folder: Path, forgery: Forgery) -> None:
    """Let a forgery stay that was made before by the same order; refuse whatever else is in the way."""
    try:
        found = json.loads((folder / RECORD).read_bytes())
        expected = json.loads(json.dumps(forgery.record.as_dict()))
        same = all(found[key] == expected[key] for key in ("source", "settings", "place", "region_mm"))
    except (OSError, ValueError, KeyError, TypeError):
        same = False
    if not same:
        raise OutputError(
            f"{folder}: another forgery, or something else, is there already. Take it away, or choose another --seed "
            f"or --out."
        )
