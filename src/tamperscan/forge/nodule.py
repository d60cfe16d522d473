"""Inject a drawn nodule: density, edge and texture follow real nodules, and the noise is the scan's own.

The scan is divided into anatomy and grain (`tamperscan.forge.grain`). The anatomy is raised to the nodule's density
where the drawn shape covers it (`tamperscan.forge.nodule_shape`), and the grain of the place is laid over it again, at
the strength that noise has in the dense tissue of the same slices. Figures of real nodules come with the package
(`tamperscan.forge.nodule_statistics`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from tamperscan.errors import ForgeError
from tamperscan.forge.edges import scan_blur_px
from tamperscan.forge.grain import REACH_PX, noise_level, soft_tissue_noise, texture, without_grain
from tamperscan.forge.method import Action
from tamperscan.forge.nodule_shape import Blur, draw_nodule
from tamperscan.forge.nodule_statistics import NoduleFigures, mixed, packaged_statistics
from tamperscan.forge.site import Mask, Site, Voxels
from tamperscan.scan.volume import Scan

# A larger nodule would touch the border of what may be altered.
_LARGEST_PART: Final = 0.75
# Lung, from emphysema to where solid tissue begins; and its usual density, which contrasts are measured from.
_LUNG_HU: Final = (-985.0, -400.0)
_USUAL_LUNG_HU: Final = -850.0
_SHOWN_HU: Final = (-1024.0, 400.0)
_EDGE_HU: Final = 400.0
_EDGE_PART: Final = 0.3
# No kernel makes an edge steeper than its pixels can show.
_LEAST_BLUR_PX: Final = 0.3
_SPICULATED: Final = 0.5
# In MR a lesion lies above its surroundings by this part of the way to the brightest tissue, if that is far enough.
_RISE: Final = 0.7
_LEAST_RISE: Final = 0.3
# Fine texture may be this part of the noise: in the nodules that were measured both together were about a sixth above
# the noise of soft tissue. And the grain of the place is strengthened by this at most.
_FINE_TEXTURE: Final = 0.6
_MOST_GAIN: Final = 1.5

Box = tuple[slice, slice, slice]


class Nodule:
    """Injects a drawn nodule.

    Parameters
    ----------
    figures
        Of real nodules; drawn ones lie between them.
    spiculated
        Whether spikes reach from it into the lung; None to let the seed decide.

    Attributes
    ----------
    name
        ``"nodule"``.
    settings
        ``"spiculated"``, and the scans that the figures are of (``"figures_of"``).
    """

    name = "nodule"

    def __init__(self, figures: list[NoduleFigures], spiculated: bool | None = None) -> None:
        self._figures = figures
        self._spiculated = spiculated
        self.settings: Mapping[str, Any] = {
            "spiculated": spiculated,
            "figures_of": [nodule.scan for nodule in figures],
        }

    def check(self, site: Site, action: Action) -> None:
        """Refuse to remove, a nodule too large for the region, and tissue that a nodule would not show in.

        Raises
        ------
        ForgeError
            With what to do instead.
        """
        if action == "remove":
            raise ForgeError(
                "The method 'nodule' can only inject. To remove, choose gan, diffusion, latent, copymove or smooth."
            )
        largest = _LARGEST_PART * site.region_mm
        if site.diameter_mm > largest:
            raise ForgeError(
                f"A nodule of {site.diameter_mm:g} mm would touch the border of the region of {site.region_mm:g} mm "
                f"that is altered. Choose at most {largest:g} mm, or a larger region."
            )
        _check_tissue(site)

    def alter(self, site: Site, action: Action, rng: np.random.Generator) -> Voxels:
        """Return float32 ``[slice, row, column]``: the site's voxels with a nodule in them."""
        self.check(site, action)
        figures = mixed(self._figures, rng)
        spiculated = bool(rng.random() < _SPICULATED) if self._spiculated is None else self._spiculated
        shape = draw_nodule(site, _blur(site, figures["edge_mm"]), figures["irregularity"], spiculated, rng)
        noise = _noise(site)
        box = _around(shape)
        anatomy = without_grain(site.voxels[box], noise)
        grain = site.voxels[box] - anatomy
        density, spread = _density(site, figures)
        lengths = [figures["correlation_mm"] / step for step in site.spacing_mm]
        rough = spread * texture(site.voxels.shape, lengths, rng)[box]
        rough, grain_gain = _as_noisy(rough, grain, shape[box] > 0.5, noise)
        # What is denser than the nodule, such as a rib, stays.
        rise = np.maximum(density + rough - anatomy, 0.0)
        altered = site.voxels.copy()
        altered[box] += shape[box] * (rise + (grain_gain - np.float32(1.0)) * grain)
        return altered


def _check_tissue(site: Site) -> None:
    """Refuse tissue that a nodule would not show in, or does not grow in."""
    level = _level(site)
    name = site.scan.name
    if site.scan.modality == "CT":
        if level > _LUNG_HU[1]:
            raise ForgeError(
                f"{name}: the place lies in solid tissue ({level:.0f} HU), where a nodule would not show. "
                "Choose a place in the lung."
            )
        if level < _LUNG_HU[0]:
            raise ForgeError(f"{name}: the place lies in air ({level:.0f} HU). Choose a place in the lung.")
    elif _brightest(site.scan) - level < _LEAST_RISE * _brightest(site.scan):
        raise ForgeError(
            f"{name}: the tissue at the place is as bright as a lesion would be. Choose a place in darker tissue."
        )


def _level(site: Site) -> float:
    """Return the median of what the nodule will cover."""
    covered: Mask = site.distance_mm() <= max(site.diameter_mm / 2.0, *site.spacing_mm[1:])
    return float(np.median(site.voxels[covered]))


def _around(shape: Voxels) -> Box:
    """Bound what a shape covers, with what the grain's filter looks at around it."""
    bounds = []
    for axis, margin in enumerate((0, REACH_PX, REACH_PX)):
        covered = np.flatnonzero(shape.any(axis=tuple({0, 1, 2} - {axis})))
        bounds.append(slice(max(0, int(covered[0]) - margin), int(covered[-1]) + margin + 1))
    return bounds[0], bounds[1], bounds[2]


def _density(site: Site, figures: Mapping[str, float]) -> tuple[np.float32, np.float32]:
    """Return the nodule's mean and its texture's standard deviation, in the scan's units."""
    density, spread = figures["density_hu"], figures["texture_hu"]
    if site.scan.modality != "CT":
        contrast = _RISE * (_brightest(site.scan) - _level(site))
        density, spread = _level(site) + contrast, spread * contrast / (density - _USUAL_LUNG_HU)
    return np.float32(density), np.float32(spread)


def _brightest(scan: Scan) -> float:
    """Return the signal of the brightest tissue of an MR scan."""
    return float(np.percentile(scan.voxels[:: max(1, scan.shape[0] // 16), ::2, ::2], 99.5))


def _slices(site: Site) -> Voxels:
    """Return the whole slice of the place with the one before and the one after."""
    middle = site.start[0] + site.centre[0]
    return site.scan.voxels[max(0, middle - 1) : middle + 2]


def _noise(site: Site) -> float:
    """Return the noise of dense tissue: in lung, fine anatomy passes for noise."""
    found = soft_tissue_noise(_slices(site)) if site.scan.modality == "CT" else None
    return noise_level(site.voxels) if found is None else found


def _as_noisy(rough: Voxels, grain: Voxels, inside: Mask, noise: float) -> tuple[Voxels, np.float32]:
    """Return the texture without what would pass for noise, and what makes the grain as strong as the noise."""
    fine, here = noise_level(rough, inside), noise_level(grain, inside)
    part = min(1.0, _FINE_TEXTURE * noise / fine) if fine > 0.0 else 1.0
    gain = min(noise / here, _MOST_GAIN) if here > 0.0 else 1.0
    return rough * np.float32(part), np.float32(gain)


def _blur(site: Site, edge_mm: float) -> Blur:
    """Combine the scan's own blur with that of nodules' edges; blurs add as squares."""
    slices = _slices(site)
    if site.scan.modality == "CT":
        blur_px = scan_blur_px(np.clip(slices, *_SHOWN_HU), _EDGE_HU)
    else:
        blur_px = scan_blur_px(slices, _EDGE_PART * _brightest(site.scan))
    in_plane = max(blur_px, _LEAST_BLUR_PX) * max(site.spacing_mm[1:])
    return Blur(float(np.hypot(in_plane, edge_mm)), _thickness_mm(site.scan))


def _thickness_mm(scan: Scan) -> float:
    """Return a slice's thickness as stated; where it is not, slices are taken to touch."""
    try:
        stated = float(scan.metadata.get("SliceThickness", ""))
    except ValueError:
        stated = 0.0
    return stated if 0.0 < stated < np.inf else scan.spacing_mm[0]


def make(weights: str | None = None, *, spiculated: bool | None = None) -> Nodule:
    """Make the method.

    Parameters
    ----------
    weights
        Must be None: it has none.
    spiculated
        Whether spikes reach from the nodule into the lung; None to let the seed decide.

    Raises
    ------
    ForgeError
        If weights are given.
    """
    if weights is not None:
        raise ForgeError("The method 'nodule' has no weights. Leave them out.")
    return Nodule(packaged_statistics(), spiculated)
