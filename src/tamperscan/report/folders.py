"""Which folder each scan's report goes to."""

from __future__ import annotations

import re
from hashlib import sha256
from itertools import count
from pathlib import Path

from tamperscan.report.write import DOCUMENT
from tamperscan.safe_json import parse_json
from tamperscan.scan.volume import Scan

_LONGEST_NAME = 100
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


class ReportFolders:
    """Gives every scan of a run a folder of its own under one folder.

    A scan gets the folder of its name. Where another scan of that name was there first, in this run or an
    earlier one, it gets ``<name>-2``, ``<name>-3`` and so on: a scan that is screened again finds its folder
    again, and no result is lost to another scan's.

    Parameters
    ----------
    top
        The folder that holds them all.
    """

    def __init__(self, top: Path) -> None:
        self._top = top
        self._taken: set[str] = set()

    def take(self, scan: Scan) -> Path:
        """Choose a scan's folder; it isn't made yet."""
        name = safe_name(scan.name)
        for number in count(1):
            candidate = name if number == 1 else f"{name}-{number}"
            if candidate.casefold() not in self._taken and _belongs_to(self._top / candidate, scan):
                break
        self._taken.add(candidate.casefold())  # as file systems that ignore case would
        return self._top / candidate


def safe_name(name: str) -> str:
    """Turn a scan's name into one that any file system takes, and that stays in its folder.

    Parameters
    ----------
    name
        Any text.
    """
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip(".") or "scan"
    if _RESERVED.fullmatch(safe):
        safe = f"_{safe}"
    if len(safe) > _LONGEST_NAME:
        safe = f"{safe[: _LONGEST_NAME - 9]}-{sha256(safe.encode()).hexdigest()[:8]}"
    return safe


def _belongs_to(folder: Path, scan: Scan) -> bool:
    """Whether a folder is free, or holds an earlier report on the same scan."""
    try:
        document = parse_json((folder / DOCUMENT).read_bytes())
        return bool(document["scan"]["pixel_sha256"] == scan.sha256)
    except (OSError, ValueError, KeyError, TypeError):
        return True
