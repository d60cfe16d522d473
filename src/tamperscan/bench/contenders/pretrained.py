"""PaDiM and PatchCore through anomalib: what is unlike the features that authentic crops have in a pretrained network.

Nothing is downloaded: the backbone's weights are a safetensors file that the user gives.
"""

from __future__ import annotations

import contextlib
import io
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tamperscan.bench.contenders.backbone import ADVICE, read_backbone
from tamperscan.bench.contenders.contender import Authentic, Budget, Image, Report
from tamperscan.bench.contenders.images import cut_tiles, stitch_tiles, window_of
from tamperscan.bench.contenders.machine import clock
from tamperscan.bench.contenders.storage import LEARNED_FILE, learned_facts, read_arrays, write_arrays
from tamperscan.diffusion.weights import file_sha256
from tamperscan.errors import BenchError

TILE_PX = 96
PADIM_FEATURES = 100
# The smallest of the paper: the time to choose grows with the square of what there is to choose from.
PATCHCORE_SHARE = 0.01
_CROPS_A_CALL = 8
# Extraction ends here at the latest, so that fitting has its part of the budget.
_EXTRACTION_SHARE = 0.5
# What timm's backbones were trained with.
_MEAN = (0.485, 0.456, 0.406)
_SPREAD = (0.229, 0.224, 0.225)


class _Pretrained(ABC):
    """What both share: features of authentic crops are collected, then something is fitted to them."""

    name: str
    source: str
    layers: tuple[str, ...]
    kept: tuple[str, ...]
    most_crops: int

    def __init__(self, modality: str, backbone: Path, *, crops: int | None = None) -> None:
        self._window, self._backbone, self._crops = window_of(modality), backbone, crops or self.most_crops
        self._architecture, _ = read_backbone(backbone)
        self._model: Any = None
        self.settings: Mapping[str, Any] = {
            "window": [self._window.low, self._window.high],
            "backbone": self._architecture,
            "backbone_sha256": file_sha256(backbone),
            "layers": list(self.layers),
            "tile_px": TILE_PX,
            "crops": self._crops,
            **self.further_settings(),
        }

    @abstractmethod
    def further_settings(self) -> dict[str, Any]:
        """Return the settings that are its own."""

    @abstractmethod
    def make(self, architecture: str) -> Any:
        """Make anomalib's model around a backbone without weights."""

    @abstractmethod
    def fit(self, model: Any) -> None:
        """Fit to the features that the model has collected."""

    def learn(self, authentic: Authentic, budget: Budget, folder: Path, report: Report) -> Mapping[str, Any]:
        """Collect features and fit; what was interrupted starts anew."""
        told = {"name": self.name, **self.settings, "budget": budget.seconds, "seed": budget.seed}
        facts = learned_facts(folder, told)
        if facts is None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(budget.seed)
                model, facts = self._fitted(authentic, budget, report)
            arrays = {name: value.numpy() for name, value in model.state_dict().items() if name in self.kept}
            write_arrays(folder / LEARNED_FILE, arrays, {"settings": told, **facts})
        self.load(folder)
        return facts

    def load(self, folder: Path) -> None:
        """Take up what was learned; the backbone comes from its own file."""
        arrays, _ = read_arrays(folder / LEARNED_FILE)
        model = self._with_backbone()
        model.load_state_dict({name: torch.from_numpy(value) for name, value in arrays.items()}, strict=False)
        self._model = model.eval()

    @torch.inference_mode()
    def energy(self, image: Image, spacing_mm: tuple[float, float]) -> Image:
        """Return anomalib's anomaly map, ``[row, column]``."""
        tiles = cut_tiles(image, TILE_PX, TILE_PX)
        parts = [tiles[at : at + _CROPS_A_CALL] for at in range(0, len(tiles), _CROPS_A_CALL)]
        maps = np.concatenate([self._model(self._inputs(part)).anomaly_map[:, 0].numpy() for part in parts])
        return np.maximum(stitch_tiles(maps, image.shape, TILE_PX), np.float32(0.0))

    def _fitted(self, authentic: Authentic, budget: Budget, report: Report) -> tuple[Any, dict[str, Any]]:
        begun = clock()
        rng = np.random.default_rng(budget.seed)
        model = self._with_backbone().train()
        done = 0
        while done < self._crops and (done == 0 or clock() - begun < _EXTRACTION_SHARE * budget.seconds):
            count = min(_CROPS_A_CALL, self._crops - done)
            with torch.no_grad():
                model(self._inputs(authentic.draw(rng, count, TILE_PX)))
            done += count
            report(min(clock() - begun, budget.seconds), budget.seconds)
        self.fit(model)
        seconds = clock() - begun
        report(min(seconds, budget.seconds), budget.seconds)
        return model, {"steps": 1, "crops": done, "loss": None, "seconds": round(seconds, 2)}

    def _with_backbone(self) -> Any:
        architecture, weights = read_backbone(self._backbone)
        try:
            model = self.make(architecture)
        except (ImportError, RuntimeError) as error:  # what a torchvision of another build than torch's raises
            raise BenchError(
                f"anomalib can't be used ({error}). Install torch and torchvision of one build."
            ) from error
        network = model.feature_extractor.feature_extractor
        try:  # the file holds layers that are not needed, too
            network.load_state_dict({name: value for name, value in weights.items() if name in network.state_dict()})
        except RuntimeError as error:
            raise BenchError(f"{self._backbone}: does not fit {architecture} ({error}). {ADVICE}") from error
        return model

    def _inputs(self, crops: Image) -> Tensor:
        """Return crops as the backbone was trained to see photographs, ``[n, 3, row, column]``."""
        unit = torch.from_numpy(self._window.to_unit(crops))[:, None].expand(-1, 3, -1, -1)
        return (unit - torch.tensor(_MEAN)[:, None, None]) / torch.tensor(_SPREAD)[:, None, None]


class Padim(_Pretrained):
    """A Gaussian of features at each place of a tile; energy is the Mahalanobis distance.

    Parameters
    ----------
    modality
        ``"CT"`` or ``"MR"``.
    backbone
        Safetensors file of a pretrained backbone.
    crops
        Authentic crops at most; None for its own number.

    Raises
    ------
    BenchError
        If the backbone can't be used.
    """

    name = "padim"
    source = "Defard, Setkov, Loesch and Audigier: PaDiM. arXiv 2011.08785, section III; anomalib's model"
    layers = ("layer1", "layer2", "layer3")
    kept = ("idx", "gaussian.mean", "gaussian.inv_covariance")
    most_crops = 400

    def further_settings(self) -> dict[str, Any]:
        """Return how many features are kept."""
        return {"features": PADIM_FEATURES}

    def make(self, architecture: str) -> Any:
        """Make anomalib's PaDiM."""
        from anomalib.models.image.padim.torch_model import PadimModel

        return PadimModel(architecture, list(self.layers), pre_trained=False, n_features=PADIM_FEATURES)

    def fit(self, model: Any) -> None:
        """Fit the Gaussians."""
        model.fit()


class PatchCore(_Pretrained):
    """A bank of authentic features; energy is the distance to the nearest one.

    Parameters
    ----------
    modality, backbone, crops
        As for `Padim`.

    Raises
    ------
    BenchError
        If the backbone can't be used.
    """

    name = "patchcore"
    source = (
        "Roth et al.: Towards Total Recall in Industrial Anomaly Detection. arXiv 2106.08265, section 3; anomalib's"
        " model"
    )
    layers = ("layer2", "layer3")
    kept = ("memory_bank",)
    most_crops = 200

    def further_settings(self) -> dict[str, Any]:
        """Return how much of what is found goes to the bank."""
        return {"bank_share": PATCHCORE_SHARE}

    def make(self, architecture: str) -> Any:
        """Make anomalib's PatchCore."""
        from anomalib.models.image.patchcore.torch_model import PatchcoreModel

        return PatchcoreModel(list(self.layers), architecture, pre_trained=False, num_neighbors=1)

    def fit(self, model: Any) -> None:
        """Keep the features that stand for all others (greedy k-centre)."""
        with contextlib.redirect_stderr(io.StringIO()):  # it draws a progress bar
            model.subsample_embedding(PATCHCORE_SHARE)
