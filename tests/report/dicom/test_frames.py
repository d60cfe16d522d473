import numpy as np
import pydicom
import pytest
from dicom_maker import enhanced, plane_at, save

from tamperscan.errors import ScanError
from tamperscan.report.dicom.frames import slots_of
from tamperscan.scan import read_scans
from tamperscan.scan.sources import FileSource

UIDS = {"StudyInstanceUID": "2.25.5", "SeriesInstanceUID": "2.25.6", "FrameOfReferenceUID": "2.25.7"}


@pytest.fixture
def two_stacks(tmp_path):
    """One file with two stacks of three slices at the same places, their frames mixed."""
    order = [("1", 0), ("2", 2), ("1", 2), ("2", 0), ("2", 1), ("1", 1)]
    frames = [plane_at(2.5 * index, StackID=stack) for stack, index in order]
    volume = np.random.default_rng(0).integers(-900, 100, (6, 48, 48), dtype=np.int16)
    return save(enhanced(volume, frames, **UIDS), tmp_path / "ct.dcm"), order


def test_each_stack_finds_its_own_frames(two_stacks):
    path, order = two_stacks
    scans = read_scans(path)
    header = pydicom.dcmread(path, stop_before_pixels=True)
    found = [slots_of(scan, [FileSource(path)], [header]) for scan in scans]
    wanted = [[(0, order.index((stack, index))) for index in range(3)] for stack in "12"]
    assert sorted(found) == sorted(wanted)


def test_results_of_each_stack_are_objects_of_their_own(two_stacks, screen, write):
    path, _ = two_stacks
    one, two = (write(screen(scan), scan.name) for scan in read_scans(path))
    maps = [pydicom.dcmread(results.suspicion_map) for results in (one, two)]
    assert maps[0].SOPInstanceUID != maps[1].SOPInstanceUID
    frames = [
        {
            group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber
            for group in made.PerFrameFunctionalGroupsSequence
        }
        for made in maps
    ]
    assert frames[0].isdisjoint(frames[1])
    assert frames[0] | frames[1] == {1, 2, 3, 4, 5, 6}


def test_a_file_that_holds_other_slices_now(two_stacks):
    path, _ = two_stacks
    scan = read_scans(path)[0]
    volume = np.zeros((2, 48, 48), np.int16)
    save(enhanced(volume, [plane_at(0), plane_at(2.5)], **UIDS), path)
    header = pydicom.dcmread(path, stop_before_pixels=True)
    with pytest.raises(ScanError, match="holds other slices than when it was screened"):
        slots_of(scan, [FileSource(path)], [header])


def test_single_frames_are_in_the_order_of_the_slices(series):
    scan = series(4, each=lambda index: {"ImagePositionPatient": [0, 0, -2.5 * index]})
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in scan.sources]
    assert slots_of(scan, [FileSource(path) for path in scan.sources], headers) == [(index, 0) for index in range(4)]
