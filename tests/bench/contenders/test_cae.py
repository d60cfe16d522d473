import numpy as np
import torch

from tamperscan.bench.contenders.cae import Autoencoder, Cae
from tamperscan.bench.contenders.contender import Budget, settings_hash

from .small import SPACING_MM, WIDTHS, noise, silent


class Ramps:
    """Images that a few numbers describe."""

    modality = "CT"

    def draw(self, rng, count, side):
        rows, columns = np.mgrid[:side, :side] / side - 0.5
        slopes = rng.uniform(-400, 400, (count, 2))
        return np.array([-300 + a * rows + b * columns for a, b in slopes], np.float32)


def test_what_it_can_describe_comes_back_and_noise_does_not(tmp_path):
    contender = Cae("CT", widths=WIDTHS, code=2, crop_px=32)
    contender.learn(Ramps(), Budget(1.5), tmp_path, silent)
    ramp = Ramps().draw(np.random.default_rng(9), 1, 48)[0]
    noisy = ramp + noise((48, 48), 2) + 200
    assert contender.energy(noisy, SPACING_MM).mean() > 3 * contender.energy(ramp, SPACING_MM).mean()


def test_images_come_back_in_their_size():
    network = Autoencoder((8, 12, 16), 4).eval()
    assert network(torch.zeros(1, 1, 40, 24)).shape == (1, 1, 40, 24)


def test_the_middle_is_narrow():
    code = []
    network = Autoencoder((8, 12), 3).eval()
    network.layers[2].register_forward_hook(lambda module, inputs, output: code.append(output))
    network(torch.zeros(1, 1, 16, 16))
    assert code[0].shape == (1, 3, 4, 4)


def test_settings_tell_what_changes_the_result():
    made = (Cae("CT"), Cae("MR"), Cae("CT", code=8), Cae("CT", widths=(8, 16)), Cae("CT", crop_px=64))
    assert len({settings_hash(each) for each in made}) == 5
