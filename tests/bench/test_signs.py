import numpy as np
import pytest

from tamperscan.bench.signs import learn_sign
from tamperscan.errors import BenchError


def slices(count=40, seed=0, centre=0.0, spread=0.3):
    rng = np.random.default_rng(seed)
    return [np.exp(rng.normal(centre, spread, 300)) for _ in range(count)]


def test_much_energy_is_suspicious_on_either_reading_and_little_on_one():
    sign = learn_sign(slices(), [f"p{i}" for i in range(40)])
    much, little = np.exp(3.0), np.exp(-3.0)
    assert sign.suspicion(much, "up") > 1.5
    assert sign.suspicion(little, "up") < -1.5
    assert sign.suspicion(much, "both") == sign.suspicion(much, "up")
    assert sign.suspicion(little, "both") > 1.5


def test_nine_of_ten_authentic_slices_stay_below_one_on_each_side():
    told = slices()
    sign = learn_sign(told, [f"p{i}" for i in range(40)])
    assert np.mean([sign.suspicion(one, "up").max() <= 1 + 1e-6 for one in told]) == pytest.approx(0.9, abs=0.03)
    lowest = [sign.suspicion(one, "both").max() for one in told]
    assert np.mean(np.array(lowest) <= 1 + 1e-6) >= 0.8


def test_sides_have_scales_of_their_own():
    heavy = [np.exp(np.abs(one)) for one in (np.log(each) for each in slices(spread=1.0))]
    sign = learn_sign(heavy, [f"p{i}" for i in range(40)])
    assert sign.above > 2 * sign.below


def test_patients_count_alike():
    """A patient with a hundred slices of four times the energy weighs no more than one with a single slice."""
    told = [*slices(3, 1), *slices(100, 2, centre=np.log(4.0))]
    sign = learn_sign(told, ["a", "b", "c", *["d"] * 100])
    assert np.exp(sign.usual) < 1.5
    assert (sign.patients, sign.slices) == (4, 103)


def test_scale_does_not_matter():
    told = slices()
    names = [f"p{i}" for i in range(40)]
    first = learn_sign(told, names).suspicion(told[0], "both")
    second = learn_sign([one * 1e5 for one in told], names).suspicion(told[0] * 1e5, "both")
    np.testing.assert_allclose(first, second, rtol=1e-4)


def test_no_energy_at_all_is_low_and_finite():
    sign = learn_sign([*slices(), np.zeros(0)], ["p"] * 41)
    assert np.isfinite(sign.suspicion(0.0, "both"))
    assert sign.suspicion(0.0, "both") > 3


def test_patches_are_slices_of_one_place():
    sign = learn_sign([[value] for value in (1.0, 2.0, 4.0)], ["a", "b", "c"])
    assert np.exp(sign.usual) == pytest.approx(2.0)
    assert sign.suspicion(4.0, "both") == pytest.approx(1.0)
    assert sign.suspicion(1.0, "both") == pytest.approx(1.0)


def test_nothing_to_learn_from_is_told():
    with pytest.raises(BenchError, match="no energy at all"):
        learn_sign([np.zeros(4), np.zeros(0)], ["a", "b"])
