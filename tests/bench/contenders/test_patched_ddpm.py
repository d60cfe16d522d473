import numpy as np
import torch

from tamperscan.bench.contenders.contender import Budget, settings_hash
from tamperscan.bench.contenders.patched_ddpm import PatchedDdpm
from tamperscan.bench.contenders.simplex import SimplexNoise
from tamperscan.scan.windows import LUNG_NOISE_CT

from .small import SPACING_MM, WIDTHS, NoiseCrops, noise, silent


class Watches(torch.nn.Module):
    """Gives back what it gets, and keeps it."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, images, level):
        self.seen.append((images.clone(), level.clone()))
        return images


def small(**settings):
    return PatchedDdpm("CT", **{"widths": WIDTHS, "crop_px": 16, "plane_px": 32, **settings})


def watched():
    contender = small()
    contender.networks = {"unet": Watches(), "noise": SimplexNoise(32)}
    return contender


def test_only_the_middle_of_a_tile_is_noised():
    contender, image = watched(), noise((16, 16))
    contender.energy(image, SPACING_MM)
    tiles = torch.cat([images for images, _ in contender.networks["unet"].seen])
    model = LUNG_NOISE_CT.to_model(image)
    surrounded = np.pad(model, 4, mode="edge")
    first = tiles[0, 0].numpy()
    assert np.array_equal(first[:4], surrounded[:4, :16])
    assert np.array_equal(first[:, :4], surrounded[:16, :4])
    assert np.abs(first[4:12, 4:12] - surrounded[4:12, 4:12]).min() > 0


def test_every_pixel_is_restored_once():
    contender = watched()
    energy = contender.energy(noise((40, 24)), SPACING_MM)
    assert energy.shape == (40, 24)
    assert sum(len(images) for images, _ in contender.networks["unet"].seen) == 5 * 3


def test_patches_are_noised_to_the_published_level():
    contender = watched()
    contender.energy(noise((16, 16)), SPACING_MM)
    level = contender.networks["unet"].seen[0][1]
    kept = 1 / (1 + level[0].item() ** 2)
    assert 0.07 < kept < 0.09  # abar of level 500 of the linear schedule


def test_energy_is_the_absolute_error():
    class Black(Watches):
        def forward(self, images, level):
            return 0 * images - 1

    contender = watched()
    contender.networks["unet"] = Black()
    image = noise((20, 20))
    assert np.allclose(contender.energy(image, SPACING_MM), LUNG_NOISE_CT.to_model(image) + 1, atol=1e-6)


def test_patches_are_half_as_wide_as_crops():
    assert (PatchedDdpm("CT").settings["crop_px"], PatchedDdpm("CT").settings["patch_px"]) == (96, 48)


def test_settings_tell_what_changes_the_result():
    assert (
        len({settings_hash(each) for each in (small(), small(level=400), small(crop_px=32), small(widths=(8,)))}) == 4
    )


def test_it_learns_the_level_of_its_crops(tmp_path):
    contender = small()
    contender.learn(NoiseCrops(), Budget(1.5), tmp_path, silent)
    energy = contender.energy(noise((32, 32), noise_hu=1.0), SPACING_MM)
    # All crops are around 0.13 model units: who learned nothing is off by more than the noise of the crops.
    assert energy.mean() < 0.6
