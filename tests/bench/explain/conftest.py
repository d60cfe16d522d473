"""A chest whose noise is known, a noise predictor that any reader can follow, and a tiny network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from tamperscan.bench.explain.predictors import TorchPredictor
from tamperscan.bench.explain.subjects import cut_subject
from tamperscan.diffusion.unet import LocalUNet, LocalUNetSettings
from tamperscan.scan import Scan
from tamperscan.scan.windows import IntensityWindow

SIDE = 240
PIXEL = (1.0, 1.0)
PLACE = (110, 70)
REAL_SCANS = Path(__file__).parents[3] / ".." / "shared" / "data"


def near(place, half):
    rows, columns = np.ogrid[:SIDE, :SIDE]
    return (abs(rows - place[0]) <= half) & (abs(columns - place[1]) <= half)


def lungs():
    rows, columns = np.ogrid[:SIDE, :SIDE]
    return np.logical_or(*(((rows - 120) / 75) ** 2 + ((columns - side) / 43) ** 2 < 1 for side in (66, 174)))


def noise(seed, blur=0.8, strength=25.0):
    values = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((SIDE, SIDE)), blur)
    return strength * values / values.std()


def chest(seed=0, planted=None, place=PLACE):
    """One slice in HU; ``planted`` replaces the noise in the square of 32 mm around a place."""
    grain = noise(seed)
    if planted is not None:
        grain = np.where(near(place, 16), planted, grain)
    rows, columns = np.ogrid[:SIDE, :SIDE]
    image = np.full((SIDE, SIDE), -1000.0)
    image[((rows - 120) / 105) ** 2 + ((columns - 120) / 118) ** 2 < 1] = 30.0
    inside = lungs()
    image[inside] = (-850.0 + grain + noise(1000 + seed, blur=4.0, strength=40.0))[inside]  # or it would pass for gas
    return image.astype(np.float32)


def subject_of(image, kind="FB", group="1", place=PLACE, name="made"):
    return cut_subject(image, PIXEL, place, [], (name, group, kind))


def scan_of(image, name="scan"):
    return Scan(image[None], (5.0, *PIXEL), "CT", name)


def high_pass_predict(hu, levels_hu):
    """Take the image's fine structure for the noise, whatever the level."""
    fine = hu - ndimage.gaussian_filter(hu, 1.5)
    return np.stack([fine / level for level in levels_hu]).astype(np.float32)


@pytest.fixture
def predict():
    return high_pass_predict


@pytest.fixture(scope="session")
def tiny():
    """A network of random weights, small enough to differentiate in no time."""
    torch.manual_seed(0)
    network = LocalUNet(LocalUNetSettings(widths=(4, 4, 4)))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return TorchPredictor(network.requires_grad_(False).eval(), IntensityWindow(-1050.0, 450.0), (15.0, 26.0))


class FineStructure(torch.nn.Module):
    """Takes what a pixel differs from its neighbours by for the noise."""

    def forward(self, image, sigma):
        around = torch.nn.functional.avg_pool2d(image, 5, stride=1, padding=2, count_include_pad=False)
        return (image - around) / sigma[:, None, None, None]


@pytest.fixture(scope="session")
def plain_predictor():
    """A predictor with gradients whose energy is the variance of the noise."""
    return TorchPredictor(FineStructure(), IntensityWindow(-1050.0, 450.0), (15.0, 26.0))


@pytest.fixture
def real_scans():
    """Folder of public research scans, which is no part of the project."""
    if not REAL_SCANS.is_dir():
        pytest.skip("the real scans are not on this machine")
    return REAL_SCANS.resolve()
