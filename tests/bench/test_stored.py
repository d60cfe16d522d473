import numpy as np
import pytest

from tamperscan.bench.stored import load_slice, store_slice
from tamperscan.errors import BenchError

from .phantoms import LUNG_AXES, LUNGS, chest, ellipse

SPACING = (2.4, 2.4)
REGION = ellipse(LUNGS[0], LUNG_AXES)


@pytest.mark.parametrize(
    "image", [chest(), chest() + np.float32(0.25), chest() * 1000], ids=["whole", "parts", "large"]
)
def test_what_is_stored_comes_back_exactly(tmp_path, image):
    stored = store_slice(tmp_path, image, REGION, SPACING, "CT")
    back = load_slice(tmp_path, stored.key)
    assert np.array_equal(back.image, image)
    assert back.image.dtype == np.float32
    assert np.array_equal(back.region, REGION)
    assert (back.spacing_mm, back.modality) == (SPACING, "CT")
    assert np.array_equal(back.grid.nodes, stored.grid.nodes)


def test_the_same_pixels_are_stored_once(tmp_path):
    keys = {store_slice(tmp_path, chest(), REGION, SPACING, "CT").key for _ in range(2)}
    assert len(keys) == len(list(tmp_path.rglob("*.npz"))) == 1


def test_other_pixels_spacing_or_modality_go_by_another_name(tmp_path):
    other = chest()
    other[3, 3] += 1
    made = [(chest(), SPACING, "CT"), (other, SPACING, "CT"), (chest(), (2.4, 2.5), "CT"), (chest(), SPACING, "MR")]
    keys = {store_slice(tmp_path, image, REGION, spacing, kind).key for image, spacing, kind in made}
    assert len(keys) == 4


def test_a_damaged_slice_is_told(tmp_path):
    stored = store_slice(tmp_path, chest(), REGION, SPACING, "CT")
    (path,) = tmp_path.rglob("*.npz")
    path.write_bytes(b"PK" + path.read_bytes()[:50])
    with pytest.raises(BenchError, match="can't be read"):
        load_slice(tmp_path, stored.key)
    with pytest.raises(BenchError, match="can't be read"):
        load_slice(tmp_path, "0" * 16)
