import numpy as np
import pytest

import tamperscan
from tamperscan.bench.contenders.contender import Budget
from tamperscan.bench.contenders.ours import Ours
from tamperscan.data import sample_path

from .small import SPACING_MM, NoiseCrops, silent


@pytest.fixture(scope="module")
def sample():
    return tamperscan.read_scan(sample_path())


@pytest.fixture(scope="module")
def ours():
    return Ours()


def test_energy_is_the_suspicion_of_the_screening(ours, sample):
    screening = tamperscan.load_detector("ct", threads=1).screen(sample)
    energy = ours.energy(sample.voxels[0], sample.spacing_mm[1:])
    assert energy.max() > 1
    assert np.allclose(energy, screening.suspicion[0], atol=1e-3)


def test_outside_the_lungs_there_is_none(ours, sample):
    energy = ours.energy(sample.voxels[0], sample.spacing_mm[1:])
    assert (energy[:20] == 0).all()


def test_what_it_can_not_judge_has_none(ours):
    assert (ours.energy(np.zeros((40, 40), np.float32), SPACING_MM) == 0).all()
    assert (ours.energy(np.zeros((96, 96), np.float32), SPACING_MM) == 0).all()


def test_its_sign_is_settled_and_it_learns_nothing(ours, tmp_path):
    assert ours.finished
    assert ours.learn(NoiseCrops(), Budget(1.0), tmp_path, silent) == {}
    ours.load(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_weights_are_told_by_their_hash(ours):
    assert ours.settings["weights_sha256"] == tamperscan.load_detector("ct").weights.sha256
