"""From an ONNX network to a torch module: the same operators, in float32 or with its convolutions in bfloat16.

In bfloat16 all that comes before the first convolution stays in float32, as with OpenVINO (`front`): a high-pass of
rounded values would lose the noise that is looked for. So does what is worked out of the noise level alone.
"""

from __future__ import annotations

import inspect
import operator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, fx, nn

from tamperscan.diffusion.torch_operators import OPERATORS
from tamperscan.errors import WeightsError

# A side that is a multiple of any network's stride.
_EXAMPLE_SIDE = 64
# A noise level as detectors have it, in model units; as a pixel it is nearly black.
_EXAMPLE_VALUE = 0.02


@dataclass(frozen=True)
class TorchGraph:
    """A network in torch.

    Attributes
    ----------
    module
        Called with the inputs in the order of their names; gives the network's one output in float32.
    names
        Of the inputs.
    example
        Inputs of the smallest kind that the network takes, on the CPU.
    """

    module: nn.Module
    names: tuple[str, ...]
    example: tuple[Tensor, ...]


def read_torch_graph(path: Path, *, bfloat16: bool, advice: str) -> TorchGraph:
    """Read an ONNX network as a torch module on the CPU.

    Parameters
    ----------
    path
        ONNX file.
    bfloat16
        Whether convolutions and what follows them are worked out in bfloat16, channels last.
    advice
        What to do where it can't be read, a sentence.

    Raises
    ------
    WeightsError
        If the file is damaged, or holds an operator that is not known.
    """
    try:
        # Whose weights these are is not known: other files that they name are not read.
        graph = onnx.load(path, load_external_data=False).graph
        module = _Conversion(graph, bfloat16).module()
        example = tuple(_example(entry) for entry in graph.input)
        with torch.inference_mode():
            module(*example)
    except Exception as error:  # protobuf and torch raise classes of many kinds, and any means that it can't be run
        told = " ".join(str(error).split())[:200]
        raise WeightsError(f"{path}: can't be run by torch ({told}). {advice}") from error
    return TorchGraph(module, tuple(entry.name for entry in graph.input), example)


def _example(entry: onnx.ValueInfoProto) -> Tensor:
    dims = [dim.dim_value for dim in entry.type.tensor_type.shape.dim]
    sizes = [size or (_EXAMPLE_SIDE if axis else 1) for axis, size in enumerate(dims)]
    return torch.full(sizes, _EXAMPLE_VALUE)


class _Conversion:
    """One network on its way from ONNX to torch.

    Parameters
    ----------
    graph
        As read; constants are initializers.
    bfloat16
        As for `read_torch_graph`.
    """

    def __init__(self, graph: onnx.GraphProto, bfloat16: bool) -> None:
        self._onnx, self._bfloat16 = graph, bfloat16
        self._constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self._root, self._graph = nn.Module(), fx.Graph()
        self._values: dict[str, fx.Node] = {}
        # Names of what is in bfloat16, and of what is a shape and no tensor.
        self._body: set[str] = set()
        self._shapes = {name for name, value in self._constants.items() if value.dtype == np.int64}

    def module(self) -> fx.GraphModule:
        """Convert it."""
        for entry in self._onnx.input:
            self._values[entry.name] = self._graph.placeholder(entry.name)
        for node in self._onnx.node:
            self._add(node)
        (output,) = self._onnx.output
        self._graph.output(self._graph.call_function(_as_float32, (self._values[output.name],)))
        self._graph.eliminate_dead_code()
        return fx.GraphModule(self._root, self._graph).eval().requires_grad_(False)

    def _add(self, node: onnx.NodeProto) -> None:
        work = None if node.domain else OPERATORS.get(node.op_type)
        if work is None:
            raise ValueError(f"the operator {node.domain}{'.' * bool(node.domain)}{node.op_type} is not known")
        in_body = self._bfloat16 and (node.op_type == "Conv" or not self._body.isdisjoint(node.input))
        if node.op_type == "Shape" or self._shapes.issuperset(node.input):
            self._shapes.update(node.output)
        elif in_body:
            self._body.update(node.output)
        arguments = tuple(self._argument(name, in_body) for name in node.input if name)
        attributes = {each.name: _plain(onnx.helper.get_attribute_value(each)) for each in node.attribute}
        _check_call(node.op_type, work, arguments, attributes)
        made = self._graph.call_function(work, arguments, attributes)
        if len(node.output) == 1:
            self._values[node.output[0]] = made
            return
        for place, name in enumerate(node.output):
            self._values[name] = self._graph.call_function(operator.getitem, (made, place))

    def _argument(self, name: str, in_body: bool) -> Any:
        """Return what a node is given: numbers, a weight in the node's number format, or another node's result."""
        if name in self._constants:
            value = self._constants[name]
            if name in self._shapes:
                return tuple(value.ravel().tolist())
            # A single number takes on the format of what it is added to or multiplied with.
            return self._weight(name, in_body and value.ndim > 0)
        if not in_body or name in self._body or name in self._shapes:
            return self._values[name]
        key = f"{name} in bfloat16"
        if key not in self._values:
            self._values[key] = self._graph.call_function(_as_bfloat16, (self._values[name],))
        return self._values[key]

    def _weight(self, name: str, in_body: bool) -> fx.Node:
        key = f"{name} {'in bfloat16' if in_body else 'in float32'}"
        if key not in self._values:
            weight = torch.from_numpy(self._constants[name].copy())
            buffer = f"weight_{len(self._values)}"
            self._root.register_buffer(buffer, _as_bfloat16(weight) if in_body else weight)
            self._values[key] = self._graph.get_attr(buffer)
        return self._values[key]


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    return tuple(value) if isinstance(value, list) else value


def _check_call(name: str, work: Any, arguments: tuple[Any, ...], attributes: dict[str, Any]) -> None:
    """Tell an operator that is called as ours is not: with another number of inputs, or an unknown attribute."""
    try:
        inspect.signature(work).bind(*arguments, **attributes)
    except TypeError as error:
        raise ValueError(f"the operator {name} is used in a way that is not known: {error}") from error
    except ValueError:  # torch's own functions tell no signature; they have one input and no attribute
        if len(arguments) != 1 or attributes:
            raise ValueError(f"the operator {name} is used in a way that is not known") from None


def _as_bfloat16(x: Tensor) -> Tensor:
    layout = torch.channels_last if x.ndim == 4 else torch.preserve_format
    return x.to(torch.bfloat16, memory_format=layout)


def _as_float32(x: Tensor) -> Tensor:
    return x.to(torch.float32, memory_format=torch.contiguous_format)
