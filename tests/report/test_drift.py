import io
from datetime import date, timedelta

import numpy as np
import pytest
from PIL import Image

from tamperscan.detect.drift import find_drift
from tamperscan.report.drift import drift_figure, drift_in_words


def drift_of(count, **settings):
    days = [date(2024, 1, 1) + timedelta(days=3 * number) for number in range(count)]
    return find_drift(days, np.linspace(0.02, 1, max(count, 1))[:count], patients=99, **settings)


@pytest.mark.parametrize("count", [0, 1, 5, 200])
def test_picture_of_any_number_of_scans(count):
    picture = Image.open(io.BytesIO(drift_figure(drift_of(count))))
    assert picture.size == (1320, 660)


def test_picture_of_scans_that_were_not_judged():
    drift_figure(find_drift([date(2024, 1, 1)], [None]))


def test_words_tell_the_verdict_of_all_and_of_groups():
    words = drift_in_words(drift_of(40, groups=[f"scanner {number % 12}" for number in range(40)]))
    assert words.startswith("all: ")
    assert "scanner 1: too few" in words
    assert "4 smaller groups are not listed" in words


def test_words_say_what_is_not_known():
    words = drift_in_words(find_drift([None], [0.5]))
    assert "1 scans without a date" in words
    assert "not known how many patients" in words
