"""Contenders that are small enough to learn something within a second, and crops of noise to learn from."""

from dataclasses import replace

import numpy as np

from tamperscan.bench.contenders.anoddpm import AnoDdpm
from tamperscan.bench.contenders.btd import Btd, BtdSmall
from tamperscan.bench.contenders.cae import Cae
from tamperscan.bench.contenders.f_anogan import FAnoGan
from tamperscan.bench.contenders.high_pass import HighPass
from tamperscan.bench.contenders.noise_level import NoiseLevel
from tamperscan.bench.contenders.patched_ddpm import PatchedDdpm
from tamperscan.bench.contenders.srm_gmm import SrmGmm
from tamperscan.diffusion.presets import PAPER_CT

WIDTHS = (8, 12)
SPACING_MM = (0.7, 0.7)
NOISE_HU = 250.0
TINY_PRESET = replace(PAPER_CT, crop_px=32, batch=4, accumulate=2, learning_rate=1e-3)

SMALL = {
    "btd": lambda: Btd("CT", preset=TINY_PRESET, dim=8),
    "btd-small": lambda: BtdSmall("CT", widths=WIDTHS, crop_px=32),
    "anoddpm-gauss": lambda: AnoDdpm("CT", noise="gauss", steps=3, widths=WIDTHS, crop_px=32),
    "anoddpm-simplex": lambda: AnoDdpm("CT", noise="simplex", steps=3, widths=WIDTHS, crop_px=32, plane_px=32),
    "patched-ddpm": lambda: PatchedDdpm("CT", widths=WIDTHS, crop_px=32, plane_px=32),
    "cae": lambda: Cae("CT", widths=WIDTHS, code=4, crop_px=32),
    "f-anogan": lambda: FAnoGan("CT", width=8, latent=8),
    "srm-gmm": lambda: SrmGmm(windows=600, components=5, mixture=2),
    "noise-level": NoiseLevel,
    "high-pass": HighPass,
}


class NoiseCrops:
    """Noise of one strength around one density."""

    modality = "CT"

    def draw(self, rng, count, side):
        return noise((count, side, side), rng)


def noise(shape, rng=0, noise_hu=NOISE_HU):
    return np.random.default_rng(rng).normal(-200.0, noise_hu, shape).astype(np.float32)


def planted(image, noise_hu, at=32, side=32):
    """Replace the noise of a square, whose slices come with it."""
    box = (slice(at, at + side), slice(at, at + side))
    changed = image.copy()
    changed[box] = noise((side, side), 7, noise_hu)
    return changed, box


def silent(spent, budget):
    pass
