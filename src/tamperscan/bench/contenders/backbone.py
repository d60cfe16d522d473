"""A pretrained backbone from a file of one's own: which network it is, and its weights."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from tamperscan.errors import BenchError

ADVICE = "Give model.safetensors of timm's resnet18 or wide_resnet50_2."
# Of each network: a tensor that tells it from the others, and that tensor's first sides.
_SIGNS = {
    "resnet18": ("layer1.1.conv2.weight", (64, 64), "layer1.2.conv1.weight"),
    "wide_resnet50_2": ("layer1.0.conv1.weight", (128, 64), ""),
}


def read_backbone(path: Path) -> tuple[str, dict[str, Tensor]]:
    """Read a backbone and recognise its network.

    Parameters
    ----------
    path
        Safetensors file with the names of timm (and torchvision).

    Returns
    -------
    (str, dict)
        timm's name of the network, and its tensors.

    Raises
    ------
    BenchError
        If the file can't be read, or is of another network.
    """
    try:
        weights: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise BenchError(f"{path}: can't be read as a backbone ({error}). {ADVICE}") from error
    for name, (sign, sides, absent) in _SIGNS.items():
        if sign in weights and tuple(weights[sign].shape[:2]) == sides and absent not in weights:
            return name, weights
    raise BenchError(f"{path}: is of a network that is not known here. {ADVICE}")
