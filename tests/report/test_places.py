import numpy as np

from tamperscan.report.places import finding_masks


def one_place(screening):
    (place,) = finding_masks(screening)
    return place


def in_scan(screening, place):
    mask = np.zeros(screening.scan.shape, bool)
    mask[place.box] = place.mask
    return mask


def test_the_voxels_stand_out_and_hold_the_centre(suspicious):
    place = one_place(suspicious)
    mask = in_scan(suspicious, place)
    (finding,) = suspicious.findings
    assert mask[finding.centre]
    middle = np.median(suspicious.suspicion[suspicious.regions])
    limit = middle + 0.6 * (suspicious.suspicion[finding.centre] - middle)
    assert suspicious.suspicion[mask].min() >= limit


def test_they_stay_in_the_slices_of_the_finding(suspicious):
    place = one_place(suspicious)
    first, last = suspicious.findings[0].slice_range
    assert first <= place.slices.start < place.slices.stop <= last + 1


def test_the_box_is_as_small_as_can_be(suspicious):
    mask = one_place(suspicious).mask
    for axis in range(3):
        for edge in (0, -1):
            assert mask.take(edge, axis=axis).any()


def test_an_ellipsoid_where_the_map_says_nothing(make_screening, suspicious):
    flat = make_screening(suspicion=np.ones_like(suspicious.suspicion))
    place = one_place(flat)
    mask = in_scan(flat, place)
    (finding,) = flat.findings
    assert mask[finding.centre]
    wide = (place.box[1].stop - place.box[1].start) * flat.scan.spacing_mm[1]
    assert abs(wide - finding.size_mm[1]) < 2 * flat.scan.spacing_mm[1]


def test_a_finding_at_the_border(make_screening, make_finding, suspicious):
    corner = make_finding(centre=(0, 0, 0), slice_range=(0, 0))
    assert one_place(make_screening(findings=(corner,))).mask.any()


def test_no_findings(clear):
    assert list(finding_masks(clear)) == []
