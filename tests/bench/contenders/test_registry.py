import json

import pytest
import torch
from torch import nn

from tamperscan.bench.contenders import registry
from tamperscan.bench.contenders.registry import NAMES, contenders, unavailable
from tamperscan.diffusion.weights import Card
from tamperscan.errors import BenchError, WeightsError

WITH_PACKAGES = {"tamperscan", "btd", "btd-small", "cae", "f-anogan", "srm-gmm", "noise-level", "high-pass"}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Make a folder of weights of a kind and a modality."""
    export = pytest.importorskip("tamperscan.diffusion.export", exc_type=ImportError)

    class Nothing(nn.Module):
        def forward(self, image, level):
            return 0 * image + 0 * level[:, None, None, None]

    def make(kind, modality):
        folder = tmp_path_factory.mktemp("weights")
        card = Card(name="made up", kind=kind, modality=modality, window=None, crop_px=96, schedule="sigmoid")
        export.export_weights(Nothing(), card, folder, safetensors=False)
        return folder

    return make


def names(made):
    return [each.name for each in made]


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_every_contender_is_made_or_said_to_be_unavailable(modality):
    made, lacking = names(contenders(modality)), names(unavailable(modality))
    assert set(made) | set(lacking) == set(NAMES)
    assert not set(made) & set(lacking)
    assert made == [name for name in NAMES if name in made]


def test_what_needs_nothing_is_there():
    assert set(names(contenders("CT"))) >= WITH_PACKAGES


def test_contenders_can_be_chosen():
    assert names(contenders("CT", names=["high-pass", "cae"])) == ["cae", "high-pass"]
    assert contenders("CT", names=[]) == []


def test_modality_may_be_small_letters():
    assert names(contenders("mr", names=["cae"])) == ["cae"]


def test_unknown_name():
    for ask in (contenders, unavailable):
        with pytest.raises(BenchError, match=r"vae: no contender of this name. There are tamperscan, btd"):
            ask("CT", names=["cae", "vae"])


def test_unknown_modality():
    with pytest.raises(BenchError, match="PT: contenders know CT and MR only"):
        contenders("PT")


def test_ours_has_no_weights_for_mr():
    (lacking,) = unavailable("MR", names=["tamperscan"])
    assert "packaged weights for MR" in lacking.reason


def test_official_weights_have_to_be_given():
    (lacking,) = unavailable("CT", names=["btd-official"])
    assert "tamperscan weights import" in lacking.reason


def test_official_weights_that_are_given(weights):
    folder = weights("published", "CT")
    (made,) = contenders("CT", names=["btd-official"], official=folder)
    assert made.name == "btd-official"
    (lacking,) = unavailable("MR", names=["btd-official"], official=folder)
    assert "are for CT" in lacking.reason


def test_official_weights_of_another_network(weights):
    (lacking,) = unavailable("CT", names=["btd-official"], official=weights("low-noise", "CT"))
    assert "not of the published network" in lacking.reason


def test_official_weights_that_are_not_there(tmp_path):
    with pytest.raises(WeightsError, match="no weights here"):
        unavailable("CT", official=tmp_path)


def test_a_missing_package_costs_its_contender_alone(monkeypatch):
    found = registry.find_spec
    monkeypatch.setattr(registry, "find_spec", lambda name: None if name == "pywt" else found(name))
    (lacking,) = unavailable("CT", names=["noise-level", "high-pass"])
    assert lacking.reason == ("It needs packages that are not installed (pywt): pip install 'tamperscan[bench]'.")
    assert names(contenders("CT", names=["noise-level", "high-pass"])) == ["high-pass"]


def test_pretrained_contenders_need_a_backbone():
    for lacking in unavailable("CT", names=["padim", "patchcore"]):
        assert "anomalib" in lacking.reason or "backbone" in lacking.reason


def test_making_them_all_takes_no_time_and_draws_nothing():
    before = torch.random.get_rng_state()
    for each in contenders("CT"):
        json.dumps(each.settings)
        assert each.source
    assert torch.equal(torch.random.get_rng_state(), before)
