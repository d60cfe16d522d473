"""From a trained network to weights that run without torch: ONNX and safetensors, never a pickle."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from tamperscan.diffusion.runtime import onnxruntime
from tamperscan.diffusion.unet import LocalUNet, LocalUNetSettings
from tamperscan.diffusion.weights import NETWORK_FILE, Card, Weights, write_card
from tamperscan.errors import WeightsError
from tamperscan.files import make_folder, write_file

SAFETENSORS_FILE = "network.safetensors"
_OPSET = 18
# Float32 sums in another order; a real fault of an export is orders of magnitude larger.
_TOLERANCE = 1e-3


def export_weights(network: nn.Module, card: Card, folder: Path, *, safetensors: bool = True) -> Weights:
    """Write a network and its card as a folder of weights.

    Parameters
    ----------
    network
        A `LocalUNet` or `PublishedUNet` on the CPU.
    card
        What it is; its ``files`` are filled in here.
    folder
        Made if missing.
    safetensors
        Also write the parameters as safetensors, to train on from or to load in torch.

    Raises
    ------
    WeightsError
        If the exported network does not give what the network gives.
    """
    make_folder(folder)
    network = network.eval()
    names = [NETWORK_FILE]
    _export_onnx(network, card, folder / NETWORK_FILE)
    _compare(network, card, folder / NETWORK_FILE)
    if safetensors:
        tensors = {name: value.contiguous() for name, value in network.state_dict().items()}
        # Its own way to write a file gives it to this user alone, and weights are often shared.
        write_file(folder / SAFETENSORS_FILE, save(tensors))
        names.append(SAFETENSORS_FILE)
    return write_card(folder, card.model_copy(update={"files": dict.fromkeys(names, "")}))


def _example(network: nn.Module, card: Card, count: int, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand((count, 1, side, side), generator=generator) * 2 - 1
    level = torch.full((count,), 0.02 if card.kind == "low-noise" else 0.0)
    return image, level


def _export_onnx(network: nn.Module, card: Card, path: Path) -> None:
    image, level = _example(network, card, 2, card.crop_px)
    count = torch.export.Dim("n", min=1, max=4096)
    image_dims: dict[int, Any] = {0: count}
    if isinstance(network, LocalUNet):
        # Rows and columns are free too, in steps of the network's stride.
        steps = [torch.export.Dim(name, min=2, max=1024) for name in ("rows_by_stride", "columns_by_stride")]
        image_dims |= {2: network.stride * steps[0], 3: network.stride * steps[1]}
    export_onnx(network, (image, level), (image_dims, {0: count}), path, inputs=["image", "level"], output="noise")


def export_onnx(
    network: nn.Module,
    example: tuple[torch.Tensor, ...],
    dims: tuple[dict[int, Any], ...],
    path: Path,
    *,
    inputs: list[str],
    output: str,
) -> None:
    """Write a network as ONNX, without the exporter's notes.

    Parameters
    ----------
    network
        On the CPU.
    example
        Inputs to trace it with.
    dims
        For each input its free dimensions.
    path
        The file to write.
    inputs, output
        Names.
    """
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network,
            example,
            input_names=inputs,
            output_names=[output],
            opset_version=_OPSET,
            dynamo=True,
            dynamic_shapes=dims,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    _strip_notes(model)
    write_file(path, model.SerializeToString())


def _strip_notes(model: onnx.ModelProto) -> None:
    """Take the exporter's notes out: stack traces that name the machine's folders, and half of the file's names."""
    graph = model.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""


def _compare(network: nn.Module, card: Card, path: Path) -> None:
    side = card.crop_px + (network.stride if isinstance(network, LocalUNet) else 0)
    image, level = _example(network, card, 1, side)
    with torch.inference_mode():
        wanted = network(image, level).numpy()
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    got = session.run(None, {"image": image.numpy(), "level": level.numpy()})[0]
    gap = float(np.abs(got - wanted).max()) / max(1.0, float(np.abs(wanted).max()))
    if not gap < _TOLERANCE:
        raise WeightsError(f"{path}: the exported network differs from the trained one by {gap:.2g} of its range.")


def read_local_unet(folder: Path) -> LocalUNet:
    """Load the parameters of a `LocalUNet` that `export_weights` wrote.

    Raises
    ------
    WeightsError
        If they are missing, or of another network.
    """
    path = folder / SAFETENSORS_FILE
    try:
        tensors = load_file(path)
        network = LocalUNet(_settings_of(tensors))
        network.load_state_dict(tensors)
    except (OSError, SafetensorError, RuntimeError, KeyError) as error:
        raise WeightsError(
            f"{path}: can't be read as a local network ({error}). Give weights made by 'tamperscan train'."
        ) from error
    return network


def _settings_of(tensors: dict[str, torch.Tensor]) -> LocalUNetSettings:
    """Read the widths and depth of a network off its tensors."""
    depths = len({name.split(".")[1] for name in tensors if name.startswith("down_blocks.")})
    blocks = len({name.split(".")[3] for name in tensors if name.startswith("down_blocks.0.")})
    widths = tuple(tensors[f"down_blocks.{depth}.blocks.0.first.weight"].shape[0] for depth in range(depths))
    channels, outputs = tensors["stem.weight"].shape[1] // 8, tensors["head.weight"].shape[0] // 4
    return LocalUNetSettings(widths, blocks, channels, outputs)
