"""The machine that a measurement was run on."""

from __future__ import annotations

import math
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def processor_name() -> str:
    """Tell the processor's model, as Linux names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def load_average() -> float:
    """Tell how many processes wanted to run in the last minute, in the mean; NaN where a system does not say."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else math.nan


def package_versions() -> dict[str, str]:
    """Tell the versions of Python and of what screening's speed hangs on, as far as it is installed."""
    found = {"python": platform.python_version()}
    for name in ("numpy", "onnxruntime", "openvino", "torch"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
