import nibabel
import numpy as np
import pytest
from PIL import Image

from tamperscan.bench.cases import AUTHENTIC, Case
from tamperscan.bench.datasets.images import image_size, open_mask, open_scan
from tamperscan.bench.protocols.evidence import facts_of
from tamperscan.errors import ScanError, TamperscanError

SHAPE = (4, 40, 50)


def case_of(path, modality="CT", **more):
    return Case("x", "p", modality, AUTHENTIC, None, path, **more)


def save_slices(folder, values, kind=np.uint16):
    folder.mkdir(parents=True)
    for index, image in enumerate(values):
        Image.fromarray(image.astype(kind)).save(folder / f"slide{index:04d}.tiff", compression="tiff_lzw")
    return folder


def chest(noise=5.0):
    """Body in air, with a border of padding: HU."""
    hu = np.random.default_rng(0).normal(-1000.0, noise, SHAPE)
    hu[:, 10:30, 10:40] += 1050.0
    return np.rint(hu)


@pytest.mark.parametrize("offset", [1024, 2048, 3024])
@pytest.mark.parametrize("padded", [False, True])
def test_tiff_slices_become_hu(tmp_path, offset, padded):
    hu = chest()
    if padded:
        hu[:, :, :5] = -offset
    path = save_slices(tmp_path / "cycle" / "scan" / "rem_1", np.maximum(hu + offset, 0))
    scan = open_scan(case_of(path, spacing_mm=(2.5, 0.7, 0.7)))
    assert np.array_equal(scan.voxels[:, :, 5:], hu[:, :, 5:])
    assert (scan.spacing_mm, scan.modality, scan.name) == ((2.5, 0.7, 0.7), "CT", "cycle_rem_1")
    assert f"; {offset} was found by the air." in scan.warnings[1]


def test_values_whose_hu_are_unsure_are_refused(tmp_path):
    path = save_slices(tmp_path / "cycle" / "scan" / "rem_1", chest() + 1300)
    with pytest.raises(ScanError, match="by its air"):
        open_scan(case_of(path))


def test_png_is_mr(tmp_path):
    image = np.arange(1200, dtype=np.uint16).reshape(30, 40) % 256
    Image.fromarray(image.astype(np.uint8)).save(tmp_path / "a.png")
    case = case_of(tmp_path / "a.png", "MR")
    scan = open_scan(case)
    assert np.array_equal(scan.voxels[0], image)
    assert scan.modality == "MR"
    assert facts_of(case, scan).spacing_mm is None


def test_other_files_are_read_as_ever_with_the_modality_of_the_case(tmp_path):
    np.save(tmp_path / "a.npy", np.full((20, 30), 40.0, np.float32))
    scan = open_scan(case_of(tmp_path / "a.npy"))
    assert (scan.modality, scan.shape) == ("CT", (1, 20, 30))
    assert facts_of(case_of(tmp_path / "a.npy"), scan).spacing_mm is None


def test_spacing_that_the_case_tells_is_known(tmp_path):
    np.save(tmp_path / "a.npy", np.full((20, 30), -40.0, np.float32))
    case = case_of(tmp_path / "a.npy", spacing_mm=(1.0, 0.7, 0.7))
    assert facts_of(case, open_scan(case)).spacing_mm == (1.0, 0.7, 0.7)


def test_mask_of_tiff_slices(tmp_path):
    mask = np.zeros(SHAPE)
    mask[2, 5:9, 7:11] = 1
    label = save_slices(tmp_path / "cycle" / "label" / "a", mask, np.uint8)
    scan = open_scan(case_of(save_slices(tmp_path / "cycle" / "scan" / "a", chest() + 1024)))
    assert np.array_equal(open_mask(label, scan), mask > 0)


def test_masks_that_do_not_fit_are_refused(tmp_path):
    label = save_slices(tmp_path / "label", np.zeros((2, 40, 50)), np.uint8)
    scan = open_scan(case_of(save_slices(tmp_path / "scan", chest() + 1024)))
    with pytest.raises(ScanError, match=r"is of \(2, 40, 50\) voxels"):
        open_mask(label, scan)
    nibabel.save(nibabel.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4)), tmp_path / "mask.nii.gz")
    with pytest.raises(TamperscanError):
        open_mask(tmp_path / "mask.nii.gz", scan)


def test_damaged_and_differing_slices_are_refused(tmp_path):
    folder = save_slices(tmp_path / "scan", chest() + 1024)
    Image.fromarray(np.zeros((3, 3), np.uint16)).save(folder / "slide0002.tiff")
    with pytest.raises(ScanError, match="different sizes"):
        open_scan(case_of(folder))
    (folder / "slide0002.tiff").write_text("nothing")
    with pytest.raises(ScanError, match="no image that can be read"):
        open_scan(case_of(folder))


def test_size_by_the_header(tmp_path):
    Image.fromarray(np.zeros((7, 9), np.uint8)).save(tmp_path / "a.png")
    assert image_size(tmp_path / "a.png") == (7, 9)
