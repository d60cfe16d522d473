import numpy as np
import pytest
import torch
from safetensors.torch import save_file

pytest.importorskip("anomalib", reason="anomalib is not installed")

import timm

from tamperscan.bench.contenders.contender import Budget, settings_hash
from tamperscan.bench.contenders.pretrained import Padim, PatchCore
from tamperscan.bench.contenders.registry import contenders, unavailable
from tamperscan.errors import BenchError

from .small import NOISE_HU, SPACING_MM, NoiseCrops, noise, planted, silent

# The packages below anomalib warn of each other's old names when they are imported.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

BUDGET = Budget(seconds=60.0)
IMAGE = noise((100, 120), 5)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    """Untrained weights under the names of the pretrained ones, with the classifier that those have."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("backbone") / "model.safetensors"
    save_file(timm.create_model("resnet18", pretrained=False).state_dict(), path)
    return path


@pytest.fixture(scope="module", params=[Padim, PatchCore])
def learned(request, backbone, tmp_path_factory):
    folder = tmp_path_factory.mktemp("learned")
    contender = request.param("CT", backbone, crops=16)
    facts = contender.learn(NoiseCrops(), BUDGET, folder, silent)
    return contender, facts, folder


def test_energy_is_a_map_of_the_image(learned):
    energy = learned[0].energy(IMAGE, SPACING_MM)
    assert (energy.shape, energy.dtype) == (IMAGE.shape, np.float32)
    assert energy.min() >= 0
    assert energy.std() > 0


def test_same_image_same_result(learned):
    assert np.array_equal(learned[0].energy(IMAGE, SPACING_MM), learned[0].energy(IMAGE, SPACING_MM))


def test_loading_gives_what_was_learned(learned, backbone):
    contender, facts, folder = learned
    again = type(contender)("CT", backbone, crops=16)
    assert again.learn(NoiseCrops(), BUDGET, folder, silent) == facts
    assert np.array_equal(again.energy(IMAGE, SPACING_MM), contender.energy(IMAGE, SPACING_MM))


def test_the_backbone_is_not_stored_again(learned):
    (path,) = learned[2].iterdir()
    assert path.stat().st_size < 40_000_000
    assert learned[1]["crops"] == 16


def change(contender, noise_hu):
    """How much the energy of a planted square differs from that of the square before, averaged over images."""
    ratios = []
    for seed in range(4):
        image = noise((96, 96), seed)
        changed, box = planted(image, noise_hu)
        before, after = (contender.energy(each, SPACING_MM)[box].mean() for each in (image, changed))
        ratios.append(after / before)
    return np.log(ratios).mean()


def test_a_planted_patch_stands_out(learned):
    assert abs(change(learned[0], 5.0)) > 0.05 + 2 * abs(change(learned[0], NOISE_HU))


def test_settings_tell_the_backbone(backbone, tmp_path):
    torch.manual_seed(1)
    other = tmp_path / "other.safetensors"
    save_file(timm.create_model("resnet18", pretrained=False).state_dict(), other)
    assert settings_hash(Padim("CT", other)) != settings_hash(Padim("CT", backbone))


def test_half_a_backbone_is_refused(backbone, tmp_path):
    whole = timm.create_model("resnet18", pretrained=False).state_dict()
    save_file({name: value for name, value in whole.items() if "layer2" not in name}, tmp_path / "half.safetensors")
    with pytest.raises(BenchError, match="does not fit resnet18"):
        Padim("CT", tmp_path / "half.safetensors").learn(NoiseCrops(), BUDGET, tmp_path, silent)


def test_the_registry_makes_them_when_a_backbone_is_given(backbone):
    names = ["padim", "patchcore"]
    assert [each.name for each in contenders("CT", names=names, backbone=backbone)] == names
    assert unavailable("CT", names=names, backbone=backbone) == []
    assert [each.name for each in unavailable("CT", names=names)] == names
