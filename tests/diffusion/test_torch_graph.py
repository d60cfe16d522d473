import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tamperscan.data import packaged_weights, weights_path
from tamperscan.diffusion.networks import open_network
from tamperscan.errors import WeightsError

torch = pytest.importorskip("torch")

from tamperscan.diffusion.torch_graph import read_torch_graph  # noqa: E402

PACKAGED = [
    path for name in packaged_weights() for path in sorted(weights_path(name).glob("*.onnx")) if path.stat().st_size
]
packaged = pytest.mark.parametrize("path", PACKAGED, ids=lambda path: f"{path.parent.name}-{path.stem}")


def shown(path, count=2, rows=88, columns=112):
    rng = np.random.default_rng(0)
    image = np.asarray(rng.normal(-0.5, 0.05, (count, 1, rows, columns)), np.float32)
    if path.stem == "network":
        return {"image": image, "level": np.linspace(0.02, 0.03, count, dtype=np.float32)}
    return {"image": image, "noise": np.asarray(rng.normal(0.0, 1.0, (count, 2, rows, columns)), np.float32)}


def given_by(path, inputs, *, bfloat16):
    graph = read_torch_graph(path, bfloat16=bfloat16, advice="")
    with torch.inference_mode():
        return graph.module(*(torch.from_numpy(inputs[name]) for name in graph.names)).numpy()


def exact(path, inputs):
    return open_network(path, advice="", threads=1, device="cpu", precision="float32").run(inputs)


@packaged
@pytest.mark.parametrize("size", [(2, 88, 112), (1, 64, 64), (3, 96, 72)])
def test_float32_gives_what_onnxruntime_gives(path, size):
    inputs = shown(path, *size)
    np.testing.assert_allclose(given_by(path, inputs, bfloat16=False), exact(path, inputs), atol=1e-4)


@packaged
def test_bfloat16_is_within_a_fiftieth_of_float32(path):
    inputs = shown(path)
    wanted = exact(path, inputs)
    off = given_by(path, inputs, bfloat16=True) - wanted
    assert 0 < off.std() < 0.02 * wanted.std()


@packaged
def test_only_what_follows_a_convolution_is_in_bfloat16(path):
    module = read_torch_graph(path, bfloat16=True, advice="").module
    kinds = {value.dtype for value in module.buffers() if value.ndim == 4}
    layouts = {value.is_contiguous(memory_format=torch.channels_last) for value in module.buffers() if value.ndim == 4}
    assert (kinds, layouts) == ({torch.bfloat16}, {True})
    # The level's own branch decides each block's scale.
    assert {value.dtype for value in module.buffers() if value.ndim == 2} == {torch.float32}


def test_a_network_of_other_widths_and_depth(tmp_path):
    from tamperscan.diffusion.export import export_weights
    from tamperscan.diffusion.unet import LocalUNet, LocalUNetSettings
    from tamperscan.diffusion.weights import Card

    torch.manual_seed(0)
    network = LocalUNet(LocalUNetSettings(widths=(8, 16), blocks=2))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    card = Card(name="small", kind="low-noise", modality="CT", window=(-1050.0, 450.0), stride=4, crop_px=64, files={})
    path = export_weights(network, card, tmp_path).network_path
    inputs = shown(path)
    wanted = exact(path, inputs)
    np.testing.assert_allclose(given_by(path, inputs, bfloat16=False), wanted, atol=1e-4 * np.abs(wanted).max())


def write_network(path, *nodes, domain="", initializers=()):
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 1, "r", "c"]) for name in ("image", "noise")]
    made = [helper.make_node(kind, *ends_of, domain=domain, **settings) for kind, ends_of, settings in nodes]
    graph = helper.make_graph(made, "network", ends[:1], ends[1:], list(initializers))
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), path)
    return path


@pytest.mark.parametrize(
    ("kind", "domain", "settings", "told"),
    [
        ("Celu", "", {}, "operator Celu is not known"),
        ("Relu", "of.others", {}, r"operator of\.others\.Relu is not known"),
        ("DepthToSpace", "", {"blocksize": 1, "mode": "DCR"}, "mode DCR is not known"),
        ("Transpose", "", {"perm": [0, 1, 2, 3], "other": 1}, "operator Transpose is used in a way"),
        ("Relu", "", {"other": 1}, "operator Relu is used in a way"),
    ],
)
def test_what_is_not_known_is_refused_by_name(kind, domain, settings, told, tmp_path):
    path = write_network(tmp_path / "network.onnx", (kind, (["image"], ["noise"]), settings), domain=domain)
    with pytest.raises(WeightsError, match=rf"network\.onnx: can't be run by torch .*{told}.*Make it anew"):
        read_torch_graph(path, bfloat16=False, advice="Make it anew.")


@pytest.mark.parametrize("content", [b"no network", b""])
def test_a_file_that_is_no_network(content, tmp_path):
    (tmp_path / "network.onnx").write_bytes(content)
    with pytest.raises(WeightsError, match=r"network\.onnx: can't be run by torch"):
        read_torch_graph(tmp_path / "network.onnx", bfloat16=False, advice="")


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_pixels_are_shuffled_in_either_layout(layout):
    from tamperscan.diffusion.torch_operators import OPERATORS

    image = torch.rand(2, 12, 5, 7)
    shuffled = OPERATORS["DepthToSpace"](image.to(memory_format=layout), blocksize=2, mode="CRD")
    assert torch.equal(shuffled, torch.nn.functional.pixel_shuffle(image, 2))
    assert shuffled.is_contiguous(memory_format=layout)


def test_nothing_is_turned_from_one_layout_to_the_other_between_convolutions():
    graph = read_torch_graph(PACKAGED[0], bfloat16=True, advice="")

    class Layouts(torch.fx.Interpreter):
        def run_node(self, node):
            value = super().run_node(node)
            if isinstance(value, torch.Tensor) and value.dtype == torch.bfloat16 and value.ndim == 4:
                found.add(value.is_contiguous(memory_format=torch.channels_last))
            return value

    found = set()
    Layouts(graph.module).run(*graph.example)
    assert found == {True}
