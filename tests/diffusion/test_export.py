import stat
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from safetensors.torch import load_file  # noqa: E402

from tamperscan.diffusion import export  # noqa: E402
from tamperscan.diffusion.export import SAFETENSORS_FILE, export_weights  # noqa: E402
from tamperscan.diffusion.predictor import NoisePredictor  # noqa: E402
from tamperscan.diffusion.published import PublishedUNet  # noqa: E402
from tamperscan.diffusion.unet import LocalUNet  # noqa: E402
from tamperscan.diffusion.weights import Card, open_weights  # noqa: E402
from tamperscan.errors import WeightsError  # noqa: E402

# How far the layers of the default LocalUNet reach, rounded up to its stride.
REACH = 56
SIGMA = 0.02


def card(kind, crop_px):
    return Card(name="made up", kind=kind, modality="CT", window=(-1050.0, 450.0), crop_px=crop_px)


def random_local():
    """A network in which every layer counts: a fresh one has its blocks at zero."""
    torch.manual_seed(0)
    network = LocalUNet()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return network.eval()


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    network = random_local()
    return network, export_weights(network, card("low-noise", 32), tmp_path_factory.mktemp("local"))


@pytest.fixture(scope="module", params=["1.8.3", "weight-standardised"])
def published(request, tmp_path_factory):
    torch.manual_seed(0)
    network = PublishedUNet(8, dim_mults=(1,), variant=request.param).eval()
    return network, export_weights(network, card("published", 32), tmp_path_factory.mktemp("published"))


def images(*shape):
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


def by_torch(network, image, levels):
    with torch.inference_mode():
        return network(torch.from_numpy(image[:, None]), torch.from_numpy(levels)).numpy()[:, 0]


@pytest.mark.parametrize("shape", [(1, 16, 16), (1, 64, 48), (3, 32, 40), (1, 200, 136)])
def test_local_network_gives_the_same_in_all_sizes(local, shape):
    network, weights = local
    image, levels = images(*shape), np.linspace(0.01, 0.1, shape[0], dtype=np.float32)
    noise = NoisePredictor(weights, threads=1, precision="float32").predict_batch(image, levels)
    np.testing.assert_allclose(noise, by_torch(network, image, levels), atol=1e-4)


def test_tile_of_a_local_network_equals_the_whole_slice(local):
    _, weights = local
    predictor = NoisePredictor(weights, threads=1, precision="float32")
    image, level = images(1, 256, 192)[0], np.array([SIGMA], dtype=np.float32)
    whole = predictor.predict(image, level)[0]
    tile = predictor.predict(image[40:216, 24:176], level)[0]
    inner = (slice(REACH, -REACH), slice(REACH, -REACH))
    np.testing.assert_allclose(tile[inner], whole[40:216, 24:176][inner], atol=1e-4)
    assert np.abs(tile - whole[40:216, 24:176]).max() > 1e-3  # at the tile's border it can't


@pytest.mark.parametrize("count", [1, 3])
def test_published_network_gives_the_same_for_any_number_of_tiles(published, count):
    network, weights = published
    image, t = images(count, 32, 32), np.array([0, 7, 999], dtype=np.float32)[:count]
    noise = NoisePredictor(weights, threads=1).predict_batch(image, t)
    np.testing.assert_allclose(noise, by_torch(network, image, t), atol=1e-4)


def test_inputs_and_output_have_their_names(local, published):
    for _, weights in (local, published):
        session = onnxruntime.InferenceSession(weights.network_path, providers=["CPUExecutionProvider"])
        assert [entry.name for entry in session.get_inputs()] == ["image", "level"]
        assert [entry.name for entry in session.get_outputs()] == ["noise"]


def test_safetensors_hold_the_parameters(local):
    network, weights = local
    loaded = load_file(weights.folder / SAFETENSORS_FILE)
    torch.testing.assert_close(loaded, dict(network.state_dict()), atol=0, rtol=0)


def test_card_has_the_hash_of_every_file(local):
    _, weights = local
    assert open_weights(weights.folder) == weights
    assert set(weights.card.files) == {path.name for path in weights.folder.iterdir()} - {"card.json"}


def test_files_can_be_read_by_others(local):
    _, weights = local
    modes = {stat.S_IMODE(path.stat().st_mode) for path in weights.folder.iterdir()}
    assert len(modes) == 1


def test_network_that_comes_out_different_is_refused(tmp_path, monkeypatch):
    class Off(torch.nn.Module):
        def forward(self, image, level):
            return image + (0.01 if torch.is_inference_mode_enabled() else 0.0)

    monkeypatch.setattr(export, "_export_onnx", lambda network, card, path: write_identity(path))
    with pytest.raises(WeightsError, match=r"network\.onnx: the exported network differs"):
        export_weights(Off(), card("published", 16), tmp_path)


def write_identity(path):
    """Write a network that gives back its image."""
    import onnx
    from onnx import TensorProto, helper

    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, "row", "column"])
    level = helper.make_tensor_value_info("level", TensorProto.FLOAT, ["n"])
    noise = helper.make_tensor_value_info("noise", TensorProto.FLOAT, ["n", 1, "row", "column"])
    graph = helper.make_graph([helper.make_node("Identity", ["image"], ["noise"])], "g", [image, level], [noise])
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), path)


def test_network_names_no_folder_of_the_machine(local):
    content = local[1].network_path.read_bytes()
    assert str(Path(export.__file__).parent).encode() not in content
    assert b"stack_trace" not in content
