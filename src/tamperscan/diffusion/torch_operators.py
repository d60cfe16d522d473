"""The ONNX operators that our networks are made of, in torch.

Each function is named and called as ONNX has it: inputs by place, attributes by name. An attribute that is not among
its parameters can't be followed. Shapes are tuples of numbers rather than tensors, so that nothing waits for a device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

Shape = tuple[int, ...]


def _shape(x: Tensor, *, start: int = 0, end: int | None = None) -> Shape:
    return tuple(x.shape)[start:end]


def _concat(*parts: Any, axis: int) -> Any:
    return sum(parts, ()) if isinstance(parts[0], tuple) else torch.cat(parts, axis)


def _product(left: Any, right: Any) -> Any:
    return _each(left, right, int.__mul__) if isinstance(left, tuple) else left * right


def _quotient(left: Any, right: Any) -> Any:
    return _each(left, right, int.__floordiv__) if isinstance(left, tuple) else left / right


def _each(left: Shape, right: Shape, work: Callable[[int, int], int]) -> Shape:
    return tuple(work(one, other) for one, other in zip(left, right, strict=True))


def _sum(left: Any, right: Any) -> Any:
    return left + right


def _difference(left: Any, right: Any) -> Any:
    return left - right


def _reshape(x: Tensor, shape: Shape, *, allowzero: int = 0) -> Tensor:
    kept = [x.shape[place] if size == 0 and not allowzero else size for place, size in enumerate(shape)]
    return x.reshape(kept)


def _expand(x: Tensor, shape: Shape) -> Tensor:
    return x.broadcast_to(torch.broadcast_shapes(x.shape, shape))  # type: ignore[no-untyped-call]


def _unsqueeze(x: Tensor, axes: Shape) -> Tensor:
    rank = x.ndim + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


def _transpose(x: Tensor, *, perm: Shape) -> Tensor:
    return x.permute(perm)


def _split(x: Tensor, *, num_outputs: int, axis: int = 0) -> tuple[Tensor, ...]:
    return x.chunk(num_outputs, axis)


def _gemm(
    a: Tensor, b: Tensor, c: Tensor, *, alpha: float = 1.0, beta: float = 1.0, transA: int = 0, transB: int = 0
) -> Tensor:
    return torch.addmm(c, a.T if transA else a, b.T if transB else b, alpha=alpha, beta=beta)


def _conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    kernel_shape: Shape,
    pads: Shape = (0, 0, 0, 0),
    strides: Shape = (1, 1),
    dilations: Shape = (1, 1),
    group: int = 1,
    auto_pad: str = "NOTSET",
) -> Tensor:
    return functional.conv2d(x, weight, bias, strides, _even_padding(pads, auto_pad), dilations, group)


def _average_pool(
    x: Tensor,
    *,
    kernel_shape: Shape,
    pads: Shape = (0, 0, 0, 0),
    strides: Shape = (1, 1),
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    auto_pad: str = "NOTSET",
) -> Tensor:
    padding = _even_padding(pads, auto_pad)
    return functional.avg_pool2d(x, kernel_shape, strides, padding, bool(ceil_mode), bool(count_include_pad))


def _even_padding(pads: Shape, auto_pad: str) -> Shape:
    if pads[:2] != pads[2:] or auto_pad != "NOTSET":
        raise ValueError(f"padding {pads} with auto_pad {auto_pad} is not known")
    return pads[:2]


def _pad(x: Tensor, pads: Shape, *, mode: str) -> Tensor:
    (*others, rows_before, columns_before), (*more, rows_after, columns_after) = pads[: x.ndim], pads[x.ndim :]
    if mode != "edge" or any(others) or any(more):
        raise ValueError(f"padding {pads} of mode {mode} is not known")
    return functional.pad(x, (columns_before, columns_after, rows_before, rows_after), mode="replicate")


def _depth_to_space(x: Tensor, *, blocksize: int, mode: str = "DCR") -> Tensor:
    if mode != "CRD":
        raise ValueError(f"mode {mode} is not known")
    if x.is_contiguous():
        return functional.pixel_shuffle(x, blocksize)
    # torch's own would leave an image of channels last with its channels first, and each later step would turn it back.
    count, channels, rows, columns = x.shape
    blocks = x.permute(0, 2, 3, 1).reshape(count, rows, columns, channels // blocksize**2, blocksize, blocksize)
    pixels = blocks.permute(0, 1, 4, 2, 5, 3).reshape(count, rows * blocksize, columns * blocksize, -1)
    return pixels.permute(0, 3, 1, 2)


OPERATORS: Final[dict[str, Callable[..., Any]]] = {
    "Add": _sum,
    "Asinh": torch.asinh,
    "AveragePool": _average_pool,
    "Concat": _concat,
    "Conv": _conv,
    "Cos": torch.cos,
    "DepthToSpace": _depth_to_space,
    "Div": _quotient,
    "Expand": _expand,
    "Gemm": _gemm,
    "Log": torch.log,
    "Mul": _product,
    "Pad": _pad,
    "Relu": torch.relu,
    "Reshape": _reshape,
    "Shape": _shape,
    "Sin": torch.sin,
    "Split": _split,
    "Sub": _difference,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
