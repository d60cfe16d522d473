"""Results of screenings over time, from files of a folder."""

import json
from datetime import date, timedelta

import numpy as np
import pytest
from typer.testing import CliRunner

from tamperscan.cli.main import app

COUNT = 120


def screening(number, *, p_value, scanner="A", weights="abcdef0123", dated=True):
    day = date(2024, 1, 1) + timedelta(days=5 * number)
    metadata = {"Manufacturer": scanner, "StudyDate": day.strftime("%Y%m%d") if dated else ""}
    return {
        "scan": {"metadata": metadata},
        "detector": {"name": "ours", "weights_sha256": weights, "settings": {"calibration_patients": 99}},
        "p_value": p_value,
        "alarm_rate": 0.05,
        "created": f"{day.isoformat()}T12:00:00Z",
    }


def write(folder, number, **settings):
    (folder / str(number)).mkdir(parents=True)
    (folder / str(number) / "screening.json").write_text(json.dumps(screening(number, **settings)))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """One of two scanners is more suspicious in the second half."""
    folder, rng = tmp_path_factory.mktemp("results"), np.random.default_rng(0)
    for number in range(COUNT):
        changed = number % 2 == 1 and number > COUNT / 2
        write(folder, number, p_value=round(rng.random() * (0.1 if changed else 1.0), 3), scanner="AB"[number % 2])
    return folder


def drift(*arguments):
    return CliRunner().invoke(app, ["drift", *map(str, arguments)])


def test_groups_are_told_and_a_picture_is_drawn(results, tmp_path):
    run = drift(results, "--by", "scanner", "--out", tmp_path / "drift.png")
    assert run.exit_code == 0
    assert "A: steady" in run.stdout
    assert "B: changed" in run.stdout
    assert (tmp_path / "drift.png").read_bytes().startswith(b"\x89PNG")


def test_json_and_exit_code(results):
    run = drift(results, "--by", "scanner", "--json", "--exit-code")
    assert run.exit_code == 1
    assert json.loads(run.stdout)["verdict"] == "changed"


def test_damaged_results_are_told(results, tmp_path):
    write(tmp_path / "some", 0, p_value=0.5)
    (tmp_path / "some" / "0" / "screening.json").write_text("{")
    run = drift(results, tmp_path / "some")
    assert run.exit_code == 3
    assert "can't be read as a screening" in run.stderr
    assert "all: " in run.stdout


def test_two_detectors_are_not_mixed(results, tmp_path):
    write(tmp_path, 0, p_value=0.5, weights="0123456789")
    assert "choose one of ours 01234567, ours abcdef01" in drift(results, tmp_path).stderr
    assert "1 judged scans are too few" in drift(results, tmp_path, "--detector", "ours 0123").stdout


def test_results_without_a_date(tmp_path):
    write(tmp_path, 0, p_value=0.5, dated=False)
    run = drift(tmp_path)
    assert run.exit_code != 0
    assert "--date screened" in str(run.exception)
    assert drift(tmp_path, "--date", "screened").exit_code == 0


@pytest.mark.parametrize("option", [("--by", "x"), ("--alarm-rate", "2"), ("--every", "x"), ("--false-alarms", "0")])
def test_wrong_usage(results, option):
    assert drift(results, *option).exit_code == 2


def test_nothing_there(tmp_path):
    assert "holds no results" in str(drift(tmp_path).exception)
