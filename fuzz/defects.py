"""Defects as they are found: an input and a traceback for each place in the code."""

from __future__ import annotations

import hashlib
import traceback
from pathlib import Path

from fuzz.counters import FOLDER, Counter


def keep(target: str, counter: Counter, content: bytes, error: BaseException) -> None:
    """Write down a defect, once for each place in the code that it comes from."""
    if isinstance(error, KeyboardInterrupt):
        raise error
    place = _place(error)
    counter.defects[place] = counter.defects.get(place, 0) + 1
    folder = FOLDER / "defects" / target / hashlib.sha256(place.encode()).hexdigest()[:12]
    if not folder.exists():
        folder.mkdir(parents=True)
        (folder / "input").write_bytes(content)
        (folder / "traceback.txt").write_text("".join(traceback.format_exception(error)), "utf-8", "replace")


def _place(error: BaseException) -> str:
    """Tell the kind of error and the innermost line of ours that it passed."""
    frames = traceback.extract_tb((error.__cause__ or error).__traceback__ or error.__traceback__)
    ours = [frame for frame in frames if "/tamperscan/" in frame.filename] or frames
    last = ours[-1] if ours else None
    where = f"{Path(last.filename).name}:{last.name}" if last else "?"
    return f"{type(error.__cause__ or error).__name__} in {where}"
