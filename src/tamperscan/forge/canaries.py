"""Forged slices of authentic scans, always the same ones of the same scans: what a new detector must still find."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from tamperscan.detect.canaries import CanaryPair
from tamperscan.errors import ForgeError
from tamperscan.forge.forgery import forge
from tamperscan.forge.method import ACTIONS, Action, Method, load_method
from tamperscan.forge.places import find_place
from tamperscan.scan.volume import Scan, pixel_sha256

METHODS: Final = ("gan", "copymove")
"""What canaries are forged with, as far as it is installed."""

# The cube that is altered is 32 mm high; so many mm of the volume are forged to take one slice of it.
_BLOCK_MM = 40.0
_ATTEMPTS = 3


def canary_methods() -> list[Method]:
    """Load the methods that this installation has."""
    methods = []
    for name in METHODS:
        try:
            methods.append(load_method(name))
        except ForgeError:
            continue
    return methods


def canary_pairs(patient: str, scan: Scan, methods: Sequence[Method]) -> Iterator[CanaryPair]:
    """Forge the middle of a scan by each method, by turns a removal and an injection.

    Parameters
    ----------
    patient
        Whose it is.
    scan
        Authentic chest CT.
    methods
        From `canary_methods`.

    Yields
    ------
    CanaryPair
        Only where a place was found: a slice without room in its lungs has none.
    """
    index = scan.shape[0] // 2
    for number, method in enumerate(methods):
        # By the pixels, so that the same scan gets the same forgery wherever it comes from.
        seed = int(hashlib.sha256(f"{scan.sha256} {method.name}".encode()).hexdigest(), 16) % 2**31
        action: Action = ACTIONS[(seed + number) % len(ACTIONS)]
        made = forged_slice(scan, index, method, action, seed)
        if made is not None:
            yield CanaryPair(patient, f"{method.name} {action}", *made)


def forged_slice(scan: Scan, index: int, method: Method, action: Action, seed: int) -> tuple[Scan, Scan] | None:
    """Forge the volume around a slice.

    Parameters
    ----------
    scan
        An authentic scan.
    index
        The slice.
    method, action, seed
        How to forge; with other seeds where there is no place for the first.

    Returns
    -------
    authentic, forged
        The slice through the middle of the tampering, before and after, as scans of one slice; None where there is no
        place.
    """
    half = int(_BLOCK_MM / 2 / scan.spacing_mm[0])
    first = max(0, index - half)
    block = replace(scan, voxels=scan.voxels[first : index + half + 1], sources=())
    for attempt in range(_ATTEMPTS):
        try:
            made = forge(block, method, action, find_place(block, action, seed + attempt), seed=seed + attempt)
        except ForgeError:
            continue
        middle = made.record.place.index[0]
        return _one(block, block, middle, ""), _one(block, made.scan, middle, f"forged_{method.name}_{action}_")
    return None


def _one(block: Scan, of: Scan, index: int, mark: str) -> Scan:
    voxels = of.voxels[index : index + 1].copy()
    return replace(block, voxels=voxels, name=f"{mark}{block.name}_{index:03}", sha256=pixel_sha256(voxels))
