"""OpenVINO, where it is installed: the same networks in bfloat16 on processors that are fast at it.

It is imported here and nowhere else, after its package for telemetry was barred: a tool that reads patients' scans
reports to nobody.
"""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamperscan.diffusion.runtime import usable_cores
from tamperscan.errors import WeightsError

_TELEMETRY = "openvino_telemetry"
_BFLOAT16 = "BF16"
# Two threads that make first calls at a time can wait for each other for good: one holds Python's lock and waits for
# what OpenVINO's binding sets up only once, the other sets it up and waits for Python's lock.
_first_calls = threading.Lock()


@cache
def _openvino() -> ModuleType | None:
    """Return the module, None where it is not installed or can't be loaded."""
    # An import of None fails, and OpenVINO then goes on without.
    sys.modules.setdefault(_TELEMETRY, None)  # type: ignore[arg-type]
    try:
        import openvino
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
    """A network in bfloat16.

    Parameters
    ----------
    path
        ONNX file.
    threads
        CPU threads; None for one each core that this process may use.
    advice
        What to do where it can't be run, a sentence.

    Raises
    ------
    WeightsError
        If the runtime can't load the network.
    """

    def __init__(self, path: Path, *, threads: int | None, advice: str) -> None:
        module = _openvino()
        assert module is not None  # opened only where it is
        settings = {
            "INFERENCE_PRECISION_HINT": "bf16",
            "INFERENCE_NUM_THREADS": str(threads or usable_cores()),
            "PERFORMANCE_HINT": "LATENCY",
        }
        try:
            self._compiled = _core().compile_model(_read_onnx(path), "CPU", settings)
        except Exception as error:  # OpenVINO's readers raise classes of their own
            raise WeightsError(f"{path}: can't be run ({' '.join(str(error).split())}). {advice}") from error
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._has_run = False
        self.runtime = f"OpenVINO {module.__version__.split('-')[0]}, bfloat16, CPU"

    def run(self, inputs: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return the network's one output; as many requests are made as there are calls at a time."""
        if self._has_run:
            return self._infer(inputs)
        with _first_calls:
            output = self._infer(inputs)
        self._has_run = True
        return output

    def _infer(self, inputs: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        try:
            request = self._idle.get_nowait()
        except queue.Empty:
            request = self._compiled.create_infer_request()
        try:
            # The buffer belongs to the request, and its next run writes over it.
            return np.array(request.infer(dict(inputs))[0], dtype=np.float32)
        finally:
            self._idle.put(request)
