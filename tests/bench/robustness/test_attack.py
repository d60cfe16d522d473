"""The torch copy is the detector, and its gradient moves the real one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tamperscan.data import packaged_weights, sample_path
from tamperscan.detect.load import load_detector
from tamperscan.diffusion.predictor import NoisePredictor
from tamperscan.errors import BenchError, ForgeError
from tamperscan.scan import read_scan

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from tamperscan.bench.robustness import attack  # noqa: E402
from tamperscan.bench.robustness.subjects import TestSlice  # noqa: E402
from tamperscan.bench.units import region_of  # noqa: E402

pytestmark = pytest.mark.skipif("ct" not in packaged_weights(), reason="no packaged weights")


@pytest.fixture(scope="module")
def detector():
    return load_detector("ct", threads=1)


@pytest.fixture(scope="module")
def attacker(detector):
    return attack.Attacker(detector, threads=1)


@pytest.fixture(scope="module")
def sample():
    scan = read_scan(sample_path())
    return TestSlice(scan, "FB", scan.name, (256, 150), region_of(scan.voxels[0], scan.spacing_mm[1:], "CT"))


def test_the_copies_are_the_networks(detector, attacker):
    from tamperscan.detect.self_forged import SelfForgedNetwork

    image = np.random.default_rng(0).uniform(-1, 1, (64, 64)).astype(np.float32)
    levels = np.array(detector.card.levels_hu, np.float32) / np.float32(attacker.window.units_per_model_unit)
    with torch.inference_mode():
        noise, odds = (each.numpy() for each in attacker.networks(torch.from_numpy(image)[None, None]))
    shipped = NoisePredictor(detector.weights, threads=1, precision="float32").predict(image, levels)
    assert np.abs(noise - shipped).max() < 1e-3
    head = SelfForgedNetwork(detector.weights, threads=1, precision="float32").log_odds(image, shipped)
    assert np.abs(odds - head).max() < 1e-2


def test_the_score_is_the_detector_s(detector, attacker, sample):
    score, _ = attacker.score_of(sample)
    with torch.inference_mode():
        largest = float(score.places(score.hu).max())
    assert largest == pytest.approx(detector.screen(sample.scan).score, rel=0.02)


def test_an_attack_stays_within_its_limit_and_lowers_the_score(detector, attacker, sample, monkeypatch):
    monkeypatch.setattr(attack, "_STEPS", 3)
    attacked = attacker.attack(sample, aim="lower", limit_hu=4.0)
    assert 0 < np.abs(attacked - sample.image).max() <= 4.0
    before = detector.screen(sample.scan).score
    assert detector.screen(replace(sample.scan, voxels=attacked[None])).score < before - 1.0


def test_there_is_one_for_each_aim_and_limit(attacker):
    names = [each.name for each in attacker.treatments()]
    assert len(set(names)) == len(names) == len(attack.AIMS) * len(attack.LIMITS_HU)


def test_nothing_to_attack(attacker, sample):
    with pytest.raises(ForgeError, match="too little lung"):
        attacker.score_of(replace(sample, scan=replace(sample.scan, voxels=np.zeros_like(sample.scan.voxels))))


def test_other_heads_are_not_attacked():
    with pytest.raises(BenchError, match="combined"):
        attack.Attacker(load_detector("ct", head="typicality", threads=1))
