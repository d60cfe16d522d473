"""Remove a lesion by biharmonic in-painting: the crude way, which leaves a place without noise.

The place is filled with the function that continues the values and slopes around it with the least bending: the
solution of the biharmonic (thin-plate) equation, as in-painting after Chui and Mhaskar, "MRA contextual-recovery
extension of smooth functions on manifolds" (Applied and Computational Harmonic Analysis 28, 2010).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from scipy import ndimage

from tamperscan.errors import ForgeError
from tamperscan.forge.blending import check_border, laplacian, solve
from tamperscan.forge.method import Action
from tamperscan.forge.outline import soft_mask
from tamperscan.forge.site import Mask, Site, Spacing, Voxels

# A lesion's halo reaches beyond the diameter that readers give it.
_MARGIN_MM: Final = 2.0
_EDGE_MM: Final = 2.0


def fill_biharmonic(values: Voxels, mask: Mask, spacing_mm: Spacing) -> Voxels:
    """Replace the values in a mask by the surface of least bending that continues those around it.

    Parameters
    ----------
    values
        float32 ``[slice, row, column]``; a single slice is filled in 2-D.
    mask
        bool, of the same shape: what is replaced.
    spacing_mm
        Distance of voxels along (slice, row, column).

    Returns
    -------
    float32 ``[slice, row, column]``, equal to the values outside the mask; no value within lies beyond those around.

    Raises
    ------
    ForgeError
        If the mask leaves nothing beside it.
    """
    check_border(mask)
    # The least squared Laplacian over the mask and its border: its normal equations are the biharmonic equation within,
    # with values and slopes given at the border.
    rows = laplacian(ndimage.binary_dilation(mask), spacing_mm)
    inner = rows[:, np.flatnonzero(mask)]
    known = np.where(mask, 0.0, values).astype(np.float64).ravel()
    around = values[ndimage.binary_dilation(mask, iterations=2) & ~mask]
    filled: Voxels = values.astype(np.float32).copy()
    filled[mask] = np.clip(solve(inner.T @ inner, -inner.T @ (rows @ known)), around.min(), around.max())
    return filled


class Smooth:
    """Removes a lesion by biharmonic in-painting.

    Attributes
    ----------
    name
        ``"smooth"``.
    settings
        None.
    """

    name = "smooth"

    def __init__(self) -> None:
        self.settings: Mapping[str, Any] = {}

    def check(self, site: Site, action: Action) -> None:
        """Refuse to inject.

        Raises
        ------
        ForgeError
            Naming the methods that can.
        """
        if action == "inject":
            raise ForgeError(
                "The method 'smooth' can only remove. To inject, choose gan, diffusion, latent, copymove or nodule."
            )

    def alter(self, site: Site, action: Action, rng: np.random.Generator) -> Voxels:
        """Return float32 ``[slice, row, column]``: the site's voxels with the lesion smoothed away."""
        self.check(site, action)
        weight = soft_mask(site, site.diameter_mm / 2.0 + _MARGIN_MM, _EDGE_MM, rng)
        filled = fill_biharmonic(site.voxels, weight > 0.0, site.spacing_mm)
        altered: Voxels = site.voxels + weight * (filled - site.voxels)
        return altered


def make(weights: str | None = None) -> Smooth:
    """Make the method.

    Raises
    ------
    ForgeError
        If weights are given: it has none.
    """
    if weights is not None:
        raise ForgeError("The method 'smooth' has no weights. Leave them out.")
    return Smooth()
