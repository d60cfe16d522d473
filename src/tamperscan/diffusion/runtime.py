"""The ONNX runtime, told to report to nobody.

The official Linux builds of onnxruntime (1.29 and later) send usage events to their maker unless an environment
variable forbids it: machine, process, hashes of the model. A tool that reads patients' scans sends nothing anywhere,
so onnxruntime is imported here and nowhere else, after the variable is set. ``disable_telemetry_events()`` alone comes
too late: events of the import itself have been written by then.
"""

from __future__ import annotations

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

onnxruntime.disable_telemetry_events()

__all__ = ["onnxruntime"]
