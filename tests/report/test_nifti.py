import nibabel
import numpy as np
import pytest

from tamperscan.data import packaged_weights, weights_path
from tamperscan.diffusion.weights import open_weights
from tamperscan.report.nifti import write_nifti
from tamperscan.report.nifti_grid import grid_of
from tamperscan.report.places import finding_masks
from tamperscan.scan import read_scan

needs_weights = pytest.mark.skipif("ct" not in packaged_weights(), reason="no packaged weights")


def values(path):
    """Voxels of a file as [slice, row, column]."""
    return np.asarray(nibabel.load(path).dataobj).transpose(2, 1, 0)


def test_the_scan_comes_back_in_its_place(make_screening, make_scan, tmp_path):
    voxels = np.random.default_rng(0).integers(-1000, 3000, (4, 7, 5)).astype(np.float32)
    screening = make_screening(scan=make_scan(voxels=voxels), findings=())
    screening = make_screening(
        scan=screening.scan,
        findings=(),
        suspicion=np.zeros(voxels.shape, np.float32),
        regions=np.zeros(voxels.shape, bool),
    )
    files = write_nifti(screening, tmp_path)
    image = nibabel.load(files.scan)
    np.testing.assert_array_equal(values(files.scan), voxels)
    np.testing.assert_allclose(image.affine, grid_of(screening.scan).affine, atol=1e-5)
    slice_, row, column = 3, 2, 1
    lps = screening.scan.affine @ [slice_, row, column, 1]
    ras = image.affine @ [column, row, slice_, 1]
    np.testing.assert_allclose(ras, lps * [-1, -1, 1, 1], atol=1e-4)
    assert image.header.get_xyzt_units()[0] == "mm"


def test_our_own_reader_reads_it_as_it_was(make_screening, tmp_path):
    screening = make_screening()
    again = read_scan(write_nifti(screening, tmp_path).scan)
    low, high = screening.scan.voxels.min(), screening.scan.voxels.max()
    np.testing.assert_allclose(again.voxels, screening.scan.voxels, atol=(high - low) / 60_000)
    np.testing.assert_allclose(again.affine, screening.scan.affine, atol=1e-3)


def test_the_map_is_0_where_nothing_was_measured(suspicious, tmp_path):
    read = values(write_nifti(suspicious, tmp_path).suspicion)
    step = suspicious.suspicion.max() / 4095
    np.testing.assert_allclose(read, np.where(suspicious.regions, suspicious.suspicion, 0), atol=step)
    assert not read[~suspicious.regions].any()


def test_findings_are_labels(suspicious, tmp_path):
    read = values(write_nifti(suspicious, tmp_path).findings)
    (place,) = finding_masks(suspicious)
    np.testing.assert_array_equal(read[place.box] == 1, place.mask)
    assert set(np.unique(read)) == {0, 1}


def test_an_abstained_scan_has_no_maps_and_older_ones_go(suspicious, abstained, tmp_path):
    assert len(write_nifti(suspicious, tmp_path).paths) == 3
    assert [path.name for path in write_nifti(abstained, tmp_path).paths] == ["scan.nii.gz"]
    assert [path.name for path in tmp_path.iterdir()] == ["scan.nii.gz"]


def test_a_sheared_affine_is_kept(make_screening, make_scan, lps_affine, tmp_path):
    sheared = lps_affine.copy()
    sheared[1, 0] = 0.9  # a tilted gantry
    image = nibabel.load(write_nifti(make_screening(scan=make_scan(affine=sheared)), tmp_path).scan)
    np.testing.assert_allclose(image.affine, grid_of(make_scan(affine=sheared)).affine, atol=1e-4)


def test_the_remark_of_a_forged_scan_goes_along(make_screening, make_scan, tmp_path):
    from tamperscan.scan.forged import NOTE

    files = write_nifti(make_screening(scan=make_scan(warnings=(NOTE,))), tmp_path)
    assert NOTE in read_scan(files.scan).warnings


def test_the_same_screening_gives_the_same_bytes(suspicious, tmp_path):
    one, two = (write_nifti(suspicious, tmp_path / name) for name in "ab")
    assert [path.read_bytes() for path in one.paths] == [path.read_bytes() for path in two.paths]


@needs_weights
def test_the_residual_is_where_the_detector_looked(suspicious, tmp_path):
    weights = open_weights(weights_path("ct"))
    calls = []
    files = write_nifti(
        suspicious, tmp_path, weights=weights, with_scan=False, progress=lambda *call: calls.append(call)
    )
    assert files.scan is None
    read = values(files.residual)
    assert calls[-1] == (12, 12)
    looked = suspicious.regions.any(axis=(1, 2))
    assert not read[~looked].any()
    assert 1.0 < read[suspicious.regions].std() < 100.0  # HU


@needs_weights
def test_no_residual_of_another_modality(make_screening, make_scan, tmp_path):
    weights = open_weights(weights_path("ct"))
    assert write_nifti(make_screening(scan=make_scan(modality="MR")), tmp_path, weights=weights).residual is None


@pytest.mark.parametrize("codes", ["LPS", "RAS", "SRA", "ILP", "PIR"])
def test_maps_of_a_nifti_file_fit_it_voxel_by_voxel(make_screening, tmp_path, codes):
    stored = np.random.default_rng(0).integers(-1000, 400, (17, 18, 19)).astype(np.int16)
    ornt = nibabel.orientations.axcodes2ornt(tuple(codes))
    affine = np.eye(4)
    for axis, (to, sign) in enumerate(ornt.astype(int)):
        affine[axis, axis] = 0
        affine[to, axis] = sign * (1.0, 2.0, 3.0)[axis]
    affine[:3, 3] = 10, -20, 30
    nibabel.save(nibabel.Nifti1Image(stored, affine), tmp_path / "scan.nii.gz")
    scan = read_scan(tmp_path / "scan.nii.gz")
    nothing = np.zeros(scan.shape, bool)
    screening = make_screening(scan=scan, findings=(), suspicion=nothing.astype(np.float32), regions=nothing)
    image = nibabel.load(write_nifti(screening, tmp_path / "out", like_source=True).scan)
    np.testing.assert_array_equal(np.asarray(image.dataobj), stored)
    np.testing.assert_allclose(image.affine, affine, atol=1e-5)


def test_a_nifti_file_that_became_another_does_not_matter(make_screening, tmp_path):
    stored = np.random.default_rng(0).integers(-1000, 400, (17, 18, 19)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(stored, np.diag([1.0, 2.0, 3.0, 1.0])), tmp_path / "scan.nii.gz")
    scan = read_scan(tmp_path / "scan.nii.gz")
    for content in (b"", nibabel.Nifti1Image(stored[:3], np.eye(4)).to_bytes()):
        (tmp_path / "scan.nii.gz").write_bytes(content)
        assert grid_of(scan).order == (2, 1, 0)
