import nibabel
import numpy as np
import pytest

from tamperscan.forge.grid import scan_ras
from tamperscan.forge.volume_output import NIFTI_FILE, NUMPY_FILE, write_nifti, write_numpy
from tamperscan.scan import read_scan
from tamperscan.scan.forged import NOTE
from tamperscan.scan.sources import FileSource

from .toy import forged

# Columns run to the right, rows forwards, slices upwards, in another order than in a scan.
AFFINE = np.array([[-0.75, 0, 0, 10], [0, 0, 2, -20], [0, 0.5, 0, 30], [0, 0, 0, 1]], float)


def values(kind=np.int16, shape=(24, 6, 20)):
    return np.random.default_rng(0).integers(-1000, 400, shape).astype(kind)


def written(image, tmp_path, **changes):
    """Save an image, forge it, write that, and read it back."""
    path = tmp_path / "scan.nii.gz"
    nibabel.save(image, path)
    scan, forgery = forged(path, **changes)
    (tmp_path / "out").mkdir()
    mask, grid = write_nifti(forgery, FileSource(path), tmp_path / "out")
    assert np.allclose(grid, image.affine)
    return scan, forgery, mask, read_scan(tmp_path / "out")


@pytest.mark.parametrize("kind", [np.int16, np.dtype(">i2"), np.float32, np.float64, np.int32])
@pytest.mark.parametrize("make", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_a_volume_comes_back_as_it_was_forged(tmp_path, kind, make):
    scan, forgery, mask, again = written(make(values(kind), AFFINE), tmp_path)
    assert np.array_equal(again.voxels, forgery.scan.voxels)
    assert np.array_equal(mask, forgery.mask)
    assert np.allclose(scan_ras(again), scan_ras(scan))


def test_the_file_is_that_of_before_but_for_the_altered_voxels(tmp_path):
    image = nibabel.Nifti1Image(values(), AFFINE)
    image.header.set_xyzt_units("mm", "sec")
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"as it was"))
    _, forgery, _, _ = written(image, tmp_path)
    made = nibabel.load(tmp_path / "out" / NIFTI_FILE)
    assert (np.asarray(made.dataobj) != np.asarray(image.dataobj)).sum() == forgery.mask.sum()
    assert np.array_equal(made.affine, image.affine)
    assert made.header.get_xyzt_units() == ("mm", "sec")
    assert made.header.extensions[0].get_content().startswith(b"as it was")


def test_scaled_values_are_stored_as_near_as_can_be(tmp_path):
    image = nibabel.Nifti1Image(values(np.float32), AFFINE)
    image.set_data_dtype(np.int16)
    image.header.set_slope_inter(2, -1024)
    scan, forgery, mask, again = written(image, tmp_path)
    assert np.abs(again.voxels - forgery.scan.voxels).max() <= 1
    assert np.array_equal(again.voxels != scan.voxels, mask)


def test_a_flat_image_stays_flat(tmp_path):
    image = nibabel.Nifti1Image(values(shape=(24, 20)), np.diag([-0.75, -0.5, 2, 1]))
    _, forgery, mask, again = written(image, tmp_path)
    assert np.array_equal(again.voxels, forgery.scan.voxels)
    assert np.array_equal(mask, forgery.mask)
    assert nibabel.load(tmp_path / "out" / NIFTI_FILE).shape == (24, 20)


def test_the_header_says_that_it_is_forged(tmp_path):
    _, _, _, again = written(nibabel.Nifti1Image(values(), AFFINE), tmp_path)
    assert NOTE in again.warnings
    description = bytes(nibabel.load(tmp_path / "out" / NIFTI_FILE).header["descrip"].item())
    assert description == b"FORGED by tamperscan: inject, ball, seed 0"


@pytest.mark.parametrize("kind", [np.int16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(5, 20, 24), (20, 24)])
def test_an_array_comes_back_as_it_was_forged(tmp_path, kind, shape):
    np.save(tmp_path / "scan.npy", values(kind, shape))
    _, forgery = forged(tmp_path / "scan.npy")
    (tmp_path / "out").mkdir()
    mask = write_numpy(forgery, FileSource(tmp_path / "scan.npy"), tmp_path / "out")
    made = np.load(tmp_path / "out" / NUMPY_FILE)
    assert (made.dtype, made.shape) == (np.dtype(kind), shape)
    assert np.array_equal(read_scan(tmp_path / "out").voxels, forgery.scan.voxels)
    assert np.array_equal(mask, forgery.mask)


def test_values_stay_within_their_type(tmp_path):
    array = np.clip(values(np.int32, (5, 20, 24)), -128, 126).astype(np.int8)
    np.save(tmp_path / "scan.npy", array)
    _, forgery = forged(tmp_path / "scan.npy", value=4000.0)
    write_numpy(forgery, FileSource(tmp_path / "scan.npy"), tmp_path)
    assert np.load(tmp_path / NUMPY_FILE).max() == array.max()
