import json

import pytest
from typer.testing import CliRunner

import tamperscan as package
from tamperscan.cli.screen import Run, app
from tamperscan.errors import WeightsError

needs_detector = pytest.mark.skipif(not hasattr(package, "load_detector"), reason="no packaged detector")


@pytest.fixture
def run(tmp_path, made_up_detector):
    """Run the command in this process with a made-up detector."""

    def call(*arguments):
        return CliRunner().invoke(app, [*map(str, arguments), "--no-pictures", "--out", str(tmp_path / "out")])

    return call


def documents(stdout):
    return [json.loads(line) for line in stdout.splitlines()]


def test_every_scan_gets_a_folder(run, ct_series, tmp_path):
    paths = [ct_series(name) for name in ("clear-1", "suspicious-1", "abstained-1")]
    result = run(*paths)
    assert result.exit_code == 0
    assert sorted(path.parent.name for path in tmp_path.glob("out/*/screening.json")) == [
        "abstained-1",
        "clear-1",
        "suspicious-1",
    ]
    assert "3 screened: 1 suspicious, 1 with nothing found, 1 not judged. 0 failed." in result.stdout


def test_scans_under_one_folder_are_all_screened(run, ct_series):
    ct_series("clear-1")
    result = run(ct_series("clear-2").parent, "--json")
    assert [document["scan"]["name"] for document in documents(result.stdout)] == ["clear-1", "clear-2"]


def test_json_prints_what_is_written(run, ct_series, tmp_path):
    result = run(ct_series("suspicious-1"), "--json")
    (printed,) = documents(result.stdout)
    assert printed == json.loads((tmp_path / "out" / "suspicious-1" / "screening.json").read_text())


def test_summary_says_where_the_report_is(run, ct_series, tmp_path):
    result = run(ct_series("clear-1"))
    assert f"Report: {tmp_path / 'out' / 'clear-1' / 'report.html'}" in result.stdout
    assert "Not a medical device" in result.stdout


@pytest.mark.parametrize(
    ("name", "options", "code"),
    [("suspicious-1", [], 0), ("suspicious-1", ["--exit-code"], 1), ("clear-1", ["--exit-code"], 0)],
)
def test_exit_code(run, ct_series, name, options, code):
    assert run(ct_series(name), *options).exit_code == code


def test_unreadable_path_ends_no_run(run, ct_series, tmp_path):
    missing = tmp_path / "missing.dcm"
    result = run(missing, ct_series("suspicious-1"), "--exit-code")
    assert result.exit_code == 3
    assert "Suspicious: suspicious-1" in result.stdout
    assert result.stderr.splitlines() == [f"Error: {missing}: does not exist. Check the path."]  # once, when it happens
    assert "1 screened: 1 suspicious, 0 with nothing found, 0 not judged. 1 failed." in result.stdout


def test_broken_file_among_good_ones_ends_no_run(run, ct_series):
    folder = ct_series("clear-1")
    (folder / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 40)
    result = run(folder, "--json")
    assert result.exit_code == 3
    assert len(documents(result.stdout)) == 1
    assert "broken.dcm" in result.stderr


def test_each_failure_of_a_path_is_told_once(run, tmp_path):
    result = run(tmp_path / "missing.dcm")
    assert result.exit_code == 3
    assert result.stderr.count("missing.dcm") == 1


def test_fault_of_the_detector_ends_no_run(run, ct_series):
    result = run(ct_series("broken-1"), ct_series("clear-1"))
    assert result.exit_code == 3
    assert "Error: broken-1: ValueError: the detector broke." in result.stderr
    assert "Nothing found: clear-1" in result.stdout


def test_report_that_cannot_be_written_ends_no_run(run, ct_series, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "clear-1").write_text("in the way")
    result = run(ct_series("clear-1"), ct_series("clear-2"))
    assert result.exit_code == 3
    assert "something else of that name is in the way" in result.stderr
    assert (tmp_path / "out" / "clear-2" / "report.html").exists()


def test_one_scan_is_in_memory_at_a_time(ct_series, tmp_path, made_up_detector, monkeypatch):
    import gc

    from tamperscan.scan import Scan

    def count() -> int:
        return sum(isinstance(o, Scan) for o in gc.get_objects())

    alive, before = [], count()  # other tests may have left some
    monkeypatch.setattr(Run, "screen_scan", lambda self, scan: alive.append(count() - before))
    ct_series("clear-1")
    ct_series("clear-2")
    Run(tmp_path / "out", "ct", alarm_rate=0.05).screen_path(ct_series("clear-3").parent)
    assert alive == [1, 1, 1]


@needs_detector
def test_file_in_place_of_the_folder_is_wrong_usage(tamperscan, tmp_path):
    (tmp_path / "taken").write_text("")
    assert tamperscan("screen", "x", "--out", tmp_path / "taken").returncode == 2


@needs_detector
def test_unreadable_input_ends_with_3_and_no_traceback(tamperscan, tmp_path):
    run = tamperscan("screen", tmp_path / "missing.dcm")
    assert run.returncode == 3
    assert run.stderr == f"Error: {tmp_path / 'missing.dcm'}: does not exist. Check the path.\n"
    assert run.stdout == ""


@needs_detector
def test_unknown_detector_is_told(tamperscan, ct_series):
    run = tamperscan("screen", ct_series("chest"), "--detector", "no-such-detector")
    assert run.returncode == 3
    assert "no-such-detector" in run.stderr
    assert "Traceback" not in run.stderr


@needs_detector
def test_scan_without_lungs_is_not_judged(tamperscan, ct_series):
    run = tamperscan("screen", ct_series("chest"), "--json", "--exit-code")
    assert run.returncode == 0, run.stderr
    (document,) = documents(run.stdout)
    assert document["verdict"] == "abstained"
    assert document["reasons"]
    assert "Jane" not in run.stdout


@needs_detector
def test_a_head_that_there_is_none_of_is_told_before_any_scan_is_read(tmp_path):
    result = CliRunner().invoke(app, [str(tmp_path / "none.dcm"), "--out", str(tmp_path / "out"), "--head", "best"])
    assert isinstance(result.exception, WeightsError)
    assert "no head 'best'" in str(result.exception)


@needs_detector
def test_the_detector_follows_the_modality(tmp_path):
    run = Run(tmp_path, "auto", alarm_rate=0.05)
    assert [run._detector_for(modality).card.modality for modality in ("CT", "MR", "PT")] == ["CT", "MR", "CT"]
