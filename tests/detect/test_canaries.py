import math

import numpy as np
import pytest

from tamperscan.detect.canaries import LEAST, CanaryPair, check_canaries

from .phantom import scan_of


def pairs(count, raised=lambda number: True):
    """Slices whose score is their mean; some forgeries raise it."""
    for number in range(count):
        before = np.full((1, 4, 4), float(number), np.float32)
        after = before + (1000 if raised(number) else -1.5)
        yield CanaryPair(f"p{number % 3}", f"kind {number % 2}", scan_of(before), scan_of(after))


def mean(scan):
    return float(scan.voxels.mean())


def test_a_detector_that_finds_them():
    result = check_canaries(mean, pairs(8))
    assert (result.canaries, result.patients, result.found, result.passed) == (8, 3, 8, True)
    assert result.by_kind == {"kind 0": (4, 4), "kind 1": (4, 4)}
    assert "finds 8 of 8" in str(result)


def test_a_detector_that_was_taught_that_they_are_authentic():
    result = check_canaries(mean, pairs(8, raised=lambda number: number == 0))
    assert (result.found, result.passed) == (1, False)
    assert result.as_dict()["passed"] is False
    assert "Don't rely on it" in str(result)


def test_too_few_say_nothing():
    result = check_canaries(mean, pairs(LEAST - 1))
    assert not result.enough
    assert result.as_dict()["passed"] is None
    assert "too few" in str(result)


def test_what_can_not_be_scored_does_not_count():
    result = check_canaries(lambda scan: math.nan if mean(scan) == 3 else mean(scan), pairs(8))
    assert result.canaries == 7


def test_none_at_all():
    assert check_canaries(mean, []).canaries == 0


@pytest.mark.parametrize("seed", range(3))
def test_chance_scores_do_not_pass(seed):
    rng = np.random.default_rng(seed)
    result = check_canaries(lambda scan: float(rng.random()), pairs(200))
    assert result.found / result.canaries == pytest.approx(0.1, abs=0.07)
    assert not result.passed
