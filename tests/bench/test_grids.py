import numpy as np

from tamperscan.bench.grids import grid_of, node_means, windowed_means

SPACING = (1.0, 0.5)
REGION = np.zeros((90, 120), bool)
REGION[12:78, 12:108] = True


def test_nodes_lie_in_the_region_every_few_millimetres():
    grid = grid_of(REGION, SPACING)
    assert grid.step == 6
    assert grid.spacing_mm == (6.0, 3.0)
    assert grid.nodes.shape == (15, 20)
    assert grid.nodes[2:13, 2:18].all()
    assert not grid.nodes[:2].any()
    assert not grid.nodes[:, 18:].any()


def test_a_thread_of_region_has_no_nodes():
    thread = np.zeros((90, 90), bool)
    thread[40:42] = True
    assert not grid_of(thread, (1.0, 1.0)).nodes.any()


def test_nodes_and_pixels_belong_together():
    grid = grid_of(REGION, SPACING)
    assert grid.node(*grid.pixel(7, 11)) == (7, 11)
    assert grid.node(89, 119) == (14, 19)


def test_nothing_outside_the_region_counts():
    energy = np.where(REGION, 3.0, 1e9).astype(np.float32)
    grid = grid_of(REGION, SPACING)
    np.testing.assert_allclose(windowed_means(energy, REGION, grid), 3.0, rtol=1e-5)
    np.testing.assert_allclose(node_means(energy, REGION, grid), 3.0, rtol=1e-5)


def test_a_window_is_a_disc_of_16_mm():
    region = np.ones((120, 120), bool)
    grid = grid_of(region, (1.0, 1.0))
    energy = np.zeros(region.shape, np.float32)
    energy[60, 60] = 1.0
    reached = grid.spread(windowed_means(energy, region, grid)) > 0
    row, column = grid.node(60, 60)
    away = np.argwhere(reached) - (row, column)
    assert np.hypot(*away.T).max() * 3.0 <= 8.0
    assert reached.sum() > 15


def test_spreading_gives_nothing_outside():
    grid = grid_of(REGION, SPACING)
    spread = grid.spread(np.ones(int(grid.nodes.sum()), np.float32))
    assert np.array_equal(np.isfinite(spread), grid.nodes)
