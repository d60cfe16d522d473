import shutil
import sys

import numpy as np
import pytest

from tamperscan.errors import ForgeError
from tamperscan.forge.latent_pipeline import LatentPainter, check_folder

from .tiny_pipeline import save_pipeline

SAMPLING = {"seed": 3, "strength": 1.0, "steps": 2, "guidance": 2.0}

# The packages warn of their own old ways when they are imported.
pytestmark = pytest.mark.filterwarnings("ignore:::(diffusers|transformers|huggingface_hub).*")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_pipeline(tmp_path_factory.mktemp("pipeline") / "tiny")


@pytest.fixture(scope="module")
def painter(weights):
    return LatentPainter(weights)


def halves(shape):
    image = np.linspace(0, 1, shape[0] * shape[1], dtype=np.float32).reshape(shape)
    mask = np.zeros(shape, np.float32)
    mask[:, shape[1] // 2 :] = 1.0
    return image, mask


@pytest.mark.parametrize("shape", [(32, 32), (50, 45)])
def test_an_image_of_any_size_comes_back_in_its_size(painter, shape):
    painted = painter.paint(*halves(shape), "lung", **SAMPLING)
    assert painted.shape == shape
    assert 0.0 <= painted.min() < painted.max() <= 1.0


def test_the_seed_decides(painter):
    one, same, other = (painter.paint(*halves((32, 32)), "lung", **SAMPLING | {"seed": seed}) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_the_hash_is_of_all_that_decides(weights, painter, tmp_path):
    copy = shutil.copytree(weights, tmp_path / "copy")
    assert LatentPainter(copy).sha256 == painter.sha256
    scheduler = copy / "scheduler" / "scheduler_config.json"
    scheduler.write_text(scheduler.read_text().replace("1000", "900"))
    assert LatentPainter(copy).sha256 != painter.sha256


def test_a_folder_that_is_no_pipeline_is_refused(tmp_path):
    with pytest.raises(ForgeError, match=r"model_index\.json is missing"):
        LatentPainter(tmp_path)


def test_pickles_are_refused(tmp_path):
    folder = save_pipeline(tmp_path / "pickled", safe=False)
    with pytest.raises(ForgeError, match="holds pickled weights, which can run code"):
        LatentPainter(folder)


def test_code_is_refused(tmp_path):
    (tmp_path / "model_index.json").write_text("{}")
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "own.py").write_text("")
    with pytest.raises(ForgeError, match="must hold no program code"):
        check_folder(tmp_path)


def test_a_pipeline_without_a_part_is_refused(tmp_path):
    (tmp_path / "model_index.json").write_text("{}")
    with pytest.raises(ForgeError, match=r"unet: holds no weights"):
        check_folder(tmp_path)


def test_damaged_weights_are_refused(weights, tmp_path):
    folder = shutil.copytree(weights, tmp_path / "damaged")
    (folder / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"damaged")
    with pytest.raises(ForgeError, match="can't be opened as an in-painting pipeline"):
        LatentPainter(folder)


def test_without_diffusers_it_says_what_to_install(weights, monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(ForgeError, match=r"pip install 'tamperscan\[latent\]'"):
        LatentPainter(weights)
