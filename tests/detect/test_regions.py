from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamperscan.detect.regions import lung_mask, tissues
from tamperscan.scan import read_scan

from .phantom import LUNGS_MM, PIXEL_MM, SIDE, chest, ellipse, parenchyma, positions

SPACING = (PIXEL_MM, PIXEL_MM)
quick = settings(max_examples=8, deadline=None)


def dice(found, true):
    return 2 * (found & true).sum() / (found.sum() + true.sum())


def abdomen(gas_mm=0.0, gas_hu=-1000.0):
    """A body without lungs, with a pocket of gas in it."""
    made = chest(3)
    down, right = positions((SIDE, SIDE), SPACING)
    image = np.where(ellipse(down, right, (0, 0), (98, 142)), np.float32(30), made.clean)
    if gas_mm:
        image[ellipse(down, right, (-40, 20), (gas_mm, gas_mm))] = gas_hu
    return image + made.noise


@pytest.mark.parametrize("seed", range(3))
def test_lungs_are_found(seed):
    made = chest(seed)
    assert dice(lung_mask(made.hu, SPACING), made.lungs) > 0.9


def test_vessels_in_the_lung_are_filled_in():
    made = chest()
    inner = made.lungs & (made.clean > -200)
    assert inner.sum() > 200
    assert lung_mask(made.hu, SPACING)[inner].mean() > 0.95


@pytest.mark.parametrize("place", [(0, -62), (10, 92), (-50, -62)], ids=["middle", "side", "top"])
def test_nodule_is_filled_in_also_at_the_pleura(place):
    made = chest()
    nodule = ellipse(*positions((SIDE, SIDE), SPACING), place, (8, 8)) & made.lungs
    hu = np.where(nodule, 40 + made.noise, made.hu)
    assert lung_mask(hu, SPACING)[nodule].mean() > 0.9


def test_foam_in_the_table_is_no_lung():
    made = chest()
    down, right = positions((SIDE, SIDE), SPACING)
    hull, foam = ((np.abs(right) < 100 - thin) & (np.abs(down - 125) < 20 - thin) for thin in (0, 4))
    tissue = parenchyma(np.random.default_rng(9), (SIDE, SIDE), SPACING)
    hu = np.where(foam, tissue, np.where(hull, 150, made.clean)).astype(np.float32) + made.noise
    assert not lung_mask(hu, SPACING)[down > 100].any()
    assert dice(lung_mask(hu, SPACING), made.lungs) > 0.9


def test_heart_is_no_lung():
    made = chest()
    assert not lung_mask(made.hu, SPACING)[made.heart].any()


def test_air_outside_is_no_lung():
    made = chest()
    down, right = positions((SIDE, SIDE), SPACING)
    outside = ~ellipse(down, right, (0, 0), (98, 142))
    assert not lung_mask(made.hu, SPACING)[outside].any()


@pytest.mark.parametrize("gas_mm", [10, 20, 30, 45])
def test_gas_in_the_abdomen_is_no_lung(gas_mm):
    assert not lung_mask(abdomen(gas_mm), SPACING).any()


def test_abdomen_and_empty_air_hold_no_lung():
    assert not lung_mask(abdomen(), SPACING).any()
    assert not lung_mask(np.full((SIDE, SIDE), -1000, np.float32), SPACING).any()


@pytest.mark.parametrize("fill", [-1024, 0, 3071, -32768])
def test_constant_image_holds_no_lung(fill):
    assert not lung_mask(np.full((100, 80), fill, np.float32), SPACING).any()


def test_lung_that_the_field_of_view_cuts():
    made = chest()
    left = 46
    assert made.lungs[:, left].sum() * PIXEL_MM > 50
    assert dice(lung_mask(made.hu[:, left:], SPACING), made.lungs[:, left:]) > 0.9


def test_rectangular_pixels():
    made = chest(shape=(180, 360), pixel_mm=(1.7, 0.85))
    assert dice(lung_mask(made.hu, (1.7, 0.85)), made.lungs) > 0.9


@pytest.mark.parametrize("pixel_mm", [0.6, 0.9, 2.0, 4.0])
def test_size_of_the_pixels_does_not_matter(pixel_mm):
    side = round(SIDE * PIXEL_MM / pixel_mm)
    made = chest(shape=(side, side), pixel_mm=(pixel_mm, pixel_mm))
    assert dice(lung_mask(made.hu, (pixel_mm, pixel_mm)), made.lungs) > 0.88


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 3), (9, 300), (64, 64)])
@pytest.mark.parametrize("pixel_mm", [0.3, 1.2, 5.0])
def test_tiny_images_hold_no_lung(shape, pixel_mm):
    hu = np.random.default_rng(0).normal(-500, 500, shape).astype(np.float32)
    mask = lung_mask(hu, (pixel_mm, pixel_mm))
    assert mask.shape == shape
    assert mask.dtype == bool


@quick
@given(st.integers(0, 1000), st.sampled_from([0, 1, (0, 1)]))
def test_mirrored_image_has_the_mirrored_lung(seed, axis):
    hu = chest(seed).hu
    assert np.array_equal(lung_mask(np.flip(hu, axis), SPACING), np.flip(lung_mask(hu, SPACING), axis))


@quick
@given(st.integers(0, 1000), st.integers(-10, 10), st.integers(-4, 4))
def test_lung_moves_with_the_body(seed, down, right):
    moved_px = (2 * down, 2 * right)  # the coarse grid has a step of two pixels
    hu = chest(seed).hu
    expected = np.roll(lung_mask(hu, SPACING), moved_px, (0, 1))
    assert np.array_equal(lung_mask(np.roll(hu, moved_px, (0, 1)), SPACING), expected)


@quick
@given(st.integers(0, 1000), st.floats(0, 60))
def test_tissues_are_disjoint_and_inside_the_lung(seed, noise_hu):
    made = chest(seed, noise_hu=noise_hu)
    classes = tissues(made.hu, made.lungs)
    count = sum(mask.astype(int) for mask in (classes.parenchyma, classes.soft, classes.between))
    assert count.max() == 1
    assert not count[~made.lungs].any()


def test_tissues_are_what_they_are_called():
    made = chest()
    classes = tissues(made.hu, made.lungs)
    assert np.mean(made.clean[classes.parenchyma] < -700) > 0.99
    assert made.clean[classes.soft].mean() > -250
    assert classes.parenchyma.sum() > 0.5 * made.lungs.sum()


def test_vessel_is_soft_and_its_border_between():
    made = chest()
    down, right = positions((SIDE, SIDE), SPACING)
    hu = np.where(ellipse(down, right, LUNGS_MM[0], (12, 12)), 30 + made.noise, made.hu)
    classes = tissues(hu, made.lungs)
    assert classes.soft[ellipse(down, right, LUNGS_MM[0], (8, 8))].all()
    ring = ellipse(down, right, LUNGS_MM[0], (13, 13)) & ~ellipse(down, right, LUNGS_MM[0], (12, 12))
    assert classes.between[ring].mean() > 0.7


def test_air_and_bone_are_no_tissue():
    image = np.full((60, 60), -1000, np.float32)
    image[:, 30:] = 700
    classes = tissues(image, np.ones(image.shape, bool))
    assert not (classes.parenchyma | classes.soft)[:, :25].any()
    assert not classes.between[:, :25].any()
    assert not (classes.parenchyma | classes.soft)[:, 36:].any()


def test_lungs_of_a_real_scan(real_scans):
    files = sorted((real_scans / "ct" / "series" / "LIDC-IDRI-0001_STANDARD").iterdir())
    scan = read_scan(files[len(files) // 2])
    image = scan.voxels[0]
    lung = lung_mask(image, scan.spacing_mm[1:])
    assert 100 < lung.sum() * scan.spacing_mm[1] * scan.spacing_mm[2] / 100 < 900
    assert -900 < np.median(image[lung]) < -700
