import numpy as np
import pytest

from tamperscan.detect.vetting import SeenSlices, capped_shares, largest_share, slice_hashes


def volume(seed=0, slices=4, side=16):
    return np.random.default_rng(seed).integers(-1000, 400, (slices, side, side + 3)).astype(np.float32)


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_turned_and_mirrored_slices_have_the_same_hash(turns, mirrored):
    image = volume()[0]
    turned = np.rot90(image[::-1] if mirrored else image, turns)
    assert slice_hashes(turned[None]) == slice_hashes(image[None])


def test_one_pixel_makes_another_hash():
    image = volume()
    other = image.copy()
    other[1, 5, 5] += 1
    assert [a == b for a, b in zip(slice_hashes(image), slice_hashes(other), strict=True)] == [True, False, True, True]


def test_other_shapes_of_the_same_values_have_other_hashes():
    values = np.arange(12.0)
    assert slice_hashes(values.reshape(1, 3, 4)) != slice_hashes(values.reshape(1, 2, 6))


def test_air_is_no_copy_of_air():
    seen = SeenSlices()
    air = slice_hashes(np.full((3, 8, 8), -1000.0))
    assert air == ("", "", "")
    assert seen.copy("a", air) is None
    assert seen.copy("b", air) is None


def test_copy_under_another_name():
    seen = SeenSlices()
    assert seen.copy("a", slice_hashes(volume())) is None
    copy = seen.copy("b", slice_hashes(volume()[::-1, :, ::-1]))
    assert (copy.of, copy.shared, copy.slices) == ("a", 4, 4)
    assert "every slice is in a too" in str(copy)


def test_altered_copy_is_to_be_looked_at():
    seen = SeenSlices()
    seen.copy("a", slice_hashes(volume(slices=10)))
    forged = volume(slices=10)
    forged[4:7, 3:9, 3:9] += 100
    copy = seen.copy("b", slice_hashes(forged))
    assert (copy.shared, copy.slices) == (7, 10)
    assert "look at both" in str(copy)


def test_scans_that_share_a_slice_are_no_copies():
    seen = SeenSlices()
    seen.copy("a", slice_hashes(volume(0)))
    mixed = np.concatenate([volume(0)[:1], volume(1)])
    assert seen.copy("b", slice_hashes(mixed)) is None


def test_shares_within_their_limits_stay():
    shares = np.array([0.2, 0.3, 0.5])
    np.testing.assert_allclose(capped_shares(shares, ["a", "b", "c"], 0.5), shares)


def test_a_source_gets_no_more_than_its_share():
    shares = np.array([0.4, 0.4, 0.1, 0.1])
    capped = capped_shares(shares, ["a", "a", "b", "c"], 0.5)
    np.testing.assert_allclose(capped, [0.25, 0.25, 0.25, 0.25])


def test_what_one_loses_may_bring_another_to_its_limit():
    capped = capped_shares(np.array([0.7, 0.25, 0.05]), ["a", "b", "c"], 0.4)
    np.testing.assert_allclose(capped, [0.4, 0.4, 0.2])


def test_too_few_sources_get_the_same():
    np.testing.assert_allclose(capped_shares(np.array([0.9, 0.1]), ["a", "b"], 0.25), [0.5, 0.5])
    np.testing.assert_allclose(capped_shares(np.array([0.9, 0.1]), ["a", "a"], 0.25), [0.9, 0.1])


def test_unknown_sources_stand_for_themselves():
    np.testing.assert_allclose(capped_shares(np.array([0.6, 0.2, 0.2]), ["", "", ""], 0.4), [0.4, 0.3, 0.3])


def test_scans_that_are_not_drawn_stay_so():
    capped = capped_shares(np.array([0.0, 0.8, 0.2]), ["a", "b", "c"], 0.5)
    np.testing.assert_allclose(capped, [0.0, 0.5, 0.5])


def test_largest_share():
    assert largest_share(np.array([0.3, 0.3, 0.4]), ["a", "a", "b"]) == ("a", pytest.approx(0.6))
    assert largest_share(np.array([1.0]), [""]) == ("", 0.0)
