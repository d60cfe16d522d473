import json

import numpy as np
import pytest

from tamperscan.errors import ForgeError
from tamperscan.forge.forgery import forge
from tamperscan.forge.latent import LatentOptions, make
from tamperscan.forge.site import Place, cut_site
from tamperscan.scan.volume import Scan

from .lung_phantom import HEALTHY, SPACING, lung_phantom
from .tiny_pipeline import save_pipeline

PLACE = Place(*HEALTHY, 8.0)
QUICK = {"steps": 2, "field_mm": 60.0}

# The packages warn of their own old ways when they are imported.
pytestmark = pytest.mark.filterwarnings("ignore:::(diffusers|transformers|huggingface_hub).*")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_pipeline(tmp_path_factory.mktemp("pipeline") / "tiny")


@pytest.fixture(scope="module")
def method(weights):
    return make(str(weights), **QUICK)


@pytest.fixture(scope="module")
def scan():
    """Slices so thick that few are altered."""
    return Scan(lung_phantom(), (4.0, 1.8, 1.8), "CT", "thick")


@pytest.mark.parametrize("action", ["inject", "remove"])
def test_nothing_outside_the_cube_changes(method, scan, action):
    site = cut_site(scan, PLACE)
    altered = method.alter(site, action, np.random.default_rng(0))
    changed = altered != site.voxels
    assert changed[site.distance_mm() < 3.0].mean() > 0.9
    assert not (changed & ~site.alterable()).any()


def test_same_seed_same_forgery(method, scan):
    one, same, other = (forge(scan, method, "remove", PLACE, seed=seed) for seed in (1, 1, 2))
    assert one.record == same.record
    assert one.record.sha256 != other.record.sha256


def test_the_change_fades_over_the_slices(method, scan):
    forgery = forge(scan, method, "remove", PLACE)
    change = np.abs(forgery.scan.voxels - scan.voxels).sum(axis=(1, 2))
    first, last = forgery.record.slice_range
    assert 0 < first < HEALTHY[0] < last
    assert max(change[first], change[last]) < 0.8 * change[HEALTHY[0]]


def test_a_single_slice_has_its_planar_form(method):
    scan = Scan(lung_phantom()[20:21], SPACING, "CT", "slice")
    assert forge(scan, method, "inject", Place(0, *HEALTHY[1:], 8.0)).record.dimensions == 2


def test_the_record_tells_weights_and_options(method, weights, scan):
    settings = forge(scan, method, "remove", PLACE).record.as_dict()["settings"]
    assert settings["weights"] == make(str(weights), **QUICK).settings["weights"]
    assert (settings["steps"], settings["window"]) == (2, [-1050.0, 450.0])
    json.dumps(settings)


def test_the_prompt_is_followed(weights, scan):
    site = cut_site(scan, PLACE)
    one, other = (
        make(str(weights), prompt=prompt, guidance=7.0, **QUICK).alter(site, "remove", np.random.default_rng(0))
        for prompt in ("lung", "bone")
    )
    assert not np.array_equal(one, other)


def test_without_weights_it_says_what_to_give():
    with pytest.raises(ForgeError, match="Give a folder with a Stable Diffusion in-painting pipeline"):
        make()


def test_other_modalities_are_refused(method):
    scan = Scan(lung_phantom() + 1100, SPACING, "MR", "brain")
    with pytest.raises(ForgeError, match="brain: the method 'latent' works on CT"):
        forge(scan, method, "remove", PLACE)


@pytest.mark.parametrize("options", [{"steps": 0}, {"inject": 0.01}, {"remove": 2.0}, {"field_mm": 0.0}])
def test_impossible_options_are_refused(options):
    with pytest.raises(ForgeError, match="needs steps from 1 on"):
        LatentOptions(**options)
