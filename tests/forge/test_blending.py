from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from tamperscan.errors import ForgeError
from tamperscan.forge.blending import fill_harmonic, laplacian, paste

from .tissue import distance_mm, grain

SHAPE = (9, 24, 24)
SPACING = (3.0, 0.7, 0.9)
MASK = distance_mm(SHAPE, (4, 12, 11), SPACING) < 5.0


def picture(seed=0, shape=SHAPE):
    return (grain(shape, 20, seed) - 800).astype(np.float32)


def test_pasting_a_region_onto_itself_changes_nothing():
    target = picture()
    assert np.allclose(paste(target, target, MASK, SPACING), target, atol=1e-3)


def test_pasting_the_target_at_another_level_gives_the_target_back():
    target = picture()
    assert np.allclose(paste(target, target + 500, MASK, SPACING), target, atol=1e-2)


def test_outside_the_mask_the_target_stays_as_it_is():
    target, source = picture(0), picture(1)
    assert np.array_equal(paste(target, source, MASK, SPACING)[~MASK], target[~MASK])


def test_inside_the_gradients_are_those_of_the_source():
    target, source = picture(0), picture(1)
    membrane = paste(target, source, MASK, SPACING) - source
    shown = np.where(MASK | ndimage.binary_dilation(MASK), membrane, 0).ravel()
    assert np.abs(laplacian(MASK, SPACING) @ shown).max() < 0.05
    assert membrane[MASK].max() <= (target - source)[~MASK].max()


def test_a_level_that_changes_linearly_is_taken_over():
    ramp = np.broadcast_to(np.arange(24) * 10.0, SHAPE).astype(np.float32)
    source = picture(1)
    assert np.allclose(paste(source + ramp, source, MASK, SPACING), source + ramp, atol=1e-2)


def test_a_harmonic_function_is_continued_whatever_the_spacing():
    along, down, _ = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    saddle = np.broadcast_to((along * SPACING[0]) ** 2 - (down * SPACING[1]) ** 2, SHAPE)
    filled = fill_harmonic(np.where(MASK, 0.0, saddle), MASK, SPACING)
    assert np.allclose(filled, saddle, atol=1e-3)
    uneven = fill_harmonic(np.where(MASK, 0.0, saddle), MASK, (1.0, 1.0, 1.0))
    assert np.abs(uneven - saddle).max() > 1.0


def test_a_single_slice_is_blended_in_two_dimensions():
    mask = MASK[4:5]
    target = picture(shape=(1, 24, 24))
    assert np.allclose(paste(target, target + 300, mask, SPACING), target, atol=1e-2)


def test_a_mask_at_the_border_of_the_scan_goes_by_what_is_known():
    mask = np.zeros(SHAPE, bool)
    mask[:2, :5, :5] = True
    assert np.allclose(fill_harmonic(np.full(SHAPE, 7.0), mask, SPACING), 7.0)


def test_a_mask_without_surroundings_is_refused():
    everything = np.ones(SHAPE, bool)
    with pytest.raises(ForgeError, match="smaller diameter"):
        paste(picture(), picture(1), everything, SPACING)
