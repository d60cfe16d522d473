"""What a contender has learned, as one file: tensors, and plain facts beside them. Whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from tamperscan.errors import BenchError
from tamperscan.files import make_folder, write_file

LEARNED_FILE = "learned.safetensors"
STATE_FILE = "state.safetensors"

Arrays = dict[str, NDArray[Any]]


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> None:
    """Write arrays and facts in one step: a kill leaves the old ones or the new."""
    make_folder(path.parent)
    whole = {name: np.asarray(value, order="C") for name, value in arrays.items()}
    write_file(path, save(whole, metadata={"facts": json.dumps(dict(facts))}))


def read_arrays(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """Read what `write_arrays` wrote: (arrays, facts).

    Raises
    ------
    BenchError
        If the file is missing or damaged.
    """
    try:
        with safe_open(path, framework="numpy") as stored:
            facts = json.loads(stored.metadata()["facts"])
            return {name: stored.get_tensor(name) for name in stored.keys()}, facts  # noqa: SIM118
    except (SafetensorError, OSError, TypeError, KeyError, ValueError) as error:
        raise BenchError(
            f"{path}: can't be read as what a contender learned ({error}). Remove it to learn anew."
        ) from error


def learned_facts(folder: Path, settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the facts of a finished learning, or None where there is none.

    Parameters
    ----------
    folder
        Of the contender.
    settings
        What it was to learn with.

    Raises
    ------
    BenchError
        If it was learned with other settings.
    """
    path = folder / LEARNED_FILE
    if not path.exists():
        return None
    facts = read_arrays(path)[1]
    require_same(path, facts.pop("settings", None), settings)
    return facts


def require_same(path: Path, found: object, wanted: Mapping[str, Any]) -> None:
    """Refuse what was learned with other settings; both sides are compared as JSON."""
    if found != json.loads(json.dumps(dict(wanted))):
        raise BenchError(f"{path}: was learned with other settings or another budget. Choose another folder.")
