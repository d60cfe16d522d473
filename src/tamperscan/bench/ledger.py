"""A file that remembers what was measured, line by line, whenever the run may be killed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tamperscan.errors import BenchError, OutputError


class Ledger:
    """Values by key in a file of JSON lines; each is on the disk before the next is measured.

    A line that was torn by a kill is dropped, and measured again.

    Parameters
    ----------
    path
        The file; made when the first value is added.

    Raises
    ------
    BenchError
        If it can't be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values: dict[str, Any] = dict(_read(path))

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def get(self, key: str, default: Any) -> Any:
        """Return a value, or the default where there is none."""
        return self._values.get(key, default)

    def __len__(self) -> int:
        return len(self._values)

    def values(self) -> Iterator[Any]:
        """Iterate over the values."""
        yield from self._values.values()

    def add(self, key: str, value: Any) -> None:
        """Remember a value for good; a newer one takes the place of an older one.

        Raises
        ------
        OutputError
            If it can't be written.
        """
        line = json.dumps({"key": key, "value": value}) + "\n"
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(line)
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise OutputError(f"{self._path}: can't be written ({error}). Make room, or give another --out.") from error
        self._values[key] = value


def _read(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield what the lines hold, and cut off a torn one, so that the next value begins a line of its own."""
    if not path.exists():
        return
    try:
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.truncate(path, whole)
    except OSError as error:
        raise BenchError(f"{path}: can't be read ({error}). Remove it to measure anew.") from error
    for line in data[:whole].splitlines():
        try:
            entry = json.loads(line)
            key, value = str(entry["key"]), entry["value"]
        except (ValueError, KeyError, TypeError):
            continue
        yield key, value
