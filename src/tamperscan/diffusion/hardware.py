"""What the hardware is good at."""

from __future__ import annotations

import torch


def fast_at_bf16() -> bool:
    """Whether the hardware multiplies bfloat16 faster than float32."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())
