from dataclasses import replace

import numpy as np
import pytest
import torch

from tamperscan.errors import ForgeError
from tamperscan.forge.equalise import fit_equalisation
from tamperscan.forge.forgery import forge
from tamperscan.forge.gan_network import GanSettings, Generator
from tamperscan.forge.method import load_method
from tamperscan.forge.site import Place
from tamperscan.forge.weights import read_weights, write_weights
from tamperscan.scan.volume import Scan

from .lung_phantom import HEALTHY, NODULE, SPACING, lung_phantom, phantom_scan

SMALL = GanSettings(widths=(8, 16, 16), critic_widths=(8, 8, 8))
PLACE = Place(*HEALTHY, 8.0)


@pytest.fixture(scope="module")
def scan():
    return phantom_scan()


def weights(folder, action):
    torch.manual_seed(0)
    card = {
        "kind": "gan",
        "action": action,
        "network": SMALL.as_dict(),
        "equalisation": fit_equalisation(lung_phantom()).as_dict(),
    }
    write_weights(folder, Generator(SMALL).state_dict(), card)
    return folder


@pytest.fixture(scope="module")
def remover(tmp_path_factory):
    return load_method("gan", str(weights(tmp_path_factory.mktemp("w") / "remove", "remove")))


@pytest.fixture(scope="module")
def injector(tmp_path_factory):
    return load_method("gan", str(weights(tmp_path_factory.mktemp("w") / "inject", "inject")))


def test_only_the_ball_around_the_place_changes(scan, remover):
    forgery = forge(scan, remover, "remove", PLACE)
    gaps = (np.argwhere(forgery.mask) - HEALTHY) * SPACING
    assert forgery.mask[HEALTHY]
    assert np.linalg.norm(gaps, axis=1).max() <= 8 / 2 + 4 + 3 + 2  # lesion, margin, fade, and the width of the spline
    assert forgery.record.dimensions == 3


def test_the_same_seed_gives_the_same_forgery(scan, injector):
    first, again, other = (forge(scan, injector, "inject", PLACE, seed=seed).scan.sha256 for seed in (4, 4, 5))
    assert first == again
    assert first != other


def test_nothing_of_what_was_there_shows_through(scan, remover):
    """Fine detail that the cube can't hold must go with the rest; here a pattern of single pixels."""
    fine = scan.voxels.copy()
    middle = tuple(slice(at - 2, at + 3) for at in HEALTHY)
    fine[middle] += 400 * (np.indices((5, 5, 5)).sum(axis=0) % 2)
    forgery = forge(replace(scan, voxels=fine), remover, "remove", PLACE)
    pattern = np.indices((5, 5, 5)).sum(axis=0) % 2 - 0.5
    left = (forgery.scan.voxels[middle] * pattern).sum() / (fine[middle] * pattern).sum()
    assert abs(left) < 0.2


def test_a_single_slice_is_altered_in_two_dimensions(scan, remover):
    plane = Scan(scan.voxels[20:21], SPACING, "CT", "plane")
    forgery = forge(plane, remover, "remove", Place(0, *HEALTHY[1:], 8.0))
    assert forgery.record.dimensions == 2
    assert forgery.mask.any()


def test_the_record_tells_weights_and_touch_up(scan, tmp_path):
    folder = weights(tmp_path / "remove", "remove")
    method = load_method("gan", str(folder), touch_up="interpolated")
    settings = forge(scan, method, "remove", PLACE).record.settings
    assert settings == {"touch_up": "interpolated", "weights": {"remove": read_weights(folder).sha256}}


def test_weights_of_the_other_action(scan, remover):
    with pytest.raises(ForgeError, match="made to remove, not to inject"):
        forge(scan, remover, "inject", PLACE)


def test_other_modalities(scan, remover):
    with pytest.raises(ForgeError, match="this is MR"):
        forge(replace(scan, modality="MR"), remover, "remove", PLACE)


@pytest.mark.parametrize("place", [(20, 56, 56), (20, 2, 2)], ids=["mediastinum", "outside the body"])
def test_a_place_without_lung(scan, remover, place):
    # The mediastinum of the phantom is 8 pixels of 1.8 mm wide; the lung's border is 4 of them away.
    near = place == (20, 56, 56)
    narrow = replace(scan, spacing_mm=(1.4, 3.0, 3.0)) if near else scan
    with pytest.raises(ForgeError, match="no lung within 8 mm"):
        forge(narrow, remover, "remove", Place(*place, 8.0))


def test_a_lesion_too_large_for_the_cube_fits_a_larger_region(scan, remover):
    with pytest.raises(ForgeError, match=r"no room in a region of 32 mm. Choose at most 18 mm"):
        forge(scan, remover, "remove", Place(*NODULE, 20.0))
    assert forge(scan, remover, "remove", Place(*NODULE, 20.0), region_mm=40.0).mask.any()


def test_no_such_touch_up(tmp_path):
    with pytest.raises(ForgeError, match=r"no touch-up 'none'\. Choose copied or interpolated"):
        load_method("gan", str(weights(tmp_path / "remove", "remove")), touch_up="none")


def test_a_card_of_another_network(tmp_path):
    folder = weights(tmp_path / "remove", "remove")
    stored = read_weights(folder)
    other = {**stored.card, "network": GanSettings(widths=(8, 8), critic_widths=(8, 8)).as_dict()}
    write_weights(folder, stored.state, other)
    with pytest.raises(ForgeError, match="its card does not fit its tensors"):
        load_method("gan", str(folder))


def test_a_card_without_a_known_action(tmp_path):
    with pytest.raises(ForgeError, match="names the action 'colour'"):
        load_method("gan", str(weights(tmp_path / "colour", "colour")))


@pytest.mark.parametrize("action", ["inject", "remove"])
def test_the_packaged_weights_forge(scan, action):
    place = PLACE if action == "inject" else Place(*NODULE, 10.0)
    before, after = scan.voxels[place.index], forge(scan, load_method("gan"), action, place).scan.voxels
    here = tuple(slice(at - 1, at + 2) for at in place.index)
    assert before.shape == ()
    assert after[here].mean() > -200 if action == "inject" else after[here].mean() < -700
