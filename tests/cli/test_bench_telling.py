from __future__ import annotations

import json
from dataclasses import dataclass

from tamperscan.cli.bench_telling import tell


@dataclass(frozen=True)
class Result:
    count: int


def test_each_head_has_a_section_of_its_own(tmp_path, capsys):
    page = tmp_path / "results.md"
    for head, text in ((None, "## All"), ("self-forged", "## One head"), (None, "## All, again")):
        tell("nodules", Result(1), Result(2), text, head=head, write=page, as_json=False)
    written = page.read_text()
    assert "<!-- begin: nodules -->\n## All, again\n<!-- end: nodules -->" in written
    assert "<!-- begin: nodules-self-forged -->\n## One head\n<!-- end: nodules-self-forged -->" in written
    assert written.count("## All") == 1
    assert capsys.readouterr().out.startswith("## All\n")


def test_json_is_named_by_what_was_measured_whatever_the_head(capsys):
    tell("ctgan", Result(1), Result(2), "page", head="self-forged", write=None, as_json=True)
    assert json.loads(capsys.readouterr().out) == {"origin": {"count": 2}, "ctgan": {"count": 1}}
