import json
from dataclasses import replace

import pytest

from tamperscan.bench.plan import OURS
from tamperscan.bench.results_files import write_results
from tamperscan.errors import OutputError

from .toy_run import plan_of


@pytest.fixture(scope="module")
def written(compared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")
    plan = replace(plan_of(compared[0]), out=folder / "out")
    (folder / "out").mkdir()
    (folder / "out" / "slices").symlink_to(compared[0] / "out" / "slices")
    write_results(plan, compared[1], folder / "docs" / "results.md")
    return folder


def test_results_hold_what_figures_rest_on(written):
    told = json.loads((written / "out" / "results.json").read_text())
    assert {"origin", "seeds", "versions", "budget_seconds", "data", "contenders", "paper", "screening"} <= set(told)
    assert told["versions"]["torch"]
    assert told["signs"]["noise (CT)"]["nodes"]["patients"] == 3
    assert told["signs"][f"{OURS} (CT)"] == {"nodes": None, "patches": None}
    assert told["failures"] == []


def test_pictures_are_where_the_pages_say(written):
    for page in (written / "out" / "results.md", written / "docs" / "results.md"):
        links = [line.rpartition("(")[2].rstrip(")") for line in page.read_text().splitlines() if line.startswith("![")]
        assert len(links) >= 2
        assert all((page.parent / link).is_file() for link in links)
        assert str(written) not in page.read_text()


def test_the_section_is_written_and_the_rest_stays(written, compared):
    page = written / "docs" / "results.md"
    page.write_text("# Results\n\nOther words.\n\n" + page.read_text().partition("\n\n")[2])
    write_results(replace(plan_of(compared[0]), out=written / "out"), compared[1], page)
    text = page.read_text()
    assert "Other words." in text
    assert text.count("<!-- begin: comparison -->") == 1
    assert "images/bench_roc_ct_removal.png" in text
    assert not list((written / "docs" / "images").glob("*froc_scan*"))


def test_a_folder_that_can_not_be_written_is_told(compared, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError):
        write_results(replace(plan_of(compared[0]), out=tmp_path / "file"), compared[1])
