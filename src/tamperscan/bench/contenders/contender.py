"""What a contender is: something that learns from authentic images and gives every pixel of an image a number."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
Report = Callable[[float, float], None]


class Authentic(Protocol):
    """Authentic crops to learn from, the same for every contender."""

    modality: str

    def draw(self, rng: np.random.Generator, count: int, side: int) -> Image:
        """Return float32 ``[count, row, column]``: squares of ``side`` pixels around places in lung or body.

        Values are in bench units: HU for CT; for MR the signal scaled so that the scan's 99.9th percentile is 1000.
        """
        ...


@dataclass(frozen=True)
class Budget:
    """What each contender may spend on learning.

    Attributes
    ----------
    seconds
        CPU seconds of the training process (on a GPU: seconds), the same for all. Contenders that need less stop.
    seed
        Of weights and crops.
    """

    seconds: float
    seed: int = 0


class Contender(Protocol):
    """A detector that is measured.

    Attributes
    ----------
    name
        As in tables.
    settings
        Everything that decides its result, apart from scans and budget; plain values. Trained contenders are cached
        by the hash of it.
    source
        Who described it: paper and section.
    """

    name: str
    settings: Mapping[str, Any]
    source: str

    def learn(self, authentic: Authentic, budget: Budget, folder: Path, report: Report) -> Mapping[str, Any]:
        """Learn from authentic images, or go on from what ``folder`` holds of an interrupted run.

        Returns plain facts for the record: steps, crops, loss, seconds. Called once, before `energy`. A contender
        that learns nothing returns an empty mapping. ``report`` is called with (seconds spent, seconds in all).
        """
        ...

    def load(self, folder: Path) -> None:
        """Take up what `learn` left in ``folder``."""
        ...

    def energy(self, image: Image, spacing_mm: tuple[float, float]) -> Image:
        """Return float32 ``[row, column]``, not negative: how much the contender makes of each pixel.

        ``image`` is one slice (or a patch of one) of any size in bench units. Whether much or little is suspicious is
        learned afterwards, from authentic calibration scans. Same image, same result.
        """
        ...


def settings_hash(contender: Contender, **more: Any) -> str:
    """Return 16 hexadecimal digits that name a contender's settings, and whatever else decides what it learns."""
    told = json.dumps({"name": contender.name, **contender.settings, **more}, sort_keys=True, default=str)
    return hashlib.sha256(told.encode()).hexdigest()[:16]
