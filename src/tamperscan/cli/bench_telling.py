"""How the sub-commands of ``tamperscan bench`` tell what came out: a page, one of its sections, or JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tamperscan.cli.console import notices


def tell(
    name: str, result: Any, origin: Any, page: str, *, head: str | None = None, write: Path | None, as_json: bool
) -> None:
    """Print a result, and write its section of a page if one is given.

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
        notices().print(f"The section '{section}' is in {write}.", soft_wrap=True)
    print(json.dumps({"origin": plain(origin), name: plain(result)}) if as_json else page)
