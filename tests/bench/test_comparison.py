import json
import math

import pytest

from tamperscan.bench.cases import AUTHENTIC, Case, Target
from tamperscan.bench.comparison import Comparison, ContenderRecord, comparison_page, record_data
from tamperscan.bench.comparison_tables import figure_table
from tamperscan.bench.comparison_words import contests, in_short, where_ours_loses
from tamperscan.bench.datasets.rows import DataSet, Skipped
from tamperscan.bench.document import Provenance, plain
from tamperscan.bench.metrics import Estimate
from tamperscan.bench.protocols.evidence import CaseFacts, Evidence
from tamperscan.bench.protocols.paper import measure_paper
from tamperscan.bench.protocols.resampling import UNKNOWN, Figure
from tamperscan.bench.protocols.screening import measure_screening
from tamperscan.bench.protocols.transfer import measure_transfer
from tamperscan.bench.scores import CaseScore, Peak, SliceScore, TargetScore

COUNT = 6
FACTS = CaseFacts((20, 100, 100), (2.0, 1.0, 1.0))


def figure(value, gap=math.nan, half=0.05):
    difference = UNKNOWN if math.isnan(gap) else Estimate(gap, gap - half, gap + half)
    return Figure(Estimate(value, value - half, value + half), difference)


def cases():
    removed, nodule = Target(10, 50, 50, "removed"), Target(3, 20, 20, "nodule")
    healthy, injected = Target(4, 30, 30, "healthy"), Target(10, 50, 50, "injected")
    made = []
    for index in range(COUNT):
        made.append(Case(f"f{index}", f"p{index}", "CT", "gan", "remove", FACTS_PATH, (removed,), scanner="A"))
        made.append(Case(f"g{index}", f"p{index}", "CT", "smooth", "inject", FACTS_PATH, (injected,)))
        made.append(Case(f"a{index}", f"q{index}", "CT", AUTHENTIC, None, FACTS_PATH, (nodule, healthy), scanner="A"))
    return tuple(made)


FACTS_PATH = __import__("pathlib").Path("scan")


def score(case, high):
    """Tampered scans score ``high``, authentic ones from 0 to 5."""
    value = high if case.tampered else float(case.name[1:])
    peaks = (Peak(10, 50, 50, value),)
    one = SliceScore(10, value, 0.5, peaks, value / 10 if case.tampered else math.nan, case.tampered)
    return CaseScore(case.name, (one,), tuple(TargetScore(target, value) for target in case.targets), 0.7)


def comparison(ours=9.0, others=2.5, notes=()):
    """Make a comparison of two contenders by what they give to tampered scans."""
    test = cases()
    calibration = tuple(Case(f"c{index}", f"c{index}", "CT", AUTHENTIC, None, FACTS_PATH) for index in range(COUNT))
    scores = {
        "tamperscan": {case.name: score(case, ours) for case in (*test, *calibration)},
        "other": {case.name: score(case, others) for case in (*test, *calibration)},
    }
    facts = {case.name: FACTS for case in (*test, *calibration)}
    evidence = Evidence(test, calibration, facts, scores, "tamperscan", frozenset({"A"}))
    screening = measure_screening(evidence)
    return Comparison(
        ours="tamperscan",
        contenders=(
            ContenderRecord("tamperscan", "this project", {}, {"steps": 2000}),
            ContenderRecord("other", "someone, 2020", {"width": 3}, {}),
            ContenderRecord("broken", "nobody", {}, {}, "it needs a file"),
        ),
        data=(record_data("made up", DataSet(test, (Skipped("row 7", "has no x"),)), facts),),
        paper=measure_paper(evidence),
        screening=screening,
        transfer=measure_transfer(evidence, screening),
        origin=Provenance("tamperscan bench --out DIR", "abc1234"),
        seeds={"bootstrap": 0},
        versions={"tamperscan": "0.1.0"},
        budget_seconds=600.0,
        seconds=7200.0,
        notes=notes,
    )


def test_page_tells_every_section():
    page = comparison_page(comparison(notes=("This is one more thing.",)))
    for words in (
        "## Every detector on the same tampered scans",
        "Made by `tamperscan bench --out DIR`, at commit `abc1234`.",
        "each contender had 10 min to learn in",
        "tamperscan (ours)",
        "left out: it needs a file",
        "- made up: 1 x has no x",
        "#### CT, injection",
        "#### CT, removal",
        "The paper reports 0.90",
        "This is one more thing.",
        "compared with only 6 real nodules",
    ):
        assert words in page, words
    assert "nan" not in page


def test_page_ends_lines_of_tables_alike():
    for block in comparison_page(comparison()).split("\n\n"):
        if block.startswith("| "):
            assert len({line.replace("\\|", "").count("|") for line in block.splitlines()}) == 1


def test_where_ours_wins_everywhere():
    told = where_ours_loses(comparison().paper, comparison().screening, "tamperscan")
    assert "another contender is higher than ours in 0; in 0" in told
    assert "Clearly lost" not in told


def test_where_ours_loses_clearly():
    made = comparison(ours=-1.0, others=9.0)
    told = where_ours_loses(made.paper, made.screening, "tamperscan")
    assert "Clearly lost:" in told
    assert "- CT, removal by gan, AUC with the place told: other 1.00, ours 0.00, difference 1.00 [1.00, 1.00]" in told
    assert "other is highest with 1.00 [1.00, 1.00], ours has 0.00 [0.00, 0.00]" in in_short(
        made.paper, made.screening, "tamperscan"
    )


def test_a_tie_is_not_lost():
    made = comparison(ours=9.0, others=9.0)
    assert not any(contest.lost for contest in contests(made.paper, made.screening, "tamperscan"))


def test_controls_are_no_contest():
    made = comparison()
    assert not any("control" in contest.what for contest in contests(made.paper, made.screening, "tamperscan"))


def test_without_ours_there_is_no_contest():
    made = comparison()
    assert "no column in which both nobody and another" in where_ours_loses(made.paper, made.screening, "nobody")


def test_best_is_bold_and_differences_are_marked():
    columns = [
        ("one", {"ours": figure(0.5), "b": figure(0.9, 0.4), "c": figure(0.4, -0.1)}),
        ("two", {"ours": figure(math.nan), "b": figure(0.6), "c": figure(0.7, 0.01)}),
    ]
    assert figure_table(columns, "ours").splitlines()[2:] == [
        "| ours (ours) | 0.50 [0.45, 0.55] | – |",
        "| b | **0.90 [0.85, 0.95]** + | 0.60 [0.55, 0.65] |",
        "| c | 0.40 [0.35, 0.45] − | **0.70 [0.65, 0.75]** |",
    ]


def test_controls_are_not_marked():
    columns = [("control", {"ours": figure(0.5), "b": figure(0.9, 0.4)})]
    assert figure_table(columns, "ours", plain=["control"]).splitlines()[-1] == "| b | 0.90 [0.85, 0.95] |"


def test_unreadable_cases_are_counted():
    made = cases()[:2]
    facts = {made[0].name: CaseFacts(problem="is damaged")}
    record = record_data("x", DataSet(made), facts)
    assert (record.tampered, record.authentic, record.patients, record.unreadable) == (2, 0, 1, 2)


def test_a_page_without_anything_tampered_says_so():
    made = comparison()
    authentic = [case for case in cases() if not case.tampered]
    evidence = Evidence(tuple(authentic), (), {}, {"tamperscan": {}}, "tamperscan")
    screening = measure_screening(evidence)
    empty = Comparison(
        **{
            **vars(made),
            "paper": measure_paper(evidence),
            "screening": screening,
            "transfer": measure_transfer(evidence, screening),
        }
    )
    page = comparison_page(empty)
    assert "There was nothing tampered to measure." in page
    assert "Nothing could be measured." in page
    assert "Nothing tampered in CT was measured." in page


def test_json_holds_everything_and_no_nan():
    told = json.loads(json.dumps(plain(comparison()), allow_nan=False))
    assert told["origin"]["commit"] == "abc1234"
    assert told["contenders"][1]["settings"] == {"width": 3}
    assert told["screening"]["columns"][0]["measures"]["slice_auc"]["tamperscan"]["estimate"]["value"] == 1.0
    assert told["paper"]["averages"][0]["auc"]["other"]["gap"]["value"] == pytest.approx(-0.5)
