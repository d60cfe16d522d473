"""What every contender has to keep, whatever it does."""

import json

import numpy as np
import pytest

from tamperscan.bench.contenders.contender import Budget, settings_hash

from .small import NOISE_HU, SMALL, SPACING_MM, NoiseCrops, noise, planted, silent

BUDGET = Budget(seconds=0.6)
IMAGE = noise((96, 96), 5)
NEED_LONGER = ("btd", "anoddpm-gauss", "anoddpm-simplex")


@pytest.fixture(scope="module", params=SMALL)
def learned(request, tmp_path_factory):
    """A contender that has learned, its facts and its folder."""
    folder = tmp_path_factory.mktemp(request.param)
    contender = SMALL[request.param]()
    facts = contender.learn(NoiseCrops(), BUDGET, folder, silent)
    return contender, facts, folder


def energy(contender, image):
    return contender.energy(image, SPACING_MM)


def test_energy_is_a_map_of_the_image_that_is_not_negative(learned):
    found = energy(learned[0], IMAGE)
    assert (found.shape, found.dtype) == (IMAGE.shape, np.float32)
    assert np.isfinite(found).all()
    assert found.min() >= 0
    assert found.std() > 0


@pytest.mark.parametrize("shape", [(71, 101), (17, 130), (64, 64)])
def test_any_size_will_do(learned, shape):
    found = energy(learned[0], noise(shape, 3))
    assert found.shape == shape
    assert np.isfinite(found).all()


def test_same_image_same_result(learned):
    assert np.array_equal(energy(learned[0], IMAGE), energy(learned[0], IMAGE.copy()))


def test_the_image_is_left_alone(learned):
    image = IMAGE.copy()
    energy(learned[0], image)
    assert np.array_equal(image, IMAGE)


def test_loading_gives_what_was_learned(learned):
    contender, _, folder = learned
    again = SMALL[contender.name]()
    again.load(folder)
    assert np.array_equal(energy(again, IMAGE), energy(contender, IMAGE))


def change(contender, noise_hu):
    """How much the energy of a planted square differs from that of the square before, averaged over images."""
    ratios = []
    for seed in range(4):
        image = noise((96, 96), seed)
        changed, box = planted(image, noise_hu)
        ratios.append(energy(contender, changed)[box].mean() / energy(contender, image)[box].mean())
    return np.log(ratios).mean()


def test_a_planted_patch_without_noise_stands_out(learned):
    contender = learned[0]
    if contender.name in NEED_LONGER:
        pytest.skip("it learns too little within a second; its own tests give it a network that is known")
    assert abs(change(contender, 5.0)) > 0.1 + 2 * abs(change(contender, NOISE_HU))


def test_learning_tells_plain_facts(learned):
    contender, facts, _ = learned
    json.dumps(facts)
    if contender.name not in ("noise-level", "high-pass"):
        assert facts["steps"] >= 1
        assert facts["crops"] >= facts["steps"]
        assert facts["seconds"] > 0


def test_what_was_learned_is_not_learned_again(learned):
    contender, facts, folder = learned
    files = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert SMALL[contender.name]().learn(NoiseCrops(), BUDGET, folder, silent) == facts
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == files


def test_settings_are_plain_and_name_the_contender(learned):
    contender = learned[0]
    assert json.loads(json.dumps(contender.settings)).keys() == contender.settings.keys()
    assert settings_hash(contender) == settings_hash(SMALL[contender.name]())
    assert contender.source
