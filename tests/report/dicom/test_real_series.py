"""Real series: results conform, are read back, and lie on their images."""

from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from highdicom.pm.sop import pmread

import tamperscan
from tamperscan.data import sample_path
from tamperscan.report.dicom import write_dicom_results
from tamperscan.scan import Scan, read_scan

REAL_SCANS = Path(__file__).parents[3] / ".." / "shared" / "data"
CASES = ("ctgan/1005_207.dcm", "ct/series/Lung_Dx-A0002_B40f", "mr/series/UCSF-BR-06_Sagittal-IR_3DFGRE_t0")


def a_few_slices(path, tmp_path):
    """Read some slices only; the first, middle and last of a long series tell as much."""
    if path.is_file():
        return read_scan(path)
    folder = tmp_path / "few"
    folder.mkdir()
    for file in sorted(path.glob("*.dcm"))[8:14]:
        (folder / file.name).symlink_to(file)
    return read_scan(folder)


@pytest.mark.parametrize("case", CASES)
def test_results_of_real_images(case, tmp_path, screen, complaints):
    path = REAL_SCANS / case
    if not path.exists():
        pytest.skip("no real scans beside the project")
    screening = screen(a_few_slices(path, tmp_path))
    results = write_dicom_results(screening, tmp_path / "dicom", pictures={})
    assert results.notes == ()
    assert [line for made in results.paths for line in complaints(made) if line.startswith("Error")] == []
    seg, pm = hd.seg.segread(results.segmentation), pmread(results.suspicion_map)
    assert len(hd.sr.srread(results.structured_report).content.get_volumetric_roi_measurement_groups()) == 2
    source = pydicom.dcmread(screening.scan.sources[0], stop_before_pixels=True)
    for made in (seg, pm):
        assert (made.StudyInstanceUID, made.PatientID) == (source.StudyInstanceUID, source.PatientID)
        assert made.FrameOfReferenceUID == source.FrameOfReferenceUID
    assert_lies_on(screening.scan, pm.get_volume(), screening.findings[0].centre)


def assert_lies_on(scan: Scan, volume: hd.Volume, centre: tuple[int, int, int]) -> None:
    peak = np.unravel_index(int(np.argmax(volume.array)), volume.array.shape)
    voxel = np.linalg.solve(scan.affine, volume.affine @ [*peak, 1.0])[:3]
    np.testing.assert_allclose(voxel, centre, atol=1e-2)


def test_the_packaged_sample_is_screened_and_written(tmp_path, complaints):
    scan = read_scan(sample_path())
    screening = tamperscan.load_detector("ct", threads=1).screen(scan)
    results = write_dicom_results(screening, tmp_path / "dicom")
    assert screening.verdict == "suspicious"
    assert hd.seg.segread(results.segmentation).number_of_segments == len(screening.findings)
    assert [line for made in results.paths for line in complaints(made) if line.startswith("Error")] == []
