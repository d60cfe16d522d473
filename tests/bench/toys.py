"""Contenders that are simple enough to know what they must find, with real learning that goes on after a kill."""

from __future__ import annotations

import json

import numpy as np
from scipy import ndimage


class LocalNoise:
    """Learns the mean noise of authentic crops in steps, and gives the local noise above or below it."""

    source = "made up"
    steps = 20

    def __init__(self, name="noise", fails_on=None):
        self.name, self._fails_on = name, fails_on
        self.settings = {"steps": self.steps}
        self.learned_steps = 0
        self.energies = 0

    def learn(self, authentic, budget, folder, report):
        state = folder / "state.json"
        levels = json.loads(state.read_text()) if state.exists() else []
        for step in range(len(levels), self.steps):
            crops = authentic.draw(np.random.default_rng([budget.seed, step]), 4, 16)
            levels.append(float(noise(crops).mean()))
            temporary = folder / "state.tmp"
            temporary.write_text(json.dumps(levels))
            temporary.replace(state)
            self.learned_steps += 1
            report(budget.seconds * (step + 1) / self.steps, budget.seconds)
        return {"steps": self.steps, "level": float(np.mean(levels))}

    def load(self, folder):
        self._level = float(np.mean(json.loads((folder / "state.json").read_text())))

    def energy(self, image, spacing_mm):
        self.energies += 1
        if self._fails_on is not None and self._fails_on(image):
            raise ValueError("this one is too hard")
        return (noise(image[None])[0] / np.float32(self._level)).astype(np.float32)


class Bright:
    """Learns nothing, and takes what is bright for suspicious."""

    name = "bright"
    source = "made up"

    def __init__(self):
        self.settings = {}

    def learn(self, authentic, budget, folder, report):
        return {}

    def load(self, folder):
        pass

    def energy(self, image, spacing_mm):
        return np.maximum(image + np.float32(1000), np.float32(0.0))


class Finished(Bright):
    """Suspicion of its own making: how smooth a place is, 0 outside the lungs."""

    name = "finished"
    finished = True

    def energy(self, image, spacing_mm):
        return (100 - np.minimum(ndimage.uniform_filter(noise(image[None])[0], 5), 100)).astype(np.float32)


class Unteachable(Bright):
    """Fails to learn."""

    name = "unteachable"

    def learn(self, authentic, budget, folder, report):
        raise ValueError("there is too little to learn from")


class Flatten:
    """A forging method that takes away everything in a ball, noise and all."""

    name = "flatten"

    def __init__(self):
        self.settings = {}

    def check(self, site, action):
        pass

    def alter(self, site, action, rng):
        return np.where(site.distance_mm() <= 12.0, np.float32(-850.0), site.voxels)


def noise(images):
    """Deviation of each pixel from its neighbours, [image, row, column]."""
    return np.abs(images - ndimage.uniform_filter(images, (0, 3, 3)))
