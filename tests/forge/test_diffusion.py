import numpy as np
import pytest
import torch

from tamperscan.errors import ForgeError
from tamperscan.forge.diffusion import make
from tamperscan.forge.diffusion_network import TripleUNet, TripleUNetSettings
from tamperscan.forge.diffusion_training import KIND
from tamperscan.forge.forgery import forge
from tamperscan.forge.site import Place, cut_site
from tamperscan.forge.weights import read_weights, write_weights
from tamperscan.scan.volume import Scan

from .lung_phantom import HEALTHY, NODULE, NODULE_MM, SPACING, lung_phantom, phantom_scan

TINY = TripleUNetSettings(widths=(8, 16), blocks=1)
PLACE = Place(*HEALTHY, 8.0)
QUICK = {"steps": 4, "jump": 2, "rounds": 2}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Of an untrained network."""
    torch.manual_seed(0)
    card = {
        "kind": KIND,
        "modality": "CT",
        "window": [-1050.0, 450.0],
        "crop_px": 32,
        "schedule": "cosine",
        "timesteps": 1000,
        "network": TINY.as_dict(),
    }
    folder = tmp_path_factory.mktemp("weights") / "tiny"
    write_weights(folder, TripleUNet(TINY).state_dict(), card)
    return folder


@pytest.fixture(scope="module")
def method(weights):
    return make(str(weights), **QUICK)


@pytest.fixture(scope="module")
def scan():
    return phantom_scan()


@pytest.mark.parametrize("action", ["inject", "remove"])
def test_nothing_outside_the_cube_changes(method, scan, action):
    site = cut_site(scan, PLACE)
    altered = method.alter(site, action, np.random.default_rng(0))
    changed = altered != site.voxels
    assert changed[site.distance_mm() < 3.0].mean() > 0.9
    assert not (changed & ~site.alterable()).any()


@pytest.mark.parametrize("action", ["inject", "remove"])
def test_same_seed_same_forgery(method, scan, action):
    one, same, other = (forge(scan, method, action, PLACE, seed=seed) for seed in (1, 1, 2))
    assert one.record == same.record
    assert one.record.sha256 != other.record.sha256


def test_the_record_tells_weights_and_sampling(method, weights, scan):
    settings = forge(scan, method, "remove", PLACE).record.settings
    assert settings == {"weights": read_weights(weights).sha256, "inject": 0.4, "remove": 0.8, **QUICK}


def test_a_guided_injection_is_denser_than_what_was_there(weights, scan):
    # So little strength that even an untrained network leaves the rough nodule standing.
    forgery = forge(scan, make(str(weights), inject=0.02, **QUICK), "inject", PLACE)
    assert forgery.scan.voxels[PLACE.index] > scan.voxels[PLACE.index] + 500


@pytest.mark.parametrize("spacing", [(0.7, 0.7, 0.7), (7.0, 0.9, 0.9)])
def test_any_distance_of_slices_will_do(method, spacing):
    scan = Scan(lung_phantom(), spacing, "CT", "phantom")
    forgery = forge(scan, method, "remove", PLACE)
    first, last = forgery.record.slice_range
    assert (last - first + 1) * spacing[0] == pytest.approx(8 + 2 * (3 + 4), abs=2 * spacing[0] + 4)


def test_a_single_slice_has_its_planar_form(method):
    scan = Scan(lung_phantom()[20:21], SPACING, "CT", "slice")
    forgery = forge(scan, method, "inject", Place(0, *HEALTHY[1:], 8.0))
    assert (forgery.record.dimensions, forgery.record.slice_range) == (2, (0, 0))


@pytest.mark.parametrize("place", [Place(0, 2, 2), Place(39, 110, 110)])
def test_the_corner_of_a_scan_will_do(method, scan, place):
    assert forge(scan, method, "remove", place).mask.any()


def test_bone_beside_the_lesion_stays(method, scan):
    voxels = scan.voxels.copy()
    voxels[:, :, HEALTHY[2] + 4] = 900.0
    bony = Scan(voxels, SPACING, "CT", "bony")
    forgery = forge(bony, method, "remove", PLACE)
    assert not forgery.mask[:, :, HEALTHY[2] + 4].any()


def test_other_modalities_are_refused(method):
    scan = Scan(lung_phantom() + 1100, SPACING, "MR", "brain")
    with pytest.raises(ForgeError, match="brain: the method 'diffusion' has weights for CT, and this scan is MR"):
        forge(scan, method, "remove", PLACE)


@pytest.mark.parametrize(
    ("options", "problem"),
    [({"steps": 1}, "steps from 2 on"), ({"rounds": 0}, "rounds from 1 on"), ({"remove": 1.5}, "strengths above 0")],
)
def test_impossible_options_are_refused(weights, options, problem):
    with pytest.raises(ForgeError, match=problem):
        make(str(weights), **options)


def test_weights_of_another_kind_are_refused(tmp_path):
    write_weights(tmp_path / "gan", {"a": torch.zeros(1)}, {"kind": "gan"})
    with pytest.raises(ForgeError, match="the kind 'gan'"):
        make(str(tmp_path / "gan"))


def test_weights_that_do_not_fit_their_card_are_refused(weights, tmp_path):
    opened = read_weights(weights)
    write_weights(tmp_path / "odd", {"a": torch.zeros(1)}, opened.card)
    with pytest.raises(ForgeError, match="are not of the network that their card describes"):
        make(str(tmp_path / "odd"))


def test_the_packaged_weights_take_a_nodule_out_of_a_phantom(scan):
    forgery = forge(scan, make(steps=20, rounds=1), "remove", Place(*NODULE, NODULE_MM))
    assert forgery.mask[NODULE]
    z, row, column = NODULE
    core = (slice(z - 1, z + 2), slice(row - 1, row + 2), slice(column - 1, column + 2))
    assert forgery.scan.voxels[core].mean() < scan.voxels[core].mean() - 400
