"""Small chest scans for the tests of the comparison: two lungs with vessels and noise, on coarse pixels."""

from __future__ import annotations

import json

import nibabel
import numpy as np

from tamperscan.scan import Scan

SIDE = 128
PIXEL_MM = 2.4
SLICE_MM = 4.0
LUNGS = ((64, 40), (64, 88))
LUNG_AXES = (34, 17)
# In the middle of one lung.
PLACE = (64, 40)


def ellipse(middle, axes):
    rows, columns = np.ogrid[:SIDE, :SIDE]
    return ((rows - middle[0]) / axes[0]) ** 2 + ((columns - middle[1]) / axes[1]) ** 2 < 1


def chest(seed=0, noise_hu=25.0):
    """One axial slice, float32 whole HU."""
    rng = np.random.default_rng(seed)
    image = np.full((SIDE, SIDE), -1000.0)
    image[ellipse((64, 64), (46, 60))] = 40.0
    for middle in LUNGS:
        lung = ellipse(middle, LUNG_AXES)
        image[lung] = -850.0
        for _ in range(12):
            place = (middle[0] + rng.integers(-28, 29), middle[1] + rng.integers(-12, 13))
            image[ellipse(place, (1.6, 1.6)) & lung] = -100.0
    return np.rint(image + rng.normal(0.0, noise_hu, image.shape)).astype(np.float32)


def chest_scan(seed=0, slices=1, name="scan"):
    noise_hu = np.random.default_rng(seed).uniform(20, 30)
    voxels = np.stack([chest(1000 * seed + index, noise_hu) for index in range(slices)])
    return Scan(voxels, (SLICE_MM, PIXEL_MM, PIXEL_MM), "CT", name)


def smoothed(scan, slices, place=PLACE, radius_px=5):
    """Take the noise out of a ball: (tampered scan, mask)."""
    voxels, mask = scan.voxels.copy(), np.zeros(scan.shape, bool)
    rows, columns = np.ogrid[:SIDE, :SIDE]
    disc = np.hypot(rows - place[0], columns - place[1]) <= radius_px
    for index in slices:
        voxels[index][disc] = -850.0
        mask[index] = disc
    return Scan(voxels, scan.spacing_mm, scan.modality, f"smoothed_{scan.name}"), mask


def write_nifti(path, voxels, spacing_mm=(SLICE_MM, PIXEL_MM, PIXEL_MM)):
    """Write an axial volume so that it is read back in the same order of voxels."""
    affine = np.array(
        [
            [0, 0, -spacing_mm[2], 0],
            [0, -spacing_mm[1], 0, 0],
            [spacing_mm[0], 0, 0, 0],
            [0, 0, 0, 1],
        ],
        float,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(voxels.astype(np.int16), affine), path)
    return path


def write_bench_data(folder):
    """Write authentic scans as NIfTI and their split: patients to learn from, to calibrate with and to test on."""
    scans = {"learn-1": 2, "learn-2": 1, "calm-1": 2, "calm-2": 1, "calm-3": 1, "test-1": 9, "test-2": 1}
    for seed, (name, slices) in enumerate(scans.items(), start=1):
        write_nifti(folder / "data" / "ct" / f"{name}.nii.gz", chest_scan(seed, slices).voxels)
    parts = {"train": "learn", "calibrate": "calm", "test": "test"}
    split = {part: [f"{name}*" for name in scans if name.startswith(stem)] for part, stem in parts.items()}
    (folder / "split.json").write_text(json.dumps(split))
    return folder
