import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tamperscan.data import packaged_weights, sample_path, weights_path
from tamperscan.diffusion.predictor import NoisePredictor
from tamperscan.diffusion.weights import NETWORK_FILE, Card, open_weights, write_card
from tamperscan.errors import WeightsError
from tamperscan.scan import IntensityWindow, read_scan


def save_network(folder):
    """Write a network whose noise is image x level, and its card with a stride of 8."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, "row", "column"])
    level = helper.make_tensor_value_info("level", TensorProto.FLOAT, ["n"])
    noise = helper.make_tensor_value_info("noise", TensorProto.FLOAT, ["n", 1, "row", "column"])
    axes = helper.make_tensor("axes", TensorProto.INT64, [3], [1, 2, 3])
    nodes = [
        helper.make_node("Unsqueeze", ["level", "axes"], ["factor"]),
        helper.make_node("Mul", ["image", "factor"], ["noise"]),
    ]
    graph = helper.make_graph(nodes, "product", [image, level], [noise], [axes])
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), folder / NETWORK_FILE)


def weights_in(folder):
    card = Card(
        name="product",
        kind="low-noise",
        modality="CT",
        window=(-1050.0, 450.0),
        crop_px=96,
        files={NETWORK_FILE: ""},
    )
    return write_card(folder, card)


@pytest.fixture
def predictor(tmp_path):
    save_network(tmp_path)
    return NoisePredictor(weights_in(tmp_path), threads=1, precision="float32")


def image_of(rows, columns):
    return np.random.default_rng(0).uniform(-1, 1, (rows, columns)).astype(np.float32)


@pytest.mark.parametrize("side", [(8, 8), (16, 24), (13, 17), (1, 1), (5, 200)])
def test_sides_need_not_be_multiples_of_the_stride(predictor, side):
    image = image_of(*side)
    noise = predictor.predict(image, np.array([0.5], dtype=np.float32))
    np.testing.assert_array_equal(noise, image[None] * np.float32(0.5))
    assert noise.dtype == np.float32


def test_each_level_gives_a_map(predictor):
    image = image_of(16, 16)
    noise = predictor.predict(image, np.array([0.5, 2.0, 4.0], dtype=np.float32))
    np.testing.assert_array_equal(noise, np.stack([image * level for level in (0.5, 2.0, 4.0)]))


def test_each_image_has_its_own_level(predictor):
    images = np.stack([image_of(16, 16), image_of(16, 16) + 1])
    noise = predictor.predict_batch(images, np.array([2.0, 3.0]))
    np.testing.assert_array_equal(noise, np.stack([images[0] * 2, images[1] * 3]))


def test_image_is_left_as_it_was(predictor):
    image = image_of(13, 13)
    before = image.copy()
    predictor.predict(image, np.array([2.0], dtype=np.float32))
    np.testing.assert_array_equal(image, before)


def test_file_that_is_no_network(tmp_path):
    (tmp_path / NETWORK_FILE).write_bytes(b"no network")
    with pytest.raises(WeightsError, match=r"network\.onnx: can't be run .*Make the weights anew"):
        NoisePredictor(weights_in(tmp_path))


@pytest.mark.skipif("ct" not in packaged_weights(), reason="no packaged weights")
@pytest.mark.parametrize("corner", [(160, 112), (216, 280)])
def test_packaged_network_is_strictly_local(corner):
    """A tile gives what the whole slice gives, but for the 56 pixels at its border that the network sees beyond."""
    weights = open_weights(weights_path("ct"))
    window = IntensityWindow(*weights.card.window)
    image = window.to_model(read_scan(sample_path()).voxels[0])
    levels = np.array(weights.card.levels_hu, np.float32) / window.units_per_model_unit
    predictor = NoisePredictor(weights, threads=1, precision="float32")
    rows, columns = (slice(start, start + 144) for start in corner)
    inner = slice(56, -56)
    tile = predictor.predict(image[rows, columns], levels)[:, inner, inner]
    whole = predictor.predict(image, levels)[:, rows, columns][:, inner, inner]
    np.testing.assert_allclose(tile, whole, atol=1e-4, rtol=0)
    assert np.abs(whole).max() > 0.01


def test_a_batch_of_levels_gives_what_one_after_the_other_gives(predictor):
    image, levels = image_of(16, 24), np.array([0.5, 2.0], dtype=np.float32)
    alone = predictor.predict(image, levels)
    predictor.network.wants_batches = True
    np.testing.assert_array_equal(predictor.predict(image, levels), alone)
