"""The noise predictor of a detector, asked in HU: the run-time network for maps, torch for gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from tamperscan.bench.places import Map
from tamperscan.diffusion.predictor import NoisePredictor
from tamperscan.diffusion.unet import LocalUNet
from tamperscan.diffusion.weights import Card, Weights
from tamperscan.errors import BenchError
from tamperscan.scan.windows import IntensityWindow

SAFETENSORS_FILE = "network.safetensors"

Maps = NDArray[np.float32]
Predict = Callable[[Map, Sequence[float]], Maps]
"""Takes an image in HU and noise levels in HU, gives the standardised noise ``[level, row, column]``."""


def hu_predictor(weights: Weights) -> Predict:
    """Return the run-time noise predictor, asked in HU.

    Raises
    ------
    BenchError
        If the weights are not those of a low-noise network.
    """
    window = check_card(weights.card)
    predictor = NoisePredictor(weights, precision="float32")  # as the other way runs it

    def predict(hu: Map, levels_hu: Sequence[float]) -> Maps:
        levels = np.array(levels_hu, dtype=np.float32) / np.float32(window.units_per_model_unit)
        return predictor.predict(window.to_model(hu), levels)

    return predict


@dataclass(frozen=True, eq=False)
class TorchPredictor:
    """The same network in torch, through which gradients flow.

    Attributes
    ----------
    network
        In evaluation mode, its parameters without gradients.
    window
        Maps HU to model units.
    levels_hu
        Noise levels that the detector asks at.
    """

    network: torch.nn.Module
    window: IntensityWindow
    levels_hu: tuple[float, ...]

    def squares(self, image: torch.Tensor) -> torch.Tensor:
        """Return ``[row, column]``: the predicted noise's square, averaged over the levels.

        Parameters
        ----------
        image
            ``[row, column]`` in HU; rows and columns multiples of the network's stride.
        """
        middle, scale = self.window.level, self.window.units_per_model_unit
        model = ((image - middle) / scale).clamp(-1.0, 1.0)
        levels = torch.tensor(self.levels_hu, dtype=image.dtype) / scale
        noise = self.network(model.expand(len(levels), 1, *image.shape), levels)
        mean: torch.Tensor = noise.square().mean(dim=(0, 1))
        return mean


def torch_predictor(weights: Weights) -> TorchPredictor:
    """Load the network of a folder of weights in torch.

    Raises
    ------
    BenchError
        If the weights are not those of a low-noise network, or lack the file that torch can load.
    """
    window = check_card(weights.card)
    if SAFETENSORS_FILE not in weights.card.files:
        raise BenchError(
            f"{weights.folder}: holds no {SAFETENSORS_FILE}, and gradients need it. "
            "Give weights made by 'tamperscan train'."
        )
    network = LocalUNet()
    _load(network, weights.folder / SAFETENSORS_FILE)
    return TorchPredictor(network.requires_grad_(False).eval(), window, weights.card.levels_hu)


def check_card(card: Card) -> IntensityWindow:
    """Return a card's window.

    Raises
    ------
    BenchError
        If the network is not told its noise level in HU.
    """
    if card.kind != "low-noise" or card.window is None or not card.levels_hu:
        raise BenchError(
            f"{card.name}: can't be explained, as its network is not told a noise level in HU. "
            "Give the packaged detector, or one made by 'tamperscan train --preset low-noise-ct'."
        )
    return IntensityWindow(*card.window)


def _load(network: torch.nn.Module, path: Path) -> None:
    try:
        network.load_state_dict(load_file(path))
    except RuntimeError as error:  # what torch raises for other names or shapes
        raise BenchError(f"{path}: is of another make of network ({error}). Give other weights.") from error
