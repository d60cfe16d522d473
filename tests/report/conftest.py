"""Screenings made up from synthetic scans, so that reports can be tested without a detector."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from tamperscan.detect.results import Finding, Screening, SliceResult
from tamperscan.scan.volume import Scan

SHAPE = (12, 96, 80)
SPACING_MM = (2.5, 1.5, 1.5)
CENTRE = (6, 44, 56)
LPS_AFFINE = np.array([[0.0, 0.0, 1.5, -60.0], [0.0, 1.5, 0.0, -70.0], [2.5, 0.0, 0.0, -300.0], [0.0, 0.0, 0.0, 1.0]])


def lungs() -> NDArray[np.bool_]:
    """Two ellipsoids in the inner slices, bool [slice, row, column]."""
    slices, rows, columns = np.indices(SHAPE)
    inside = np.zeros(SHAPE, bool)
    for column in (22, 57):
        inside |= ((slices - 6) / 5) ** 2 + ((rows - 48) / 30) ** 2 + ((columns - column) / 14) ** 2 < 1
    return inside


def chest(regions: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Noisy lungs in soft tissue in air, HU."""
    _, rows, columns = np.indices(SHAPE)
    body = ((rows - 48) / 44) ** 2 + ((columns - 40) / 38) ** 2 < 1
    clean = np.where(regions, -850.0, np.where(body, 40.0, -1000.0))
    return (clean + np.random.default_rng(1).normal(0, 20, SHAPE)).astype(np.float32)


def suspicious_map(regions: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Low everywhere in the lungs, high around CENTRE."""
    offsets = np.indices(SHAPE) - np.array(CENTRE)[:, None, None, None]
    distance = np.sqrt(sum((offset * step) ** 2 for offset, step in zip(offsets, SPACING_MM, strict=True)))
    return np.where(regions, 1.0 + 6.0 * np.exp(-((distance / 10) ** 2)), 0.0).astype(np.float32)


def slice_results(suspicion: NDArray[np.float32], regions: NDArray[np.bool_]) -> tuple[SliceResult, ...]:
    results = []
    for index, (values, looked) in enumerate(zip(suspicion, regions, strict=True)):
        if not looked.any():
            results.append(SliceResult(index, float("nan"), None, None))
            continue
        row, column = np.unravel_index(int(values.argmax()), values.shape)
        results.append(SliceResult(index, float(values.max()), 0.5, (int(row), int(column))))
    return tuple(results)


def a_finding(**changes: object) -> Finding:
    facts: dict[str, object] = {
        "centre": CENTRE,
        "size_mm": (7.5, 21.0, 18.0),
        "score": 7.0,
        "p_value": 0.02,
        "slice_range": (5, 7),
        "sign": "too smooth",
        "evidence": "Noise at 12 to 32 HU is 2.1 times that of the rest of the lungs.",
    }
    return Finding(**(facts | changes))  # type: ignore[arg-type]


def a_scan(**changes: object) -> Scan:
    facts: dict[str, object] = {
        "voxels": chest(lungs()),
        "spacing_mm": SPACING_MM,
        "modality": "CT",
        "name": "chest-1",
        "warnings": ("Two slices are missing between slice 8 and 9.",),
        "affine": LPS_AFFINE,
        "sha256": "ab" * 32,
        "sources": tuple(f"/private/jane/{index:03}.dcm" for index in range(SHAPE[0])),
        "metadata": {"Manufacturer": "ACME", "KVP": "120", "SecretNote": "not for reports"},
    }
    return Scan(**(facts | changes))  # type: ignore[arg-type]


def a_screening(**changes: object) -> Screening:
    """A suspicious screening with one finding; anything can be changed."""
    regions = lungs()
    suspicion = suspicious_map(regions)
    facts: dict[str, object] = {
        "scan": a_scan(),
        "verdict": "suspicious",
        "reasons": ("The scan's score is above that of 98 of 100 authentic scans.",),
        "score": 7.0,
        "p_value": 0.02,
        "alarm_rate": 0.05,
        "findings": (a_finding(),),
        "slices": slice_results(suspicion, regions),
        "suspicion": suspicion,
        "regions": regions,
        "detector_name": "ct",
        "weights_sha256": "cd" * 32,
        "settings": {
            "noise_levels_hu": (5.0, 12.0, 20.0, 32.0),
            "calibration_scores": list(np.random.default_rng(2).gamma(4.0, 0.9, 99)),
        },
        "seconds": 4.2,
    }
    return Screening(**(facts | changes))  # type: ignore[arg-type]


def an_abstained(**changes: object) -> Screening:
    facts: dict[str, object] = {
        "verdict": "abstained",
        "reasons": ("The scan is MR, and the detector was calibrated on CT.",),
        "score": float("nan"),
        "p_value": None,
        "findings": (),
        "slices": tuple(SliceResult(index, float("nan"), None, None) for index in range(SHAPE[0])),
        "suspicion": np.zeros(SHAPE, np.float32),
        "regions": np.zeros(SHAPE, bool),
    }
    return a_screening(**(facts | changes))


def a_clear(**changes: object) -> Screening:
    facts: dict[str, object] = {
        "verdict": "clear",
        "reasons": (),
        "score": 2.0,
        "p_value": 0.6,
        "findings": (),
    }
    return a_screening(**(facts | changes))


@pytest.fixture
def make_scan() -> Callable[..., Scan]:
    return a_scan


@pytest.fixture
def make_finding() -> Callable[..., Finding]:
    return a_finding


@pytest.fixture
def make_screening() -> Callable[..., Screening]:
    return a_screening


@pytest.fixture
def make_clear() -> Callable[..., Screening]:
    return a_clear


@pytest.fixture
def lps_affine() -> NDArray[np.float64]:
    return LPS_AFFINE


@pytest.fixture
def suspicious() -> Screening:
    return a_screening()


@pytest.fixture
def clear() -> Screening:
    return a_clear()


@pytest.fixture
def abstained() -> Screening:
    return an_abstained()
