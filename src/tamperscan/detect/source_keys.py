"""Keys of what was made of a scan's files: found before a pixel is decoded, and others when a file was changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path


def files_key(labels: Iterable[str], made_by: str) -> str:
    """Hash the files of a scan (paths, sizes, times of change), and whatever else a result depends on.

    Parameters
    ----------
    labels
        Paths; of a member of a zip, the path of the zip and the member's name.
    made_by
        Settings, in any words.

    Returns
    -------
    str
        32 hexadecimal digits.
    """
    digest = hashlib.sha256(made_by.encode())
    for label in labels:
        digest.update(json.dumps([str(Path(label).absolute()), *_state(Path(label))]).encode())
    return digest.hexdigest()[:32]


def _state(path: Path) -> tuple[int, int]:
    """Return size and time of change of a file; of the archive where the path is that of a member of one."""
    while not path.is_file() and path != path.parent:
        path = path.parent
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns
