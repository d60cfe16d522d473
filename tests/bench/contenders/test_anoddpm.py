import numpy as np
import pytest
import torch

from tamperscan.bench.contenders.anoddpm import AnoDdpm
from tamperscan.bench.contenders.contender import Budget, settings_hash
from tamperscan.bench.contenders.storage import STATE_FILE, read_arrays

from .small import SPACING_MM, WIDTHS, NoiseCrops, noise, planted, silent


def make(kind="gauss", **settings):
    return AnoDdpm("CT", noise=kind, **{"steps": 2, "widths": WIDTHS, "crop_px": 16, "plane_px": 32, **settings})


@pytest.mark.parametrize("changed", [{"level": 200}, {"steps": 3}, {"widths": (8, 16)}, {"crop_px": 32}])
def test_settings_tell_what_changes_the_result(changed):
    assert settings_hash(make(**changed)) != settings_hash(make())


def test_noise_and_modality_are_told():
    hashes = {
        settings_hash(AnoDdpm(modality, noise=kind)) for modality in ("CT", "MR") for kind in ("gauss", "simplex")
    }
    assert len(hashes) == 4
    assert make("simplex").settings["decay"] == 0.8
    assert "decay" not in make().settings


def test_the_paper_level_is_reached_in_few_steps():
    levels = AnoDdpm("CT", noise="gauss").settings["levels"]
    assert (levels[0], len(levels)) == (249, 10)


@pytest.mark.parametrize("kind", ["gauss", "simplex"])
def test_energy_is_the_squared_error_of_what_comes_back(tmp_path, kind):
    contender = make(kind)
    contender.learn(NoiseCrops(), Budget(0.2), tmp_path, silent)
    clean = np.full((32, 32), -300.0, np.float32)  # 0 in model units
    energy = contender.energy(clean, SPACING_MM)
    assert 0 < energy.mean() <= 1  # restored images are clamped to [-1, 1]


class Blurs(torch.nn.Module):
    """Takes for noise whatever differs from the mean of 9 x 9 pixels."""

    def forward(self, images, level):
        kept = 1 / (1 + level.square())[:, None, None, None]
        padded = torch.nn.functional.pad(images, (4, 4, 4, 4), mode="replicate")
        clean = torch.nn.functional.avg_pool2d(padded, 9, stride=1)
        return (images - clean) / (1 - kept).sqrt()


def test_a_patch_without_noise_comes_back_best():
    contender = make(level=50)
    contender.networks = {"unet": Blurs()}
    image, box = planted(noise((96, 96)) - 100, noise_hu=5.0)
    energy = contender.energy(image, SPACING_MM)
    assert energy[box][8:-8, 8:-8].mean() < 0.3 * energy[:24].mean()


def test_planes_of_noise_come_with_the_network(tmp_path):
    contender = make("simplex")
    contender.learn(NoiseCrops(), Budget(0.2), tmp_path, silent)
    again = make("simplex")
    again.load(tmp_path)
    assert bool(again.networks["noise"].planes.any())
    image = noise((32, 32))
    assert np.array_equal(again.energy(image, SPACING_MM), contender.energy(image, SPACING_MM))


def test_a_killed_training_goes_on(tmp_path):
    class KilledError(Exception):
        pass

    def killed_halfway(spent, budget):
        if spent > budget / 2 and (tmp_path / STATE_FILE).exists():
            raise KilledError

    budget = Budget(0.8)
    with pytest.raises(KilledError):
        make("simplex").learn(NoiseCrops(), budget, tmp_path, killed_halfway)
    done = read_arrays(tmp_path / STATE_FILE)[1]
    told = []
    contender = make("simplex")
    facts = contender.learn(NoiseCrops(), budget, tmp_path, lambda spent, _: told.append(spent))
    assert told[0] > done["spent"] > 0
    assert facts["steps"] == done["steps"] + len(told)
    assert contender.energy(noise((16, 16)), SPACING_MM).shape == (16, 16)
