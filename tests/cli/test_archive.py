import json
import subprocess
import sys

import pytest
from dicom_maker import hounsfield, write_series

pytest.importorskip("ray")
pytest.importorskip("pyarrow")


def run(*words, seconds=240):
    command = [sys.executable, "-m", "tamperscan", "archive", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)


@pytest.fixture(scope="module")
def screened(tmp_path_factory):
    """A small archive with a file that is none, and the folder of its results."""
    folder = tmp_path_factory.mktemp("archive")
    for number in range(3):
        uid = f"1.2.{number}"
        write_series(folder / "in" / uid, hounsfield(2), SeriesInstanceUID=uid, StudyDate="20240517")
    (folder / "in" / "junk.dcm").write_bytes(b"junk")
    done = run(folder / "in", "--out", folder / "out", "--workers", 1, "--memory-gib", 0.2, "--json")
    if "Ray can't be started" in done.stderr:
        pytest.skip("Ray can't be started: the machine is too busy")
    assert done.returncode == 3, done.stderr
    return folder, json.loads(done.stdout)


@pytest.mark.parametrize("mebibytes", [400, 1400])
def test_too_little_address_space_is_told_at_once(tmp_path, mebibytes):
    resource = pytest.importorskip("resource", reason="this system has no such limits")
    refused = subprocess.run(
        [sys.executable, "-m", "tamperscan", "archive", str(tmp_path), "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (mebibytes * 2**20,) * 2),
    )
    assert refused.returncode == 3
    assert refused.stderr.count("\n") == 1
    assert "ulimit -v" in refused.stderr


def test_a_run(screened):
    folder, told = screened
    assert told["run"]["series"] == told["series"] == 3
    assert told["verdicts"] == {"abstained": 3}
    assert told["unreadable"] == {"is not a DICOM image, or its header is damaged": 1}
    names = {path.name for path in (folder / "out").iterdir()}
    assert {"summary.html", "summary.json", "manifest.json", "results", "runs", "unreadable.parquet"} <= names
    assert "PatientName" not in (folder / "out" / "summary.json").read_text()


def test_the_summary_again(screened):
    done = run("--summary", "--out", screened[0] / "out")
    assert done.returncode == 3
    assert "3 series, 6 slices" in done.stdout


def test_results_of_another_alarm_rate_are_refused(screened):
    folder, _ = screened
    done = run(folder / "in", "--out", folder / "out", "--alarm-rate", 0.01)
    assert done.returncode == 3
    assert "alarm_rate 0.05 there and 0.01 now" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ([], 2, "needs a SOURCE"),
        (["."], 2, "or --summary"),
        (["nowhere"], 3, "no such folder"),
        (["https://pacs.example/dicom-web"], 3, "--query"),
    ],
)
def test_wrong_usage(tmp_path, words, code, told):
    more = ["--summary"] if words == ["."] else []
    done = run(*words, *more, "--out", tmp_path / "out")
    assert done.returncode == code
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_no_results_to_sum_up(tmp_path):
    done = run("--summary", "--out", tmp_path)
    assert done.returncode == 3
    assert "holds no results" in done.stderr
