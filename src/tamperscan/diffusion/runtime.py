"""The ONNX runtime, told to report to nobody.

The official Linux builds of onnxruntime (1.29 and later) send usage events to their maker unless an environment
variable forbids it: machine, process, hashes of the model. A tool that reads patients' scans sends nothing anywhere,
so onnxruntime is imported here and nowhere else, after the variable is set. ``disable_telemetry_events()`` alone comes
too late: events of the import itself have been written by then.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tamperscan.errors import WeightsError

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

onnxruntime.disable_telemetry_events()

__all__ = ["OnnxNetwork", "cuda_is_there", "onnxruntime", "pad_to_stride", "usable_cores"]

_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
# By default every size of image is tried with all algorithms first, and a scan has images of a dozen sizes.
_CUDA_OPTIONS = {"cudnn_conv_algo_search": "HEURISTIC"}


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cuda_is_there() -> bool:
    """Whether onnxruntime was built for CUDA and finds a device."""
    return _CUDA in onnxruntime.get_available_providers() and onnxruntime.get_device() == "GPU"


class OnnxNetwork:
    """A network in float32, run by onnxruntime.

    Parameters
    ----------
    path
        ONNX file.
    threads
        CPU threads; None for one each core that this process may use.
    calls
        How many calls there will be at a time: they share the threads. A thread that waits for another takes as much
        processor time as one that works.
    advice
        What to do where it can't be run, a sentence.
    cuda
        Whether to run it on a GPU.

    Raises
    ------
    WeightsError
        If the runtime can't load the network.
    """

    def __init__(self, path: Path, *, threads: int | None, calls: int = 1, advice: str, cuda: bool = False) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = max(1, (threads or usable_cores()) // calls)
        options.log_severity_level = 3
        # An arena keeps every buffer of the largest slice for good; without it memory stays low on long series.
        options.enable_cpu_mem_arena = False
        providers = [(_CUDA, _CUDA_OPTIONS), _CPU] if cuda else [_CPU]
        try:
            self._session = onnxruntime.InferenceSession(path, sess_options=options, providers=providers)
        except Exception as error:  # onnxruntime raises classes of its own that it does not export
            raise WeightsError(f"{path}: can't be run ({error}). {advice}") from error
        self.wants_batches = _CUDA in self._session.get_providers()
        where = "CUDA" if self.wants_batches else "CPU"
        self.runtime = f"onnxruntime {onnxruntime.__version__}, float32, {where}"

    def run(self, inputs: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return the network's one output."""
        output: NDArray[np.float32] = self._session.run(None, dict(inputs))[0]
        return output


def pad_to_stride(images: NDArray[np.float32], stride: int) -> NDArray[np.float32]:
    """Repeat the last row and column of images ``[n, row, column]`` until both sides are multiples of a stride."""
    rows, columns = images.shape[1:]
    padded: NDArray[np.float32] = np.pad(images, ((0, 0), (0, -rows % stride), (0, -columns % stride)), mode="edge")
    return padded
