"""Where networks run, and the clock that their budget is counted by."""

from __future__ import annotations

import time

import torch


def device() -> torch.device:
    """Return where networks run: a GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def clock() -> float:
    """Return CPU seconds of this process; on a GPU, whose work they don't show, seconds."""
    return time.perf_counter() if device().type == "cuda" else time.process_time()
