"""Whether networks can be run on an NVIDIA GPU; torch is loaded for that only where one is asked for or evident."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from tamperscan.diffusion.runtime import cuda_is_there

# What a driver lays out: on Linux, in containers, and under Windows' own Linux.
_SIGNS = (Path("/dev/nvidiactl"), Path("/proc/driver/nvidia"), Path("/dev/dxg"))
# The second reads the networks' files.
_NEEDED = ("torch", "onnx")


def gpu_is_there() -> bool:
    """Whether any runtime finds a GPU."""
    return torch_has_gpu() or cuda_is_there()


def torch_may_have_gpu() -> bool:
    """Whether there are signs of a GPU that torch could use; loads nothing."""
    return _torch_is_installed() and any(sign.exists() for sign in _SIGNS)


@cache
def torch_has_gpu() -> bool:
    """Whether torch finds a GPU; loads torch, which takes seconds, where it is installed."""
    if not _torch_is_installed():
        return False
    try:
        import torch
    except (ImportError, OSError):
        return False
    return torch.cuda.is_available()


def _torch_is_installed() -> bool:
    return all(find_spec(name) is not None for name in _NEEDED)
