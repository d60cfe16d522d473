import pytest
import torch
from safetensors.torch import save_file

from tamperscan.bench.contenders.backbone import read_backbone
from tamperscan.errors import BenchError

RESNET18 = {"layer1.1.conv2.weight": torch.zeros(64, 64, 3, 3)}
WIDE = {"layer1.0.conv1.weight": torch.zeros(128, 64, 1, 1), "layer1.1.conv2.weight": torch.zeros(128, 128, 3, 3)}
RESNET34 = {**RESNET18, "layer1.2.conv1.weight": torch.zeros(64, 64, 3, 3)}


def saved(folder, tensors):
    save_file(tensors, folder / "model.safetensors")
    return folder / "model.safetensors"


@pytest.mark.parametrize(("tensors", "name"), [(RESNET18, "resnet18"), (WIDE, "wide_resnet50_2")])
def test_networks_are_recognised(tmp_path, tensors, name):
    found, weights = read_backbone(saved(tmp_path, tensors))
    assert found == name
    assert set(weights) == set(tensors)


@pytest.mark.parametrize("tensors", [RESNET34, {"other": torch.zeros(1)}])
def test_other_networks_are_refused(tmp_path, tensors):
    with pytest.raises(BenchError, match="not known here"):
        read_backbone(saved(tmp_path, tensors))


def test_a_pickle_is_refused(tmp_path):
    torch.save(RESNET18, tmp_path / "model.pth")
    with pytest.raises(BenchError, match="can't be read as a backbone"):
        read_backbone(tmp_path / "model.pth")


def test_a_missing_file(tmp_path):
    with pytest.raises(BenchError, match=r"Give model\.safetensors"):
        read_backbone(tmp_path / "none.safetensors")
