"""Forged places beside the same places before: what each forging method does to the spectrum and the score.

The places are healthy lung, so that before and after differ by the forging alone: "remove" takes nothing out, but puts
the method's own texture in; "inject" puts a lesion in.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

import numpy as np

from tamperscan.bench.explain.averages import geometric_means
from tamperscan.bench.explain.levels import LEVELS_HU, Sweep, sweep
from tamperscan.bench.explain.predictors import Predict
from tamperscan.bench.explain.spectra import RESIDUAL, SpectrumRatio, residual, spectrum, summarise
from tamperscan.bench.explain.subjects import Subject, cut_subject
from tamperscan.bench.metrics import Estimate
from tamperscan.bench.places import Mask
from tamperscan.detect.regions import tissues
from tamperscan.errors import ForgeError
from tamperscan.forge.forgery import forge
from tamperscan.forge.method import Action, Method, load_method
from tamperscan.forge.places import choose_place
from tamperscan.forge.site import Place
from tamperscan.scan import Scan

METHODS: Final[Mapping[str, tuple[Action, ...]]] = MappingProxyType(
    {
        "smooth": ("remove",),
        "copymove": ("remove", "inject"),
        "nodule": ("inject",),
        "gan": ("remove", "inject"),
        "diffusion": ("remove", "inject"),
    }
)
"""The methods that forge, and what is done with each."""

DIAMETER_MM: Final = 12.0
FORGED_LEVELS_HU: Final = LEVELS_HU[::2]
"""Half of the levels: there are many forged places."""

# What the network sees around what was changed.
_MARGIN_PX = 40

Report = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Pair:
    """A place before and after it was forged.

    Attributes
    ----------
    method, action
        What was done.
    before, after
        The same part of the same slice.
    changed
        bool ``[row, column]``: the pixels that differ.
    """

    method: str
    action: Action
    before: Subject
    after: Subject
    changed: Mask


@dataclass(frozen=True)
class ForgedResult:
    """What one method does to healthy places.

    Attributes
    ----------
    method, action
        What was done.
    places, patients
        How many places were forged.
    levels_hu
        Levels that the network was asked at.
    times
        Of removals: energy of the predicted noise after over before, in the parenchyma that was changed, by level.
    spectrum
        Of removals: the image less its low-pass, after over before, in the same parenchyma; None where too little was
        changed.
    standing
        Of injections: how the soft tissue of the lesion stands out of its slice.
    """

    method: str
    action: Action
    places: int
    patients: int
    levels_hu: tuple[float, ...]
    times: tuple[Estimate, ...] = ()
    spectrum: SpectrumRatio | None = None
    standing: Sweep | None = None


def forged_pairs(
    patients: Iterable[tuple[str, Scan]],
    methods: Mapping[str, tuple[Action, ...]] = METHODS,
    *,
    skipped: dict[str, str],
    report: Report = lambda *_: None,
) -> list[Pair]:
    """Forge one healthy place of each scan by every method that can.

    Parameters
    ----------
    patients
        (patient, scan); authentic.
    methods
        Which, and what to do with each.
    skipped
        Is told why a method, or one place of it, was left out.
    report
        Called with (places done, places in all).
    """
    loaded = dict(_load(methods, skipped))
    places = [(patient, scan, _place(scan, skipped)) for patient, scan in patients]
    found = []
    for done, (patient, scan, place) in enumerate(places, start=1):
        if place is None:
            continue
        for name, method in loaded.items():
            for action in methods[name]:
                try:
                    pair = _forged(patient, scan, place, method, action)
                except ForgeError as error:
                    skipped.setdefault(f"{name} ({action}) of {scan.name}", str(error))
                    continue
                found += [pair] if pair else []
        report(done, len(places))
    return found


def compare(
    pairs: Sequence[Pair],
    predict: Predict,
    *,
    levels_hu: Sequence[float] = FORGED_LEVELS_HU,
    report: Report = lambda *_: None,
) -> tuple[ForgedResult, ...]:
    """Measure what each method does.

    Parameters
    ----------
    pairs
        Places before and after.
    predict
        The noise predictor.
    levels_hu
        Noise levels.
    report
        Called with (pairs done, pairs in all).
    """
    found, done = [], 0
    for method, action in dict.fromkeys((pair.method, pair.action) for pair in pairs):
        chosen = [pair for pair in pairs if (pair.method, pair.action) == (method, action)]
        found.append(_result(method, action, chosen, predict, levels_hu))
        done += len(chosen)
        report(done, len(pairs))
    return tuple(found)


def _load(methods: Iterable[str], skipped: dict[str, str]) -> Iterator[tuple[str, Method]]:
    for name in methods:
        try:
            yield name, load_method(name)
        except ForgeError as error:
            skipped[name] = str(error)


def _place(scan: Scan, skipped: dict[str, str]) -> Place | None:
    """Choose a place with room for a lesion; the same for the same scan."""
    seed = int.from_bytes(hashlib.sha256(scan.name.encode()).digest()[:8], "little")
    try:
        return choose_place(scan, "inject", np.random.default_rng(seed), diameter_mm=DIAMETER_MM)
    except ForgeError as error:
        skipped[scan.name] = str(error)
        return None


def _forged(patient: str, scan: Scan, place: Place, method: Method, action: Action) -> Pair | None:
    spacing_mm = scan.spacing_mm[1:]
    names = (f"{scan.name}_{place.slice}", patient, f"{method.name} {action}")
    before = cut_subject(scan.voxels[place.slice], spacing_mm, (place.row, place.column), [], names)
    if before is None:
        return None
    forgery = forge(scan, method, action, place)
    top, left = place.row - before.place[0], place.column - before.place[1]
    box = (place.slice, slice(top, top + before.shape[0]), slice(left, left + before.shape[1]))
    hu = forgery.scan.voxels[box].copy()  # or the whole forged scan would stay in memory
    after = replace(before, hu=hu, classes=tissues(hu, before.lung))
    return Pair(method.name, action, before, after, forgery.mask[box].copy())


def _result(
    method: str, action: Action, pairs: Sequence[Pair], predict: Predict, levels_hu: Sequence[float]
) -> ForgedResult:
    groups = [pair.before.group for pair in pairs]
    result = ForgedResult(method, action, len(pairs), len(set(groups)), tuple(levels_hu))
    if action == "inject":
        after = [pair.after for pair in pairs]
        return replace(result, standing=sweep(after, predict, levels_hu=levels_hu, tissues=["soft"])[0])
    logs = np.array([_log_times(pair, predict, levels_hu) for pair in pairs])
    known = [(pair.before.group, _log_spectra(pair)) for pair in pairs]
    ratios = summarise(f"{method} {action}", "parenchyma", [RESIDUAL], known)
    return replace(result, times=geometric_means(logs, groups), spectrum=ratios[0] if ratios else None)


def _both(pair: Pair) -> Mask:
    """Parenchyma before and after, of the pixels that were changed."""
    both: Mask = pair.changed & pair.before.classes.parenchyma & pair.after.classes.parenchyma
    return both


def _log_times(pair: Pair, predict: Predict, levels_hu: Sequence[float]) -> list[float]:
    both = _both(pair)
    if not both.any():
        return [math.nan] * len(levels_hu)
    box = _box(pair.changed)
    energies = [
        np.square(predict(side.hu[box], levels_hu)[:, both[box]], dtype=np.float64).mean(axis=1)
        for side in (pair.after, pair.before)
    ]
    ratios: list[float] = np.log(energies[0] / energies[1]).tolist()
    return ratios


def _box(changed: Mask) -> tuple[slice, slice]:
    spans = []
    for axis in (1, 0):
        touched = np.flatnonzero(changed.any(axis=axis))
        spans.append(slice(max(0, int(touched[0]) - _MARGIN_PX), int(touched[-1]) + 1 + _MARGIN_PX))
    return spans[0], spans[1]


def _log_spectra(pair: Pair) -> tuple[np.ndarray, np.ndarray] | None:
    both = _both(pair)
    found = []
    for side in (pair.after, pair.before):
        fine = residual(side.hu, side.classes.parenchyma, side.spacing_mm)
        found.append(spectrum(fine, both, side.place, side.spacing_mm))
    if found[0] is None or found[1] is None:
        return None
    return np.log(found[0])[None], np.log(found[1])[None]
