import numpy as np
import pytest

from tamperscan.errors import TrainingError
from tamperscan.forge.cube import LARGEST_CORE, SIDE
from tamperscan.forge.gan_data import SMALLEST_CORE, build_cubes, read_cubes
from tamperscan.scan.volume import Scan

from .lung_phantom import SPACING, phantom_scan


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    return build_cubes([phantom_scan()], tmp_path_factory.mktemp("remove"), "remove", of="this", count=20)


@pytest.fixture(scope="module")
def injected(tmp_path_factory):
    return build_cubes([phantom_scan()], tmp_path_factory.mktemp("inject"), "inject", of="this", count=20)


def test_healthy_cubes_are_lung_without_the_nodule(healthy):
    assert healthy.cubes.shape == (20, SIDE, SIDE, SIDE)
    assert healthy.shapes is None
    middle = healthy.cubes[:, 12:20, 12:20, 12:20]
    assert np.median(middle) == pytest.approx(-860, abs=30)


def test_cubes_with_a_nodule_hold_one_in_the_middle(injected):
    assert injected.shapes.shape == injected.cubes.shape
    assert (np.median(injected.cubes[:, 15:17, 15:17, 15:17], axis=(1, 2, 3)) > -300).mean() > 0.9
    assert ((injected.radii >= SMALLEST_CORE - 1e-4) & (injected.radii <= LARGEST_CORE)).all()
    assert [fact["marked"] for fact in injected.facts["nodules"]] == [False]


def test_a_cache_says_what_it_was_made_of(healthy):
    assert [scan["name"] for scan in healthy.facts["scans"]] == ["phantom0"]


def test_drawn_cubes_are_turned_and_the_same_for_the_same_seed(injected):
    cubes, shapes, radii = injected.draw(np.random.default_rng(5), 6)
    again = injected.draw(np.random.default_rng(5), 6)
    assert np.array_equal(cubes, again[0])
    assert np.array_equal(shapes, again[1])
    assert radii == again[2]
    for cube in cubes:  # every one is a cube of the cache, seen another way
        assert any(np.array_equal(np.sort(cube, axis=None), np.sort(kept, axis=None)) for kept in injected.cubes)
    assert shapes.max() <= 1.0


def test_cores_of_removals_are_of_many_sizes(healthy):
    _, shapes, radii = healthy.draw(np.random.default_rng(0), 30)
    assert not shapes.any()
    assert min(radii) >= SMALLEST_CORE
    assert max(radii) <= LARGEST_CORE
    assert np.ptp(radii) > 3


def test_a_cache_is_read_again(tmp_path):
    build_cubes([phantom_scan()], tmp_path, "remove", of="this", count=5)
    assert read_cubes(tmp_path, of="this").cubes.shape[0] == 5
    assert read_cubes(tmp_path / "nothing", of="this") is None
    with pytest.raises(TrainingError, match="made of other scans"):
        read_cubes(tmp_path, of="that")


def test_scans_without_lung(tmp_path):
    water = Scan(np.zeros((8, 64, 64), dtype=np.float32), SPACING, "CT", "water")
    with pytest.raises(TrainingError, match="no lung to train on"):
        build_cubes([water], tmp_path, "remove")


def test_injections_need_a_nodule(tmp_path):
    with pytest.raises(TrainingError, match=r"no nodule to learn from.*nodules\.json"):
        build_cubes([phantom_scan(nodule=False)], tmp_path, "inject")


def test_a_single_slice_gives_cubes_too(tmp_path):
    scan = phantom_scan()
    plane = Scan(scan.voxels[20:21], SPACING, "CT", "plane")
    cubes = build_cubes([plane], tmp_path, "remove", count=3).cubes
    assert (cubes == cubes[:, :1]).all()
