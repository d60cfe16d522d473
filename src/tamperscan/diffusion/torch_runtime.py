"""torch on an NVIDIA GPU: the same networks in bfloat16, each size of image recorded once as a CUDA graph.

A network is more than a hundred short steps, each of which the processor would have to start under Python's lock. A
recorded graph is started as one.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tamperscan.diffusion.torch_graph import read_torch_graph
from tamperscan.errors import WeightsError

Tensors = tuple[Tensor, ...]
Program = Callable[[Tensors], Tensor]
"""Runs a network on its device, given inputs in the host's memory."""
Capture = Callable[[nn.Module, Tensors], Program]
"""Records a network as a program, given inputs on its device that are the program's own."""

# Boxes around regions come in a dozen sizes or two; each recorded one keeps its inputs and outputs on the GPU.
MOST_PROGRAMS: Final = 32
# Libraries choose their algorithms and take their memory in the first runs, which can't be recorded.
_RUNS_BEFORE = 2
# From this compute capability on GPUs multiply bfloat16.
_BFLOAT16_SINCE = (8, 0)

# Recording allows for no other, and so do the settings of torch that hold for the whole process.
_enqueueing = threading.Lock()


def capture_graph(module: nn.Module, inputs: Tensors, *, pool: Any) -> Program:
    """Record a network as a CUDA graph on the current stream.

    Parameters
    ----------
    module
        On the GPU.
    inputs
        On the GPU; the graph reads them at every run.
    pool
        Memory that graphs share which never run at the same time.

    Raises
    ------
    RuntimeError
        If it can't be recorded.
    """
    for _ in range(_RUNS_BEFORE):
        module.forward(*inputs)
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
    # Other threads lay inputs into pinned memory meanwhile, which a recording in the global mode would not survive.
    with torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
        output: Tensor = module.forward(*inputs)

    def program(given: Tensors) -> Tensor:
        for own, host in zip(inputs, given, strict=True):
            own.copy_(host, non_blocking=True)
        graph.replay()
        return output

    return program


class TorchNetwork:
    """A network run by torch.

    Parameters
    ----------
    path
        ONNX file.
    advice
        What to do where it can't be run, a sentence.
    precision
        ``"float32"``, without TF32; or ``"auto"`` for bfloat16 on a GPU that multiplies it.
    device
        ``"cpu"`` is for comparison; there are quicker runtimes for it.
    capture
        Records programs; None for CUDA graphs on a GPU and nothing on a CPU.

    Attributes
    ----------
    watch
        Entered around each run on the GPU's stream, so that it can be timed there.

    Raises
    ------
    WeightsError
        If the file is damaged or holds an operator that is not known, or the GPU can't be used.
    """

    wants_batches = True

    def __init__(
        self,
        path: Path,
        *,
        advice: str,
        precision: Literal["auto", "float32", "bfloat16"] = "auto",
        device: Literal["cuda", "cpu"] = "cuda",
        capture: Capture | None = None,
    ) -> None:
        on_gpu = device == "cuda"
        with _telling(path):
            if precision == "auto":
                fast = on_gpu and torch.cuda.get_device_capability() >= _BFLOAT16_SINCE
                precision = "bfloat16" if fast else "float32"
            graph = read_torch_graph(path, bfloat16=precision == "bfloat16", advice=advice)
            self._device, self._names, self._precision = torch.device(device), graph.names, precision
            self._module = graph.module.to(self._device)
            self._stream = torch.cuda.Stream() if on_gpu else None  # type: ignore[no-untyped-call]
            if on_gpu and capture is None:
                capture = partial(capture_graph, pool=torch.cuda.graph_pool_handle())
            self._capture, self._recorded = capture, capture is not None
            self._programs: OrderedDict[tuple[torch.Size, ...], Program] = OrderedDict()
            self.watch: Callable[[], AbstractContextManager[object]] = nullcontext
            self.runtime = self._describe()
            # What can't be recorded, or run at all, is told before the first slice.
            self.run({name: example.numpy() for name, example in zip(graph.names, graph.example, strict=True)})

    def run(self, inputs: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return the network's one output; may be called from several threads at a time."""
        given = tuple(self._in_reach(torch.from_numpy(np.ascontiguousarray(inputs[name]))) for name in self._names)
        with _enqueueing, torch.inference_mode(), self._settings():
            program = self._program(given)
            with self.watch():
                output = program(given)
                result = torch.empty(output.shape, dtype=output.dtype, pin_memory=self._stream is not None)
                result.copy_(output, non_blocking=True)
            done = None if self._stream is None else self._stream.record_event(_event())
        if done is not None:
            # Others enqueue theirs meanwhile.
            done.synchronize()
        array: NDArray[np.float32] = result.numpy()
        return array

    def _in_reach(self, tensor: Tensor) -> Tensor:
        """Lay a tensor where the GPU can fetch it by itself."""
        return tensor if self._stream is None else tensor.pin_memory()

    @contextmanager
    def _settings(self) -> Iterator[None]:
        """Choose the stream, and forbid convolutions in TF32."""
        with torch.cuda.stream(self._stream), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            yield

    def _program(self, given: Tensors) -> Program:
        """Return the program for the shapes of some inputs; the one that was not asked for longest is given up."""
        shapes = tuple(tensor.shape for tensor in given)
        if shapes in self._programs:
            self._programs.move_to_end(shapes)
            return self._programs[shapes]
        if len(self._programs) >= MOST_PROGRAMS:
            self._wait()
            self._programs.popitem(last=False)
        self._programs[shapes] = program = self._make(given)
        return program

    def _make(self, given: Tensors) -> Program:
        if self._capture is None:
            return self._step_by_step
        try:
            return self._capture(self._module, tuple(tensor.to(self._device, copy=True) for tensor in given))
        except RuntimeError:  # torch's class for all that a GPU reports
            self._capture = None
            self._wait()
            self._programs.clear()
            self.runtime = self._describe()
            return self._step_by_step

    def _step_by_step(self, given: Tensors) -> Tensor:
        output: Tensor = self._module.forward(*(tensor.to(self._device, non_blocking=True) for tensor in given))
        return output

    def _wait(self) -> None:
        if self._stream is not None:
            self._stream.synchronize()

    def _describe(self) -> str:
        where = "CPU" if self._stream is None else torch.cuda.get_device_name()
        words = [f"torch {torch.__version__}", self._precision, where]
        if self._recorded:
            words.append("CUDA graphs" if self._capture is not None else "without CUDA graphs")
        return ", ".join(words)


def _event() -> torch.cuda.Event:
    """Return an event that a thread waits for asleep: others have the processor's work to do."""
    return torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, AssertionError) as error:  # a GPU that is full or taken, a torch without CUDA
        told = " ".join(str(error).split())[:200]
        raise WeightsError(f"{path}: torch can't use the GPU ({told}). Choose the device cpu.") from error
