"""Our packaged detector as a contender: its suspicion map, slice by slice."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tamperscan.bench.contenders.contender import Authentic, Budget, Image, Report
from tamperscan.data import weights_path
from tamperscan.detect.detector import Detector
from tamperscan.diffusion.weights import open_weights
from tamperscan.scan.volume import Scan


class Ours:
    """The packaged detector for chest CT, which learned before: the energy is its suspicion, 0 outside the lungs.

    Attributes
    ----------
    finished
        True: more energy is more suspicious, and nothing about that is left to be learned.
    """

    name = "tamperscan"
    source = "this package: docs/explanation/method.md and docs/model-card-ct.md"
    finished = True

    def __init__(self) -> None:
        self._weights = open_weights(weights_path("ct"))
        self._detector: Detector | None = None
        self.settings: Mapping[str, Any] = {"weights_sha256": self._weights.sha256}

    def learn(self, authentic: Authentic, budget: Budget, folder: Path, report: Report) -> Mapping[str, Any]:
        """Learn nothing: the packaged weights were trained and calibrated before."""
        return {}

    def load(self, folder: Path) -> None:
        """Take up nothing."""

    def energy(self, image: Image, spacing_mm: tuple[float, float]) -> Image:
        """Return the suspicion of a slice that is screened by itself, ``[row, column]``."""
        if self._detector is None:
            self._detector = Detector(self._weights, threads=torch.get_num_threads())
        suspicion: Image = self._detector.screen(_one_slice(image, spacing_mm)).suspicion[0]
        return suspicion


def _one_slice(image: Image, spacing_mm: tuple[float, float]) -> Scan:
    """Make an axial scan of a single slice; how thick it is does not matter to its suspicion."""
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = 1.0, spacing_mm[0], spacing_mm[1], 1.0
    return Scan(image[None].astype(np.float32), (1.0, *spacing_mm), "CT", "slice", affine=affine)
