from dataclasses import replace

import numpy as np
import pytest
import torch

from tamperscan.bench.contenders.btd import Btd, BtdOfficial, BtdSmall
from tamperscan.bench.contenders.contender import Budget, settings_hash
from tamperscan.diffusion.presets import PAPER_CT, PAPER_MR
from tamperscan.diffusion.published import PublishedUNet
from tamperscan.diffusion.reverse_step import removed
from tamperscan.diffusion.schedule import noise_schedule
from tamperscan.diffusion.weights import Card
from tamperscan.scan.windows import PUBLISHED_CT

from .small import SPACING_MM, TINY_PRESET, WIDTHS, NoiseCrops, noise, planted, silent

SCHEDULE = noise_schedule("sigmoid")


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return PublishedUNet(8).requires_grad_(False).eval()


class HighPass(torch.nn.Module):
    """Predicts as noise ten times the pixel less its 3x3 mean, and nothing at any level but the first."""

    def forward(self, image, t):
        padded = torch.nn.functional.pad(image, (1, 1, 1, 1), mode="replicate")
        return 10 * (image - torch.nn.functional.avg_pool2d(padded, 3, stride=1)) * (t == 0)[:, None, None, None]


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    export = pytest.importorskip("tamperscan.diffusion.export", exc_type=ImportError)
    card = Card(name="official", kind="published", modality="CT", window=(-700, 2000), crop_px=96, schedule="sigmoid")
    folder = tmp_path_factory.mktemp("official")
    export.export_weights(HighPass(), card, folder, safetensors=False)
    return BtdOfficial(folder)


def by_hand(network, patch):
    x0 = PUBLISHED_CT.to_model(patch)
    noise_of = network(torch.from_numpy(x0)[None, None], torch.zeros(1))[0, 0].numpy()
    return removed(x0, noise_of, SCHEDULE) ** 2


def holding(network):
    contender = Btd("CT", dim=8)
    contender.networks = {"unet": network}
    return contender


def test_a_patch_is_scored_as_published(network):
    # Within the window, so that the predicted start is not clamped.
    patch = noise((96, 96), noise_hu=50.0) + 800
    assert np.allclose(holding(network).energy(patch, SPACING_MM), by_hand(network, patch), rtol=1e-3, atol=1e-9)


def test_a_slice_is_scored_tile_by_tile(network):
    image = noise((96, 192))
    energy = holding(network).energy(image, SPACING_MM)
    assert np.allclose(energy[:, 96:], holding(network).energy(image[:, 96:], SPACING_MM), rtol=1e-4)


def test_official_weights_give_what_their_network_gives(official, tmp_path):
    image = noise((100, 150))
    assert official.learn(NoiseCrops(), Budget(1.0), tmp_path, silent) == {}
    official.load(tmp_path)
    expected = holding(HighPass()).energy(image, SPACING_MM)
    assert np.allclose(official.energy(image, SPACING_MM), expected, rtol=1e-3, atol=1e-8)


def test_a_planted_patch_without_noise_stands_out(official):
    image, box = planted(noise((96, 96)) + 700, noise_hu=5.0)
    energy = official.energy(image, SPACING_MM)
    assert energy[box][2:-2, 2:-2].mean() < 0.1 * energy[:24].mean()


def test_official_weights_are_told_by_their_hash(official):
    assert len(official.settings["weights_sha256"]) == 64
    assert official.settings["crop_px"] == 96


def test_published_settings_are_those_of_the_modality():
    assert Btd("CT").settings["preset"]["crop_px"] == PAPER_CT.crop_px == 96
    assert Btd("MR").settings["preset"]["crop_px"] == PAPER_MR.crop_px == 128
    assert Btd("MR").settings["window"] == [0.0, 1000.0]


def test_a_step_takes_the_crops_of_all_its_passes():
    course = Btd("CT", preset=TINY_PRESET, dim=8).course(NoiseCrops())
    assert course.crops_a_step == 8
    before = course.networks["unet"].init_conv.weight.clone()
    assert np.isfinite(course.step(np.random.default_rng(0), 0.0))
    assert not torch.equal(course.networks["unet"].init_conv.weight, before)


def test_gradients_of_parts_add_up_to_those_of_the_whole():
    drawn = []

    class Counts(NoiseCrops):
        def draw(self, rng, count, side):
            drawn.append(count)
            return super().draw(rng, count, side)

    course = Btd("CT", preset=replace(TINY_PRESET, batch=10, accumulate=2), dim=8).course(Counts())
    course.step(np.random.default_rng(0), 0.0)
    assert drawn == [8, 8, 4]


def test_mr_crops_are_mirrored_and_ct_crops_are_not():
    class Ramp:
        modality = "MR"

        def draw(self, rng, count, side):
            return np.broadcast_to(np.linspace(0, 1000, side, dtype=np.float32), (count, side, side)).copy()

    def slopes(flip):
        course = Btd("MR", preset=replace(TINY_PRESET, modality="MR", window=None, flip=flip), dim=8).course(Ramp())
        seen = []
        course.networks["unet"].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].clone()))
        course._loss(np.random.default_rng(0), 32)
        return np.sign(np.diff(seen[0].mean(dim=2)[:, 0].numpy()[:, [0, -1]])[:, 0])

    assert slopes(flip=True).mean() < 0.7
    assert slopes(flip=False).mean() > 0.7


def test_the_small_network_sees_the_noise_of_the_published_step():
    low, high = BtdSmall("CT").settings["sigma"]
    assert low < SCHEDULE.noise_to_signal(0) < high
    assert high == pytest.approx(16 * low)


def test_the_small_network_learns_to_take_noise_away(tmp_path):
    class Grey(NoiseCrops):
        def draw(self, rng, count, side):
            return np.full((count, side, side), 500.0, np.float32)

    contender = BtdSmall("CT", widths=WIDTHS, crop_px=32)
    contender.learn(Grey(), Budget(1.5), tmp_path, silent)
    quiet, noisy = (contender.energy(noise((64, 64), 1, hu) + 700, SPACING_MM).mean() for hu in (5.0, 23.4))
    assert noisy > 3 * quiet


def test_settings_tell_what_changes_the_result():
    made = (Btd("CT"), Btd("MR"), Btd("CT", dim=8), BtdSmall("CT"), BtdSmall("MR"), BtdSmall("CT", widths=(8,)))
    assert len({settings_hash(each) for each in made}) == 6
