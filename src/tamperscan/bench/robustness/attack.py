"""An attacker who has the detector: a few HU that lower or raise its score, along the gradient.

Projected gradient descent within a largest change of each pixel (Madry et al. 2018, arXiv 1706.06083), on the part of
the score that `torch_score` can differentiate. What comes out is rounded to whole HU, as its file would hold it, and
judged by the real detector.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Final, Literal, get_args

import numpy as np
import torch

from tamperscan.bench.robustness.copies import NetworkCopies
from tamperscan.bench.robustness.subjects import Image, TestSlice
from tamperscan.bench.robustness.torch_score import TorchScore, frame_of
from tamperscan.bench.robustness.treatments import Treatment
from tamperscan.detect.detector import Detector
from tamperscan.detect.heads import TYPICALITY_FILE, read_combination
from tamperscan.detect.measure import SliceMeter
from tamperscan.detect.typicality import Typicality
from tamperscan.diffusion.hardware import fast_at_bf16
from tamperscan.diffusion.predictor import NoisePredictor
from tamperscan.errors import BenchError, ForgeError
from tamperscan.scan.windows import IntensityWindow

Aim = Literal["lower", "raise"]
AIMS: Final[tuple[Aim, ...]] = get_args(Aim)
LIMITS_HU: Final = (1, 2, 4)
_STEPS: Final = 6
# Together the steps reach this many times as far as the limit.
_REACH: Final = 2.5


class Attacker:
    """Attacks the head "combined" of a detector.

    Parameters
    ----------
    detector
        Whose weights it has.
    threads
        CPU threads.

    Raises
    ------
    BenchError
        If the detector has no such head, or no window.
    WeightsError
        If its networks can't be read.
    """

    def __init__(self, detector: Detector, threads: int | None = None) -> None:
        weights, card = detector.weights, detector.card
        if detector.head != "combined" or card.window is None:
            raise BenchError(f"{detector.name}: only a CT detector with the head 'combined' is attacked.")
        self.window = IntensityWindow(*card.window)
        levels = [level / self.window.units_per_model_unit for level in card.levels_hu]
        self.networks = NetworkCopies(weights, levels)
        self._meter = SliceMeter(NoisePredictor(weights, threads=threads, precision="float32"), card)
        self._typicality = Typicality.from_dict(json.loads((weights.folder / TYPICALITY_FILE).read_text()))
        self._combination = read_combination(weights)

    def score_of(self, subject: TestSlice) -> tuple[TorchScore, tuple[slice, slice]]:
        """Return the score of a slice in torch, and the part of the slice that it is of.

        Raises
        ------
        ForgeError
            If there is nothing to look at.
        """
        look = self._meter.look(subject.image, subject.spacing_mm)
        if look is None:
            raise ForgeError(f"{subject.scan.name}: too little lung to attack.")
        frame = frame_of(look, self._typicality, subject.spacing_mm)
        return TorchScore(self.networks, self.window, self._combination, frame), look.box

    def attack(self, subject: TestSlice, *, aim: Aim, limit_hu: float) -> Image:
        """Change a slice by at most so many HU a pixel, so that its highest suspicion falls or rises.

        Returns
        -------
        float32 ``[row, column]`` in HU.

        Raises
        ------
        ForgeError
            If there is nothing to attack.
        """
        score, box = self.score_of(subject)
        change = torch.zeros_like(score.hu, requires_grad=True)
        for _ in range(_STEPS):
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=fast_at_bf16()):
                # A soft maximum: every high place gets its part of the gradient.
                (slope,) = torch.autograd.grad(score.places(score.hu + change).logsumexp(0), change)
            step = slope.sign() * (limit_hu * _REACH / _STEPS) * (1.0 if aim == "raise" else -1.0)
            change = (change.detach() + step).clamp(-limit_hu, limit_hu).requires_grad_(True)
        attacked = subject.image.copy()
        attacked[box] += np.rint(change.detach().numpy())
        return attacked

    def treatments(self) -> list[Treatment]:
        """Return an attack for each aim and limit."""
        return [
            Treatment(
                f"attack-{aim}-{limit}",
                f"gradient attack within {limit} HU that {_DOES[aim]} the score",
                partial(self.attack, aim=aim, limit_hu=float(limit)),
                slow=True,
                of_detector=True,
            )
            for aim in AIMS
            for limit in LIMITS_HU
        ]


_DOES: Final = {"lower": "lowers", "raise": "raises"}
