"""Copy and move: a real structure, or healthy tissue, from elsewhere in the scan or from another scan.

Voxels are shifted by whole steps, mirrored or turned by quarters, so that the noise that comes with them is real; only
a donor with other distances of voxels is resampled. They are blended in the gradient domain
(`tamperscan.forge.blending`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from tamperscan.errors import ForgeError
from tamperscan.forge.blending import check_border, paste
from tamperscan.forge.copymove_search import Search, value_range
from tamperscan.forge.copymove_source import Source, cut_patch, read_patch
from tamperscan.forge.lesions import Lesion, known_lesions
from tamperscan.forge.method import Action
from tamperscan.forge.outline import hard_mask
from tamperscan.forge.site import Mask, Site, Voxels
from tamperscan.scan.volume import Scan

# A lesion's halo reaches beyond the diameter that readers give it, and so must what is copied or covered.
_MARGIN_MM: Final = 3.0
# A known lesion stands for one of another diameter within these factors.
_NEAR_SIZES: Final = (0.5, 2.0)


class CopyMove:
    """Copies from elsewhere, blended in the gradient domain.

    Parameters
    ----------
    donor
        Another scan to copy from; None to copy from the scan itself.

    Attributes
    ----------
    name
        ``"copymove"``.
    settings
        Name of the donor; after `alter` also where the copied voxels came from (``"source"``).
    """

    name = "copymove"

    def __init__(self, donor: Scan | None = None) -> None:
        self._donor = donor
        self.settings: Mapping[str, Any] = {"donor": None if donor is None else donor.name}

    def check(self, site: Site, action: Action) -> None:
        """Refuse a donor of another modality.

        Raises
        ------
        ForgeError
            Naming both.
        """
        if self._donor is not None and self._donor.modality != site.scan.modality:
            raise ForgeError(
                f"{self._donor.name} is {self._donor.modality}, but {site.scan.name} is {site.scan.modality}. "
                "Give a donor of the same modality."
            )

    def alter(self, site: Site, action: Action, rng: np.random.Generator) -> Voxels:
        """Return float32 ``[slice, row, column]``: the site's voxels with others copied over the place.

        Raises
        ------
        ForgeError
            If nothing in the scan, or in the donor, fits the place.
        """
        self.check(site, action)
        mask, source = self._lesion(site, rng) if action == "inject" else self._healthy(site, rng)
        patch = cut_patch(site, mask)
        copied = site.voxels.copy()
        for offsets in (patch.core, patch.ring):
            copied[tuple(offsets + np.array(site.centre)[:, None])] = read_patch(source, patch, offsets)
        self.settings = {"donor": self.settings["donor"], "source": source.as_dict()}
        return paste(site.voxels, copied, mask, site.spacing_mm)

    def _lesion(self, site: Site, rng: np.random.Generator) -> tuple[Mask, Source]:
        """Choose a known lesion of about the size, or else a structure that looks like one."""
        for lesion in _of_size(known_lesions(self._scan(site)), site):
            mask, search = self._search(site, lesion.diameter_mm, rng)
            source = search.lesion(lesion)
            if source is not None:
                return mask, source
        mask, search = self._search(site, site.diameter_mm, rng)
        source = search.structure(site.diameter_mm)
        if source is None:
            raise self._nothing(site, f"a lesion or a dense structure of about {site.diameter_mm:g} mm")
        return mask, source

    def _healthy(self, site: Site, rng: np.random.Generator) -> tuple[Mask, Source]:
        mask, search = self._search(site, site.diameter_mm, rng)
        source = search.healthy(known_lesions(self._scan(site)), rng)
        if source is None:
            raise self._nothing(site, f"healthy tissue of {site.diameter_mm:g} mm")
        return mask, source

    def _scan(self, site: Site) -> Scan:
        return site.scan if self._donor is None else self._donor

    def _search(self, site: Site, diameter_mm: float, rng: np.random.Generator) -> tuple[Mask, Search]:
        radius = min(diameter_mm / 2.0 + _MARGIN_MM, site.region_mm / 2.0)
        mask = hard_mask(site, radius, rng)
        check_border(mask)
        patch = cut_patch(site, mask)
        if self._donor is None:
            place = tuple(int(a + b) for a, b in zip(site.start, site.centre, strict=True))
            return mask, Search(patch, radius, site.scan, place=(place[0], place[1], place[2]))
        return mask, Search(patch, radius, self._donor, gain=_gain(site.scan, self._donor))

    def _nothing(self, site: Site, what: str) -> ForgeError:
        return ForgeError(
            f"{self._scan(site).name} holds nowhere {what} amid tissue like that around the place in "
            f"{site.scan.name}. Choose another place or diameter, or give another donor."
        )


def _of_size(lesions: list[Lesion], site: Site) -> list[Lesion]:
    """List the lesions of about the size that is asked for, the nearest in size first."""
    least, most = (factor * site.diameter_mm for factor in _NEAR_SIZES)
    most = min(most, site.region_mm - 2.0 * _MARGIN_MM)
    near = [lesion for lesion in lesions if least <= lesion.diameter_mm <= most]
    return sorted(near, key=lambda lesion: abs(math.log(lesion.diameter_mm / site.diameter_mm)))


def _gain(scan: Scan, donor: Scan) -> float:
    """Return what a donor's values are multiplied by: MR signals have no unit, Hounsfield units are what they are."""
    return 1.0 if scan.modality == "CT" else value_range(scan) / value_range(donor)


def make(weights: str | None = None, *, donor: Scan | None = None) -> CopyMove:
    """Make the method.

    Parameters
    ----------
    weights
        Must be None: it has none.
    donor
        Another scan of the same modality to copy from; None to copy from the scan itself.

    Raises
    ------
    ForgeError
        If weights are given.
    """
    if weights is not None:
        raise ForgeError("The method 'copymove' has no weights. Leave them out.")
    return CopyMove(donor)
