"""How the sub-commands of ``tamperscan bench`` tell how far they are, and what came out."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tamperscan.cli.console import Bar, notices


def steps(bars: ExitStack) -> Callable[[str], Callable[[int, int], None]]:
    """Show a progress bar for each part of the work, one at a time."""

    def step(name: str) -> Callable[[int, int], None]:
        bars.close()
        return bars.enter_context(Bar(name)).update

    return step


def tell_line(line: str) -> None:
    """Tell in one line on stderr what goes on, or what was written."""
    notices().print(line, soft_wrap=True, highlight=False)


def tell(
    name: str, result: Any, origin: Any, page: str, *, head: str | None = None, write: Path | None, as_json: bool
) -> None:
    """Print a result as a page or as JSON, and write its section of a page if one is given.

    Parameters
    ----------
    name
        Of the section, and of the result in JSON.
    result, origin
        Dataclasses: what was measured, and how.
    page
        The section in Markdown.
    head
        A head that was asked for; each has a section of its own.
    write
        The page.
    as_json
        Whether to print JSON and not the section.
    """
    from tamperscan.bench.document import plain, write_section

    if write is not None:
        section = f"{name}-{head}" if head else name
        write_section(write, section, page)
        tell_line(f"The section '{section}' is in {write}.")
    print(json.dumps({"origin": plain(origin), name: plain(result)}) if as_json else page)
