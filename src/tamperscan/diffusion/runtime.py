"""The ONNX runtime, told to report to nobody.

The official Linux builds of onnxruntime (1.29 and later) send usage events to their maker unless an environment
variable forbids it: machine, process, hashes of the model. A tool that reads patients' scans sends nothing anywhere,
so onnxruntime is imported here and nowhere else, after the variable is set. ``disable_telemetry_events()`` alone comes
too late: events of the import itself have been written by then.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tamperscan.errors import WeightsError

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

onnxruntime.disable_telemetry_events()

__all__ = ["onnxruntime", "open_session", "pad_to_stride"]

_LINUX = hasattr(os, "sched_getaffinity")


def open_session(path: Path, *, threads: int | None, advice: str) -> onnxruntime.InferenceSession:
    """Load a network for the CPU.

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
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or len(os.sched_getaffinity(0)) if _LINUX else threads or 0
    options.log_severity_level = 3
    # An arena keeps every buffer of the largest slice for good; without it memory stays low on long series.
    options.enable_cpu_mem_arena = False
    try:
        return onnxruntime.InferenceSession(path, sess_options=options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises classes of its own that it does not export
        raise WeightsError(f"{path}: can't be run ({error}). {advice}") from error


def pad_to_stride(images: NDArray[np.float32], stride: int) -> NDArray[np.float32]:
    """Repeat the last row and column of images ``[n, row, column]`` until both sides are multiples of a stride."""
    rows, columns = images.shape[1:]
    padded: NDArray[np.float32] = np.pad(images, ((0, 0), (0, -rows % stride), (0, -columns % stride)), mode="edge")
    return padded
