"""The pages say what is so: their commands run, their options exist, their links lead somewhere."""

import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from itertools import takewhile
from pathlib import Path
from urllib.parse import unquote

import pytest

from tamperscan.cli.main import COMMANDS
from tamperscan.data import packaged_weights, sample_path

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
TESTED = "<!-- tested -->\n"
# These lines set up an environment or train for hours; what they call is looked up instead.
NOT_RUN = ("make", "pip", "python3", "source")

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
needs_packaged = pytest.mark.skipif("ct" not in packaged_weights(), reason="no packaged weights")


def blocks(page, language, mark=""):
    """Fenced code blocks of a page; with the mark only those under it."""
    return re.findall(rf"{re.escape(mark)}```{language}\n(.*?)```", page.read_text(), flags=re.DOTALL)


def bash_lines(page, mark=""):
    joined = "\n".join(blocks(page, "bash", mark)).replace("\\\n", " ")
    return [words for line in joined.splitlines() if (words := shlex.split(line, comments=True))]


@pytest.fixture
def folder(tmp_path):
    """Where a reader is: a folder with a scan of his own."""
    (tmp_path / "my-scan").mkdir()
    shutil.copy(sample_path(), tmp_path / "my-scan")
    return tmp_path


def run(command, folder):
    outcome = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    assert outcome.returncode == 0, f"{command}: {outcome.stdout}{outcome.stderr}"


@needs_packaged
@every_page
def test_marked_commands_run(page, folder):
    for words in bash_lines(page, TESTED):
        assert words[0] == "tamperscan"
        run([sys.executable, "-m", "tamperscan", *words[1:]], folder)
    for program in blocks(page, "python", TESTED):
        run([sys.executable, "-c", program], folder)


def test_readme_and_tutorial_are_tested():
    for page in (ROOT / "README.md", ROOT / "docs" / "tutorial" / "first-scan.md"):
        assert bash_lines(page, TESTED)
        assert blocks(page, "python", TESTED)


@every_page
def test_python_examples_compile(page):
    for program in blocks(page, "python"):
        compile(program, str(page), "exec")


def make_targets():
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))


@every_page
def test_make_targets_exist(page):
    called = {words[1] for words in bash_lines(page) if words[0] == "make"}
    called |= set(re.findall(r"`make ([a-z-]+)`", page.read_text()))
    assert called <= make_targets()


def test_readme_begins_with_the_two_commands():
    (first, *_) = blocks(ROOT / "README.md", "bash")
    assert [line.split("#")[0].strip() for line in first.splitlines()] == ["make demo", "make test"]


@cache
def help_of(*command):
    program = [sys.executable, "-m", "tamperscan", *command, "--help"]
    return subprocess.run(program, capture_output=True, text=True, check=True).stdout


def called_commands(page):
    """Lines that call tamperscan, by itself or through a launcher, from the word after it."""
    for words in bash_lines(page):
        if words[0] not in NOT_RUN and "tamperscan" in words:
            yield words[words.index("tamperscan") + 1 :]


@every_page
def test_commands_and_options_exist(page):
    for words in called_commands(page):
        if words[0].startswith("-"):
            continue
        assert words[0] in COMMANDS, words
        known = help_of(*takewhile(_is_command, words))  # the command, and its sub-commands where it has some
        for option in (word for word in words if word.startswith("--")):
            assert re.search(rf"{option}\b", known), words


def anchors(page):
    """Anchors of a page's headings, as they are made on GitHub."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    plain = (re.sub(r"[`*\[\]]|\(.*?\)", "", heading).strip().lower() for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


@every_page
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = unquote(link).partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page.name}: {link}"
        assert target.is_relative_to(ROOT), f"{page.name}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{page.name}: {link}"


def test_every_page_is_in_the_index():
    linked = (ROOT / "docs" / "index.md").read_text()
    for page in (ROOT / "docs").rglob("*.md"):
        if page.name != "index.md":
            assert f"({page.relative_to(ROOT / 'docs').as_posix()}" in linked, page


def test_every_command_is_in_the_reference():
    reference = (ROOT / "docs" / "reference" / "cli.md").read_text()
    for command in COMMANDS:
        assert f"\n## tamperscan {command}\n" in reference


@every_page
def test_no_machine_is_named(page):
    for place in ("/work/", "/home/", "/root/", "localhost"):
        assert place not in page.read_text()


def _is_command(word: str) -> bool:
    return not word.startswith("-") and word.replace("-", "").isalpha()
