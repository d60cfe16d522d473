"""Forged training crops: what is marked was altered, and nothing else was."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from tamperscan.detect.pretexts import forge_crop
from tamperscan.detect.pretexts.forging import add_nodule, alter_everywhere, remove_structures
from tamperscan.detect.pretexts.shapes import Shape, draw_blob, draw_bump, draw_disc

SIDE = 96


def lung(rng: np.random.Generator) -> NDArray[np.float32]:
    return np.rint(rng.normal(-850.0, 30.0, (SIDE, SIDE))).astype(np.float32)


def same(image: NDArray[np.float32], level_hu: float) -> NDArray[np.float32]:
    return np.asarray(ndimage.gaussian_filter(image, 1.0), np.float32)


def disc(radius: float) -> Shape:
    return draw_disc(np.random.default_rng(0), SIDE, (48.0, 48.0), radius)


def test_crops_are_whole_numbers_and_masks_lie_in_zero_to_one() -> None:
    for seed in range(20):
        forged = forge_crop(np.random.default_rng(seed), lung, same)
        np.testing.assert_array_equal(forged.hu, np.rint(forged.hu))
        assert forged.hu.shape == forged.mask.shape == (SIDE, SIDE)
        assert forged.mask.min() >= 0.0
        assert forged.mask.max() <= 1.0


def test_both_authentic_and_forged_crops_are_made() -> None:
    altered = [forge_crop(np.random.default_rng(seed), lung, same).mask.max() > 0.5 for seed in range(60)]

    assert 0.5 < np.mean(altered) < 0.95


def test_outside_the_mask_the_noise_is_that_of_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tamperscan.detect.pretexts.forging._GLOBAL_SHARE", 0.0)
    monkeypatch.setattr("tamperscan.detect.pretexts.forging._NODULE_SHARE", 0.0)
    for seed in range(20):
        forged = forge_crop(np.random.default_rng(seed), lung, same)
        untouched = lung(np.random.default_rng(seed))
        rng = np.random.default_rng(seed)
        drawn = lung(rng)
        np.testing.assert_array_equal(drawn, untouched)
        # The generator draws two numbers between the crop and the forging, so the crop is known.
        np.testing.assert_array_equal(forged.hu[forged.mask == 0.0], drawn[forged.mask == 0.0])


def test_a_nodule_keeps_the_noise_that_is_there() -> None:
    crop, bump = lung(np.random.default_rng(1)), disc(12.0)

    raised = add_nodule(np.random.default_rng(2), crop, bump)

    inner = disc(7.0).mask > 0.9
    assert raised[inner].mean() > crop[inner].mean() + 100.0
    before, after = (image - ndimage.gaussian_filter(image, 2.0) for image in (crop, raised))
    assert after[inner].std() == pytest.approx(before[inner].std(), rel=0.15)


def test_removing_fills_with_the_thin_tissue_around() -> None:
    crop, shape = lung(np.random.default_rng(1)), disc(14.0)
    vessel = np.asarray(np.where(disc(5.0).mask > 0.5, 40.0, crop), np.float32)

    filled = remove_structures(np.random.default_rng(2), vessel, shape)

    assert filled[disc(5.0).mask > 0.5].mean() == pytest.approx(-850.0, abs=30.0)
    np.testing.assert_array_equal(filled[shape.mask == 0.0], vessel[shape.mask == 0.0])


def test_altering_everywhere_changes_the_noise_everywhere() -> None:
    crop = lung(np.random.default_rng(1))
    for seed in range(8):
        altered = alter_everywhere(np.random.default_rng(seed), crop)
        quarters = [altered[:48, :48], altered[:48, 48:], altered[48:, :48], altered[48:, 48:]]
        spreads = [float(quarter.std()) for quarter in quarters]
        assert max(spreads) < 1.2 * min(spreads)


def test_blobs_and_bumps_lie_in_the_thin_half_of_a_crop_mostly() -> None:
    crop = np.full((SIDE, SIDE), 40.0, dtype=np.float32)
    crop[:, : SIDE // 2] = -850.0
    for draw in (draw_blob, draw_bump):
        columns = [draw(np.random.default_rng(seed), crop).centre[1] for seed in range(60)]
        assert np.mean(np.array(columns) < SIDE // 2) > 0.6
