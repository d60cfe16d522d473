import dataclasses
import json

import numpy as np
import pytest

pytest.importorskip("torch")

from tamperscan.bench.document import Provenance
from tamperscan.bench.metrics import Estimate
from tamperscan.bench.poisoning_crops import PoisonedCrops, forged_cache
from tamperscan.bench.poisoning_learning import PoisonRow
from tamperscan.bench.poisoning_networks import TRAININGS, NetworkRow, NetworksResult, Training, _train
from tamperscan.bench.poisoning_networks_page import networks_page
from tamperscan.bench.predictor_study import STUDY
from tamperscan.bench.training_crops import training_cache
from tamperscan.detect.crops import CropSource
from tamperscan.errors import BenchError
from tamperscan.forge.method import load_method
from tamperscan.scan.windows import IntensityWindow

from .phantoms import chest_scan, write_nifti

TINY = dataclasses.replace(STUDY, widths=(8, 12), crop_px=32, batch=4)


@pytest.fixture(autouse=True)
def float32(monkeypatch):
    """One precision for all tests of a process: accelerate holds on to the first."""
    monkeypatch.setattr("tamperscan.diffusion.train.fast_at_bf16", lambda: False)


class Numbers:
    """Crops that are all of one value beside a number drawn at random."""

    def __init__(self, value):
        self.value = value

    def draw(self, rng, count):
        return (self.value + rng.random((count, 1, 1, 1))).astype(np.float32).repeat(2, axis=2).repeat(2, axis=3)


def drawn(share):
    """Crops of a step, and what is drawn after them."""
    rng = np.random.default_rng((0, 0, 7))
    crops = PoisonedCrops(Numbers(0.0), Numbers(10.0), share).draw(rng, 400)
    return crops[:, 0, 0, 0], rng.random(5)


def test_other_crops_and_all_that_is_drawn_later_stay_as_they_are():
    authentic, later = drawn(0.0)
    assert authentic.max() < 1
    before = np.zeros(400, bool)
    for share in (0.05, 0.3, 1.0):
        crops, then = drawn(share)
        forged = crops >= 10
        assert forged.mean() == pytest.approx(share, abs=0.05)
        assert forged[before].all()  # what a small share forges, a larger one forges too
        np.testing.assert_array_equal(crops[~forged], authentic[~forged])
        np.testing.assert_array_equal(then, later)
        before = forged


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Authentic scans as NIfTI and their split."""
    folder = tmp_path_factory.mktemp("poisoned")
    for seed, name in enumerate(("learn-1", "learn-2"), start=1):
        voxels = chest_scan(seed).voxels.repeat(2, axis=1).repeat(2, axis=2)
        write_nifti(folder / "ct" / f"{name}.nii.gz", voxels, (4.0, 1.2, 1.2))
    (folder / "split.json").write_text(json.dumps({"train": ["learn-*"]}))
    return folder


def test_forged_crops_are_centred_in_what_was_altered(folder, tmp_path):
    split = folder / "split.json"
    told = []
    cached = forged_cache(folder, split, tmp_path, [load_method("copymove")], report=told.append)
    assert cached
    assert told == list(range(1, len(cached) + 1))
    assert all(each.name.startswith("forged_copymove") for each in cached)
    assert forged_cache(folder, split, tmp_path, []) == cached  # not forged again
    authentic = {each.name: each for each in training_cache(folder, split, tmp_path / "authentic")}
    for each in cached:
        of = authentic[each.name.removeprefix("forged_copymove_remove_").removeprefix("forged_copymove_inject_")[:-4]]
        altered = np.load(tmp_path / each.file) != np.load(tmp_path / "authentic" / of.file)
        with np.load((tmp_path / each.file).with_suffix(".centres.npz")) as stored:
            rows, columns = stored["lung"][0].T
        assert altered[0][rows, columns].all()


def test_no_place_for_a_forgery(folder, tmp_path):
    with pytest.raises(BenchError, match="has a place for a forgery"):
        forged_cache(folder, folder / "split.json", tmp_path, [])


def test_training_is_made_once_and_says_what_it_is(folder, tmp_path):
    cached = training_cache(folder, folder / "split.json", tmp_path / "cache")
    authentic = CropSource(tmp_path / "cache", cached, crop_px=32, window=IntensityWindow(*TINY.window))
    crops = PoisonedCrops(authentic, Forged(), 0.5)
    told = []

    def trained():
        return _train(Training(0.5), crops, tmp_path, 2, TINY, lambda *each: told.append(each))

    first = trained()
    assert told == [("Training, 50 % forged, seed 0", step, 2) for step in (1, 2)]
    assert first.folder.parent.name == "forged-50-steps-2"
    assert first.card.training["share_of_forged_crops"] == 0.5
    told.clear()
    assert trained().sha256 == first.sha256
    assert not told


class Forged:
    """Crops without noise."""

    def draw(self, rng, count):
        return np.zeros((count, 1, 32, 32), np.float32)


def test_page_tells_the_shares_and_the_other_seed():
    value = Estimate(0.9, 0.8, 0.95)
    rows = [
        NetworkRow(each, "0" * 64, PoisonRow(each.share, round(480 * each.share), False, *[{"CT-GAN": value}] * 2,
                                             {"CT-GAN": 0.5}, 0.1, 0.0, 0.0))
        for each in TRAININGS
    ]  # fmt: skip
    result = NetworksResult(60, 8, 64, 30, 80, 34, 67, 10, 20, {"CT-GAN": 40}, tuple(rows))
    page = networks_page(result, Provenance("tamperscan bench poisoning --networks", ""))
    assert "| 10 % (about 48) | 0.90 [0.80, 0.95] |" in page
    assert "| 0 %, another seed | +0.900 [+0.800, +0.950] |" in page
    assert max(len(line) for line in page.splitlines() if not line.startswith("|")) <= 120
