"""Make the packaged MR detector of a trained predictor: what is typical, and what parts of authentic scans score.

docs/model-card-mr.md tells the commands that train the predictor. Then:
python training/calibrate_mr.py ../shared/data/mr runs/mr/weights src/tamperscan/data/weights/mr
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from tamperscan.detect.calibrating_parts import calibrate_on_parts
from tamperscan.diffusion.weights import open_weights
from tamperscan.scan import Scan, read_scans


def patients(folder: Path) -> Iterator[tuple[str, Scan]]:
    """Yield (patient, scan); the name of a series begins with that of the patient."""
    for series in sorted((folder / "series").iterdir()):
        name = series.name.split("_Sagittal")[0].split("_AXIAL")[0].split("_SAG")[0]
        for scan in read_scans(series):
            print(f"{name}: {scan.name}, {scan.shape[0]} slices", flush=True)
            yield name, scan


if __name__ == "__main__":
    data, weights, out = (Path(argument) for argument in sys.argv[1:])
    made = calibrate_on_parts(open_weights(weights), patients(data), out, threads=1)
    print(f"{made.card.calibration['parts']} parts of scans of {made.card.calibration['patients']} patients: {out}")
