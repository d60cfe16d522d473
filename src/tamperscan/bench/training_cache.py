"""Trained contenders, kept by what decides how they turn out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tamperscan.bench.authentic_crops import AuthenticCrops
from tamperscan.bench.contenders.contender import Budget, Contender, Report, settings_hash
from tamperscan.bench.document import plain
from tamperscan.files import make_folder, write_file

FACTS = "facts.json"


@dataclass(frozen=True)
class Trained:
    """A contender that is ready to be measured.

    Attributes
    ----------
    key
        Name and hash of settings, scans, budget and seed.
    facts
        What its training said of itself.
    reused
        Whether it was there from an earlier run.
    """

    key: str
    facts: Mapping[str, Any]
    reused: bool


def key_of(contender: Contender, data: str, budget: Budget) -> str:
    """Name a trained contender: its name, and a hash of everything that decides how it turns out."""
    hashed = settings_hash(contender, data=data, budget=budget.seconds, seed=budget.seed)
    return f"{contender.name}-{hashed}"


def make_ready(
    contender: Contender, authentic: AuthenticCrops, budget: Budget, folder: Path, report: Report
) -> Trained:
    """Train a contender, or take it from the cache.

    Training that was interrupted goes on where it was. The facts are written last: where they are, all is.

    Parameters
    ----------
    contender
        It is loaded and ready afterwards.
    authentic
        What it learns from.
    budget
        What it may spend.
    folder
        Of all trained contenders.
    report
        Called with (seconds spent, seconds in all).
    """
    key = key_of(contender, authentic.data, budget)
    place = folder / key
    facts = read_facts(place)
    reused = facts is not None
    if facts is None:
        make_folder(place)
        facts = plain(contender.learn(authentic, budget, place, report))
        write_file(place / FACTS, json.dumps(facts, indent=1).encode())
    contender.load(place)
    return Trained(key, facts or {}, reused)


def read_facts(place: Path) -> Mapping[str, Any] | None:
    """Return what a finished training said of itself, None if it is not finished."""
    try:
        facts = json.loads((place / FACTS).read_text())
    except (OSError, ValueError):
        return None
    return facts if isinstance(facts, dict) else None
