"""Make a detector of a trained predictor: learn what is typical, and count what authentic scans score."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tamperscan.detect.ahead import map_ahead
from tamperscan.detect.calibration import Calibration, calibration_file
from tamperscan.detect.calibration_set import source_facts, without_copies
from tamperscan.detect.checkpoints import StoredScan
from tamperscan.detect.groups import Group, groups_of
from tamperscan.detect.heads import COMBINATION_FILE, HEADS, TYPICALITY_FILE, Combination, Head, HeadName, heads_in
from tamperscan.detect.measured import MeasuredScan, scores_of
from tamperscan.detect.measuring import ScanMeasurer, Scans, measure_all
from tamperscan.detect.robust_calibration import ScoredScan, SetAside, calibrate_robustly
from tamperscan.detect.self_forged import read_facts
from tamperscan.detect.typicality import PatientWindows, Typicality, fit_windows, joined
from tamperscan.detect.vetting import Copy
from tamperscan.diffusion.runtime import usable_cores
from tamperscan.diffusion.weights import Weights, write_card
from tamperscan.errors import TrainingError
from tamperscan.files import copy_file, make_folder, write_file

Scored = dict[str, list[ScoredScan]]
LearnedFrom = MeasuredScan | StoredScan

_LEAST_PATIENTS = 5
# Beyond so many patients, several at a time are left out: fitting once a patient would take hours.
_MOST_FITS = 40
# Each takes three times the memory of the windows while it lasts.
_FITS_AT_A_TIME = 2
MOST_WINDOWS = 300_000
"""Windows that are learned from at most, over all patients: some 60 MB."""


def calibrate_weights(
    weights: Weights,
    scans: Scans,
    out: Path,
    *,
    checkpoints: Path | None = None,
    threads: int | None = None,
    on_scan: Callable[[str, str], None] = lambda name, outcome: None,
    on_set_aside: Callable[[SetAside], None] = lambda patient: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Weights:
    """Write a calibrated detector.

    Each patient is scored by a typicality that was fitted without it; the detector gets the one fitted on all. Patients
    who score far above the others might be tampered with: they are set aside, and the rest is learned from anew.

    Parameters
    ----------
    weights
        The trained predictor.
    scans
        (patient, scan) of authentic scans, decoded or still to be.
    out
        Folder of the detector; made if missing.
    checkpoints
        Folder where what was measured is kept, and found again; None for one that is removed at the end.
    threads
        CPU threads; None for all that this process may use.
    on_scan
        Called with each scan's name and what came of it.
    on_set_aside
        Called with each patient who was set aside.
    progress
        Called with (patients scored, patients in all).

    Raises
    ------
    TrainingError
        If fewer than five patients have lungs that could be measured.
    """
    with ExitStack() as opened:
        folder = checkpoints or Path(opened.enter_context(TemporaryDirectory(prefix="tamperscan-")))
        patients = measure_all(ScanMeasurer(weights, folder, threads=threads), scans, on_scan)
        patients, copies = without_copies(patients, on_scan)
        return _calibrate_patients(weights, patients, out, copies, on_set_aside, progress)


def _calibrate_patients(
    weights: Weights,
    patients: Mapping[str, Sequence[StoredScan]],
    out: Path,
    copies: Sequence[Copy],
    on_set_aside: Callable[[SetAside], None],
    progress: Callable[[int, int], None],
) -> Weights:
    if len(patients) < _LEAST_PATIENTS:
        raise TrainingError(
            f"{len(patients)} patients with measurable lungs are too few to calibrate on: at least {_LEAST_PATIENTS}"
            " are needed, and 19 for an alarm rate of 0.05. Give more authentic scans."
        )
    fits = Fits(patients)
    made = _calibrate_heads(weights, patients, fits, progress)
    aside = {each.patient: each for own in made.values() for each in own.aside}
    for patient in aside.values():
        on_set_aside(patient)
    kept = {name: measured for name, measured in patients.items() if name not in aside}
    # All patients: what one head sets aside another may have kept.
    groups = groups_of(patients, made[heads_in(weights)[-1]].calibration)
    facts = _facts(kept, list(aside.values()), groups) | source_facts(kept, copies)
    return write_calibrated(weights, out, fits.on(kept), made, facts)


def fit_on(patients: Mapping[Any, Sequence[MeasuredScan]]) -> Typicality:
    """Learn what is typical of patients' scans."""
    return fit_windows([joined([scan.learning() for scan in scans]) for scans in patients.values()])


class Fits:
    """Typicalities by the patients that they were fitted on, each made once: every head asks for the same ones.

    The windows that are learned from stay in memory, so there are at most so many: a patient with more than its share
    is represented by a sample of them.

    Parameters
    ----------
    patients
        The measured scans of each patient.
    most
        Windows of all patients together.
    """

    def __init__(self, patients: Mapping[str, Sequence[LearnedFrom]], most: int = MOST_WINDOWS) -> None:
        counts = {name: sum(scan.windows for scan in scans) for name, scans in patients.items()}
        share = _fair_share(list(counts.values()), most)
        self._patients = {name: _sample(scans, counts[name], share) for name, scans in patients.items()}
        self._made: dict[tuple[str, ...], Typicality] = {}

    def on(self, names: Iterable[str]) -> Typicality:
        """Return what is typical of these patients."""
        key = tuple(names)
        if key not in self._made:
            self._made[key] = fit_windows([self._patients[name] for name in key])
        return self._made[key]


def _fair_share(counts: Sequence[int], most: int) -> int:
    """Return how many windows a patient may have where all together may have so many; what some leave others get."""
    left, share = most, max(counts, default=0)
    for place, count in enumerate(sorted(counts)):
        if count * (len(counts) - place) > left:
            return left // (len(counts) - place)
        left -= count
    return share


def _sample(scans: Sequence[LearnedFrom], count: int, share: int) -> PatientWindows:
    """Return a patient's windows; where there are more than its share, each scan gives its part of them."""
    if count <= share:
        return joined([scan.learning() for scan in scans])
    return joined([scan.learning(round(share * scan.windows / count)) for scan in scans])


@dataclass(frozen=True, eq=False)
class CalibratedHead:
    """A head's calibration.

    Attributes
    ----------
    calibration
        Of authentic patients.
    aside
        Patients that were set aside.
    combination
        How the head adds others; None where it does not.
    """

    calibration: Calibration
    aside: tuple[SetAside, ...] = ()
    combination: Combination | None = None


def combination_of(name: HeadName, made: Mapping[HeadName, CalibratedHead]) -> Combination | None:
    """Return how a head adds those that were calibrated before it; None where it adds none."""
    if name != "combined":
        return None
    return Combination(*(made[each].calibration.slice_spread for each in ("typicality", "self-forged")))


def write_calibrated(
    weights: Weights, out: Path, typicality: Typicality, made: Mapping[HeadName, CalibratedHead], facts: dict[str, Any]
) -> Weights:
    """Write a detector: the files of the weights, beside them what was learned and counted, and its card.

    Parameters
    ----------
    weights
        Of the predictor, with a self-forged head if that is among those that were calibrated.
    out
        Folder of the detector; made if missing.
    typicality
        Fitted on all patients.
    made
        Every calibrated head.
    facts
        What the card says of the calibration.
    """
    make_folder(out)
    _write_json(out / TYPICALITY_FILE, typicality.as_dict())
    for head, own in made.items():
        _write_json(out / calibration_file(head), own.calibration.as_dict())
        if own.combination is not None:
            _write_json(out / COMBINATION_FILE, own.combination.as_dict())
    names = [name for name in weights.card.files if name not in _files_made(HEADS)]
    for name in names:
        copy_file(weights.folder / name, out / name)
    files = dict.fromkeys([*names, *_files_made(made)], "")
    return write_card(out, weights.card.model_copy(update={"files": files, "calibration": facts}))


def _calibrate_heads(
    weights: Weights,
    patients: Mapping[str, Sequence[StoredScan]],
    fits: Fits,
    progress: Callable[[int, int], None],
) -> dict[HeadName, CalibratedHead]:
    """Calibrate each head by patients that had no say in it."""
    made: dict[HeadName, CalibratedHead] = {}
    facts = read_facts(weights) if len(heads_in(weights)) > 1 else None
    for name in heads_in(weights):
        combination = combination_of(name, made)

        def score(kept: Sequence[str], name: HeadName = name, combination: Combination | None = combination) -> Scored:
            def head_for(patient: str, typicality: Typicality) -> Head:
                unseen = None if facts is None else facts.members_without(patient)
                return Head(name, typicality, unseen, combination)

            return score_patients(patients, kept, head_for, fits=fits, progress=progress)

        made[name] = CalibratedHead(*calibrate_robustly(list(patients), score), combination)
    return made


def _files_made(heads: Iterable[HeadName]) -> list[str]:
    """Name the files that calibrating these heads writes."""
    names = [TYPICALITY_FILE, *(calibration_file(head) for head in heads)]
    return [*names, COMBINATION_FILE] if "combined" in heads else names


def score_patients(
    patients: Mapping[str, Sequence[LearnedFrom]],
    learned_from: Sequence[str],
    head_for: Callable[[str, Typicality], Head],
    *,
    fits: Fits | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, list[ScoredScan]]:
    """Score every patient by a typicality that was fitted without it.

    Parameters
    ----------
    patients
        The measured scans of each patient.
    learned_from
        Patients that may be fitted on; the others are scored only.
    head_for
        Makes the head that scores a patient, of that typicality.
    fits
        Remembers typicalities of these patients from one head to the next; new if None.
    progress
        Called with (patients scored, patients in all).
    """
    fits = fits or Fits(patients)
    scored: dict[str, list[ScoredScan]] = {}

    def fit(left_out: Sequence[str]) -> tuple[Sequence[str], Typicality]:
        return left_out, fits.on(name for name in learned_from if name not in left_out)

    groups = _groups(list(patients), _MOST_FITS)
    for left_out, typicality in map_ahead(fit, groups, min(_FITS_AT_A_TIME, usable_cores())):
        for name in left_out:
            scored[name] = [_scored(scan.load(), head_for(name, typicality)) for scan in patients[name]]
        progress(len(scored), len(patients))
    return scored


def _groups(names: list[str], most: int) -> list[list[str]]:
    """Divide names into at most so many groups, each of one while that is enough."""
    count = min(len(names), most)
    return [names[number::count] for number in range(count)]


def _scored(scan: MeasuredScan, head: Head) -> ScoredScan:
    if scan.acquisition is None:
        raise ValueError(f"{scan.name}: its acquisition was not measured")
    return ScoredScan(scan.name, scores_of(scan, head), scan.spacing_mm[0], scan.acquisition)


def _facts(
    patients: Mapping[str, Sequence[StoredScan]], aside: Sequence[SetAside], groups: Sequence[Group]
) -> dict[str, Any]:
    return {
        "patients": len(patients),
        "scans": [
            {"patient": patient, "name": scan.name, "slices": scan.slices}
            for patient, measured in patients.items()
            for scan in measured
        ],
        "set_aside": [{"patient": each.patient, "name": each.scan} for each in aside],
        "groups": [group.as_dict() for group in groups],
    }


def _write_json(path: Path, plain: dict[str, Any]) -> None:
    write_file(path, (json.dumps(plain) + "\n").encode())
