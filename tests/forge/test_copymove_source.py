from __future__ import annotations

import numpy as np
import pytest

from tamperscan.forge.copymove_source import Source, Turn, cut_patch, look_up, read_patch, room, steps_per_voxel
from tamperscan.forge.outline import hard_mask
from tamperscan.forge.site import Place
from tamperscan.scan.volume import Scan

from .tissue import lung_scan, site_at


def patch_at(scan, place=None, radius=6.0):
    site = site_at(scan, place or Place(10, 48, 40))
    return cut_patch(site, hard_mask(site, radius, np.random.default_rng(0)))


def ramp_scan(spacing, shape=(20, 60, 60)):
    """Values that say where they are, in mm."""
    along, down, across = (np.arange(side) * step for side, step in zip(shape, spacing, strict=True))
    voxels = along[:, None, None] + 10 * down[None, :, None] + 100 * across[None, None, :]
    return Scan(voxels.astype(np.float32), spacing, "CT", "ramp")


def test_turns_are_those_of_numpy():
    image = np.arange(49).reshape(7, 7)
    offsets = np.stack([np.zeros(49, int), *(np.indices((7, 7)).reshape(2, -1) - 3)])
    for turn in patch_at(lung_scan()).turns():
        _, down, across = turn.apply(offsets)
        turned = image[down + 3, across + 3].reshape(7, 7)
        flipped = image[:, ::-1] if turn.mirrored else image
        assert any(np.array_equal(turned, np.rot90(flipped, quarters)) for quarters in range(4))


def test_a_square_has_eight_turns_and_an_oblong_pixel_four():
    assert len(set(patch_at(lung_scan()).turns())) == 8
    oblong = patch_at(lung_scan(spacing=(2.5, 1.0, 0.8)))
    assert {turn.quarters for turn in oblong.turns()} == {0, 2}


def test_the_ring_lies_around_the_core():
    patch = patch_at(lung_scan())
    core, ring = ({tuple(offset) for offset in part.T} for part in (patch.core, patch.ring))
    assert not core & ring
    assert {tuple(np.array(at) + step) for at in core for step in np.eye(3, dtype=int)} <= core | ring
    assert (0, 0, 0) in {tuple(offset) for offset in patch.middle.T}


def test_room_leaves_the_whole_patch_inside_the_scan():
    scan = lung_scan()
    patch = patch_at(scan)
    first, last = room(patch, scan)
    ratio = steps_per_voxel(patch, scan)
    for corner in (first, last - 1):
        for turn in patch.turns():
            at = corner[:, None] + turn.apply(patch.ring)
            assert (at >= 0).all()
            assert (at < np.array(scan.shape)[:, None]).all()
    assert look_up(scan, np.array([first]), patch.core, ratio).shape == (1, patch.core.shape[1])


def test_whole_voxels_are_copied_where_spacings_agree():
    scan = lung_scan()
    patch = patch_at(scan)
    source = Source(scan, (9, 30, 30), Turn(1, True), resampled=False)
    at = np.array(source.centre)[:, None] + source.turn.apply(patch.core)
    assert np.array_equal(read_patch(source, patch, patch.core), scan.voxels[tuple(at)])


def test_another_spacing_is_resampled_in_mm():
    patch = patch_at(lung_scan())
    donor = ramp_scan((1.25, 0.8, 1.3))
    assert steps_per_voxel(patch, donor) == pytest.approx([2.0, 1.25, 1 / 1.3])
    source = Source(donor, (10, 30, 30), Turn(), resampled=True, gain=2.0)
    expected = donor.voxels[10, 30, 30] + np.array([2.5, 10.0, 100.0]) @ patch.core
    assert read_patch(source, patch, patch.core) == pytest.approx(2 * expected, rel=1e-4)


def test_a_single_slice_is_copied_from_a_single_slice():
    flat = lung_scan(shape=(1, 96, 96), spacing=(5.0, 1.0, 1.0))
    patch = patch_at(flat, Place(0, 48, 40))
    assert steps_per_voxel(patch, lung_scan()).tolist() == [1.0, 1.0, 1.0]
    first, last = room(patch, lung_scan())
    assert (first[0], last[0]) == (0, 20)
