"""How sharp a scan is: the blur of its edges, which follows from its reconstruction kernel and pixel size.

An edge is blurred a little more on purpose; the ratio of its slopes before and after tells how blurred it was, whatever
its height (Zhuo and Sim, "Defocus map estimation from a single image", Pattern Recognition 44, 2011, section 3).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tamperscan.forge.site import Mask

# Standard deviations of the blurs, in pixels: the first two measure, the third tells edges from thin structures.
_BLURS: Final = (0.7, 1.4, 2.8)
# The height of an edge must be the same at every blur, within this part.
_SAME_HEIGHT: Final = 0.15
_LEAST_EDGES: Final = 30

Image = NDArray[np.float32]
Values = NDArray[np.float64]


def edge_blur_px(image: Image, least_height: float, where: Mask | None = None) -> Values:
    """Measure the blur of every distinct edge in a slice.

    Parameters
    ----------
    image
        float32 ``[row, column]``.
    least_height
        Edges lower than this are left out; well above the noise.
    where
        bool ``[row, column]``: edges elsewhere are left out.

    Returns
    -------
    float64 ``[edge pixel]``: standard deviation in pixels of the Gaussian that blurs the edge; 0.0 where a sharpening
    kernel makes the edge steeper than a step.
    """
    slopes = [_slope(image, blur) for blur in _BLURS]
    crest = slopes[0] >= 0.999 * ndimage.maximum_filter(slopes[0], 3)
    ratio = slopes[0] / np.maximum(slopes[1], 1e-6)
    first, second, third = (blur**2 for blur in _BLURS)
    measurable = ratio > 1.02
    variance = np.where(measurable, (second - ratio**2 * first) / np.where(measurable, ratio**2 - 1.0, 1.0), 0.0)
    variance = np.maximum(variance, 0.0)
    height = slopes[0] * np.sqrt(2.0 * np.pi * (variance + first))
    far_height = slopes[2] * np.sqrt(2.0 * np.pi * (variance + third))
    step = np.abs(far_height - height) <= _SAME_HEIGHT * height
    chosen = crest & measurable & step & (height >= least_height)
    blurs: Values = np.sqrt(variance[chosen if where is None else chosen & where])
    return blurs


def scan_blur_px(slices: Image, least_height: float, default: float = 0.7) -> float:
    """Return the median blur of the edges in slices ``[slice, row, column]``; a default where there are too few."""
    found = np.concatenate([edge_blur_px(image, least_height) for image in slices])
    return float(np.median(found)) if found.size >= _LEAST_EDGES else default


def _slope(image: Image, blur: float) -> Values:
    down, across = (ndimage.gaussian_filter(image, blur, order=order, output=np.float64) for order in ((1, 0), (0, 1)))
    slope: Values = np.hypot(down, across)
    return slope
