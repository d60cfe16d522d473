import numpy as np

from tamperscan.bench.grids import grid_of
from tamperscan.bench.masks import mask_nodes, nodes_of


def test_a_node_is_tampered_where_half_its_block_is():
    region = np.ones((90, 90), bool)
    grid = grid_of(region, (1.0, 1.0))
    mask = np.zeros((90, 90), bool)
    mask[30:60, 31:60] = True
    expected = np.zeros(grid.nodes.shape, bool)
    expected[10:20, 10:20] = True
    digits = mask_nodes(mask, grid)
    assert np.array_equal(nodes_of(digits, int(grid.nodes.sum())), expected[grid.nodes])


def test_no_nodes_no_digits():
    grid = grid_of(np.zeros((30, 30), bool), (1.0, 1.0))
    assert mask_nodes(np.ones((30, 30), bool), grid) == ""
    assert nodes_of("", 0).size == 0
