import math
from pathlib import Path

import pytest

from tamperscan.bench.document import Provenance, plain, provenance, write_section
from tamperscan.bench.metrics import Estimate
from tamperscan.errors import OutputError


@pytest.fixture
def page(tmp_path):
    return tmp_path / "docs" / "results.md"


def test_a_new_page_has_a_head(page):
    write_section(page, "speed", "fast")
    assert page.read_text().startswith("# Results\n")
    assert page.read_text().endswith("<!-- begin: speed -->\nfast\n<!-- end: speed -->\n")


def test_the_other_sections_stay(page):
    write_section(page, "speed", "fast")
    write_section(page, "ctgan", "first")
    page.write_text(page.read_text() + "\nby hand\n")
    write_section(page, "speed", "faster")
    write_section(page, "ctgan", "second")
    text = page.read_text()
    assert "first" not in text
    assert "fast\n" not in text
    assert text.index("faster") < text.index("second") < text.index("by hand")


def test_writing_again_changes_nothing(page):
    write_section(page, "speed", "fast")
    before = page.read_text()
    write_section(page, "speed", "fast")
    assert page.read_text() == before
    assert [path.name for path in page.parent.iterdir()] == ["results.md"]


@pytest.mark.parametrize(
    "text", ["<!-- begin: speed -->\n", "<!-- end: speed -->\n<!-- begin: speed -->\n", "<!-- end: speed -->\n"]
)
def test_markers_that_do_not_match_are_told(page, text):
    page.parent.mkdir()
    page.write_text(text)
    with pytest.raises(OutputError, match="markers"):
        write_section(page, "speed", "fast")
    assert page.read_text() == text


def test_a_page_that_can_not_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="can't be written"):
        write_section(tmp_path / "file" / "results.md", "speed", "fast")


def test_no_path_of_this_machine_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = provenance("bench", "--data", tmp_path / "data", "--split", Path("/elsewhere/split.json")).command
    assert told == "tamperscan bench --data data --split split.json"


def test_words_with_spaces_are_quoted():
    assert provenance("bench", "my data").command == "tamperscan bench 'my data'"


def test_an_unknown_commit_is_left_out():
    assert Provenance("tamperscan bench", "").markdown() == "Made by `tamperscan bench`."


def test_plain_values():
    assert plain({"a": (Estimate(0.5, math.nan, math.inf),), 1: "text"}) == {
        "a": [{"value": 0.5, "low": None, "high": None}],
        "1": "text",
    }
