from __future__ import annotations

import numpy as np
import pytest

from tamperscan.detect.anatomy import CHEST_CT, MR_BODY
from tamperscan.detect.centring import FEATURES
from tamperscan.detect.evidence_words import tell
from tamperscan.detect.regions import TISSUES


def told(energy=(0, 0, 0), whiteness=(0, 0, 0), words=CHEST_CT.tissue_words):
    """Tell z-scores by tissue, each of a difference of a tenth of it."""
    by_statistic = {"energy": energy, "whiteness": whiteness}
    z = np.array([by_statistic[statistic][TISSUES.index(tissue)] for statistic, tissue in FEATURES], np.float16)
    return tell(z, z / 10, words)


@pytest.mark.parametrize(
    ("z", "sign", "word"),
    [
        ([4, 1, 0], "too noisy", "lung tissue"),
        ([0, -1, -4], "too smooth", "soft tissue"),
        ([3, 0, -4], "too noisy", "lung tissue"),  # noise that is too low weighs less
        ([3, 0, -6], "too smooth", "soft tissue"),
        ([2.5, 2.5, -5], "too noisy", "lung tissue"),  # two tissues say more than one
        ([np.nan, -2, np.nan], "too smooth", "vessel and border"),
    ],
)
@pytest.mark.parametrize("statistic", ["energy", "whiteness"])
def test_sign_is_that_of_the_side_that_is_suspicious(statistic, z, sign, word):
    found, sentence = told(**{statistic: z})
    assert found == sign
    assert word in sentence


def test_two_statistics_say_more_than_one():
    assert told((3, 0, 0), (3, -6, 0))[0] == "too noisy"
    assert told((3, 0, 0), (0, -6, 0))[0] == "too smooth"


def test_strength_is_told_by_how_many_times_it_is():
    sentence = told(energy=(14, 0, 0))[1]  # a difference of 1.4 in the log of the square
    assert "is 2 times that of the slice's other lung tissue (+14.0 standard deviations" in sentence


@pytest.mark.parametrize(("z", "side"), [(5, "less"), (-5, "more")])
def test_grain_is_told_by_the_correlation(z, side):
    sentence = told(whiteness=(0, z, 0))[1]
    assert f"correlated 0.50 {side} in the vessel and border here than in the slice's other vessel" in sentence
    assert f"({z:+.1f} standard deviations" in sentence


def test_tissues_have_the_words_of_the_anatomy():
    assert "even tissue" in told(energy=(4, 0, 0), words=MR_BODY.tissue_words)[1]
