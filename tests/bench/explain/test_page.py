from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from tamperscan.bench.document import Provenance, plain, write_section
from tamperscan.bench.explain.figures import write_figures
from tamperscan.bench.explain.levels import sweep
from tamperscan.bench.explain.page import sections
from tamperscan.bench.explain.pairs import compare, forged_pairs
from tamperscan.bench.explain.run import Explanation, Material
from tamperscan.bench.explain.spectra import spectra
from tamperscan.bench.explain.swaps import swaps
from tamperscan.bench.explain.zones import attributions, summarise
from tamperscan.errors import OutputError

from .conftest import chest, high_pass_predict, noise, scan_of, subject_of

LEVELS = (5.0, 15.0, 26.0)
ORIGIN = Provenance("tamperscan bench explain", "abc")


def explanation(**parts):
    material = Material({"FB": 2, "FM": 1}, {"FB": 2, "FM": 0}, {"FB": 2, "FM": 0}, 0, 0, 2, 2, ())
    facts = {
        "detector": "made",
        "weights_sha256": "0" * 64,
        "levels_hu": (15.0, 26.0),
        "asked_hu": LEVELS,
        "material": material,
        "attribution": None,
        "spectra": (),
        "swaps": (),
        "sweeps": (),
        "forged": (),
        "skipped": {},
        "seconds": 60.0,
    }
    return Explanation(**{**facts, **parts})


@pytest.fixture(scope="module")
def whole(plain_predictor):
    """Removals only, as where nothing else could be measured."""
    predict = high_pass_predict
    subjects = [subject_of(chest(seed, noise(50 + seed, strength=60.0)), group=str(seed)) for seed in range(2)]
    compared = attributions(subjects, plain_predictor, nodes=2)
    skipped = {}
    pairs = forged_pairs([("p", scan_of(chest(7), name="s"))], {"smooth": ("remove",)}, skipped=skipped)
    return explanation(
        attribution=summarise(compared, plain_predictor),
        spectra=spectra(subjects, predict, (15.0,)),
        swaps=swaps(subjects, predict, levels_hu=LEVELS),
        sweeps=sweep(subjects, predict, levels_hu=LEVELS),
        forged=compare(pairs, predict, levels_hu=LEVELS),
        skipped={"gan": "The method 'gan' has no weights.", "nodule (inject) of s": "no room"},
    ), compared


def test_every_part_is_told(whole):
    parts = sections(whole[0], ORIGIN, {}, None)
    assert list(parts) == [
        "explain-material",
        "explain-attribution",
        "explain-spectra",
        "explain-swaps",
        "explain-levels",
        "explain-forged",
    ]
    assert "2 of 2 slices of 2 scans (removal), 0 of 1 slices of 0 scans (injection)" in " ".join(
        parts["explain-material"].split()
    )
    assert "| removal, parenchyma, core | 2 (2) |" in parts["explain-attribution"]
    assert "| 23.4 HU, published window |" in parts["explain-levels"]
    assert "- gan: The method 'gan' has no weights." in parts["explain-forged"]
    assert "- nodule (inject): 1 of the places" in parts["explain-forged"]
    assert "nan" not in "".join(parts.values())


def test_a_page_without_anything_measured():
    parts = sections(explanation(), ORIGIN, {}, None)
    assert [name for name, text in parts.items() if "Not measured" in text] == list(parts)[1:]


def test_scans_that_were_trained_on_are_told():
    material = explanation().material
    used = Material(**{**vars(material), "not_held_out": ("chest-1",)})
    told = sections(explanation(material=used), ORIGIN, {}, None)["explain-material"]
    assert "training or calibration: chest-1." in " ".join(told.split())


def test_figures_are_written_and_linked(whole, tmp_path):
    figures = write_figures(*whole, tmp_path / "images")
    assert list(figures) == ["maps", "profile", "spectra", "swaps", "levels", "forged"]
    for path in figures.values():
        assert path.read_bytes().startswith(b"\x89PNG")
        assert path.stat().st_size < 150_000
    parts = sections(whole[0], ORIGIN, figures, tmp_path / "explanation" / "page.md")
    assert "](../images/explain-maps.png)" in parts["explain-attribution"]


def test_without_results_there_are_no_figures(tmp_path):
    assert write_figures(explanation(), [], tmp_path / "images") == {}


def test_figures_in_a_file_s_place_are_an_error(whole, tmp_path):
    (tmp_path / "images").write_text("a file")
    with pytest.raises(OutputError, match="name another folder"):
        write_figures(*whole, tmp_path / "images")


def test_results_can_be_told_as_json(whole):
    told = json.loads(json.dumps(plain(whole[0])))
    assert told["sweeps"][0]["kind"] == "FB"
    assert not math.isnan(told["attribution"]["median_gap"])


def test_sections_stand_where_their_markers_are(whole, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Why\n\n<!-- begin: explain-swaps -->\nold\n<!-- end: explain-swaps -->\n\nWords.\n")
    for name, text in sections(whole[0], ORIGIN, {}, page).items():
        write_section(page, name, text)
    written = page.read_text()
    assert "old" not in written
    assert written.index("white noise as strong") < written.index("Words.")
    assert str(Path.cwd()) not in written
