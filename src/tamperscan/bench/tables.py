"""Figures as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from tamperscan.bench.metrics import Estimate


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Make a table; the first column is to the left, the others to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def estimate(measured: Estimate) -> str:
    """Tell a value with its interval."""
    if math.isnan(measured.value):
        return "–"
    if math.isnan(measured.low):
        return f"{measured.value:.2f}"
    return f"{measured.value:.2f} [{measured.low:.2f}, {measured.high:.2f}]"


def number(value: float, digits: int = 2) -> str:
    """Tell a number, a dash for none."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "–"


def per_cent(share: float) -> str:
    """Tell a share, such as ``5 %``."""
    return f"{share * 100:.3g} %"


def paragraph(*sentences: str) -> str:
    """Join sentences to a paragraph with lines of readable length."""
    lines, line = [], ""
    for word in " ".join(sentences).split():
        if line and len(line) + 1 + len(word) > 118:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return "\n".join([*lines, line])
