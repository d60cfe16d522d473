from __future__ import annotations

import numpy as np
import pytest

from tamperscan.detect import measure
from tamperscan.detect.measure import LEAST_LUNG_CM2, SliceMeter
from tamperscan.detect.statistics import grid_step
from tamperscan.diffusion.predictor import NoisePredictor
from tamperscan.errors import WeightsError

from .phantom import PIXEL_MM, chest, ellipse, parenchyma, positions

SPACING = (PIXEL_MM, PIXEL_MM)


@pytest.fixture(scope="module")
def meter(untrained):
    return SliceMeter(NoisePredictor(untrained, threads=1, precision="float32"), untrained.card)


def assert_same(one, other):
    for name in ("energy", "covariates"):
        assert np.allclose(
            getattr(one, name)[:, one.inside], getattr(other, name)[:, other.inside], atol=1e-3, equal_nan=True
        )
    assert np.isfinite(one.energy).sum() > 1000


@pytest.mark.parametrize("shape", [(256, 256), (251, 243)])
def test_part_around_the_lung_gives_what_the_whole_slice_gives(meter, monkeypatch, shape):
    hu = chest(shape=shape).hu
    part = meter.measure(hu, SPACING).statistics
    monkeypatch.setattr(measure, "_MARGIN_PX", 1000)
    whole = meter.measure(hu, SPACING).statistics
    assert np.array_equal(part.inside, whole.inside)
    assert_same(part, whole)


@pytest.mark.parametrize(("down", "right"), [(8, -12), (-4, 0), (0, 16)])
def test_body_that_lies_elsewhere_measures_the_same(meter, down, right):
    hu = chest().hu
    still = meter.measure(hu, SPACING).statistics
    moved = meter.measure(np.roll(hu, (down, right), (0, 1)), SPACING).statistics
    step = grid_step(SPACING)
    assert np.array_equal(moved.inside, np.roll(still.inside, (down // step, right // step), (0, 1)))
    assert_same(still, moved)


def test_grid_is_that_of_the_whole_slice(meter):
    hu = chest(shape=(251, 243)).hu
    found = meter.measure(hu, SPACING)
    step = grid_step(SPACING)
    assert found.statistics.inside.shape == (251 // step, 243 // step)
    rows, columns = np.nonzero(found.statistics.inside)
    assert found.lung[rows * step + step // 2, columns * step + step // 2].mean() > 0.95


def test_stronger_noise_in_the_slice_is_more_predicted_noise(run):
    meter = SliceMeter(NoisePredictor(run[2], threads=1, precision="float32"), run[2].card)
    quiet, loud = (meter.measure(chest(noise_hu=hu).hu, SPACING).statistics for hu in (10, 40))
    assert np.nanmedian(loud.energy[0]) > np.nanmedian(quiet.energy[0]) + 0.5


@pytest.mark.parametrize("shape", [(256, 256), (64, 64), (1, 1), (2, 300)])
def test_slice_without_lung_measures_nothing(meter, shape):
    assert meter.measure(np.full(shape, 40, np.float32), SPACING) is None
    assert meter.measure(np.full(shape, -1000, np.float32), SPACING) is None


def lung_of(radius_mm):
    """A body with one round lung."""
    tissue = parenchyma(np.random.default_rng(0), (256, 256), SPACING)
    made = chest()
    down, right = positions(made.lungs.shape, SPACING)
    image = np.where(ellipse(down, right, (0, 0), (98, 142)), np.float32(30), made.clean)
    return np.where(ellipse(down, right, (0, 0), (radius_mm, radius_mm)), tissue, image) + made.noise


def test_sliver_of_lung_measures_nothing(meter):
    too_little = np.sqrt(100 * LEAST_LUNG_CM2 / np.pi) - 3
    assert meter.measure(lung_of(too_little), SPACING) is None
    assert meter.measure(lung_of(too_little + 8), SPACING) is not None


def test_lung_without_anything_to_measure(meter, monkeypatch):
    monkeypatch.setattr(meter._predictor, "predict", lambda image, levels: np.zeros((2, *image.shape), np.float32))
    assert meter.measure(chest().hu, SPACING) is None


@pytest.mark.parametrize("change", [{"window": None}, {"levels_hu": ()}])
def test_weights_that_can_not_screen(untrained, change):
    with pytest.raises(WeightsError, match="untrained: screening needs"):
        SliceMeter(NoisePredictor(untrained, threads=1), untrained.card.model_copy(update=change))
