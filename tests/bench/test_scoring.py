import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tamperscan.bench.cases import AUTHENTIC, Case, Target
from tamperscan.bench.cuts import Cuts, PlaceCut, SliceCut
from tamperscan.bench.grids import grid_of
from tamperscan.bench.ledger import Ledger
from tamperscan.bench.masks import mask_nodes
from tamperscan.bench.measuring import Measurements, _packed
from tamperscan.bench.protocols.evidence import CaseFacts
from tamperscan.bench.scoring import Scorer, Signs, learn_signs, places_by_group
from tamperscan.bench.signs import learn_sign

GRID = grid_of(np.ones((180, 180), bool), (1.0, 1.0))
COUNT = int(GRID.nodes.sum())
FACTS = CaseFacts((5, 180, 180), (8.0, 1.0, 1.0))
PLACE = (60, 60)


def around(place, height, radius=4):
    """Energy 1 everywhere and ``height`` around a place, ``[node]``."""
    rows, columns = np.indices(GRID.nodes.shape)
    at = GRID.node(*place)
    return np.where(np.hypot(rows - at[0], columns - at[1]) <= radius, height, 1.0)[GRID.nodes].astype(np.float32)


def measurements(tmp_path, **slices):
    """What a contender made of slices by their keys: (nodes, patches by place), or a problem."""
    ledger = Ledger(tmp_path / "measured.jsonl")
    for key, told in slices.items():
        if isinstance(told, str):
            ledger.add(key, {"problem": told})
        else:
            nodes, patches = told
            ledger.add(key, {"nodes": _packed(nodes), "patches": patches, "seconds": 0.5, "problem": ""})
    return Measurements(tmp_path / "measured.jsonl")


def case(**changes):
    told = Case("t", "p", "CT", "gan", "remove", Path("t"), (Target(2, *PLACE, "removed"),))
    return replace(told, **changes)


def signs():
    rng = np.random.default_rng(0)
    sign = learn_sign([np.exp(rng.normal(0, 0.2, 300)) for _ in range(30)], [str(n) for n in range(30)])
    return Signs(sign, sign)


CUTS = Cuts(
    FACTS,
    (SliceCut(0, "a", False), SliceCut(2, "b", True), SliceCut(3, "c", True)),
    (PlaceCut("b", *PLACE),),
)


@pytest.mark.parametrize(("height", "up", "both"), [(8.0, True, True), (0.1, False, True), (1.0, False, False)])
def test_much_and_little_energy(tmp_path, height, up, both):
    slices = {"a": (around(PLACE, 1.0), {}), "b": (around(PLACE, height), {"60,60": height})}
    kept = measurements(tmp_path, **slices, c=slices["b"])
    for sides, found in (("up", up), ("both", both)):
        score = Scorer(kept, signs(), sides, lambda key: GRID).score(case(), CUTS)
        told = {one.index: one for one in score.slices}
        assert (told[2].score > told[0].score + 1) == found
        assert (score.targets[0].score > 1) == found
        if found:
            assert told[2].within == pytest.approx(1.0)
            assert abs(told[2].peaks[0].row - PLACE[0]) <= 12
        assert told[2].rest == pytest.approx(told[0].score, abs=0.01)
        assert math.isnan(told[0].within)
        assert [one.tampered for one in score.slices] == [False, True, True]
    assert score.seconds == pytest.approx(1.5)


def test_a_finished_map_is_not_turned(tmp_path):
    kept = measurements(tmp_path, **{key: (around(PLACE, 7.0), {"60,60": 3.0}) for key in "abc"})
    score = Scorer(kept, Signs(), "up", lambda key: GRID).score(case(), CUTS)
    assert score.slices[1].score == 7.0
    assert score.targets[0].score == 3.0


def test_the_pixel_auc_joins_the_tampered_slices(tmp_path):
    mask = np.zeros((180, 180), bool)
    mask[48:72, 48:72] = True
    digits = mask_nodes(mask, GRID)
    cuts = replace(CUTS, slices=tuple(replace(one, mask=digits if one.tampered else None) for one in CUTS.slices))
    good, bad = around(PLACE, 5.0, radius=6), around(PLACE, 1.0)
    areas = []
    for b, c in ((good, good), (good, bad), (bad, bad)):
        kept = measurements(tmp_path, a=(bad, {}), b=(b, {"60,60": 1.0}), c=(c, {}))
        areas.append(Scorer(kept, Signs(), "up", lambda key: GRID).score(case(), cuts).pixel_auc)
    assert areas[0] > 0.95
    assert 0.6 < areas[1] < areas[0]
    assert areas[2] == 0.5


def test_without_a_mask_there_is_no_pixel_auc(tmp_path):
    kept = measurements(tmp_path, **{key: (around(PLACE, 7.0), {"60,60": 3.0}) for key in "abc"})
    assert math.isnan(Scorer(kept, Signs(), "up", lambda key: GRID).score(case(), CUTS).pixel_auc)


def test_a_case_that_a_contender_failed_on_says_why(tmp_path):
    kept = measurements(tmp_path, a=(around(PLACE, 1.0), {}), b="too hard", c=(around(PLACE, 1.0), {}))
    score = Scorer(kept, Signs(), "up", lambda key: GRID).score(case(), CUTS)
    assert score.problem == "too hard"
    assert score.slices == ()


def test_a_case_that_could_not_be_read_says_why(tmp_path):
    kept = measurements(tmp_path)
    score = Scorer(kept, Signs(), "up", lambda key: GRID).score(case(), Cuts(CaseFacts(problem="is damaged")))
    assert score.problem == "is damaged"


def test_what_was_tampered_with_in_other_slices_of_the_scan_is_no_rest(tmp_path):
    """Two single slices of one scan are two cases; the place of the other one may reach into this one."""
    first = case(targets=(Target(0, *PLACE, "removed"),))
    other = case(name="u", targets=(Target(0, 130, 130, "removed"),))
    avoided = places_by_group([first, other, case(name="v", group="q", targets=(Target(0, 1, 1, "removed"),))])
    assert avoided["p", "gan"] == [PLACE, (130, 130)]
    cuts = Cuts(CaseFacts((1, 180, 180), (1.0, 1.0, 1.0)), (SliceCut(0, "a", True),), (PlaceCut("a", *PLACE),))
    kept = measurements(tmp_path, a=(around((130, 130), 9.0), {"60,60": 1.0}))
    alone = Scorer(kept, Signs(), "up", lambda key: GRID).score(first, cuts).slices[0]
    knowing = Scorer(kept, Signs(), "up", lambda key: GRID, avoided).score(first, cuts).slices[0]
    assert (alone.rest, knowing.rest) == (9.0, 1.0)


def test_signs_come_from_healthy_places_of_authentic_scans(tmp_path):
    """A real nodule among the known places says nothing of where healthy energy lies."""
    rng = np.random.default_rng(1)
    targets = (Target(0, 5, 5, "nodule"), Target(0, *PLACE, "healthy"))
    cases = [Case(f"c{n}", f"p{n}", "CT", AUTHENTIC, None, Path("c"), targets) for n in range(10)]
    made = {f"k{n}": (rng.uniform(1.8, 2.2, COUNT).astype(np.float32), {"5,5": 99.0, "60,60": 2.0}) for n in range(9)}
    cuts = {
        f"c{n}": Cuts(FACTS, (SliceCut(0, f"k{n}", False),), (PlaceCut(f"k{n}", 5, 5), PlaceCut(f"k{n}", *PLACE)))
        for n in range(10)
    }
    found = learn_signs(cases, cuts, measurements(tmp_path, **made, k9="too hard"))
    assert math.exp(found.nodes.usual) == pytest.approx(2.0, rel=0.05)
    assert math.exp(found.patches.usual) == pytest.approx(2.0)
    assert (found.nodes.patients, found.patches.slices) == (9, 9)
