import math

from tamperscan.bench.metrics import Estimate
from tamperscan.bench.tables import estimate, number, paragraph, per_cent, table


def test_table():
    assert table(["what", "how many"], [["a|b", "1"]]) == "| what | how many |\n| --- | ---: |\n| a\\|b | 1 |"


def test_estimates():
    assert estimate(Estimate(0.904, 0.82, 0.98)) == "0.90 [0.82, 0.98]"
    assert estimate(Estimate(0.5, math.nan, math.nan)) == "0.50"
    assert estimate(Estimate(math.nan, 0, 1)) == "–"


def test_numbers():
    assert number(1.234) == "1.23"
    assert number(math.inf) == "–"
    assert per_cent(0.05) == "5 %"


def test_paragraphs_are_wrapped_and_lose_no_word():
    words = [f"word{index}" for index in range(80)]
    text = paragraph(*words)
    assert text.split() == words
    assert max(map(len, text.splitlines())) <= 118
