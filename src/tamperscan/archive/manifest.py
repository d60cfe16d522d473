"""What results were made with. Results of one folder are of one making, or they could not be compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tamperscan.errors import ArchiveError, OutputError
from tamperscan.files import write_file

FILE: Final = "manifest.json"
FORMAT: Final = 1
"""Number of the layout of results; another one is refused."""


@dataclass(frozen=True)
class Settings:
    """What the results depend on.

    Attributes
    ----------
    detector
        ``"auto"`` for the packaged detector of each series' modality, or a name or a folder.
    head
        How it judges; None for its strongest head.
    alarm_rate
        Share of authentic scans that may be called suspicious.
    """

    detector: str = "auto"
    head: str | None = None
    alarm_rate: float = 0.05


def make_manifest(settings: Settings, described: Mapping[str, Any]) -> dict[str, Any]:
    """Put together what a run's results are made with."""
    return {"format": FORMAT, **described, "alarm_rate": settings.alarm_rate}


def claim(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest of a new folder of results, or check that the old one says the same.

    Raises
    ------
    ArchiveError
        If the results there were made otherwise; it names what differs.
    OutputError
        If it can't be written.
    """
    check(folder, manifest)
    if not (folder / FILE).exists():
        write_file(folder / FILE, (json.dumps(manifest, indent=2) + "\n").encode())


def check(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Refuse results that were made otherwise; an empty folder is right.

    Raises
    ------
    ArchiveError
        If the results there were made otherwise; it names what differs.
    """
    there = read_manifest(folder)
    if there is not None:
        _refuse(folder, there, manifest)


def _refuse(folder: Path, there: Mapping[str, Any], manifest: Mapping[str, Any]) -> None:
    differences = [
        f"{name} {_shown(old)} there and {_shown(new)} now"
        for name, (old, new) in sorted(_differences(there, manifest).items())
    ]
    if differences:
        raise ArchiveError(
            f"{folder}: holds results that were made otherwise: {'; '.join(differences)}. They can't be mixed: name"
            " another folder with --out, or screen with what they were made with."
        )


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Read a folder's manifest; None if there is none.

    Raises
    ------
    ArchiveError
        If it is damaged.
    """
    path = folder / FILE
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OutputError(f"{path}: can't be read ({error.strerror}). Check its permissions.") from error
    except ValueError as error:
        raise ArchiveError(f"{path}: is damaged ({error}). Name another folder with --out.") from error
    if not isinstance(loaded, dict):
        raise ArchiveError(f"{path}: is damaged (it holds no object). Name another folder with --out.")
    return loaded


def _differences(old: Any, new: Any, name: str = "") -> dict[str, tuple[Any, Any]]:
    """Find what differs between two nested objects, by dotted names."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        found: dict[str, tuple[Any, Any]] = {}
        for key in {*old, *new}:
            found |= _differences(old.get(key), new.get(key), f"{name}.{key}" if name else str(key))
        return found
    return {} if old == new else {name: (old, new)}


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return f"{len(value)} values"
    if isinstance(value, str) and len(value) == 64:
        return value[:12]
    return "nothing" if value is None else str(value)
