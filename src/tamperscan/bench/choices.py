"""Choosing a few of many: always the same ones, and none because of what it shows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from tamperscan.bench.cases import Case


def some(cases: Sequence[Case], most: int | None) -> tuple[Case, ...]:
    """Choose at most so many cases, by the hashes of their names, in their order; all if None."""
    if most is None or len(cases) <= most:
        return tuple(cases)
    chosen = {case.name for case in sorted(cases, key=_hash)[:most]}
    return tuple(case for case in cases if case.name in chosen)


def _hash(case: Case) -> str:
    return hashlib.sha256(case.name.encode()).hexdigest()
