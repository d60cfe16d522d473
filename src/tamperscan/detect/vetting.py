"""What may go into training and calibration: no image twice, and no source that drowns the others.

Whoever can put scans into an archive can teach a detector that a forgery is authentic. Two things make that harder. A
forged copy of a scan that is there already shares its untouched slices with it, and images that come again, mirrored or
turned, count for more than they are worth: both are found by hashes of the slices' pixels. And no scanner and no
patient gives more than a share of what is learned from, so that one source can't teach all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

MOST_OF_A_SCANNER: Final = 0.6
MOST_OF_A_PATIENT: Final = 0.25
"""Shares of what is learned from that one source may give, where there are enough others."""
SHARED: Final = 0.5
"""A scan is a copy of others if more than this share of its slices was seen before."""

_STEPS: Final = 60


@dataclass(frozen=True)
class Copy:
    """A scan that repeats what was there before.

    Attributes
    ----------
    scan, of
        Its name, and the name of the scan that it shares most slices with.
    shared, slices
        How many of its slices were seen before, and how many it has.
    """

    scan: str
    of: str
    shared: int
    slices: int

    def __str__(self) -> str:
        """Say what to do."""
        if self.shared == self.slices:
            return f"{self.scan}: every slice is in {self.of} too, as it is, mirrored or turned. It was left out."
        return (
            f"{self.scan}: {self.shared} of its {self.slices} slices are in {self.of} too, and the others differ."
            " It was left out. One of the two may have been altered: look at both."
        )


def slice_hashes(volume: NDArray[Any]) -> tuple[str, ...]:
    """Hash the pixels of every slice; mirrored and turned by right angles they have the same hash.

    Parameters
    ----------
    volume
        ``[slice, row, column]``, in whatever values; compared as whole numbers.

    Returns
    -------
    tuple of str
        Hexadecimal, empty for a slice of a single value: air is no image.
    """
    return tuple(_hash(np.rint(image).astype(np.int32)) for image in volume)


def _hash(image: NDArray[np.int32]) -> str:
    if image.min() == image.max():
        return ""
    return min(_digest(np.rot90(side, turns)) for side in (image, image[:, ::-1]) for turns in range(4))


def _digest(image: NDArray[np.int32]) -> str:
    shape = repr(image.shape).encode()
    return hashlib.blake2b(np.ascontiguousarray(image).tobytes(), digest_size=8, key=shape).hexdigest()


def scanner_of(header: Mapping[str, str]) -> str:
    """Name the scanner by maker and model as the header says; empty where it does not."""
    return " ".join(filter(None, (header.get("Manufacturer"), header.get("ManufacturerModelName"))))


class SeenSlices:
    """Remembers the slices of scans by their hashes, and tells scans that repeat them."""

    def __init__(self) -> None:
        self._scan_of: dict[str, str] = {}

    def copy(self, scan: str, hashes: Iterable[str]) -> Copy | None:
        """Return what a scan repeats; None, and its slices are remembered, if it is new.

        Parameters
        ----------
        scan
            Its name.
        hashes
            Of its slices, from `slice_hashes`.
        """
        known = [each for each in hashes if each]
        seen = [self._scan_of[each] for each in known if each in self._scan_of]
        if len(seen) > SHARED * len(known):
            return Copy(scan, max(sorted(set(seen)), key=seen.count), len(seen), len(known))
        for each in known:
            self._scan_of.setdefault(each, scan)
        return None


def capped_shares(shares: NDArray[np.float64], sources: Sequence[Hashable], most: float) -> NDArray[np.float64]:
    """Lower the shares of sources that give more than they may; the others rise in proportion.

    Parameters
    ----------
    shares
        ``[scan]``, adding up to 1.
    sources
        Of each scan; scans whose source is not known (empty) are sources of their own.
    most
        Largest share of a source. Where there are too few sources for that, all get the same.

    Returns
    -------
    float64 ``[scan]``
        Adding up to 1.
    """
    named = [source or ("scan", number) for number, source in enumerate(sources)]
    numbers = {source: number for number, source in enumerate(dict.fromkeys(named))}
    of = np.array([numbers[source] for source in named])
    totals = np.asarray(np.bincount(of, shares), np.float64)
    limit = max(most, 1.0 / max(1, int(np.count_nonzero(totals))))
    capped = totals.copy()
    for _ in range(_STEPS):  # each step hands what is too much to those that may have more
        over = capped >= limit
        free = np.where(over, 0.0, capped)
        capped = np.where(over, limit, free)
        if not free.any():
            break
        capped += free / free.sum() * (1.0 - capped.sum())
    factors = np.divide(capped, totals, out=np.zeros_like(totals), where=totals > 0)
    result: NDArray[np.float64] = shares * factors[of]
    result /= result.sum()
    return result


def largest_share(shares: NDArray[np.float64], sources: Sequence[Hashable]) -> tuple[str, float]:
    """Name the source that gives most, and its share; empty names are not known and don't count."""
    totals: dict[str, float] = {}
    for share, source in zip(shares, sources, strict=True):
        if source:
            totals[str(source)] = totals.get(str(source), 0.0) + float(share)
    return max(totals.items(), key=lambda each: each[1], default=("", 0.0))
