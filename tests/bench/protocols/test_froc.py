import math

import numpy as np
import pytest

from tamperscan.bench.protocols.froc import (
    FALSE_POSITIVES,
    FalseMarks,
    Finds,
    false_marks,
    finds,
    froc_curve,
    sensitivities,
    thinned,
)
from tamperscan.bench.protocols.resampling import Draws
from tamperscan.bench.protocols.views import slices_of, volumes_of
from tamperscan.bench.scores import Peak, SliceScore

from .made import AWAY, PLACE, authentic, evidence, scored, sliced, tampered


def marks(*scores, patients=("a", "b")):
    """One unit a patient; marks go to the patients in turn."""
    ordered = np.array(sorted(scores, reverse=True), np.float64)
    return FalseMarks(ordered, np.arange(len(ordered)) % len(patients), np.ones(len(ordered)), patients)


def test_threshold_leaves_so_many_marks_a_unit():
    limits = marks(9, 8, 7, 6, 5, 4).limits(Draws(["a", "b"]))[:, 0]
    assert dict(zip(FALSE_POSITIVES, limits, strict=True)) == {0.5: 8.0, 1.0: 7.0, 2.0: 5.0, 4.0: -math.inf}


def test_sensitivity_by_hand():
    found = Finds(np.array([8.5, 7.5, 6.5, -math.inf]), ("p", "q", "r", "s"))
    false = marks(9, 8, 7, 6, 5, 4)
    draws = Draws(["a", "b", "p", "q", "r", "s"])
    measured = sensitivities(draws, found, false, false.limits(draws))
    assert [each.estimate().value for each in measured] == [0.25, 0.5, 0.75, 0.75]


def test_without_false_marks_everything_marked_is_found():
    false = FalseMarks(np.zeros(0), np.zeros(0, np.int64), np.zeros(0), ("a",))
    draws = Draws(["a", "p", "q"])
    found = Finds(np.array([1.0, -math.inf]), ("p", "q"))
    assert [each.estimate().value for each in sensitivities(draws, found, false, false.limits(draws))] == [0.5] * 4


def test_without_authentic_scans_nothing_is_known():
    false = FalseMarks(np.zeros(0), np.zeros(0, np.int64), np.zeros(0), ())
    draws = Draws(["p"])
    measured = sensitivities(draws, Finds(np.ones(1), ("p",)), false, false.limits(draws))
    assert all(math.isnan(each.estimate().value) for each in measured)


def test_a_patient_with_many_units_counts_once():
    cases = [authentic("a0", "x"), authentic("a1", "x"), authentic("b", "y")]
    scores = [scored(case, sliced(0, score, at=AWAY)) for case, score in zip(cases, (1.0, 2.0, 3.0), strict=True)]
    units = volumes_of(slices_of(evidence(cases, {"ours": scores}), cases))
    false = false_marks(units, "ours")
    assert false.scores.tolist() == [3.0, 2.0, 1.0]
    assert false.shares.tolist() == [1.0, 0.5, 0.5]


def test_finds_the_highest_mark_near_the_place():
    case = tampered("f", "p", index=10)
    slices = [
        SliceScore(9, 5.0, math.nan, (Peak(9, *AWAY, 5.0), Peak(9, 55, 55, 3.0)), tampered=True),
        sliced(10, 2.0, at=PLACE, tampered=True),
        sliced(19, 9.0, at=PLACE),
    ]
    views = slices_of(evidence([case], {"ours": [scored(case, *slices)]}), [case])
    assert finds(volumes_of(views), "ours").scores.tolist() == [3.0]


def test_curve_begins_at_nothing_and_ends_with_all_marks():
    across, up = froc_curve(Finds(np.array([8.5, -math.inf]), ("p", "q")), marks(9, 8))
    assert across == (0.0, 0.5, 1.0)
    assert up == (0.0, 0.5, 0.5)


def test_a_long_curve_keeps_its_ends():
    kept = thinned(1000)
    assert len(kept) <= 100
    assert (kept[0], kept[-1]) == (0, 999)
    assert thinned(3).tolist() == [0, 1, 2]


@pytest.mark.parametrize("rounds", [10, 120])
def test_limits_are_one_for_every_round(rounds):
    assert marks(3, 2, 1).limits(Draws(["a", "b"], rounds=rounds)).shape == (4, rounds + 1)
