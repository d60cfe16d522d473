"""Finding what copymove copies: tissue like that around a place, a known lesion, or a dense compact structure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tamperscan.forge.copymove_source import Centres, Offsets, Patch, Source, Turn, look_up, room, steps_per_voxel
from tamperscan.forge.lesions import Lesion
from tamperscan.forge.site import Index, Voxels
from tamperscan.forge.survey import body_mask
from tamperscan.scan.volume import Scan

# Healthy places that are tried, the slices that they are drawn from, and how many of the best are compared voxel by
# voxel.
_DRAWN: Final = 4000
_SLICES: Final = 12
_COMPARED: Final = 100
# So many voxels of a patch stand for all of it, first and then.
_THIN: Final = 64
_THICK: Final = 4000
# A patch fits where the mean around it lies this near to that around the place, as a part of the scan's range.
_TOLERANCE: Final = 0.15
# A structure's middle stands out from what is around it by so much of the scan's range: what stands out more than a
# lesion is no better for it, and what stands out as bone does is none.
_CONTRASTS: Final = (0.25, 0.6)
_BONE: Final = 0.95
# What differs more than this around it, as a part of the scan's range, would leave a smear where it is pasted.
_MOST_MISFIT: Final = 0.35
_CT_RANGE_HU: Final = 1200.0
_COARSE_MM: Final = 2.0
_BLOBS: Final = 3000

Figures = NDArray[np.float64]
Cost = Callable[[Figures, Figures], Figures]


@dataclass(frozen=True, eq=False)
class Search:
    """What is looked for, and where.

    Attributes
    ----------
    patch
        What is to be filled.
    radius_mm
        Of the patch.
    scan
        The scan that is searched.
    gain
        What that scan's values are multiplied by when they are copied.
    place
        Voxel index of the place where it lies in that scan: nothing is copied onto itself. None in another scan.
    """

    patch: Patch
    radius_mm: float
    scan: Scan
    gain: float = 1.0
    place: Index | None = None

    def healthy(self, lesions: list[Lesion], rng: np.random.Generator) -> Source | None:
        """Find tissue that goes on as the tissue around the place does, with nothing that stands out in its middle."""
        centres = self._drawn(rng)
        for lesion in lesions:
            middle = (lesion.slice, lesion.row, lesion.column)
            centres = self._clear_of(centres, middle, self.radius_mm + lesion.diameter_mm / 2.0)
        return self._best(centres, lambda misfit, inside: misfit + 0.5 * np.abs(inside.mean(axis=1)))

    def structure(self, diameter_mm: float) -> Source | None:
        """Find a dense compact structure of about a diameter, amid tissue like that around the place."""
        span = self.gain * value_range(self.scan)
        centres = np.concatenate([blobs(self.scan, part * diameter_mm) for part in (1.0, 0.6)])
        return self._best(centres, lambda misfit, inside: _compact(misfit / span, inside / span))

    def lesion(self, lesion: Lesion) -> Source | None:
        """Find how a known lesion fits best."""
        centre = np.array([[lesion.slice, lesion.row, lesion.column]])
        return self._best(centre, lambda misfit, inside: misfit)

    def _drawn(self, rng: np.random.Generator) -> Centres:
        """Draw places inside the body."""
        first, last = room(self.patch, self.scan)
        if (last <= first).any():
            return np.zeros((0, 3), dtype=np.int64)
        slices = rng.choice(np.arange(first[0], last[0]), min(_SLICES, int(last[0] - first[0])), replace=False)
        rows, columns = slice(first[1], last[1]), slice(first[2], last[2])
        inside = np.argwhere([body_mask(self.scan, int(index))[rows, columns] for index in slices])
        chosen = inside[rng.integers(len(inside), size=_DRAWN)] if len(inside) else inside
        return np.stack([slices[chosen[:, 0]], chosen[:, 1] + first[1], chosen[:, 2] + first[2]], axis=1)

    def _best(self, centres: Centres, cost: Cost) -> Source | None:
        """Find the centre and the turn that cost least: by a few voxels first, then the best of them by many."""
        centres, turns = self._possible(centres), self.patch.turns()
        thin, thick = (_Comparison(self.patch, self.scan, self.gain, most) for most in (_THIN, _THICK))
        costs = np.min([thin.costs(centres, turn, cost) for turn in turns], axis=0)
        order = np.argsort(costs, kind="stable")[: min(_COMPARED, int(np.isfinite(costs).sum()))]
        centres = centres[order]
        exact = np.array([thick.costs(centres, turn, cost) for turn in turns])
        for index in np.argsort(exact.min(axis=0, initial=np.inf), kind="stable"):
            slice_, row, column = (int(side) for side in centres[index])
            turn = turns[int(np.argmin(exact[:, index]))]
            # The table, and what lies on it, can look like anything.
            if np.isfinite(exact[:, index]).any() and body_mask(self.scan, slice_)[row, column]:
                return Source(self.scan, (slice_, row, column), turn, self._resampled(), self.gain)
        return None

    def _resampled(self) -> bool:
        return bool((steps_per_voxel(self.patch, self.scan) != 1.0).any())

    def _possible(self, centres: Centres) -> Centres:
        """Leave out what is too near the scan's border, or would take from the place itself."""
        first, last = room(self.patch, self.scan)
        inside: Centres = centres[((centres >= first) & (centres < last)).all(axis=1)]
        return inside if self.place is None else self._clear_of(inside, self.place, 2.0 * self.radius_mm)

    def _clear_of(self, centres: Centres, middle: Index, distance_mm: float) -> Centres:
        steps = (centres - np.array(middle)) * np.array(self.scan.spacing_mm)
        clear: Centres = centres[np.linalg.norm(steps, axis=1) > distance_mm]
        return clear


class _Comparison:
    """Compares what lies around other places with what lies around the place, by some of a patch's voxels."""

    def __init__(self, patch: Patch, scan: Scan, gain: float, most: int) -> None:
        ring = _some(patch.ring, most)
        self._ring, self._middle = patch.ring[:, ring], patch.middle[:, _some(patch.middle, most)]
        self._wanted = patch.around[ring].astype(np.float64)
        self._scan, self._gain = scan, gain
        self._ratio = steps_per_voxel(patch, scan)
        self._tolerance = _TOLERANCE * gain * value_range(scan)

    def costs(self, centres: Centres, turn: Turn, cost: Cost) -> Figures:
        """Return each centre's cost; infinite where the level around it is another."""
        around, middle = self._values(centres, turn, self._ring), self._values(centres, turn, self._middle)
        misfit = np.sqrt(np.mean((around - self._wanted) ** 2, axis=1))
        off = np.abs(around.mean(axis=1) - self._wanted.mean())
        costs = cost(misfit, middle - around.mean(axis=1, keepdims=True))
        return np.where(off <= self._tolerance, costs, np.inf)

    def _values(self, centres: Centres, turn: Turn, offsets: Offsets) -> Figures:
        values: Figures = self._gain * look_up(self._scan, centres, turn.apply(offsets), self._ratio).astype(np.float64)
        return values


def _compact(misfit: Figures, inside: Figures) -> Figures:
    """Prefer what is dense throughout: a branch of a vessel has a dense middle with gaps beside it."""
    contrast = np.percentile(inside, 20.0, axis=1)
    least, most = _CONTRASTS
    possible = (contrast >= least) & (contrast < _BONE) & (misfit <= _MOST_MISFIT)
    return np.where(possible, misfit / np.clip(contrast, least, most), np.inf)


def _some(offsets: Offsets, most: int) -> NDArray[np.int64]:
    """Choose the voxels that stand for all of them."""
    count = offsets.shape[1]
    chosen: NDArray[np.int64] = np.random.default_rng(0).choice(count, min(count, most), replace=False)
    return chosen


def value_range(scan: Scan) -> float:
    """Return how far the bulk of a scan's values reaches: from air to bone in CT, by percentiles in MR."""
    if scan.modality == "CT":
        return _CT_RANGE_HU
    low, high = np.percentile(scan.voxels[:: max(1, scan.shape[0] // 16), ::4, ::4], (1.0, 99.0))
    return float(max(high - low, 1.0))


def blobs(scan: Scan, diameter_mm: float) -> Centres:
    """List the middles of dense compact structures of about a diameter, the most distinct first.

    Maxima of the difference of two Gaussian means, the narrow one matched to a ball of that diameter (Lindeberg,
    "Feature detection with automatic scale selection", IJCV 30, 1998, section 5), on a grid of about 2 mm.

    Returns
    -------
    int64 ``[structure, 3]``: voxel indices (slice, row, column).
    """
    sizes = zip(scan.spacing_mm, scan.shape, strict=True)
    steps = [min(side, max(1, round(_COARSE_MM / step_mm))) for step_mm, side in sizes]
    coarse = _block_means(scan.voxels, steps)
    sigma = [
        diameter_mm / 2.0 / np.sqrt(3.0) / (step * side) for step, side in zip(steps, scan.spacing_mm, strict=True)
    ]
    if scan.shape[0] == 1:
        sigma[0] = 0.0
    narrow, wide = (ndimage.gaussian_filter(coarse, [factor * each for each in sigma]) for factor in (1.0, 1.6))
    response = narrow - wide
    peaks = np.argwhere((response == ndimage.maximum_filter(response, size=3)) & (response > 0.0))
    order = np.argsort(-response[tuple(peaks.T)], kind="stable")[:_BLOBS]
    centres: Centres = peaks[order] * np.array(steps) + np.array(steps) // 2
    return centres


def _block_means(voxels: Voxels, steps: list[int]) -> Voxels:
    """Average blocks of voxels; what is left over at the far border is left out."""
    whole = [side // step for side, step in zip(voxels.shape, steps, strict=True)]
    cut = voxels[tuple(slice(0, count * step) for count, step in zip(whole, steps, strict=True))]
    blocks = cut.reshape(whole[0], steps[0], whole[1], steps[1], whole[2], steps[2])
    means: Voxels = blocks.mean(axis=(1, 3, 5), dtype=np.float32)
    return means
