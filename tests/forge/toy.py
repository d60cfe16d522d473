"""A forging method of a few lines, and scans that are quick to forge."""

from __future__ import annotations

import numpy as np

from tamperscan.forge.forgery import forge
from tamperscan.forge.site import Place
from tamperscan.scan import read_scan
from tamperscan.scan.volume import Scan

REGION_MM = 8.0


class Ball:
    """Puts a ball of noisy soft tissue in, whatever the action."""

    name = "ball"

    def __init__(self, value=40.0, refuses=""):
        self.settings = {"value": value}
        self._value = value
        self._refuses = refuses

    def check(self, site, action):
        if self._refuses:
            from tamperscan.errors import ForgeError

            raise ForgeError(self._refuses)

    def alter(self, site, action, rng):
        altered = site.voxels.copy()
        ball = site.distance_mm() <= site.diameter_mm / 2
        altered[ball] = self._value + rng.normal(0, 8, int(ball.sum()))
        return altered


def small_scan(shape=(5, 20, 24), spacing_mm=(2.0, 0.5, 0.75), **changes):
    """Make a CT of whole numbers without any anatomy."""
    voxels = np.random.default_rng(1).integers(-1000, 400, shape).astype(np.float32)
    return Scan(voxels, spacing_mm, **{"modality": "CT", "name": "small", **changes})


def forged(path, **changes):
    """Read what lies there, and forge its middle."""
    scan = read_scan(path)
    place = Place(*(side // 2 for side in scan.shape), 5.0)
    return scan, forge(scan, Ball(**changes), "inject", place, region_mm=REGION_MM)
