import json

import numpy as np
import pytest
from PIL import Image

from tamperscan.detect.crops import build_cache
from tamperscan.detect.review import REVIEW_PICTURE, find_odd, read_left_out, review_crops
from tamperscan.diffusion.weights import Card
from tamperscan.errors import TrainingError

from .phantom import chest_scan, scan_of

CARD = Card(
    name="n", kind="low-noise", modality="CT", window=(-1050.0, 450.0), crop_px=32, levels_hu=(15.0, 26.0)
)  # fmt: skip


class Perfect:
    """Knows the noise wherever the image is as it was made; a bright square is beyond it."""

    stride = 8

    def __init__(self):
        self.asked = 0

    def predict(self, image, levels):
        self.asked += 1
        wrong = 3.0 if (image > 0.9).mean() > 0.5 else 0.0
        return np.full((1, *image.shape), wrong, np.float32)


@pytest.fixture
def cache(tmp_path):
    odd = chest_scan(1, slices=3)
    voxels = odd.voxels.copy()
    voxels[1] = 440.0
    return tmp_path, build_cache([chest_scan(0, slices=3), scan_of(voxels, name="odd")], tmp_path)


def test_the_worst_explained_crop_comes_first(cache):
    folder, cached = cache
    odd = find_odd(Perfect(), CARD, folder, cached)
    assert (odd[0].scan, odd[0].slice) == ("odd", 1)
    assert odd[0].off > 5 > odd[1].off
    assert len({(each.scan, each.slice) for each in odd}) == len(odd)
    assert odd == find_odd(Perfect(), CARD, folder, cached)


def test_what_is_written(cache, tmp_path):
    folder, cached = cache
    path = review_crops(Perfect(), CARD, folder, cached, tmp_path)
    crops = json.loads(path.read_text())["crops"]
    assert crops[0]["scan"] == "odd"
    assert crops[0]["sha256"] == cached[1].sha256
    with Image.open(tmp_path / REVIEW_PICTURE) as picture:
        assert picture.width > 500
    assert read_left_out(path) == {entry.sha256 for entry in cached}


@pytest.mark.parametrize("text", ["", "[]", '{"crops": [{"scan": "a"}]}'])
def test_a_list_that_is_none(tmp_path, text):
    (tmp_path / "review.json").write_text(text)
    with pytest.raises(TrainingError, match=r"review\.json: can't be read as a list of crops"):
        read_left_out(tmp_path / "review.json")
