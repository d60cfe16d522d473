"""The cases of a comparison: tampered ones of every data set, and authentic ones to compare them with."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tamperscan.bench.cases import Case
from tamperscan.bench.choices import some
from tamperscan.bench.datasets.authentic import read_authentic, scanner_of
from tamperscan.bench.datasets.btd import read_btd
from tamperscan.bench.datasets.ctgan import read_ctgan
from tamperscan.bench.datasets.forged import Origin, origins_of, read_forged
from tamperscan.bench.datasets.m3dsynth import read_m3dsynth
from tamperscan.bench.datasets.rows import DataSet, Skipped
from tamperscan.bench.plan import Plan
from tamperscan.bench.prepare import Prepared
from tamperscan.bench.subjects import CTGAN_FOLDER, TEST_PART, TRAIN_PART
from tamperscan.detect.training import find_patients, read_split
from tamperscan.errors import BenchError

CALIBRATION_PART = "calibrate"
PARTS = (TRAIN_PART, CALIBRATION_PART, TEST_PART)
AUTHENTIC_NAME = "authentic scans"
CALIBRATION_NAME = "authentic scans for calibration"
FORGED_NAME = "forged here"
CTGAN_NAME = "CT-GAN"
BTD_NAME = "BTD test sets"
M3DSYNTH_NAME = "M3Dsynth"

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Authentic:
    """The authentic scans of a comparison, by the part of the split that they are of.

    Attributes
    ----------
    test, calibration
        To measure on; none of a patient that is in another part.
    learned_from
        Names of the scans that contenders learn from.
    seen_scanners
        What these were made with.
    """

    test: DataSet
    calibration: DataSet
    learned_from: frozenset[str]
    seen_scanners: frozenset[str]


@dataclass(frozen=True)
class Gathered:
    """What is measured on.

    Attributes
    ----------
    sets
        Test data sets by name.
    authentic
        Where the authentic ones among them, and those for calibration, come from.
    """

    sets: Mapping[str, DataSet]
    authentic: Authentic

    @property
    def cases(self) -> tuple[Case, ...]:
        """All test cases."""
        return tuple(case for data in self.sets.values() for case in data.cases)

    @property
    def calibration(self) -> tuple[Case, ...]:
        """The cases for calibration."""
        return self.authentic.calibration.cases


def modalities_of(plan: Plan) -> list[str]:
    """Return what is measured: the modalities of the preset, or all that there are scans of.

    Raises
    ------
    BenchError
        If there are no authentic scans.
    """
    known = [name for name, split in plan.splits.items() if plan.scans(name).is_dir() and split.is_file()]
    wanted = plan.preset.modalities
    if not known:
        raise BenchError(
            f"{plan.data}: holds no authentic scans in ct/ or mr/ that a split file tells of. Give --data and --split."
        )
    for name in (each for each in wanted or () if each not in known):
        raise BenchError(
            f"{plan.data}: there are no authentic {name} scans to learn from and to compare with. They belong into "
            f"{plan.scans(name).name}/, and {plan.splits.get(name, 'a split file')} must say which patient is for what."
        )
    return list(wanted or known)


def count_scans(plan: Plan, modality: str, parts: Sequence[str] = PARTS) -> int:
    """Count the files and folders that the globs of some parts of a split match."""
    globs = [pattern for part in parts for pattern in read_split(plan.splits[modality], part)]
    return sum(1 for pattern in globs for _ in plan.scans(modality).glob(pattern))


def read_parts(plan: Plan, modalities: Sequence[str], tell: Tell = lambda name: None) -> Authentic:
    """Read the authentic scans.

    Parameters
    ----------
    plan
        Where they are, and how many of them.
    modalities
        Which ones.
    tell
        Called with the name of each scan.

    Raises
    ------
    TrainingError
        If a split can't be read or lacks a part.
    """
    parts = {TEST_PART: DataSet(()), CALIBRATION_PART: DataSet(())}
    names, scanners = set(), set()
    for modality in modalities:
        folder, split = plan.scans(modality), plan.splits[modality]
        for part in parts:
            data = read_authentic(folder, modality, split=split, parts=(part,), report=tell)
            parts[part] += DataSet(some(data.cases, plan.preset.authentic), data.skipped)
        for _, scan in find_patients(folder, modality, split=split, parts=[TRAIN_PART]):
            tell(scan.name)
            names.add(scan.name)
            scanners.add(scanner_of(scan))
    return Authentic(parts[TEST_PART], parts[CALIBRATION_PART], frozenset(names), frozenset(scanners - {""}))


def gather(plan: Plan, modalities: Sequence[str], authentic: Authentic, prepared: Prepared) -> Gathered:
    """Collect the cases of all data sets.

    Parameters
    ----------
    plan
        Which data sets.
    modalities
        Cases of others are left out.
    authentic
        The authentic scans.
    prepared
        The scans that were forged of them.

    Raises
    ------
    BenchError
        If a data set can't be read.
    """
    origins = origins_of(authentic.test.cases)
    forged = DataSet((), prepared.skipped)
    for folder in prepared.folders:
        forged += read_forged(folder, origins)
    for folder in plan.forged:
        forged += _others_forged(folder, origins, authentic)
    sets = {AUTHENTIC_NAME: authentic.test, FORGED_NAME: forged}
    for name, data in _published(plan, modalities):
        sets[name] = sets.get(name, DataSet(())) + data
    taken: set[str] = {case.name for case in authentic.calibration.cases}
    return Gathered({name: _usable(data, modalities, taken) for name, data in sets.items()}, authentic)


def _others_forged(folder: Path, origins: Mapping[str, Origin], authentic: Authentic) -> DataSet:
    """Read forgeries of test scans, and of scans that nothing here was made of; never of others."""
    used = authentic.learned_from | {case.name for case in authentic.calibration.cases}
    found = read_forged(folder, None)
    strangers = {case.group: Origin(case.group) for case in found.cases if case.group not in used}
    return read_forged(folder, {**strangers, **origins})


def _published(plan: Plan, modalities: Sequence[str]) -> Iterator[tuple[str, DataSet]]:
    ctgan = plan.ctgan or plan.data / CTGAN_FOLDER
    if plan.ctgan is not None or ("CT" in modalities and ctgan.is_dir()):
        data = read_ctgan(ctgan)
        kinds = [[case for case in data.cases if case.task == task] for task in ("inject", "remove", None)]
        few = tuple(case for cases in kinds for case in some(cases, plan.preset.ctgan_scans))
        yield CTGAN_NAME, DataSet(few, data.skipped)
    for folder in plan.btd:
        yield BTD_NAME, read_btd(folder)
    for folder in plan.m3dsynth:
        yield M3DSYNTH_NAME, read_m3dsynth(folder, without=_used_lidc_patients(plan))


def _used_lidc_patients(plan: Plan) -> set[str]:
    """Return the patients of LIDC-IDRI that contenders learn from or are calibrated on; M3Dsynth is made of it."""
    globs = [pattern for part in (TRAIN_PART, CALIBRATION_PART) for pattern in read_split(plan.splits["CT"], part)]
    return {patient for pattern in globs for patient in re.findall(r"LIDC-IDRI-\d+", pattern)}


def _usable(data: DataSet, modalities: Sequence[str], taken: set[str]) -> DataSet:
    """Leave out other modalities, and cases that go by a name that is taken."""
    cases, skipped = [], list(data.skipped)
    for case in data.cases:
        if case.modality not in modalities:
            skipped.append(Skipped(case.name, f"is {case.modality}, which is not measured"))
        elif case.name in taken:
            skipped.append(Skipped(case.name, "has the name of another case"))
        else:
            taken.add(case.name)
            cases.append(case)
    return DataSet(tuple(cases), tuple(skipped))
