"""Which pixels the score comes from: integrated gradients through the noise predictor.

Integrated gradients (Sundararajan, Taly and Yan, ICML 2017, arXiv 1703.01365, eq. 1) share the difference between the
score of an image and that of a baseline out among the pixels:

    A_i = (x_i - b_i) * integral over a from 0 to 1 of dF/dx_i at b + a (x - b)

and their sum is F(x) - F(b) (completeness, proposition 1). The baseline is the low-passed image: it has the same
anatomy and next to no score, as there is nothing fine in it to take for noise. A black image would be no chest at all;
on the way from it to the scan the network would see what it was never trained on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from tamperscan.bench.explain.predictors import TorchPredictor
from tamperscan.bench.explain.subjects import Subject, offset_mm
from tamperscan.bench.places import Map, Mask, Place, far_from

WINDOW_MM: Final = 28.0
"""Half the side of the square that the score is averaged over: the tampered square, its seam, and 9 mm around."""

BASELINE_PX: Final = 2.0
"""Standard deviation of the Gaussian that makes the baseline."""

NODES: Final = 16
"""Nodes of the Gauss-Legendre rule for the integral; exact where the gradient is a polynomial up to degree 31."""

# Half a diagonal of the tampered square, and a little more.
_CLEAR_MM = 24.0
# Beyond the window, what the network looks at to judge the window's border.
_MARGIN_MM = 10.0
_STRIDE = 8

Score = Callable[[torch.Tensor], torch.Tensor]
Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Attribution:
    """One place's score, shared out among pixels.

    Attributes
    ----------
    values
        float64 ``[row, column]`` of the subject: what each pixel adds to the mean energy in the window, times the
        number of pixels in the window, so that windows of different sizes compare. 0 beyond what was looked at.
    energy
        float32 ``[row, column]``: the predicted noise's square, averaged over the levels.
    window
        bool ``[row, column]``: where the score was taken.
    score, baseline
        Mean energy in the window of the image, and of the baseline.
    gap
        Sum of the attributions less the difference of the two scores, over that difference: 0 if complete.
    """

    values: Array
    energy: Map
    window: Mask
    score: float
    baseline: float
    gap: float


def integrated_gradients(score: Score, image: Map, baseline: Map, nodes: int = NODES) -> Array:
    """Share out the difference of two scores among pixels.

    Parameters
    ----------
    score
        Takes a tensor ``[row, column]``, gives a scalar; differentiable.
    image, baseline
        float32 ``[row, column]``.
    nodes
        Of the Gauss-Legendre rule.

    Returns
    -------
    float64 ``[row, column]``.
    """
    positions, weights = np.polynomial.legendre.leggauss(nodes)
    start, way = torch.from_numpy(baseline), torch.from_numpy(image - baseline)
    gradient = torch.zeros_like(start)
    for position, weight in zip((positions + 1) / 2, weights / 2, strict=True):
        point = (start + float(position) * way).requires_grad_(True)
        (slope,) = torch.autograd.grad(score(point), point)
        gradient += float(weight) * slope
    shared: Array = (way * gradient).numpy().astype(np.float64)
    return shared


def attribute(
    subject: Subject, predictor: TorchPredictor, place: Place, *, radius_mm: float = WINDOW_MM, nodes: int = NODES
) -> Attribution | None:
    """Share out the mean energy of the lung in the square around a place.

    Parameters
    ----------
    subject
        Holds the slice; its tampered places other than ``place`` have no part in the score.
    predictor
        The network in torch.
    place
        (row, column): that of the subject, or an untampered one to compare it with.
    radius_mm
        Half the side of the square.
    nodes
        Of the integration.

    Returns
    -------
    Attribution or None
        None where the square holds no lung.
    """
    window = _window(subject, place, radius_mm)
    if not window.any():
        return None
    box = _box(subject, place, radius_mm + _MARGIN_MM)
    image = np.ascontiguousarray(subject.hu[box])
    weights = torch.from_numpy(window[box].astype(np.float32) / np.float32(window.sum()))

    def score(point: torch.Tensor) -> torch.Tensor:
        return (predictor.squares(point) * weights).sum()

    blurred = ndimage.gaussian_filter(image, BASELINE_PX)
    shared = integrated_gradients(score, image, blurred, nodes)
    with torch.inference_mode():
        squares = predictor.squares(torch.from_numpy(image))
        first, last = float(score(torch.from_numpy(blurred))), float(score(torch.from_numpy(image)))
    values, energy = np.zeros(subject.shape), np.full(subject.shape, np.nan, dtype=np.float32)
    values[box], energy[box] = shared * window.sum(), squares.numpy()
    return Attribution(values, energy, window, last, first, float(shared.sum()) / (last - first) - 1.0)


def lung_around(subject: Subject) -> Map:
    """Return float32 ``[row, column]``: how much of the window around each pixel is lung tissue far from tampering."""
    sides = [2 * round(WINDOW_MM / step) + 1 for step in subject.spacing_mm]
    usable = _lung_tissue(subject) & subject.far(_CLEAR_MM)
    share: Map = ndimage.uniform_filter(usable.astype(np.float32), sides, mode="constant")
    return share


def _window(subject: Subject, place: Place, radius_mm: float) -> Mask:
    """Lung tissue in the square; nothing near tampered places other than the one in the middle."""
    others = [other for other in subject.known if other != place]
    clear = far_from(others, subject.shape, subject.spacing_mm, _CLEAR_MM)
    window: Mask = (offset_mm(subject, place) <= radius_mm) & _lung_tissue(subject) & clear
    return window


def _lung_tissue(subject: Subject) -> Mask:
    classes = subject.classes
    tissue: Mask = classes.parenchyma | classes.between | classes.soft
    return tissue


def _box(subject: Subject, place: Place, reach_mm: float) -> tuple[slice, slice]:
    spans = []
    for middle, side_mm, size in zip(place, subject.spacing_mm, subject.shape, strict=True):
        low = max(0, round(middle - reach_mm / side_mm))
        high = min(size, round(middle + reach_mm / side_mm))
        spans.append(slice(low, low + (high - low) // _STRIDE * _STRIDE))
    return spans[0], spans[1]
