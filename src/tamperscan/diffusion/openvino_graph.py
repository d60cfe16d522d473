"""Our networks' graphs made ready for OpenVINO: what comes before the first convolution cut off, the rest folded.

The exported graphs keep the noise level as an input and all sizes free. With the level and the number of images known,
every scale and shift that the level steers is a number, and OpenVINO multiplies them into the convolutions' weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Sides that sizes are worked out with before they are set free again; multiples of any network's stride.
_EXAMPLE_SIDE = 64
_LEVEL = "level"
# Side of the blocks that pixel shuffling makes of channels.
_BLOCK = 2


@dataclass(frozen=True)
class SplitModel:
    """A network in two parts.

    Attributes
    ----------
    front
        From the network's inputs to what its first convolutions see.
    body
        From there to its output; the one input is of any rows and columns.
    """

    front: Any
    body: Any


def split_network(openvino: ModuleType, model: Any, level: float) -> SplitModel | None:
    """Cut a network before its first convolutions, for one image at one level.

    Parameters
    ----------
    openvino
        The module.
    model
        As read from a file; it is used up.
    level
        For its input ``level``, where it has one.

    Returns
    -------
    SplitModel or None
        None where the first convolutions don't all see the same.
    """
    for parameter in [each for each in model.get_parameters() if _LEVEL in each.output(0).get_names()]:
        parameter.output(0).replace(openvino.opset13.constant(np.array([level], np.float32)).output(0))
        model.remove_parameter(parameter)
    model.reshape({each: _with_sides(each, _EXAMPLE_SIDE) for each in model.inputs})
    _fold_constants(openvino, model)
    stems = _stems(model)
    if not stems:
        return None
    seen = stems[0].input_value(0)
    front = openvino.Model([seen], model.get_parameters(), "front").clone()
    entry = openvino.opset13.parameter([1, stems[0].input_value(1).get_shape()[1], -1, -1], np.float32)
    for stem in stems:
        stem.input(0).replace_source_output(entry.output(0))
    _shuffle_whole_pixels(openvino.opset13, model)
    return SplitModel(front, openvino.Model(model.get_results(), [entry], "body"))


def _with_sides(entry: Any, side: int) -> list[int]:
    channels = entry.get_partial_shape()[1].get_length()
    return [1, channels, side, side]


def _fold_constants(openvino: ModuleType, model: Any) -> None:
    manager = openvino.passes.Manager()
    manager.register_pass(openvino.passes.ConstantFolding())
    manager.run_passes(model)


def _stems(model: Any) -> list[Any]:
    """Return the convolutions that see the input by way of no other; empty where they don't all see the same."""
    stems: list[Any] = []
    below: set[str] = set()
    for node in model.get_ordered_ops():
        sources = {source.get_node().get_friendly_name() for source in node.input_values()}
        if sources & below:
            below.add(node.get_friendly_name())
        elif node.get_type_name() == "Convolution":
            below.add(node.get_friendly_name())
            stems.append(node)
    seen = {stem.input_value(0).get_node().get_friendly_name() for stem in stems}
    return stems if len(seen) == 1 else []


def _shuffle_whole_pixels(ops: ModuleType, model: Any) -> None:
    """Sort the channels before each pixel shuffling by two so that it moves all channels of a pixel together.

    They lie side by side in memory; in the order that the network was trained in, a shuffling picks every fourth.
    """
    for shuffle in [node for node in model.get_ordered_ops() if node.get_type_name() == "DepthToSpace"]:
        bias = shuffle.input_value(0).get_node()
        convolution = bias.input_value(0).get_node()
        constants = [node.input_value(1).get_node() for node in (convolution, bias) if node.get_input_size() == 2]
        kinds = [node.get_type_name() for node in (convolution, bias, *constants)]
        if kinds != ["Convolution", "Add", "Constant", "Constant"]:
            continue
        for node, axis in ((convolution, 0), (bias, 1)):
            node.input(1).replace_source_output(ops.constant(_sorted(node.input_value(1), axis)).output(0))
        shuffle.output(0).replace(ops.depth_to_space(bias.output(0), "blocks_first", _BLOCK).output(0))


def _sorted(constant: Any, axis: int) -> NDArray[np.float32]:
    """Sort a constant from (channel, place in the block) to (place in the block, channel) along one axis."""
    values = np.asarray(constant.get_node().get_data(), np.float32)
    order = np.arange(values.shape[axis]).reshape(-1, _BLOCK * _BLOCK).T.ravel()
    return np.ascontiguousarray(np.take(values, order, axis=axis))
