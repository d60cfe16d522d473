import highdicom as hd
import numpy as np
from pydicom.uid import UID

from tamperscan.report.places import finding_masks


def test_one_segment_a_finding_with_its_algorithm(results):
    read = hd.seg.segread(results.segmentation)
    assert read.segmentation_type == hd.seg.SegmentationTypeValues.BINARY
    descriptions = [read.get_segment_description(number) for number in read.segment_numbers]
    assert [each.segment_label for each in descriptions] == ["Finding 1: too smooth", "Finding 2: like rain"]
    for each in descriptions:
        assert each.algorithm_identification.name == "ct"
        assert each.algorithm_identification.parameters == {
            "weights_sha256": "cd" * 32, "alarm_rate": "0.05", "head": "combined",
        }  # fmt: skip
        assert each.segmented_property_type.scheme_designator == "99TAMPERSCAN"
        assert "RecommendedDisplayCIELabValue" in each


def test_masks_come_back_on_the_images_they_were_made_of(results, screened):
    read = hd.seg.segread(results.segmentation)
    places = list(finding_masks(screened))
    for number, place in enumerate(places, start=1):
        uids = [UID(f"1.2.826.0.1.3680043.8.498.3.{index + 1}") for index in place.slices]
        pixels = read.get_pixels_by_source_instance(uids, segment_numbers=[number])
        wanted = np.zeros((len(uids), *screened.scan.shape[1:]), np.uint8)
        wanted[:, place.box[1], place.box[2]] = place.mask
        np.testing.assert_array_equal(pixels[..., 0], wanted)


def test_overlapping_findings_keep_their_voxels(results):
    read = hd.seg.segread(results.segmentation)
    uids = [UID("1.2.826.0.1.3680043.8.498.3.3")]
    pixels = read.get_pixels_by_source_instance(uids)
    assert (pixels.sum(axis=-1) == 2).any()


def test_it_lies_where_the_scan_does(results, screened):
    volume = hd.seg.segread(results.segmentation).get_volume(combine_segments=False)
    place = np.argwhere(volume.array[..., 0])[0]
    position = volume.affine @ [*place, 1.0]
    voxel = np.linalg.solve(screened.scan.affine, position)[:3]
    (first, *_) = finding_masks(screened)
    inside = np.rint(voxel).astype(int) - [part.start for part in first.box]
    assert first.mask[tuple(inside)]
    np.testing.assert_allclose(voxel, np.rint(voxel), atol=1e-3)


def test_slices_with_a_gap(series, screen, complaints, write):
    scan = series(6, each=lambda index: {"ImagePositionPatient": [-20, -30, 2.5 * (index + 2 * (index > 3))]})
    results = write(screen(scan))
    assert results.segmentation is not None
    assert complaints(results.segmentation) == []
