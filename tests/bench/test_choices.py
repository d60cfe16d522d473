from pathlib import Path

from tamperscan.bench.cases import AUTHENTIC, Case
from tamperscan.bench.choices import some

CASES = [Case(f"case-{number}", "p", "CT", AUTHENTIC, None, Path("scan")) for number in range(30)]


def test_a_few_are_always_the_same_and_keep_their_order():
    chosen = some(CASES, 5)
    assert len(chosen) == 5
    assert set(some(CASES[::-1], 5)) == set(chosen)
    assert [case.name for case in chosen] == sorted((case.name for case in chosen), key=lambda name: int(name[5:]))
    assert chosen != tuple(CASES[:5])
    assert set(some(CASES, 4)) < set(chosen)


def test_all_are_all():
    assert some(CASES, None) == some(CASES, 99) == tuple(CASES)
