"""A whole comparison of toy contenders on phantoms; also as a program of its own, to be killed: FOLDER [SECONDS]."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

from tamperscan.bench.comparing import Comparing, Lineup
from tamperscan.bench.document import Provenance
from tamperscan.bench.plan import OURS, Plan, preset_named
from tamperscan.bench.results_files import write_results
from tamperscan.forge.forgery import forge
from tamperscan.forge.site import Place
from tamperscan.forge.write import write_forgery
from tamperscan.scan import read_scan

from .phantoms import PLACE, write_bench_data
from .toys import Bright, Finished, Flatten, LocalNoise, Unteachable

ABSENT = {"absent": "It is not here."}
PRESET = replace(
    preset_named("small"), methods=("smooth", "copymove"), places=1, volumes=1, singles=1, slices=4, budget_seconds=5.0
)


def lineup(pause=0.0):
    """Four contenders, of which one can't learn, and which take a moment for everything."""

    def rest(made):
        energy = made.energy

        def slow(image, spacing_mm):
            time.sleep(pause)
            return energy(image, spacing_mm)

        made.energy = slow
        return made

    def make(job):
        makers = {OURS: Finished, "noise": LocalNoise, "bright": Bright, "unteachable": Unteachable}
        made = makers[job.name]()
        made.name = job.name
        return rest(made) if pause else made

    return Lineup(lambda plan, modality: ([OURS, "noise", "bright", "unteachable"], ABSENT), make)


def prepare(folder):
    """Write authentic scans, and forgeries of the test scans that nobody can miss."""
    write_bench_data(folder)
    for name, index in (("test-1", 4), ("test-2", 0)):
        path = folder / "data" / "ct" / f"{name}.nii.gz"
        for seed, place in enumerate((PLACE, (64, 88))):
            made = forge(read_scan(path), Flatten(), "remove", Place(index, *place), seed=seed)
            write_forgery(made, path, folder / "flattened")
    return folder


def plan_of(folder, **changes):
    told = {"out": folder / "out", "data": folder / "data", "splits": {"CT": folder / "split.json"}, "preset": PRESET}
    told["forged"] = (folder / "flattened",)
    return Plan(**{**told, **changes})


def run(folder, *, pause=0.0, **told):
    """Compare, and write what came of it."""
    plan = plan_of(folder)
    compared = Comparing(plan, lineup=lineup(pause), **told).run(Provenance("made up", ""))
    write_results(plan, compared)
    return compared


if __name__ == "__main__":
    run(Path(sys.argv[1]), pause=float(sys.argv[2]))
