"""A made-up slice of a chest, with its place."""

from __future__ import annotations

import numpy as np
import pytest

from tamperscan.bench.robustness.subjects import TestSlice
from tamperscan.bench.units import region_of
from tamperscan.scan import Scan

from ..phantoms import PIXEL_MM, PLACE, chest


@pytest.fixture(scope="session")
def subject():
    image = np.rint(chest(3)).astype(np.float32)
    scan = Scan(image[None], (2.0, PIXEL_MM, PIXEL_MM), "CT", "made-up")
    return TestSlice(scan, "FB", "made-up", PLACE, region_of(image, (PIXEL_MM, PIXEL_MM), "CT"))
