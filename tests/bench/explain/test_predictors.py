from __future__ import annotations

import numpy as np
import pytest
import torch

from tamperscan.bench.explain.predictors import check_card, hu_predictor, torch_predictor
from tamperscan.data import packaged_weights, weights_path
from tamperscan.diffusion.unet import LocalUNet, LocalUNetSettings
from tamperscan.diffusion.weights import Card, open_weights, write_card
from tamperscan.errors import BenchError

needs_weights = pytest.mark.skipif("ct" not in packaged_weights(), reason="no packaged weights")
CARD = Card(name="made", kind="low-noise", modality="CT", window=(-1050.0, 450.0), crop_px=96, levels_hu=(15.0, 26.0))


@needs_weights
def test_both_ways_give_the_same_noise():
    weights = open_weights(weights_path("ct"))
    hu = (-850 + 30 * np.random.default_rng(0).standard_normal((32, 40))).astype(np.float32)
    maps = hu_predictor(weights)(hu, weights.card.levels_hu)
    squares = torch_predictor(weights).squares(torch.from_numpy(hu)).numpy()
    assert maps.shape == (len(weights.card.levels_hu), 32, 40)
    assert squares == pytest.approx((maps**2).mean(axis=0), rel=1e-3, abs=1e-4)


def test_published_networks_are_refused():
    card = CARD.model_copy(update={"kind": "published"})
    with pytest.raises(BenchError, match="low-noise-ct"):
        check_card(card)


def folder_of(path, files):
    (path / "network.onnx").write_bytes(b"no network")
    return write_card(path, CARD.model_copy(update={"files": dict.fromkeys(["network.onnx", *files], "")}))


def test_weights_without_safetensors_are_refused(tmp_path):
    with pytest.raises(BenchError, match="holds no network"):
        torch_predictor(folder_of(tmp_path, []))


def test_networks_of_another_make_are_refused(tmp_path):
    from safetensors.torch import save_file

    save_file(LocalUNet(LocalUNetSettings(widths=(4, 4, 4))).state_dict(), tmp_path / "network.safetensors")
    with pytest.raises(BenchError, match="another make"):
        torch_predictor(folder_of(tmp_path, ["network.safetensors"]))


def test_beyond_the_window_nothing_changes(tiny):
    low, lower = (torch.full((16, 16), value) for value in (-1050.0, -3000.0))
    assert torch.equal(tiny.squares(low), tiny.squares(lower))
