import warnings

import numpy as np
import pytest
from unet_reference import (
    SMALL_DIM,
    library,
    published_numbers,
    published_shapes,
    seeded_weights,
    shapes_of,
    with_seeded_weights,
)

torch = pytest.importorskip("torch")

from tamperscan.diffusion.published import VARIANTS, PublishedUNet, variant_of  # noqa: E402
from tamperscan.errors import WeightsError  # noqa: E402

both_variants = pytest.mark.parametrize("variant", VARIANTS)


def noise_of(network, image, t):
    with torch.no_grad():
        return network(torch.from_numpy(image), torch.from_numpy(t)).numpy()


@both_variants
def test_names_and_shapes_are_the_published_ones(variant):
    with torch.device("meta"):
        assert shapes_of(PublishedUNet(variant=variant)) == published_shapes(variant)


@both_variants
def test_small_network_computes_what_the_library_does(variant):
    published = published_numbers(variant)
    network = with_seeded_weights(PublishedUNet(SMALL_DIM, variant=variant))
    noise = noise_of(network, published["image"], published["t"])
    np.testing.assert_allclose(noise, published["noise"], atol=1e-5)


@both_variants
def test_full_network_computes_what_the_library_does(variant):
    published = published_numbers(variant)
    network = with_seeded_weights(PublishedUNet(variant=variant))
    noise = noise_of(network, published["full_image"], published["full_t"])
    np.testing.assert_allclose(noise, published["full_noise"], atol=1e-5)


def test_like_the_library_itself():
    source = library_or_skip()
    variant = variant_of(source.Unet(SMALL_DIM, channels=1).state_dict())
    theirs = source.Unet(SMALL_DIM, channels=1).eval()
    ours = PublishedUNet(SMALL_DIM, variant=variant).eval()
    ours.load_state_dict(theirs.state_dict())
    image, t = torch.rand(2, 1, 32, 32) * 2 - 1, torch.tensor([0, 999])
    with torch.no_grad():
        torch.testing.assert_close(ours(image, t), theirs(image, t), atol=1e-5, rtol=0)


def library_or_skip():
    try:
        return library()
    except ImportError as missing:
        pytest.skip(f"denoising_diffusion_pytorch can't be imported here: {missing}")


def test_levels_may_be_of_any_number_type():
    network = with_seeded_weights(PublishedUNet(SMALL_DIM))
    image = published_numbers("1.8.3")["image"][:2]
    whole = noise_of(network, image, np.array([0, 7]))
    np.testing.assert_array_equal(whole, noise_of(network, image, np.array([0, 7], dtype=np.float32)))


@both_variants
def test_variant_is_told_by_names(variant):
    assert variant_of(published_shapes(variant)) == variant


def test_other_weights_are_no_published_network():
    with pytest.raises(WeightsError, match="not of the published network"):
        variant_of({"conv.weight": 0})


@pytest.mark.parametrize("settings", [{"variant": "2.0"}, {"dim": 12}])
def test_networks_that_cannot_be(settings):
    with pytest.raises(ValueError, match=r"variant '2.0'|divide by 8"):
        PublishedUNet(**settings)


def test_seeded_weights_are_the_same_everywhere():
    weights = seeded_weights({"a.bias": (2,), "b.weight": (1, 2)})
    np.testing.assert_allclose(weights["a.bias"], [0.17640524, 0.04001572])
    np.testing.assert_allclose(weights["b.weight"], [[0.6920723, 1.5845507]], rtol=1e-6)


@pytest.mark.parametrize(("variant", "dim_mults", "side"), [("1.8.3", (1, 2), 96), ("weight-standardised", (1,), 24)])
def test_onnx_gives_the_same_for_any_number_of_tiles(variant, dim_mults, side, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    network = with_seeded_weights(PublishedUNet(SMALL_DIM, dim_mults=dim_mults, variant=variant))
    path = export(network, side, tmp_path / "published.onnx")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    for n in (1, 3):
        image = rng.uniform(-1, 1, (n, 1, side, side)).astype(np.float32)
        t = np.arange(n, dtype=np.float32)
        (noise,) = session.run(["noise"], {"image": image, "t": t})
        np.testing.assert_allclose(noise, noise_of(network, image, t), atol=1e-4)


def export(network, side, path):
    """Write the network for square tiles of one size, as many at once as one likes."""
    tiles = torch.export.Dim("n", min=1, max=4096)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.zeros(2, 1, side, side), torch.zeros(2)),
            str(path),
            dynamo=True,
            opset_version=18,
            input_names=["image", "t"],
            output_names=["noise"],
            dynamic_shapes={"image": {0: tiles}, "t": {0: tiles}},
            verbose=False,
        )
    return path
