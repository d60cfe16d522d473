"""Ways of doing harm that the sources leave no room for, wherever they are written."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "tamperscan"
MODULES = sorted(SOURCE.rglob("*.py"))
SCRIPTS = sorted((SOURCE / "serve" / "web" / "static").glob("*.js"))


@cache
def calls():
    """Every call in the package: the module, the name of what is called, and its keywords."""
    return list(_calls())


def _calls():
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                yield path, name, {word.arg: ast.unparse(word.value) for word in node.keywords}


def test_nothing_is_unpickled():
    found = calls()
    assert not [(path, name) for path, name, _ in found if re.search(r"(pickle|dill|joblib|marshal)\.loads?$", name)]
    assert not [
        path for path, name, words in found if name == "np.load" and words.get("allow_pickle", "False") != "False"
    ]
    assert not [path for path, name, words in found if name == "torch.load" and words.get("weights_only") != "True"]
    assert not [path for path, name, _ in found if name in ("yaml.load", "yaml.unsafe_load", "eval", "exec")]


def test_no_shell_is_started():
    assert not [path for path, name, words in calls() if name == "os.system" or words.get("shell") == "True"]


def test_processes_of_the_services_load_nothing_from_the_folder_they_are_started_in():
    for path in (SOURCE / "serve").rglob("*.py"):
        assert not re.search(r'sys\.executable, "-m"', path.read_text()), path


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_the_page_takes_texts_for_texts(path):
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", path.read_text()
    )


def test_reports_are_escaped():
    html = (SOURCE / "report" / "html.py").read_text()
    assert "autoescape=True" in html
    templates = list((SOURCE / "report" / "templates").rglob("*.j2"))
    assert templates
    assert not [path for path in templates if re.search(r"\|\s*safe\b|autoescape false", path.read_text())]


def test_tables_hold_no_texts_of_files():
    """A cell that begins with ``=`` is a formula to a spreadsheet: whoever writes tables of texts must see to that."""
    writing = [path for path, name, _ in calls() if name in ("csv.writer", "csv.DictWriter") or name.endswith("to_csv")]
    assert not writing
