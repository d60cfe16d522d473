"""What was measured in scans, on disk: calibrating goes on from it, and holds one scan at a time in memory.

A scan's file is named by a hash of its source files (paths, sizes, times of change) and of everything that the
measurement depends on, so that it is found before a pixel is decoded, and never taken for another. It is written beside
its place and then moved there. A file that can't be read counts as missing.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tamperscan.detect.acquisition import Acquisition
from tamperscan.detect.measured import MeasuredScan
from tamperscan.detect.source_keys import files_key
from tamperscan.detect.statistics import WindowStatistics
from tamperscan.detect.typicality import PatientWindows, joined, windows_of
from tamperscan.detect.vetting import slice_hashes
from tamperscan.diffusion.weights import Weights
from tamperscan.errors import OutputError
from tamperscan.files import make_folder, new_file
from tamperscan.scan.volume import Scan

MADE_BY: Final = 1
"""Raised where the same scan would be measured otherwise, or stored otherwise."""

HEADER: Final = ("Manufacturer", "ManufacturerModelName", "ConvolutionKernel", "SliceThickness")
"""What is kept of a scan's header, to tell groups of scans apart."""

_SUFFIX = ".npz"
_DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


@dataclass(frozen=True)
class StoredScan:
    """A measured scan whose slices lie on the disk.

    Attributes
    ----------
    path
        Its file.
    name
        Name of the scan.
    slices
        How many were measured; 0 where it can't be used.
    windows
        How many of their windows can be learned from.
    reasons
        Why it can't be used, one sentence each; empty where it can.
    acquisition
        What its pixels say of how it was made; None where it can't be used.
    header
        Of `HEADER`, what the files say.
    hashes
        Of its slices' pixels, see `tamperscan.detect.vetting.slice_hashes`.
    """

    path: Path
    name: str
    slices: int
    windows: int
    reasons: tuple[str, ...]
    acquisition: Acquisition | None
    header: Mapping[str, str]
    hashes: tuple[str, ...] = ()

    def load(self) -> MeasuredScan:
        """Read its slices."""
        try:
            with np.load(self.path) as stored:
                return _unpacked(self, stored)
        except _DAMAGED as error:
            raise OutputError(f"{self.path}: was damaged since it was written ({error}). Remove it.") from error

    def learning(self, most: int | None = None) -> PatientWindows:
        """Return the windows to learn from, or so many of them: always the same ones of the same measurements."""
        # Slice by slice, as the windows of a long scan are much smaller than its slices.
        parts = joined([windows_of([each]) for each in self.load().slices])
        seed = int.from_bytes(hashlib.sha256(self.path.stem.encode()).digest()[:8])
        return parts if most is None else parts.some(most, np.random.default_rng(seed))


class Checkpoints:
    """A folder of measured scans.

    Parameters
    ----------
    folder
        Made if missing.
    weights
        What scans are measured with.
    runtime
        What runs its networks: number formats differ in what they give.
    """

    def __init__(self, folder: Path, weights: Weights, runtime: str) -> None:
        self.folder = folder
        self._setup = json.dumps([MADE_BY, version("tamperscan"), weights.sha256, runtime])
        make_folder(folder)

    def place(self, sources: Sequence[str]) -> Path:
        """Return where the scan of these source files is or will be kept."""
        return self.folder / (files_key(sources, self._setup) + _SUFFIX)

    def find(self, place: Path) -> StoredScan | None:
        """Return what is kept there; None where nothing is, or it can't be read."""
        try:
            with np.load(place) as stored:
                facts = json.loads(bytes(stored["facts"]))
            return _described(place, facts)
        except _DAMAGED:
            return None

    def keep(self, place: Path, scan: Scan, measured: MeasuredScan | None, reasons: Sequence[str]) -> StoredScan:
        """Write a scan that was measured, or why it was not; whole or not at all.

        Raises
        ------
        OutputError
            If it can't be written.
        """
        facts: dict[str, Any] = {
            "name": scan.name,
            "sha256": scan.sha256,
            "slices": 0 if measured is None else len(measured.slices),
            "windows": 0 if measured is None else measured.windows,
            "reasons": list(reasons),
            "spacing_mm": list(scan.spacing_mm),
            "acquisition": None if measured is None or measured.acquisition is None else measured.acquisition.exact(),
            "header": {key: scan.metadata[key] for key in HEADER if key in scan.metadata},
            "hashes": [] if measured is None else list(slice_hashes(scan.voxels)),
        }
        arrays = {} if measured is None else _packed(measured)
        text = np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8)
        with new_file(place) as stream:
            np.savez(stream, **{"facts": text, **arrays})  # type: ignore[arg-type]
        return _described(place, facts)


def _described(place: Path, facts: Mapping[str, Any]) -> StoredScan:
    acquisition = None if facts["acquisition"] is None else Acquisition.from_dict(facts["acquisition"])
    return StoredScan(
        place,
        str(facts["name"]),
        int(facts["slices"]),
        int(facts["windows"]),
        tuple(facts["reasons"]),
        acquisition,
        dict(facts["header"]),
        tuple(facts.get("hashes", ())),
    )


def _packed(scan: MeasuredScan) -> dict[str, NDArray[Any]]:
    """Lay the windows of all slices one after the other, and beside them where they lie."""
    inside = np.stack([each.inside for each in scan.slices])
    packed: dict[str, NDArray[Any]] = {
        "spacing_mm": np.array(scan.spacing_mm),
        "shape": np.array(inside.shape),
        "inside": np.packbits(inside),
    }
    for name in ("energy", "whiteness", "covariates"):
        packed[name] = np.concatenate([getattr(each, name)[:, each.inside] for each in scan.slices], axis=1)
    if scan.odds:
        odds = np.stack(scan.odds)
        known = np.isfinite(odds).any(axis=1)
        packed |= {"known": np.packbits(known), "odds": np.moveaxis(odds, 1, -1)[known]}
    return packed


def _unpacked(stored: StoredScan, arrays: Any) -> MeasuredScan:
    shape = tuple(int(side) for side in arrays["shape"])
    spacing = tuple(float(step) for step in arrays["spacing_mm"])
    inside = _bits(arrays["inside"], shape)
    ends = np.cumsum(inside.sum(axis=(1, 2)))[:-1]
    maps = []
    for name, missing in (("energy", np.nan), ("whiteness", np.nan), ("covariates", 0.0)):
        parts = np.split(arrays[name], ends, axis=1)
        maps.append([_laid_out(part, where, missing) for part, where in zip(parts, inside, strict=True)])
    energy, whiteness, covariates = maps
    slices = tuple(map(WindowStatistics, energy, whiteness, covariates, inside))
    odds: tuple[NDArray[np.float32], ...] = ()
    if "odds" in arrays:
        known = _bits(arrays["known"], shape)
        parts = np.split(arrays["odds"].T, np.cumsum(known.sum(axis=(1, 2)))[:-1], axis=1)
        odds = tuple(_laid_out(part, where, np.nan) for part, where in zip(parts, known, strict=True))
    return MeasuredScan(stored.name, slices, (spacing[0], spacing[1], spacing[2]), stored.acquisition, odds)


def _bits(packed: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    return np.unpackbits(packed, count=int(np.prod(shape))).reshape(shape).astype(bool)


def _laid_out(values: NDArray[np.float32], where: NDArray[np.bool_], missing: float) -> NDArray[np.float32]:
    """Lay values ``[map, window]`` out on the grid, ``[map, row, column]``."""
    grid = np.full((len(values), *where.shape), missing, dtype=np.float32)
    grid[:, where] = values
    return grid
