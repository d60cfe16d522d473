"""OpenVINO, where it is installed: the same networks in bfloat16 on processors that are fast at it.

It is imported here and nowhere else, after its package for telemetry was barred: a tool that reads patients' scans
reports to nobody.
"""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamperscan.diffusion.front import front
from tamperscan.diffusion.openvino_graph import split_network
from tamperscan.diffusion.runtime import usable_cores
from tamperscan.errors import WeightsError

_TELEMETRY = "openvino_telemetry"
_BFLOAT16 = "BF16"
# A network that is asked at more levels than a detector has is folded for the first ones only.
_MOST_LEVELS = 8
_NO_LEVEL, _ANY_LEVEL = 0.0, -1.0
# Float32 sums in another order; another front is orders of magnitude away.
_TOLERANCE = 1e-3

# Two threads that make first calls at a time can wait for each other for good: one holds Python's lock and waits for
# what OpenVINO's binding sets up only once, the other sets it up and waits for Python's lock.
_first_calls = threading.Lock()

Array = NDArray[np.float32]


@cache
def _openvino() -> ModuleType | None:
    """Return the module, None where it is not installed or can't be loaded."""
    # An import of None fails, and OpenVINO then goes on without.
    sys.modules.setdefault(_TELEMETRY, None)  # type: ignore[arg-type]
    try:
        import openvino
        import openvino.passes
    except (ImportError, OSError):
        return None
    module: ModuleType = openvino
    return module


@cache
def openvino_is_fast() -> bool:
    """Whether OpenVINO is installed and the processor multiplies bfloat16."""
    module = _openvino()
    return module is not None and _BFLOAT16 in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@cache
def _core() -> Any:
    module = _openvino()
    assert module is not None  # asked for only where it is
    return module.Core()


def _read_onnx(path: Path) -> Any:
    """Read a file as ONNX and nothing else: left to guess, OpenVINO tries readers of every format on it."""
    from openvino.frontend import FrontEndManager

    reader = FrontEndManager().load_by_framework("onnx")
    return reader.convert(reader.load(str(path)))


class OpenVinoNetwork:
    """A network in bfloat16, one image after the other.

    One of ours is split and folded (`openvino_graph`) for each level that it is asked at; any other is run as it is.

    Parameters
    ----------
    path
        ONNX file.
    threads
        CPU threads; None for one each core that this process may use.
    calls
        How many calls there will be at a time: they share the threads.
    advice
        What to do where it can't be run, a sentence.

    Raises
    ------
    WeightsError
        If the runtime can't load the network.
    """

    wants_batches = False

    def __init__(self, path: Path, *, threads: int | None, calls: int = 1, advice: str) -> None:
        module = _openvino()
        assert module is not None  # opened only where it is
        self._openvino, self._path, self._advice = module, path, advice
        threads = threads or usable_cores()
        self._threads = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": min(calls, threads)}
        self._forms: dict[float, _Form] = {}
        self._making = threading.Lock()
        with self._telling():
            _read_onnx(path)  # a damaged file is told now, not at the first slice
        self.runtime = f"OpenVINO {module.__version__.split('-')[0]}, bfloat16, CPU"

    def run(self, inputs: Mapping[str, Array]) -> NDArray[np.float32]:
        """Return the network's one output; may be called from several threads at a time."""
        count = len(next(iter(inputs.values())))
        each = [{name: values[index : index + 1] for name, values in inputs.items()} for index in range(count)]
        return np.concatenate([self._form(_level(one)).run(one) for one in each])

    def _form(self, level: float) -> _Form:
        """Return the network for a level, made at the first call; one for all levels where there are too many."""
        with self._making:
            if level not in self._forms and len(self._forms) >= _MOST_LEVELS:
                level = _ANY_LEVEL
            if level not in self._forms:
                with self._telling():
                    self._forms[level] = self._folded(level) or self._as_it_is()
            return self._forms[level]

    def _folded(self, level: float) -> _Form | None:
        model = _read_onnx(self._path)
        split = None if level == _ANY_LEVEL else split_network(self._openvino, model, level)
        if split is None or not self._is_ours(split.front, level):
            return None
        return _Form(self._compile(split.body, "bf16"), front)

    def _as_it_is(self) -> _Form:
        return _Form(self._compile(_read_onnx(self._path), "bf16"), None)

    def _is_ours(self, model: Any, level: float) -> bool:
        """Whether what comes before the first convolution is what `front` does, tried on noise."""
        rng = np.random.default_rng(0)
        inputs = {
            entry.get_any_name(): rng.normal(0.0, 0.5, entry.get_shape()).astype(np.float32) for entry in model.inputs
        }
        if "image" not in inputs or ("noise" not in inputs and level == _NO_LEVEL):
            return False
        wanted = _Form(self._compile(model, "f32"), None).run(inputs)
        got = front({**inputs, "level": np.array([level], np.float32)})
        return got.shape == wanted.shape and bool(np.abs(got - wanted).max() < _TOLERANCE)

    def _compile(self, model: Any, precision: str) -> Any:
        return _core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": precision, **self._threads})

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # OpenVINO's readers raise classes of their own
            told = " ".join(str(error).split())
            raise WeightsError(f"{self._path}: can't be run ({told}). {self._advice}") from error


def _level(inputs: Mapping[str, NDArray[np.float32]]) -> float:
    return float(inputs["level"][0]) if "level" in inputs else _NO_LEVEL


class _Form:
    """A compiled network, and what is done with an image before."""

    def __init__(self, compiled: Any, before: Callable[[Mapping[str, Array]], Array] | None) -> None:
        self._compiled, self._before = compiled, before
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.is_folded = before is not None
        self._has_run = False

    def run(self, inputs: Mapping[str, Array]) -> Array:
        """Return the network's one output; as many requests are made as there are calls at a time."""
        shown = dict(inputs) if self._before is None else {0: self._before(inputs)}
        if self._has_run:
            return self._infer(shown)
        with _first_calls:
            output = self._infer(shown)
        self._has_run = True
        return output

    def _infer(self, shown: Mapping[Any, Array]) -> Array:
        try:
            request = self._idle.get_nowait()
        except queue.Empty:
            request = self._compiled.create_infer_request()
        try:
            # The buffer belongs to the request, and its next run writes over it.
            return np.array(request.infer(shown, share_inputs=True)[0], dtype=np.float32)
        finally:
            self._idle.put(request)
