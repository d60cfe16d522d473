import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tamperscan.bench.predictor_measuring import (  # noqa: E402
    CROPS_A_PATIENT,
    HeldOut,
    cut_held_out,
    measure_errors,
    seconds_a_pass,
)
from tamperscan.diffusion.unet import LocalUNet, LocalUNetSettings  # noqa: E402
from tamperscan.errors import BenchError  # noqa: E402
from tamperscan.scan import Scan  # noqa: E402

from .phantoms import chest  # noqa: E402

MIDDLE_OF_THE_WINDOW_HU = -300


def flat(in_series=(True, False)):
    """Crops that show nothing: the image is the noise alone."""
    crops = np.full((len(in_series), 3, 96, 96), MIDDLE_OF_THE_WINDOW_HU, dtype=np.int16)
    return HeldOut(crops, ("a", "b")[: len(in_series)], np.array(in_series))


def scan_of(slices, seed=0):
    voxels = np.stack([chest(seed * 100 + index) for index in range(slices)]).repeat(2, axis=1).repeat(2, axis=2)
    return Scan(voxels, (4.0, 1.2, 1.2), "CT", "scan")


def test_perfect_predictor_has_no_error():
    errors = measure_errors(lambda image, sigma: image / sigma[:, None, None, None], 0, flat())
    np.testing.assert_allclose(errors.by_level, 0, atol=1e-9)


def test_silent_predictor_has_an_error_of_one():
    errors = measure_errors(lambda image, sigma: torch.zeros_like(image), 0, flat())
    np.testing.assert_allclose(errors.by_level, 1, atol=0.1)


def test_predictor_with_neighbours_is_asked_for_the_middle_one_and_only_in_series():
    def middle(image, sigma):
        assert image.shape[1] == 3
        return image[:, 1:2] / sigma[:, None, None, None]

    errors = measure_errors(middle, 1, flat())
    np.testing.assert_allclose(errors.by_level[0], 0, atol=1e-9)
    assert np.isnan(errors.by_level[1]).all()


def test_ratio_is_taken_crop_by_crop():
    held_out = flat((True, True))
    half = measure_errors(lambda image, sigma: 0.5 * image / sigma[:, None, None, None], 0, held_out)
    none = measure_errors(lambda image, sigma: torch.zeros_like(image), 0, held_out)
    ratio = half.ratio_to(none, held_out.patients, np.ones(2, dtype=bool))
    assert ratio.value == pytest.approx(0.25, abs=1e-3)
    assert ratio.low <= ratio.value <= ratio.high
    assert half.at(0, held_out.patients, held_out.in_series).value == pytest.approx(0.25, abs=0.02)


def test_crops_are_of_the_lung_and_know_their_neighbours():
    held_out = cut_held_out([("one", scan_of(1)), ("many", scan_of(5, seed=1))])
    assert held_out.crops.shape[1:] == (3, 96, 96)
    assert [held_out.patients.count(name) for name in ("one", "many")] == [CROPS_A_PATIENT, 3]
    np.testing.assert_array_equal(held_out.in_series, [name == "many" for name in held_out.patients])
    single, series = (held_out.crops[held_out.in_series == there] for there in (False, True))
    assert (single[:, 0] == single[:, 1]).all()
    assert not (series[:, 0] == series[:, 1]).all(axis=(1, 2)).any()


def test_crops_are_the_same_every_time():
    first, again = (cut_held_out([("one", scan_of(4))]) for _ in range(2))
    np.testing.assert_array_equal(first.crops, again.crops)


def test_no_lung():
    with pytest.raises(BenchError, match="holds lung"):
        cut_held_out([("air", Scan(np.full((3, 128, 128), -1000.0, np.float32), (1.0, 1.0, 1.0), "CT", "air"))])


def test_time_is_that_of_each_network():
    networks = {str(width): LocalUNet(LocalUNetSettings((width, width))) for width in (4, 64)}
    seconds = seconds_a_pass(networks, repeats=1)
    assert 0 < seconds["4"] < seconds["64"]
