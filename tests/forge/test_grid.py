import gzip

import nibabel
import numpy as np
import pytest

from tamperscan.errors import ForgeError
from tamperscan.forge.grid import mask_file, read_mask, scan_ras, turn

from .toy import small_scan

# As a DICOM series of axial slices has it: LPS axes, slices upwards.
AFFINE = np.array([[0, 0, 0.75, -10], [0, 0.5, 0, -20], [2, 0, 0, 30], [0, 0, 0, 1]], float)
OBLIQUE = np.block([[np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0], np.ones((3, 1))], [0, 0, 0, 1]])


@pytest.fixture
def scan():
    return small_scan(affine=AFFINE)


@pytest.fixture
def mask(scan):
    mask = np.zeros(scan.shape, bool)
    mask[1, 2:5, 7:9] = True
    return mask


@pytest.mark.parametrize("affine", [AFFINE, OBLIQUE @ np.diag([2, 0.5, 0.75, 1])])
def test_voxels_keep_their_place_when_they_are_turned(affine):
    voxels = np.arange(24).reshape(2, 3, 4)
    wanted = affine[:, [2, 0, 1, 3]] @ np.diag([-1, 1, -1, 1])
    turned = turn(voxels, affine, wanted)
    assert turned.shape == (4, 2, 3)
    assert turned[3, 0, 2] == voxels[0, 0, 0]
    assert np.array_equal(turn(turned, wanted, affine), voxels)


@pytest.mark.parametrize("wanted", [AFFINE @ np.diag([2, 1, 1, 1]), OBLIQUE])
def test_another_grid_is_refused(wanted):
    with pytest.raises(ValueError, match="do not lie along"):
        turn(np.zeros((2, 3, 4)), AFFINE, wanted)


def test_a_mask_lies_where_the_scan_lies(scan, mask):
    image = nibabel.Nifti1Image.from_bytes(gzip.decompress(mask_file(mask, scan)))
    assert (image.shape, image.get_data_dtype()) == ((24, 20, 5), np.uint8)
    in_file, in_scan = (np.argwhere(one)[0] for one in (np.asarray(image.dataobj).transpose(2, 1, 0), mask))
    assert np.array_equal(in_file, in_scan)
    right, anterior, up = (image.affine @ [*in_file[::-1], 1])[:3]
    assert [-right, -anterior, up] == pytest.approx((AFFINE @ [*in_scan, 1])[:3].tolist())


def test_a_mask_comes_back(scan, mask, tmp_path):
    for grid in (None, scan_ras(scan)[:, [1, 2, 0, 3]]):
        (tmp_path / "mask.nii.gz").write_bytes(mask_file(mask, scan, grid))
        assert np.array_equal(read_mask(tmp_path / "mask.nii.gz", scan), mask)


def test_a_mask_is_marked_as_no_scan(scan, mask):
    image = nibabel.Nifti1Image.from_bytes(gzip.decompress(mask_file(mask, scan)))
    assert image.header.get_intent()[0] == "label"


def test_a_mask_that_does_not_fit_is_refused(scan, mask, tmp_path):
    path = tmp_path / "mask.nii.gz"
    path.write_bytes(mask_file(mask, scan))
    with pytest.raises(ForgeError, match=r"the mask has 5 x 20 x 24 voxels and its scan 4 x 20 x 24"):
        read_mask(path, small_scan((4, 20, 24), affine=AFFINE))
    with pytest.raises(ForgeError, match="is no mask of small"):
        read_mask(path, small_scan(affine=AFFINE @ np.diag([2, 1, 1, 1])))


@pytest.mark.parametrize("content", [b"", b"text", gzip.compress(b"no NIfTI", mtime=0)])
def test_a_damaged_mask_is_refused(scan, tmp_path, content):
    path = tmp_path / "mask.nii.gz"
    path.write_bytes(content)
    with pytest.raises(ForgeError, match=r"mask\.nii\.gz: (is no mask|the mask can't be read)"):
        read_mask(path, scan)


def test_a_missing_mask_is_refused(scan, tmp_path):
    with pytest.raises(ForgeError, match="No such file"):
        read_mask(tmp_path / "mask.nii.gz", scan)
