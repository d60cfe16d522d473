"""How much a network multiplies, and how much its layers read and write, counted in its file; needs onnx."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import onnx

from tamperscan.diffusion.runtime import onnxruntime

# Sides of the image that is counted with; the counts are given a pixel of it.
_SIDE = 256
_BYTES = 2  # of a number in bfloat16


@dataclass(frozen=True)
class Operations:
    """What one pass of a network takes for each pixel of the image.

    Attributes
    ----------
    flop
        Multiplications and additions of the convolutions, each counted.
    layer_bytes
        What the convolutions read and write in bfloat16 if each one's input and output goes through memory.
    edge_bytes
        What must go through memory at the least: the network's own inputs and outputs, in float32.
    """

    flop: float
    layer_bytes: float
    edge_bytes: float


def count_operations(path: Path) -> Operations:
    """Count what one pass takes for each pixel.

    Parameters
    ----------
    path
        ONNX file of a network whose inputs are images ``[n, channel, row, column]`` or levels ``[n]``.
    """
    model = onnx.load(path)
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    ends = [entry.name for entry in (*model.graph.input, *model.graph.output)]
    weights = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    shapes = _shapes(model, {name for node in convolutions for name in (node.input[0], node.output[0])})
    flop = sum(2 * prod(weights[node.input[1]]) * prod(shapes[node.output[0]][2:]) for node in convolutions)
    moved = sum(prod(shapes[node.input[0]]) + prod(shapes[node.output[0]]) for node in convolutions)
    edges = sum(prod(shapes[name]) for name in ends)
    pixels = _SIDE * _SIDE
    return Operations(flop / pixels, _BYTES * moved / pixels, 4 * edges / pixels)


def _shapes(model: onnx.ModelProto, names: set[str]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a network's inputs, outputs and chosen results, by running it on one blank image."""
    inputs = {entry.name: np.full(_sizes(entry), 0.02, np.float32) for entry in model.graph.input}
    wanted = sorted(names | {entry.name for entry in model.graph.output})
    model.graph.output.extend(
        onnx.helper.make_empty_tensor_value_info(name) for name in names - {entry.name for entry in model.graph.output}
    )
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = dict(zip(wanted, session.run(wanted, inputs), strict=True)) | inputs
    return {name: value.shape for name, value in found.items()}


def _sizes(entry: onnx.ValueInfoProto) -> list[int]:
    dims = entry.type.tensor_type.shape.dim
    return [1] if len(dims) == 1 else [1, dims[1].dim_value, _SIDE, _SIDE]
