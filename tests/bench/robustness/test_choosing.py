"""Limits are chosen so that patients left out show nothing untreated."""

import numpy as np
import pytest

from tamperscan.bench.robustness.choosing import LIMITS, TAUGHT, Studied, choose, extremes, study, thinned
from tamperscan.bench.robustness.treatments import UNTREATED
from tamperscan.detect.processing_limits import read_limits
from tamperscan.detect.processing_measures import GridMeasures

GRID = GridMeasures(0.01, 3.0, 0.0, 0.0, 1.1, 3.0, 0.45)


def studied(shift, patients=8):
    rng = np.random.default_rng(1)
    groups = [f"patient {number // 2}" for number in range(2 * patients)]
    return Studied(groups, [GRID] * len(groups), rng.normal(shift, 1.0, (len(groups), 15)))


@pytest.fixture(scope="module")
def chosen():
    return choose({UNTREATED.name: studied(0.0), **{name: studied(-4.0) for name in TAUGHT}})


def test_no_patient_left_out_is_recognised_untreated(chosen):
    shares = chosen["left_out_patients_recognised"]
    assert shares[UNTREATED.name] == 0.0
    assert all(shares[name] > 0.8 for name in TAUGHT)
    assert chosen["limits"] == LIMITS


def test_extremes():
    assert extremes({"none": studied(0.0)})["none"]["blocks"] == [0.0, 0.0]


def test_a_slice_is_studied(subject):
    measured = study([subject], UNTREATED)
    assert measured.groups == ["made-up"]
    assert measured.features.shape == (1, len(read_limits().smoothed.middle))


def test_long_series_are_thinned(subject):
    assert len(thinned([subject] * 30)) == 5
    assert len(thinned([subject] * 3)) == 3


def test_the_packaged_limits_are_these():
    packaged = read_limits()
    assert {name: getattr(packaged, name) for name in LIMITS} == LIMITS
