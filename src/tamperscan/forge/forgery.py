"""Tampering with a scan: one place, one method, and a record of what was done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np

from tamperscan.errors import ForgeError
from tamperscan.forge.method import Action, Method
from tamperscan.forge.site import REGION_MM, Mask, Place, Voxels, cut_site
from tamperscan.scan.volume import Scan, pixel_sha256

PREFIX: Final = "forged_"
"""Every forged scan's name begins with this."""


@dataclass(frozen=True)
class Record:
    """What was done to a scan; the JSON that lies beside it.

    Attributes
    ----------
    method, settings
        The method and what it was told.
    action
        ``"inject"`` or ``"remove"``.
    place
        Centre and size.
    region_mm
        Side of the cube that could be altered.
    seed
        Of the random generator.
    dimensions
        3, or 2 where the scan is a single slice.
    slice_range
        First and last altered slice.
    voxels_changed
        How many voxels differ.
    source
        The authentic scan: name, modality, spacing_mm, shape, sha256 of its pixels.
    sha256
        Of the forged scan's pixels.
    """

    method: str
    settings: Mapping[str, Any]
    action: Action
    place: Place
    region_mm: float
    seed: int
    dimensions: int
    slice_range: tuple[int, int]
    voxels_changed: int
    source: Mapping[str, Any]
    sha256: str

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {**asdict(self), "settings": dict(self.settings), "source": dict(self.source)}


@dataclass(frozen=True, eq=False)
class Forgery:
    """A tampered scan with its truth.

    Attributes
    ----------
    scan
        The tampered scan; its name begins with `PREFIX`.
    mask
        bool ``[slice, row, column]``: exactly the voxels that differ from the authentic scan.
    record
        What was done.
    """

    scan: Scan
    mask: Mask
    record: Record


def forge(
    scan: Scan, method: Method, action: Action, place: Place, *, seed: int = 0, region_mm: float = REGION_MM
) -> Forgery:
    """Tamper with a scan in memory.

    Parameters
    ----------
    scan
        An authentic scan; it is not altered.
    method
        How, as from `load_method`.
    action
        Whether to put a lesion in or to take one out.
    place
        Where.
    seed
        Same seed, same forgery.
    region_mm
        Side of the cube that may be altered.

    Raises
    ------
    ForgeError
        If the place lies outside the scan, the method can't work there, or it changed nothing.
    """
    site = cut_site(scan, place, region_mm=region_mm)
    method.check(site, action)
    altered = method.alter(site, action, np.random.default_rng(seed))
    if not np.isfinite(altered).all():
        raise ForgeError(f"{scan.name}: the method '{method.name}' gave values that are no numbers. Try another place.")
    voxels = scan.voxels.copy()
    voxels[site.box] = np.where(site.alterable(), _as_stored(altered, scan), site.voxels)
    mask: Mask = voxels != scan.voxels
    if not mask.any():
        raise ForgeError(f"{scan.name}: the method '{method.name}' changed nothing there. Try another place.")
    name = f"{PREFIX}{scan.name}_{method.name}_{action}_{seed}"
    tampered = replace(scan, voxels=voxels, name=name, sha256=pixel_sha256(voxels))
    return Forgery(tampered, mask, _record(scan, tampered, mask, method, action, place, seed, region_mm))


def _as_stored(altered: Voxels, scan: Scan) -> Voxels:
    """Round to what the scan can hold: whole numbers where it has no others, and no value beyond its own range."""
    sample = scan.voxels[:: max(1, scan.shape[0] // 8)]
    stored = np.rint(altered) if np.array_equal(sample, np.rint(sample)) else altered
    limited: Voxels = np.clip(stored, scan.voxels.min(), scan.voxels.max()).astype(np.float32)
    return limited + np.float32(0.0)  # no file holds -0.0 as a whole number, and the hash would tell it from 0.0


def _record(
    scan: Scan, tampered: Scan, mask: Mask, method: Method, action: Action, place: Place, seed: int, region_mm: float
) -> Record:
    altered = np.flatnonzero(mask.any(axis=(1, 2)))
    return Record(
        method=method.name,
        settings=method.settings,
        action=action,
        place=place,
        region_mm=region_mm,
        seed=seed,
        dimensions=2 if scan.shape[0] == 1 else 3,
        slice_range=(int(altered[0]), int(altered[-1])),
        voxels_changed=int(mask.sum()),
        source={
            "name": scan.name,
            "modality": scan.modality,
            "spacing_mm": [float(step) for step in scan.spacing_mm],
            "shape": list(scan.shape),
            "sha256": scan.sha256 or pixel_sha256(scan.voxels),
        },
        sha256=tampered.sha256,
    )
