import pytest

from tamperscan.data import packaged_weights, weights_path

pytest.importorskip("onnx")
pytestmark = pytest.mark.skipif("ct" not in packaged_weights(), reason="no packaged weights")


def test_a_pass_multiplies_what_its_widths_say():
    from tamperscan.bench.operations import count_operations

    # Half the resolution: the first convolution, four of 32 channels, the last. A quarter: one down, four of 64, one
    # up. An eighth: one down, two of 96, one up.
    half = 8 * 32 * 9 + 4 * 32 * 32 * 9 + 4 * 32 * 9
    quarter = 4 * 32 * 64 + 4 * 64 * 64 * 9 + 64 * 128
    eighth = 4 * 64 * 96 + 2 * 96 * 96 * 9 + 96 * 256
    counted = count_operations(weights_path("ct") / "network.onnx")
    assert counted.flop == 2 * (half / 4 + quarter / 16 + eighth / 64)
    assert counted.edge_bytes == pytest.approx(8, abs=0.01)
    assert counted.layer_bytes > 100
