"""A chest with vessels and one nodule for the tests of the GAN: small, but the lungs are found in it."""

from __future__ import annotations

import json

import nibabel
import numpy as np

from tamperscan.scan.volume import Scan

SPACING = (1.4, 1.8, 1.8)
SHAPE = (40, 112, 112)
NODULE = (20, 56, 34)
NODULE_MM = 10.0
HEALTHY = (20, 56, 78)


def lung_phantom(seed=0, *, nodule=True, shape=SHAPE):
    """Return float32 ``[slice, row, column]`` in whole HU."""
    rng = np.random.default_rng(seed)
    slices, rows, columns = np.ogrid[: shape[0], : shape[1], : shape[2]]
    voxels = np.full(shape, -1000.0)
    voxels[:, (((rows - 56) / 44) ** 2 + ((columns - 56) / 53) ** 2 < 1)[0]] = 40.0
    for middle in (34, 78):
        lung = (((rows - 56) / 34) ** 2 + ((columns - middle) / 18) ** 2 < 1)[0]
        voxels[:, lung] = -860.0
        for _ in range(14):
            row, column = 56 + rng.integers(-28, 29), middle + rng.integers(-13, 14)
            vessel = np.hypot(rows - row, columns - column)[0] < 1.0
            voxels[:, vessel & lung] = -100.0
    if nodule:
        gaps = [(axis - at) * step for axis, at, step in zip((slices, rows, columns), NODULE, SPACING, strict=True)]
        # The place is cleared of vessels first, so that the nodule stands alone.
        distance = np.sqrt(sum(gap**2 for gap in gaps))
        voxels[distance < 1.6 * NODULE_MM] = -860.0
        voxels[distance < NODULE_MM / 2] = 30.0
    return np.rint(voxels + 28 * rng.standard_normal(shape)).astype(np.float32)


def phantom_scan(seed=0, **changes):
    return Scan(lung_phantom(seed, **changes), SPACING, "CT", f"phantom{seed}", sha256=f"{seed:064d}")


def write_phantom(folder, seed=0, *, marked=True):
    """Write a phantom as a volume file, and the mark of its nodule beside it."""
    folder.mkdir(parents=True)
    affine = np.array([[0, 0, -1.8, 0], [0, -1.8, 0, 0], [1.4, 0, 0, 0], [0, 0, 0, 1]], float)
    nibabel.save(nibabel.Nifti1Image(lung_phantom(seed).astype(np.int16), affine), folder / f"phantom{seed}.nii")
    if marked:
        middle = {"slices": [NODULE[0]], "x": NODULE[2], "y": NODULE[1], "bbox_w": NODULE_MM / 1.8}
        (folder / "nodules.json").write_text(json.dumps([{"reader": 0, **middle, "malignancy": "5"}]))
