import json

import pytest

import tamperscan as package
from tamperscan import data

needs_sample = pytest.mark.skipif(
    not hasattr(package, "load_detector") or not hasattr(data, "sample_path"),
    reason="no packaged detector or sample",
)


@needs_sample
def test_demo_writes_a_report_and_says_where(tamperscan, tmp_path):
    run = tamperscan("demo", "--out", tmp_path / "demo")
    assert run.returncode == 0, run.stderr
    (page,) = (tmp_path / "demo").glob("*/report.html")
    assert page.as_uri() in run.stdout
    assert "doi 10.24432/C5J318" in run.stdout


@needs_sample
def test_demo_prints_json_only(tamperscan, tmp_path):
    run = tamperscan("demo", "--json", "--out", tmp_path / "demo")
    assert json.loads(run.stdout)["verdict"] in ("clear", "suspicious")


@needs_sample
def test_sample_is_suspicious_where_every_scan_is(tamperscan):
    run = tamperscan("screen", data.sample_path(), "--alarm-rate", "1", "--exit-code", "--no-pictures")
    assert run.returncode == 1, run.stderr
