from dataclasses import replace

import pytest

from tamperscan.bench.collecting import collect, contender_of
from tamperscan.bench.gather import Gathered
from tamperscan.bench.jobs import measurements
from tamperscan.bench.plan import OURS


@pytest.fixture
def parts(compared):
    """What `collect` is given: (gathered, cuts, outcomes, folder)."""
    folder, done = compared
    evidence = done.collected.evidence
    outcomes = list({reading.outcome.key: reading.outcome for reading in done.collected.readings}.values())
    gathered = Gathered({"all": _Cases(evidence.cases)}, _Authentic(_Cases(evidence.calibration)))
    return gathered, done.cuts, outcomes, folder / "out"


class _Cases:
    def __init__(self, cases):
        self.cases = cases


class _Authentic:
    seen_scanners = frozenset()

    def __init__(self, calibration):
        self.calibration = calibration


def test_every_contender_but_a_finished_one_is_read_in_two_ways(parts):
    *given, out = parts
    found = collect(*given, out, OURS)
    assert [reading.name for reading in found.readings] == [
        OURS,
        "noise",
        "noise, both sides",
        "bright",
        "bright, both sides",
    ]
    assert {contender_of(reading.name) for reading in found.readings} == {OURS, "noise", "bright"}
    assert found.readings[0].signs.nodes is None
    assert found.readings[1].signs == found.readings[2].signs


def test_cases_that_a_contender_failed_on_are_named(parts, tmp_path):
    gathered, cuts, outcomes, out = parts
    (tmp_path / "slices").symlink_to(out / "slices")
    (tmp_path / "measured").mkdir()
    for path in (out / "measured").iterdir():
        (tmp_path / "measured" / path.name).write_bytes(path.read_bytes())
    broken = next(one for one in outcomes if one.name == "bright")
    case = next(case for case in gathered.cases if case.generator == "flatten")
    key = next(one.key for one in cuts[case.name].slices if one.tampered)
    measurements(tmp_path, broken.key)._ledger.add(key, {"problem": "too hard"})
    found = collect(gathered, cuts, outcomes, tmp_path, OURS)
    assert {(name, why) for name, _, why in found.failures} == {
        ("bright", "too hard"),
        ("bright, both sides", "too hard"),
    }
    assert case.name in {name for _, name, _ in found.failures}
    assert found.evidence.scores["noise"][case.name].slices


def test_one_that_measured_nothing_of_use_is_left_out(parts):
    gathered, cuts, outcomes, out = parts
    outcomes = [replace(one, key="nothing-0") if one.name == "bright" else one for one in outcomes]
    found = collect(gathered, cuts, [*outcomes, replace(outcomes[0], name="sick", problem="is sick")], out, OURS)
    assert {outcome.name: why for outcome, why in found.left_out}.keys() == {"sick", "bright"}
    assert "bright" not in found.evidence.scores
