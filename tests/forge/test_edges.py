from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from tamperscan.forge.edges import edge_blur_px, scan_blur_px

from .tissue import distance_mm, grain

SIDE = 160


def disc(blur_px, noise=15.0):
    """A disc of soft tissue in lung."""
    sharp = np.where(distance_mm((1, SIDE, SIDE), (0, 80, 80), (1, 1, 1)) < 50, 40.0, -850.0)
    return (ndimage.gaussian_filter(sharp, (0, blur_px, blur_px)) + grain(sharp.shape, noise)).astype(np.float32)


@pytest.mark.parametrize("blur_px", [0.5, 0.8, 1.2])
def test_the_blur_of_an_edge_is_found_in_noise(blur_px):
    assert scan_blur_px(disc(blur_px), 400.0) == pytest.approx(blur_px, rel=0.15)


def test_the_height_of_an_edge_does_not_matter():
    image = disc(0.8, noise=1.0)
    assert scan_blur_px(image / 3, 100.0) == pytest.approx(scan_blur_px(image, 400.0), abs=0.05)


def test_only_edges_that_are_asked_for_count():
    where = np.zeros((SIDE, SIDE), bool)
    where[:, :80] = True
    everywhere = edge_blur_px(disc(0.8)[0], 400.0)
    assert 0 < edge_blur_px(disc(0.8)[0], 400.0, where).size < everywhere.size


def test_thin_vessels_are_no_edges():
    image = disc(0.8)
    lines = image.copy()
    lines[0, ::20] += 600 * (image[0, ::20] < -500)
    assert scan_blur_px(lines, 400.0) == pytest.approx(0.8, rel=0.2)


def test_without_edges_a_default_is_given():
    assert scan_blur_px(grain((1, SIDE, SIDE)).astype(np.float32), 400.0, default=0.9) == 0.9
