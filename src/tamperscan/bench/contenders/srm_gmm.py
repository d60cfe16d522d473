"""Noise residuals with a Gaussian mixture: how unlike the windows of authentic images a window is."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import logsumexp

from tamperscan.bench.contenders.contender import Authentic, Budget, Image, Report
from tamperscan.bench.contenders.cooccurrence import BLOCK_PX, WINDOW_BLOCKS, features, residual
from tamperscan.bench.contenders.machine import clock
from tamperscan.bench.contenders.storage import LEARNED_FILE, Arrays, learned_facts, read_arrays, write_arrays

CROP_PX = 96
MIXTURE = 6
COMPONENTS = 20
WINDOWS = 20_000
WINDOWS_A_CROP = 8
_FIRST_CROPS = 64
_CROPS_A_DRAW = 16
_LEAST_SPREAD = 1e-4
# Drawing ends here at the latest, so that fitting has its part of the budget.
_DRAWING_SHARE = 0.5


class SrmGmm:
    """Fits a mixture of Gaussians to the residual statistics of authentic windows; energy is the surprise.

    Parameters
    ----------
    windows
        Authentic windows to fit to.
    components, mixture
        Principal components that are kept, and Gaussians.
    """

    name = "srm-gmm"
    source = (
        "Cozzolino, Poggi and Verdoliva: Splicebuster. IEEE WIFS 2015; residuals of Fridrich and Kodovský,"
        " IEEE TIFS 7, 2012"
    )

    def __init__(self, *, windows: int = WINDOWS, components: int = COMPONENTS, mixture: int = MIXTURE) -> None:
        self._windows, self._components, self._mixture = windows, components, mixture
        self._learned: Arrays = {}
        self.settings: Mapping[str, Any] = {
            "crop_px": CROP_PX,
            "window_px": BLOCK_PX * WINDOW_BLOCKS,
            "step_px": BLOCK_PX,
            "windows": windows,
            "components": components,
            "mixture": mixture,
        }

    def learn(self, authentic: Authentic, budget: Budget, folder: Path, report: Report) -> Mapping[str, Any]:
        """Fit to authentic windows; what was interrupted starts anew, as it takes a minute at most."""
        told = {"name": self.name, **self.settings, "budget": budget.seconds, "seed": budget.seed}
        facts = learned_facts(folder, told)
        if facts is None:
            learned, facts = self._fit(authentic, budget, report)
            write_arrays(folder / LEARNED_FILE, learned, {"settings": told, **facts})
        self.load(folder)
        return facts

    def load(self, folder: Path) -> None:
        """Take up what was learned."""
        self._learned, _ = read_arrays(folder / LEARNED_FILE)

    def energy(self, image: Image, spacing_mm: tuple[float, float]) -> Image:
        """Return the negative log-likelihood of the window around each pixel, above the least of authentic ones."""
        found = features(image, float(self._learned["quantum"]))
        surprise = -_log_likelihood(found.reshape(-1, found.shape[2]), self._learned).reshape(found.shape[:2])
        above = np.maximum(surprise - float(self._learned["floor"]), 0.0)
        large: Image = ndimage.zoom(above, BLOCK_PX, order=1, mode="nearest", grid_mode=True).astype(np.float32)
        return large[: image.shape[0], : image.shape[1]]

    def _fit(self, authentic: Authentic, budget: Budget, report: Report) -> tuple[Arrays, dict[str, Any]]:
        begun = clock()
        rng = np.random.default_rng(budget.seed)
        quantum = _quantum(authentic.draw(rng, _FIRST_CROPS, CROP_PX))
        crops, windows = _FIRST_CROPS, np.zeros((0, 0), dtype=np.float32)
        drawn: list[NDArray[np.float32]] = []
        while len(windows) < self._windows and (not drawn or clock() - begun < _DRAWING_SHARE * budget.seconds):
            drawn += [_some_windows(crop, quantum, rng) for crop in authentic.draw(rng, _CROPS_A_DRAW, CROP_PX)]
            crops, windows = crops + _CROPS_A_DRAW, np.concatenate(drawn)
            report(min(clock() - begun, budget.seconds), budget.seconds)
        learned = {"quantum": np.array(quantum), **_fit_mixture(windows, self._components, self._mixture, budget.seed)}
        likelihood = _log_likelihood(windows, learned)
        learned["floor"] = np.array(-float(likelihood.max()))
        seconds = clock() - begun
        report(min(seconds, budget.seconds), budget.seconds)
        facts = {"steps": 1, "crops": crops, "loss": -float(likelihood.mean()), "seconds": round(seconds, 2)}
        return learned, facts


def _quantum(crops: Image) -> float:
    """Return the step at which the three symbols are about equally frequent in authentic crops."""
    sizes = np.concatenate([np.abs(residual(turned)).ravel() for crop in crops for turned in (crop, crop.T)])
    return max(2.0 * float(np.quantile(sizes, 1 / 3)), 1e-3)


def _some_windows(crop: Image, quantum: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw windows of a crop that don't reach beyond its border."""
    inside = features(crop, quantum)[1:-1, 1:-1]
    flat: NDArray[np.float32] = inside.reshape(-1, inside.shape[2])
    return flat[rng.choice(len(flat), WINDOWS_A_CROP, replace=False)]


def _fit_mixture(windows: NDArray[np.float32], components: int, mixture: int, seed: int) -> Arrays:
    from sklearn.decomposition import PCA
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    projection = PCA(components, random_state=seed).fit(windows)
    model = GaussianMixture(mixture, reg_covar=_LEAST_SPREAD, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a mixture that still moves a little is as good
        model.fit(projection.transform(windows))
    return {
        "mean": projection.mean_,
        "axes": projection.components_,
        "shares": model.weights_,
        "centres": model.means_,
        "roots": model.precisions_cholesky_,
    }


def _log_likelihood(windows: NDArray[np.float32], learned: Arrays) -> NDArray[np.float64]:
    """Return the log-likelihood of windows ``[window, feature]`` under the mixture."""
    places = (windows.astype(np.float64) - learned["mean"]) @ learned["axes"].T
    logs = []
    for share, centre, root in zip(learned["shares"], learned["centres"], learned["roots"], strict=True):
        distance = np.square((places - centre) @ root).sum(axis=1)
        constant = math.log(share) + np.log(np.diag(root)).sum() - 0.5 * len(centre) * math.log(2 * math.pi)
        logs.append(constant - 0.5 * distance)
    total: NDArray[np.float64] = logsumexp(np.stack(logs), axis=0)
    return total
