"""Short, safe and unique names for scans."""

from __future__ import annotations

import re
from typing import Final

LONGEST: Final = 64


def safe_name(text: str) -> str:
    """Only letters, digits, ``.``, ``_`` and ``-``; at most 64 characters; never empty, never hidden."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", text)[:LONGEST].strip("_.")
    return name or "scan"


class Namer:
    """Gives out names, each only once (whatever the case of its letters)."""

    def __init__(self) -> None:
        self._given: set[str] = set()

    def name(self, text: str) -> str:
        """Make a safe name after ``text``, with a number behind it if it was given before."""
        base = safe_name(text)
        name, number = base, 1
        while name.lower() in self._given:
            number += 1
            name = f"{base[: LONGEST - len(str(number)) - 1]}-{number}"
        self._given.add(name.lower())
        return name
