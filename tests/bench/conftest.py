"""A made-up detector that finds bright places, and slices to measure it on."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from tamperscan.bench.places import disc_mean
from tamperscan.detect.calibration import Calibration
from tamperscan.detect.results import Finding, Screening, SliceResult
from tamperscan.scan import Scan

REAL_SCANS = Path(__file__).parents[2] / ".." / "shared" / "data"
SIDE = 128
AIR = -1000.0


class BrightPlaces:
    """Suspects what lies above 0 HU; looks where the slice is no air, and abstains where it is all air."""

    name = "bright"

    def screen(self, scan):
        suspicion = np.maximum(scan.voxels, 0.0)
        regions = scan.voxels > AIR
        measured = bool(regions.any())
        score = float(suspicion.max()) if measured else math.nan
        p_value = (0.01 if score > 50 else 0.6) if measured else None
        row, column = np.unravel_index(int(suspicion[0].argmax()), suspicion[0].shape)
        peak = (int(row), int(column)) if measured else None
        found = Finding((0, int(row), int(column)), (1, 1, 1), score, p_value, (0, 0), "too noisy")
        return Screening(
            scan=scan,
            verdict=("suspicious" if score > 50 else "clear") if measured else "abstained",
            reasons=("No lung was found.",),
            score=score,
            p_value=p_value,
            alarm_rate=0.05,
            findings=(found,) if score > 50 else (),
            slices=(SliceResult(0, score, p_value, peak),),
            suspicion=suspicion,
            regions=regions,
            detector_name=self.name,
            weights_sha256="0" * 64,
        )

    def score_patch(self, scan, slice, row, column):
        screening = self.screen(scan)
        return disc_mean(screening.suspicion[slice], screening.regions[slice], (row, column), scan.spacing_mm[1:])


class Blind(BrightPlaces):
    """Scores every place alike."""

    name = "blind"

    def score_patch(self, scan, slice, row, column):
        return 1.0


def image(seed, bright=None, rest=20.0):
    """Noise up to ``rest`` on half a slice of air, with a bright disc."""
    values = np.full((SIDE, SIDE), AIR, np.float32)
    values[20:-20, 10:-10] = np.random.default_rng(seed).uniform(1, rest, (SIDE - 40, SIDE - 20))
    if bright is not None:
        rows, columns = np.ogrid[:SIDE, :SIDE]
        values[np.hypot(rows - bright[0], columns - bright[1]) <= 10] = 100.0
    return values


def scan_of(*images, name="scan", slice_mm=5.0):
    return Scan(voxels=np.stack(images), spacing_mm=(slice_mm, 1.0, 1.0), modality="CT", name=name)


@pytest.fixture
def detector():
    return BrightPlaces()


@pytest.fixture
def calibration():
    scores = np.linspace(1.0, 20.0, 20)
    return Calibration(scores, scores, np.ones(20), growth=1.0)


@pytest.fixture
def ctgan_folder(tmp_path):
    """Six tampered slices of three scans: four removals that are bright at their label, two injections that are not."""
    lines = ["file,type,scan,slice,x,y"]
    for index, (kind, scan, number) in enumerate(
        [("FB", "1", 5), ("FB", "1", 90), ("FB", "2", 5), ("FB", "2", 90), ("FM", "3", 5), ("FM", "4", 5)]
    ):
        row, column = 50, 30 + 10 * index
        np.save(tmp_path / f"{scan}_{number}.npy", image(index, (row, column) if kind == "FB" else None))
        lines.append(f"{scan}_{number}.npy,{kind},{scan},{number},{column},{row}")
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


@pytest.fixture
def authentic():
    """(patient, scan) of three patients; the last slice of the third holds air alone."""
    air = np.full((SIDE, SIDE), AIR, np.float32)
    return [
        ("p1", scan_of(image(11), image(12), name="s1")),
        ("p2", scan_of(image(13), name="s2")),
        ("p3", scan_of(image(14), air, name="s3")),
    ]


@pytest.fixture
def few_of():
    """Make a folder like the real one, with some tampered slices and the slices of some authentic patients."""

    def make(real_scans, folder, slices, patients):
        (folder / "ctgan").mkdir()
        (folder / "ct" / "singles").mkdir(parents=True)
        lines = (real_scans / "ctgan" / "labels.csv").read_text().splitlines()
        kept = [lines[0], *(line for line in lines if line.startswith(slices))]
        (folder / "ctgan" / "labels.csv").write_text("\n".join(kept) + "\n")
        for name in slices:
            shutil.copyfile(real_scans / "ctgan" / name, folder / "ctgan" / name)
        for patient in patients:
            for path in (real_scans / "ct" / "singles").glob(f"{patient}_*"):
                shutil.copyfile(path, folder / "ct" / "singles" / path.name)
        (folder / "split.json").write_text(json.dumps({"test": [f"singles/{patient}_*" for patient in patients]}))
        return folder

    return make


@pytest.fixture
def real_scans():
    """Folder of public research scans, which is no part of the project."""
    if not REAL_SCANS.is_dir():
        pytest.skip("the real scans are not on this machine")
    return REAL_SCANS.resolve()


@pytest.fixture(scope="session")
def compared(tmp_path_factory):
    """A whole comparison of toy contenders on phantoms: (folder, what came of it)."""
    from .toy_run import prepare, run

    folder = prepare(tmp_path_factory.mktemp("compared"))
    return folder, run(folder)


@pytest.fixture(scope="session")
def job(tmp_path_factory):
    """Makes the job of a contender: two slices, one place."""
    from tamperscan.bench.authentic_crops import cache_crops
    from tamperscan.bench.contenders.contender import Budget
    from tamperscan.bench.jobs import Job
    from tamperscan.bench.measuring import Task
    from tamperscan.bench.stored import store_slice
    from tamperscan.bench.units import region_of

    from .phantoms import PIXEL_MM, PLACE, chest, write_bench_data

    folder, spacing = write_bench_data(tmp_path_factory.mktemp("jobs")), (PIXEL_MM, PIXEL_MM)
    crops = cache_crops(folder / "data" / "ct", folder / "crops", "CT", split=folder / "split.json")
    stored = [
        store_slice(folder / "out" / "slices", image, region_of(image, spacing, "CT"), spacing, "CT")
        for image in (chest(seed) for seed in range(2))
    ]
    tasks = (Task(stored[0].key, True, (PLACE,)), Task(stored[1].key, True, ()))
    return lambda name: Job(name, "CT", None, None, folder / "out", crops, Budget(5.0), tasks)
