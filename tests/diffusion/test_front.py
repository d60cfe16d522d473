import numpy as np
import onnx
import pytest
from onnx import helper

from tamperscan.data import packaged_weights, weights_path
from tamperscan.diffusion.front import front, high_pass
from tamperscan.diffusion.runtime import onnxruntime

pytestmark = pytest.mark.skipif("ct" not in packaged_weights(), reason="no packaged weights")
RNG = np.random.default_rng(0)


def some(*shape):
    return RNG.normal(0.0, 0.4, shape).astype(np.float32)


def seen_by_the_first_convolution(name, inputs, tmp_path):
    """Run an exported network up to what its first convolution is given."""
    model = onnx.load(weights_path("ct") / name)
    first = next(node for node in model.graph.node if node.op_type == "Conv")
    model.graph.output.append(helper.make_empty_tensor_value_info(first.input[0]))
    onnx.save(model, tmp_path / "cut.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "cut.onnx", providers=["CPUExecutionProvider"])
    return session.run([first.input[0]], inputs)[0]


@pytest.mark.parametrize("level", [0.005, 0.02, 0.3])
def test_a_noise_predictor_is_shown_what_its_export_computes(level, tmp_path):
    inputs = {"image": some(1, 1, 40, 56), "level": np.array([level], np.float32)}
    wanted = seen_by_the_first_convolution("network.onnx", inputs, tmp_path)
    np.testing.assert_allclose(front(inputs), wanted, atol=1e-4)


def test_a_head_is_shown_what_its_export_computes(tmp_path):
    inputs = {"image": some(1, 1, 40, 56), "noise": some(1, 2, 40, 56)}
    wanted = seen_by_the_first_convolution("self-forged.onnx", inputs, tmp_path)
    np.testing.assert_allclose(front(inputs), wanted, atol=1e-4)


def test_a_plane_has_no_high_pass():
    rows, columns = np.mgrid[:9, :12].astype(np.float32)
    assert np.abs(high_pass(3 * rows - columns + 7)[1:-1, 1:-1]).max() < 1e-4


def test_the_border_is_repeated():
    image = np.zeros((4, 4), np.float32)
    image[0, 0] = 9.0
    assert high_pass(image)[0, 0] == pytest.approx(9.0 - 4.0)
    assert high_pass(image)[1, 1] == pytest.approx(-1.0)
