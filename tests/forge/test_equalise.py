import json

import numpy as np
import pytest

from tamperscan.errors import ForgeError
from tamperscan.forge.equalise import HIGH_HU, LOW_HU, fit_equalisation, read_equalisation


@pytest.fixture
def lung():
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(-850, 30, 9000), rng.normal(30, 20, 1000)]).astype(np.float32)


def test_the_inverse_gives_the_hu_back(lung):
    map_ = fit_equalisation(lung)
    assert np.allclose(map_.restore(map_.equalise(lung)), lung, atol=0.1)


def test_the_map_is_monotone_from_minus_one_to_one(lung):
    values = fit_equalisation(lung).equalise(np.linspace(LOW_HU, HIGH_HU, 500, dtype=np.float32))
    assert (np.diff(values) > 0).all()
    assert (values[0], values[-1]) == (-1, 1)


def test_common_values_get_more_of_the_range(lung):
    map_ = fit_equalisation(lung)
    common, rare = (np.ptp(map_.equalise(np.array(span, dtype=np.float32))) for span in ((-900, -800), (-600, -500)))
    assert common > 5 * rare


def test_values_beyond_the_range_are_taken_for_its_ends(lung):
    assert fit_equalisation(lung).equalise(np.array([-3000, 3000], dtype=np.float32)).tolist() == [-1, 1]


def test_a_card_keeps_the_map(lung):
    map_ = fit_equalisation(lung)
    again = read_equalisation(json.loads(json.dumps({"equalisation": map_.as_dict()})))
    assert np.allclose(again.equalise(lung), map_.equalise(lung), atol=1e-5)


@pytest.mark.parametrize(
    "card",
    [{}, {"equalisation": {"hu": [0, 1], "values": [1, 0]}}, {"equalisation": {"hu": [0], "values": [0]}}],
)
def test_a_map_that_makes_no_sense(card):
    with pytest.raises(ForgeError, match="no equalisation that makes sense"):
        read_equalisation(card)
