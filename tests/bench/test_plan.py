from pathlib import Path

import pytest

from tamperscan.bench.contenders.registry import NAMES
from tamperscan.bench.plan import OURS, PRESETS, Plan, preset_named
from tamperscan.errors import BenchError
from tamperscan.forge.method import METHODS


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_presets_name_what_there_is(preset):
    assert set(preset.contenders or NAMES) <= set(NAMES)
    assert set(preset.methods or METHODS) <= set(METHODS)
    assert OURS in (preset.contenders or NAMES)
    assert preset_named(preset.name) is preset


def test_a_preset_that_does_not_exist_is_told():
    with pytest.raises(BenchError, match="no preset 'huge'"):
        preset_named("huge")


def test_a_plan_says_where_scans_are_and_what_may_be_spent():
    plan = Plan(Path("out"), Path("data"), {}, preset_named("small"), seed=4)
    assert plan.scans("MR") == Path("data/mr")
    assert (plan.budget.seconds, plan.budget.seed) == (20.0, 4)
