"""The detector's networks in torch, through which gradients can be taken."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from tamperscan.detect.self_forged import HEAD_FILE
from tamperscan.diffusion.export import read_local_unet
from tamperscan.diffusion.head import ForgeryHead, HeadEnsemble, HeadSettings
from tamperscan.diffusion.unet import LocalUNet
from tamperscan.diffusion.weights import Weights
from tamperscan.errors import WeightsError


class NetworkCopies(nn.Module):
    """The noise predictor and the self-forged head of a detector.

    Parameters
    ----------
    weights
        With ``network.safetensors`` and a self-forged head.
    levels
        The detector's noise levels in model units.

    Raises
    ------
    WeightsError
        If they can't be read, or are of other networks.
    """

    def __init__(self, weights: Weights, levels: Sequence[float]) -> None:
        super().__init__()
        self.predictor: LocalUNet = read_local_unet(weights.folder)
        self.head = _read_head(weights, len(levels))
        self._levels = tuple(levels)
        self.eval().requires_grad_(False)
        # Half as long again without it.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, shown: Tensor) -> tuple[Tensor, Tensor]:
        """Predict noise, and the log-odds that each pixel was altered.

        Parameters
        ----------
        shown
            ``[1, 1, row, column]`` in model units; sides multiples of the networks' stride.

        Returns
        -------
        ``[level, row, column]``, ``[member, row, column]``.
        """
        levels = torch.tensor(self._levels, dtype=torch.float32)
        noise: Tensor = self.predictor(shown.expand(len(levels), -1, -1, -1), levels)
        odds: Tensor = self.head(shown, noise.transpose(0, 1))
        return noise[:, 0].float(), odds[0].float()


def _read_head(weights: Weights, levels: int) -> HeadEnsemble:
    """Put the tensors of the ONNX head back into its modules: the export keeps their names."""
    path = weights.folder / HEAD_FILE
    graph = onnx.load(path).graph
    tensors = {
        each.name: torch.from_numpy(np.array(numpy_helper.to_array(each)))
        for each in graph.initializer
        if each.name.startswith("members.") and not each.name.endswith("frequencies")
    }
    count = len({name.split(".")[1] for name in tensors})
    depths = len({name.split(".")[4] for name in tensors if ".down_blocks." in name})
    try:
        widths = tuple(
            tensors[f"members.0.network.down_blocks.{depth}.blocks.0.first.weight"].shape[0] for depth in range(depths)
        )
        settings = HeadSettings(levels_hu=(0.0,) * levels, widths=widths)
        ensemble = HeadEnsemble([ForgeryHead(settings) for _ in range(count)])
        ensemble.load_state_dict(tensors)
    except (KeyError, IndexError, RuntimeError) as error:
        raise WeightsError(f"{path}: is no head that can be attacked ({error}). Give the packaged detector.") from error
    return ensemble
