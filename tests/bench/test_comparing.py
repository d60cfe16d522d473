import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tamperscan.bench.comparing import REGISTERED, Comparing
from tamperscan.bench.document import Provenance
from tamperscan.bench.plan import OURS
from tamperscan.errors import BenchError

from .phantoms import write_bench_data
from .toy_run import PRESET, lineup, plan_of, prepare, run

MEASURED = {OURS, "noise", "noise, both sides", "bright", "bright, both sides"}
ENOUGH_SECONDS = 300


def document(folder):
    """What results.json says, without what depends on the clock."""
    told = json.loads((folder / "out" / "results.json").read_text())
    told.pop("seconds")
    return told


def lines(folder):
    """Keys of all ledgers with how often each was written, those of values that are kept for good."""
    ledgers = [*(folder / "out").glob("measured/*.jsonl"), *(folder / "out").glob("*/cuts.jsonl")]
    return Counter((path.name, json.loads(line)["key"]) for path in ledgers for line in path.read_text().splitlines())


def test_every_contender_is_measured_on_the_same_cases(compared):
    evidence = compared[1].collected.evidence
    assert set(evidence.scores) == MEASURED
    names = {case.name for case in (*evidence.cases, *evidence.calibration)}
    for told in evidence.scores.values():
        assert set(told) == names
        assert not any(score.problem for score in told.values())
    assert {case.generator for case in evidence.cases} == {"authentic", "smooth", "copymove", "flatten"}


def test_no_patient_is_on_both_sides(compared):
    evidence = compared[1].collected.evidence
    test, calm = ({case.group for case in cases} for cases in (evidence.cases, evidence.calibration))
    assert test.isdisjoint(calm)
    assert not any(group.startswith("learn") for group in test | calm)


def test_places_without_noise_are_found_by_what_looks_for_them(compared):
    """Our toy takes smooth places for suspicious; the local noise finds them only where little noise counts, too."""
    (column,) = [one for one in compared[1].comparison.screening.columns if one.generator == "flatten"]
    auc = {name: figure.estimate.value for name, figure in column.measures["slice_auc"].items()}
    assert auc[OURS] > 0.95
    assert auc["noise, both sides"] > auc["noise"]
    within = {name: figure.estimate.value for name, figure in column.measures["within"].items()}
    assert within[OURS] > 0.95
    assert within["noise, both sides"] > 0.9
    assert column.measures["pixel_auc"][OURS].estimate.value > 0.8


def test_who_can_not_take_part_is_named_with_the_reason(compared):
    records = {one.name: one.problem for one in compared[1].comparison.contenders}
    assert set(records) == MEASURED | {"unteachable", "absent"}
    assert "too little to learn from" in records["unteachable"]
    assert records["absent"] == "It is not here."
    assert not any(records[name] for name in MEASURED)


def test_a_second_run_does_nothing_twice_and_says_the_same(compared):
    folder, _ = compared
    before, made = document(folder), lines(folder)
    told = []
    run(folder, tell=told.append)
    assert document(folder) == before
    assert lines(folder) == made
    assert set(made.values()) == {1}
    assert any("0 of them not there yet" in line for line in told)
    assert sum(", 0 slices measured anew" in line for line in told) == 3
    assert any("noise: taken as it was trained before" in line for line in told)


def test_what_will_be_done_and_how_long_it_takes_is_told_first(tmp_path):
    told = []
    run(prepare(tmp_path), tell=told.append)
    first = next(place for place, line in enumerate(told) if "It will take about" in line)
    done = next(place for place, line in enumerate(told) if "slices measured anew" in line)
    assert "To do: 6 forgeries, 6 of them not there yet; 4 contenders." in told[0]
    assert first < done
    assert any("noise: 5 s to learn" in line for line in told[:first])
    assert any("unteachable: could not be tried" in line for line in told[:first])


def wait_for(process, happens):
    begun = time.monotonic()
    while not happens() and process.poll() is None:
        assert time.monotonic() - begun < ENOUGH_SECONDS
        time.sleep(0.02)


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_comes_to_the_same(compared, tmp_path):
    folder = prepare(tmp_path)
    out = folder / "out"
    moments = [
        lambda: (out / "slices" / "cuts.jsonl").exists(),
        lambda: len(list(out.glob("forged/*/forged_*"))) >= 2,
        lambda: len(list(out.glob("measured/noise-*"))) == 1 and sum(lines(folder).values()) > 30,
        lambda: len(list(out.glob("measured/bright-*"))) == 1,
    ]
    program = [sys.executable, "-m", "bench.toy_run", str(folder)]
    surroundings = {**os.environ, "OMP_NUM_THREADS": "1"}
    for happens in moments:
        process = subprocess.Popen([*program, "0.05"], cwd=Path(__file__).parents[1], env=surroundings)
        wait_for(process, happens)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert not (out / "results.json").exists()
    subprocess.run([*program, "0"], cwd=Path(__file__).parents[1], env=surroundings, check=True)
    assert set(lines(folder).values()) == {1}
    told, expected = document(folder), document(compared[0])
    assert told["screening"] == expected["screening"]
    assert told == expected


def test_results_of_other_settings_are_not_mixed_in(compared, tmp_path):
    """More places and another budget in the same folder give what a fresh folder gives."""
    other = replace(PRESET, places=2, budget_seconds=6.0)
    again, fresh = compared[0], prepare(tmp_path)
    found = []
    for folder in (again, fresh):
        plan = plan_of(folder, preset=other)
        found.append(Comparing(plan, lineup=lineup()).run(Provenance("made up", "")).comparison)
    assert found[0].screening == found[1].screening
    assert found[0].data == found[1].data


def test_without_scans_there_is_nothing_to_compare(tmp_path):
    with pytest.raises(BenchError, match="holds no authentic scans"):
        Comparing(plan_of(tmp_path))
    with pytest.raises(BenchError, match="no authentic MR scans"):
        Comparing(plan_of(write_bench_data(tmp_path), preset=replace(PRESET, modalities=("MR",))))


def test_without_anything_tampered_there_is_nothing_to_measure(tmp_path):
    plan = plan_of(write_bench_data(tmp_path), forged=(), preset=replace(PRESET, volumes=0, singles=0))
    with pytest.raises(BenchError, match="nothing tampered"):
        Comparing(plan, lineup=lineup()).run(Provenance("", ""))


def test_the_registered_contenders_are_chosen_by_name(tmp_path):
    plan = plan_of(tmp_path, preset=replace(PRESET, contenders=("high-pass", "padim", "tamperscan")))
    names, missing = REGISTERED.choose(plan, "CT")
    assert names == ["tamperscan", "high-pass"]
    assert "backbone" in missing["padim"] or "packages" in missing["padim"]
    with pytest.raises(BenchError, match="no contender of this name"):
        REGISTERED.choose(plan_of(tmp_path, preset=replace(PRESET, contenders=("magic",))), "CT")
