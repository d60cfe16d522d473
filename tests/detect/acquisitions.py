"""Acquisitions made up for the tests."""

from __future__ import annotations

from dataclasses import replace

from tamperscan.detect.acquisition import Acquisition

USUAL = Acquisition(
    noise=15.0,
    lung_noise=17.0,
    grain=0.5,
    finest=-0.8,
    tails=0.1,
    repetition=1.0,
    period_px=3.0,
    step=1.0,
    slice_correlation=0.4,
    pixel_mm=0.7,
    slice_mm=2.0,
)


def acquisition(**changes: float) -> Acquisition:
    return replace(USUAL, **changes)
