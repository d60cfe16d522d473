import functools
import os
import pickle

import numpy as np
import pytest
from unet_reference import SMALL_DIM, published_numbers, seeded_weights, shapes_of

torch = pytest.importorskip("torch")

from tamperscan.diffusion.checkpoint import read_official_checkpoint  # noqa: E402
from tamperscan.diffusion.published import VARIANTS, PublishedUNet  # noqa: E402
from tamperscan.diffusion.schedule import noise_schedule  # noqa: E402
from tamperscan.errors import WeightsError  # noqa: E402


@functools.cache
def seeded_once(variant):
    with torch.device("meta"):
        shapes = shapes_of(PublishedUNet(SMALL_DIM, variant=variant))
    return {name: torch.from_numpy(weight) for name, weight in seeded_weights(shapes).items()}


def network_weights(variant="1.8.3"):
    return dict(seeded_once(variant))


def diffusion_weights(weights, schedule="sigmoid", loss_weight=1.0):
    """State dict of the library's GaussianDiffusion around a network."""
    betas = noise_schedule(schedule).betas.astype(np.float32)
    buffers = {"betas": torch.from_numpy(betas), "loss_weight": torch.full((1000,), loss_weight)}
    return buffers | {f"model.{name}": weight for name, weight in weights.items()}


def trainer_checkpoint(weights=None, **settings):
    """What the official trainer saves."""
    diffusion = diffusion_weights(weights or network_weights(), **settings)
    averaged = {name: value * 0.5 for name, value in diffusion.items()}
    ema = {f"ema_model.{name}": value for name, value in averaged.items() if name.startswith("model.")}
    ema |= {f"online_model.{name}": value for name, value in diffusion.items()}
    return {
        "step": 700_000,
        "model": diffusion,
        "opt": {
            "state": {0: {"step": torch.tensor(1.0)}},
            "param_groups": [{"lr": 8e-6, "betas": (0.9, 0.99)}],
        },
        "ema": ema | {"initted": torch.tensor([True]), "step": torch.tensor([700_000])},
        "scaler": None,
        "version": "1.8.3",
    }


@pytest.fixture
def save(tmp_path):
    def to_file(content):
        path = tmp_path / "CT_model.pt"
        torch.save(content, path)
        return path

    return to_file


def read(path, modality="ct", **settings):
    return read_official_checkpoint(path, modality, dim=SMALL_DIM, **settings)


@pytest.mark.parametrize("variant", VARIANTS)
def test_checkpoint_of_the_trainer(save, variant):
    checkpoint = read(save(trainer_checkpoint(network_weights(variant))))
    assert (checkpoint.variant, checkpoint.step) == (variant, 700_000)
    assert (checkpoint.schedule.name, checkpoint.schedule.timesteps) == ("sigmoid", 1000)
    assert checkpoint.preset.name == "paper-ct"


def test_network_gives_the_published_noise(save):
    published = published_numbers("1.8.3")
    network = read(save(trainer_checkpoint())).network()
    noise = network(torch.from_numpy(published["image"]), torch.from_numpy(published["t"]))
    np.testing.assert_allclose(noise.numpy(), published["noise"], atol=1e-5)


@pytest.mark.parametrize("wrap", [lambda w: w, diffusion_weights, lambda w: {"model": w}])
def test_other_ways_to_keep_the_weights(save, wrap):
    weights = network_weights()
    checkpoint = read(save(wrap(weights)))
    assert checkpoint.step is None
    assert checkpoint.schedule.name == "sigmoid"
    torch.testing.assert_close(checkpoint.state_dict, weights, atol=0, rtol=0)


def test_trained_weights_are_read_unless_the_average_is_asked_for(save):
    path = save(trainer_checkpoint())
    name = "init_conv.weight"
    trained, averaged = read(path), read(path, weights="ema")
    torch.testing.assert_close(trained.state_dict[name], network_weights()[name])
    torch.testing.assert_close(averaged.state_dict[name], network_weights()[name] * 0.5)


def test_average_that_is_not_there(save):
    with pytest.raises(WeightsError, match="no moving average"):
        read(save({"model": diffusion_weights(network_weights())}), weights="ema")


def test_half_precision_becomes_float32(save):
    path = save({name: weight.half() for name, weight in network_weights().items()})
    assert {weight.dtype for weight in read(path).state_dict.values()} == {torch.float32}


def test_modality_decides_the_preset(save):
    assert read(save(network_weights()), "mr").preset.name == "paper-mr"


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_schedule_is_told_by_its_variances(save, schedule):
    assert read(save(trainer_checkpoint(schedule=schedule))).schedule.name == schedule


def test_unknown_schedule(save):
    content = trainer_checkpoint()
    content["model"]["betas"] = torch.linspace(0.001, 0.1, 1000)
    with pytest.raises(WeightsError, match="noise schedule is none of the known"):
        read(save(content))


def test_network_that_predicts_something_else(save):
    with pytest.raises(WeightsError, match="not trained to predict noise"):
        read(save(trainer_checkpoint(loss_weight=3e-7)))


def test_missing_weights_are_named(save):
    weights = network_weights()
    for name in sorted(weights)[:5]:
        del weights[name]
    with pytest.raises(WeightsError, match=r"CT_model\.pt: lacks downs.*, downs.*, downs.* and 2 more\. Use"):
        read(save(weights))


def test_unexpected_weights_are_named(save):
    with pytest.raises(WeightsError, match=r"beside the published network, extra\.bias\. Use"):
        read(save(network_weights() | {"extra.bias": torch.zeros(1)}))


def test_network_of_another_size(save):
    with pytest.raises(WeightsError, match=r"is of shape \[.*\] instead of \[.*\]"):
        read_official_checkpoint(save(network_weights()), "ct")


def test_values_that_are_no_numbers(save):
    weights = network_weights()
    weights["final_conv.bias"] = torch.tensor([float("nan")])
    with pytest.raises(WeightsError, match=r"final_conv\.bias holds values that are no numbers"):
        read(save(weights))


def test_another_network(save):
    with pytest.raises(WeightsError, match=r"CT_model\.pt: .*not of the published network"):
        read(save({"model": {"layer.weight": torch.zeros(2)}}))


def test_numbers_without_names(save):
    with pytest.raises(WeightsError, match="holds a Tensor"):
        read(save(torch.zeros(3)))


class Attack:
    """Runs a command when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def plain_pickle(content, path):
    path.write_bytes(pickle.dumps(content))


@pytest.mark.parametrize("write", [torch.save, plain_pickle])
def test_code_is_refused_and_not_run(tmp_path, write):
    path, marker = tmp_path / "CT_model.pt", tmp_path / "was-run"
    write({"model": Attack(marker)}, path)
    with pytest.raises(WeightsError, match=r"CT_model\.pt: refused: contains code"):
        read(path)
    assert not marker.exists()


def test_a_whole_module_is_code_too(save):
    with pytest.raises(WeightsError, match="refused: contains code"):
        read(save(torch.nn.Linear(2, 2)))


@pytest.mark.parametrize("content", [b"", b"hello world", b"PK\x03\x04 cut off", b"\x80\x02rest", b"\x80\x05}."])
def test_what_is_no_checkpoint(tmp_path, content):
    path = tmp_path / "CT_model.pt"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"CT_model\.pt: (is no torch checkpoint|holds)"):
        read(path)


def test_half_a_checkpoint(save):
    path = save(network_weights())
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(WeightsError, match="is damaged"):
        read(path)


@pytest.mark.parametrize("name", ["nothing.pt", "."])
def test_no_file(tmp_path, name):
    with pytest.raises(WeightsError, match="there is no such file"):
        read(tmp_path / name)


@pytest.mark.parametrize("settings", [{"modality": "pet"}, {"modality": "ct", "weights": "best"}])
def test_words_that_mean_nothing(tmp_path, settings):
    with pytest.raises(ValueError, match=r"'pet'|'best'"):
        read(tmp_path / "CT_model.pt", **settings)
