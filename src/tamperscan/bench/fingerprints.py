"""Short names for files and settings as they are now, so that what was made of others is not taken for theirs."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def fingerprint(path: Path | None, *words: str) -> str:
    """Return 16 hexadecimal digits that change when a file, or any below a folder, or a word does.

    Size and time of change stand for the content: reading every scan at every start would take minutes.
    """
    files: list[Path] = []
    if path is not None:
        files = [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())
    told = [[one.name, (stat := one.stat()).st_size, stat.st_mtime_ns] for one in files]
    return hash_of(told, words)


def hash_of(*values: Any) -> str:
    """Return 16 hexadecimal digits of values that JSON can hold."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]
