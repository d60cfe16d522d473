import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from archive_maker import row_of
from pyarrow import parquet

from tamperscan.archive.found import FoundSeries, series_key
from tamperscan.archive.headers import Unreadable
from tamperscan.archive.index import Index
from tamperscan.archive.rows import RESULT_COLUMNS
from tamperscan.archive.shards import write_part, write_unreadable
from tamperscan.archive.summary import summarise
from tamperscan.archive.summary_page import PAGE, summary_lines, write_summary
from tamperscan.errors import ArchiveError

ROOT = Path(__file__).parents[2]
HOW_TO = ROOT / "docs" / "how-to" / "archive.md"
MANIFEST = {
    "alarm_rate": 0.05,
    "version": "1.0",
    "detectors": {
        "CT": {"name": "ct", "head": "combined", "weights_sha256": "a" * 64, "calibration_scores": [1.0, 2.0, 3.0]}
    },
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder of 80 series over a year, four of them suspicious, eight that failed."""
    out = tmp_path_factory.mktemp("summary")
    index = Index(out)
    scores = np.random.default_rng(0).normal(8, 2, 80)
    for number, score in enumerate(scores):
        verdict = "failed" if number % 10 == 0 else "suspicious" if number % 20 == 1 else "clear"
        found = FoundSeries(series_key(str(number)), f"1.{number}", ())
        judged = {} if verdict == "failed" else {"score": float(score), "p_value": 0.01 + number % 20 / 20}
        facts = {
            "study_month": f"2024-{1 + number % 12:02}",
            "series_uid": f"1.{number}",
            "study_uid": f"2.{number // 40}",
        }
        scanner = {"manufacturer": "Maker <b>", "model": f"M{number % 3}", "kernel": "B30f", "slices": 10}
        extra = {"alarm_rate": 0.05, "pixel_sha256": str(number % 70), "finding_slice": 3, "finding_row": 4}
        index.put(found.key, "", *row_of(found, verdict, **judged, **facts, **scanner, **extra, finding_column=5))
    index.note_unlisted(Unreadable("somewhere/dead.dcm", "is a dead link"))
    write_part(out, index)
    write_unreadable(out, index)
    index.close()
    (out / "manifest.json").write_text(json.dumps(MANIFEST))
    return out


@pytest.fixture
def results(written, tmp_path):
    """Such a folder of a test's own."""
    return shutil.copytree(written, tmp_path / "out")


def test_counts(results):
    summary = summarise(results)
    assert summary.verdicts == {"clear": 68, "failed": 8, "suspicious": 4}
    assert (summary.series, summary.slices, summary.unreadable) == (80, 800, {"is a dead link": 1})
    assert [group.series for group in summary.modalities[0].scanners] == [24, 24, 24]
    assert len(summary.studies) == 2
    assert summary.studies[0]["p_value"] == pytest.approx(0.06)
    assert summary.modalities[0].drift.whole.judged == 72


def test_page_and_document(results):
    summary = summarise(results)
    page = write_summary(summary, results)
    assert page.name == PAGE
    text = page.read_text()
    assert text.count("data:image/png") == 4
    assert "Maker &lt;b&gt;" in text
    assert "<b>" not in text
    document = json.loads((results / "summary.json").read_text())
    assert document["verdicts"] == summary.verdicts
    assert document["modalities"][0]["scanners"][0]["score_median"] is not None
    assert "80 series" in summary_lines(summary)[0]


def test_a_folder_without_results(tmp_path):
    with pytest.raises(ArchiveError, match="holds no results"):
        summarise(tmp_path)


def test_damaged_results_are_told(results):
    next(results.glob("results/*/*/*.parquet")).write_bytes(b"damaged")
    with pytest.raises(ArchiveError, match="can't be read"):
        summarise(results)


def queries():
    return re.findall(r"```sql\n(.*?)```", HOW_TO.read_text(), flags=re.DOTALL)


@pytest.mark.parametrize("number", range(len(queries())))
def test_queries_of_the_how_to(results, monkeypatch, number):
    duckdb = pytest.importorskip("duckdb")
    monkeypatch.chdir(results.parent)
    results.rename("screened")
    found = duckdb.connect().execute(queries()[number]).fetchall()
    assert found


def test_every_column_is_documented(results):
    reference = (ROOT / "docs" / "reference" / "archive.md").read_text()
    (path, *_) = results.glob("results/*/*/*.parquet")
    names = parquet.ParquetFile(path).schema_arrow.names
    assert set(names) == set(RESULT_COLUMNS) - {"modality", "year"}
    for name in [*names, *parquet.ParquetFile(next(results.glob("runs/*.parquet"))).schema_arrow.names]:
        assert f"`{name}`" in reference
