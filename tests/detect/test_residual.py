import numpy as np
import pytest

from tamperscan.data import packaged_weights, weights_path
from tamperscan.detect.residual import NoiseResidual
from tamperscan.diffusion.predictor import NoisePredictor
from tamperscan.diffusion.weights import open_weights
from tamperscan.scan import Scan
from tamperscan.scan.windows import IntensityWindow, signal_window

pytestmark = pytest.mark.skipif(not {"ct", "mr"} <= set(packaged_weights()), reason="no packaged weights")


def a_scan(modality="CT", sides=(2, 200, 200)):
    voxels = np.random.default_rng(0).normal(-850, 25, sides).astype(np.float32)
    return Scan(voxels if modality == "CT" else voxels + 1000, (1.0, 1.0, 1.0), modality, "made")


def test_it_is_the_predicted_noise_in_hu():
    weights, scan = open_weights(weights_path("ct")), a_scan()
    window, sigma = IntensityWindow(*weights.card.window), min(weights.card.levels_hu)
    level = np.array([sigma / window.units_per_model_unit], np.float32)
    wanted = NoisePredictor(weights).predict(window.to_model(scan.voxels[0]), level)[0] * sigma
    np.testing.assert_allclose(next(NoiseResidual(weights).slices(scan)), wanted, atol=1e-3)


def test_a_part_gives_what_the_whole_gives():
    scan, regions = a_scan(), np.zeros((2, 200, 200), bool)
    regions[1, 90:110, 95:120] = True
    residual = NoiseResidual(open_weights(weights_path("ct")))
    whole, part = list(residual.slices(scan)), list(residual.slices(scan, regions))
    assert not part[0].any()
    np.testing.assert_allclose(part[1][regions[1]], whole[1][regions[1]], atol=0.5)
    assert not part[1][:40].any()


def test_nothing_looked_at_means_everything():
    scan = a_scan()
    residual = NoiseResidual(open_weights(weights_path("ct")))
    assert all(plane.all(axis=None) for plane in residual.slices(scan, np.zeros(scan.shape, bool)))


def test_mr_is_measured_by_its_own_range():
    weights, scan = open_weights(weights_path("mr")), a_scan("MR")
    residual = NoiseResidual(weights)
    assert residual.sigma(scan) == pytest.approx(min(weights.card.levels_of_range) * signal_window(scan.voxels).width)
    assert next(residual.slices(scan)).std() > 0.0


def test_which_weights_predict():
    card = open_weights(weights_path("ct")).card
    assert NoiseResidual.can_predict(card, "CT")
    assert not NoiseResidual.can_predict(card, "MR")
    assert not NoiseResidual.can_predict(card.model_copy(update={"kind": "published"}), "CT")
