"""Pages that are written by commands: sections between markers, where a figure comes from, values as JSON."""

from __future__ import annotations

import math
import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import tamperscan
from tamperscan.errors import OutputError
from tamperscan.files import write_file

_HEAD = """# Results

Every section is written by the command that it names; the words are part of it.
To get a figure again, run that command.
"""


@dataclass(frozen=True)
class Provenance:
    """Where figures come from.

    Attributes
    ----------
    command
        What was run.
    commit
        Of the source, empty if it is not known.
    """

    command: str
    commit: str

    def markdown(self) -> str:
        """Tell it in one line."""
        commit = f", at commit `{self.commit}`" if self.commit else ""
        return f"Made by `{self.command}`{commit}."


def provenance(*words: str | Path) -> Provenance:
    """Describe the run of a command; paths are told relative to where it was run."""
    return Provenance(shlex.join(["tamperscan", *(_without_machine(word) for word in words)]), source_commit())


def source_commit() -> str:
    """Return the short hash of the commit that the package was run from; empty if it was not run from a checkout."""
    package = Path(tamperscan.__file__).parent
    if _git(package, "ls-files", "errors.py") is None or not _git(package, "ls-files", "errors.py"):
        return ""
    commit = _git(package, "rev-parse", "--short", "HEAD") or ""
    changed = _git(package, "status", "--porcelain", "--", ".")
    return f"{commit} with changes" if commit and changed else commit


def title(words: str, head: str | None = None) -> str:
    """Head a section; a detector's head that was asked for is named."""
    return f"## {words}, head {head}" if head else f"## {words}"


def write_section(path: Path, name: str, text: str) -> None:
    """Write a section of a page between its markers; the other sections stay.

    Raises
    ------
    OutputError
        If the page can't be written, or holds one of the section's markers without the other.
    """
    try:
        page = path.read_text(encoding="utf-8") if path.exists() else _HEAD
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, _with_section(path, page, name, text).encode())
    except (OSError, UnicodeDecodeError) as error:
        raise OutputError(f"{path}: the results can't be written ({error}). Give another file.") from error


def plain(value: Any) -> Any:
    """Turn results into what JSON can hold; what is not finite becomes None."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(entry) for entry in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value


def _with_section(path: Path, page: str, name: str, text: str) -> str:
    begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
    section = f"{begin}\n{text.strip()}\n{end}"
    if (page.count(begin), page.count(end)) == (0, 0):
        return f"{page.rstrip()}\n\n{section}\n"
    first, last = page.find(begin), page.find(end)
    if (page.count(begin), page.count(end)) != (1, 1) or last < first:
        raise OutputError(f"{path}: the markers of the section '{name}' do not match. Put them right or remove them.")
    return page[:first] + section + page[last + len(end) :]


def _without_machine(word: str | Path) -> str:
    """Tell a path relative to here; what lies elsewhere on this machine by its name alone."""
    if not Path(word).is_absolute():
        return str(word)
    relative = os.path.relpath(word)
    return Path(word).name if Path(relative).parts[:2] == ("..", "..") else relative


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
