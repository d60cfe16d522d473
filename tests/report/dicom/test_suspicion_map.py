import numpy as np
import pydicom
import pytest
from highdicom.pm.sop import pmread
from pydicom.uid import UID


def test_values_come_back_on_the_images_they_were_made_of(results, screened):
    read = pydicom.dcmread(results.suspicion_map)
    assert (read.Rows, read.Columns, read.NumberOfFrames) == (48, 48, 5)
    wanted = np.where(screened.regions, screened.suspicion, 0)
    groups = read.PerFrameFunctionalGroupsSequence
    for number, group in enumerate(groups, start=1):
        uid = group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        index = int(UID(uid).rpartition(".")[2]) - 1
        np.testing.assert_array_equal(read.pixel_array[number - 1], wanted[index])
        assert float(group.PlanePositionSequence[0].ImagePositionPatient[2]) == 2.5 * index


def test_it_is_read_as_a_volume_that_lies_where_the_scan_does(results, screened):
    volume = pmread(results.suspicion_map).get_volume()
    peak = np.argwhere(volume.array == 7.0)[0]
    voxel = np.linalg.solve(screened.scan.affine, volume.affine @ [*peak, 1.0])[:3]
    np.testing.assert_allclose(voxel, screened.findings[0].centre, atol=1e-4)


def test_its_unit_and_window_are_stated(results):
    shared = pmread(results.suspicion_map).SharedFunctionalGroupsSequence[0]
    (mapping,) = shared.RealWorldValueMappingSequence
    assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "1"
    assert mapping.DoubleFloatRealWorldValueLastValueMapped == 7.0
    assert shared.FrameVOILUTSequence[0].WindowWidth == 7.0
    assert list(shared.PixelMeasuresSequence[0].PixelSpacing) == [0.8, 0.7]


@pytest.mark.parametrize("orientation", [[1, 0, 0, 0, 1, 0], [-1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, -1]])
def test_frames_come_in_the_order_that_viewers_stack_them_in(series, screen, write, orientation):
    normal = np.cross(orientation[:3], orientation[3:])
    scan = series(
        4,
        each=lambda index: {
            "ImagePositionPatient": [float(part) for part in normal * 2.5 * (3 - index)],
            "ImageOrientationPatient": orientation,
        },
    )
    screening = screen(scan)
    read = pydicom.dcmread(write(screening).suspicion_map)
    groups = read.PerFrameFunctionalGroupsSequence
    places = [np.array(group.PlanePositionSequence[0].ImagePositionPatient, float) @ normal for group in groups]
    assert places == sorted(places)
    assert [group.FrameContentSequence[0].DimensionIndexValues for group in groups] == [1, 2, 3, 4]
    np.testing.assert_array_equal(read.pixel_array, np.where(screening.regions, screening.suspicion, 0))


@pytest.mark.parametrize(("part", "region"), [("CHEST", "Chest"), ("breast", "Breast"), (None, "Entire body")])
def test_a_region_is_stated_for_dcmqi(series, screen, write, part, region):
    scan = series(2, BodyPartExamined=part, Laterality="L")
    shared = pydicom.dcmread(write(screen(scan)).suspicion_map).SharedFunctionalGroupsSequence[0]
    (anatomy,) = shared.FrameAnatomySequence
    assert anatomy.AnatomicRegionSequence[0].CodeMeaning == region
    assert anatomy.FrameLaterality == "L"
