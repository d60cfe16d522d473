"""Divide the authentic CT scans by patient into those to train on, to calibrate on and to test on.

    python training/make_split.py DATA/ct > training/ct-split.json

The long series are dealt out by hand so that each part has several scanners; the single slices by the hash of the
patient, which knows nothing of the images. Patients whose licence is unclear are for testing only.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from pathlib import Path

SERIES = {
    "train": [
        "LIDC-IDRI-0001",
        "1.3.6.1.4.1.9328.50.1.0117",
        "Lung_Dx-A0001",
        "LungFCP-01-0001",
        "R01-001",
        "TCGA-DE-A4MA",
    ],
    "calibrate": ["CMB-CRC-MSB-01068"],
    "test": ["LIDC-IDRI-0003", "Lung_Dx-A0002"],
}
UNCLEAR_LICENCE = ("CIP_COPD", "LungCT-Diagnosis")
TRAIN, CALIBRATE = 16, 19


def patient_of(file: Path) -> str:
    """Drop the running number (and a repeated patient name) from a single slice's file name."""
    return re.sub(r"_\d+$", "", file.stem)


def main(folder: Path) -> None:
    """Print the split as JSON: part -> globs below the folder."""
    patients = sorted({patient_of(file) for file in (folder / "singles").glob("*.dcm")})
    licensed = [name for name in patients if not name.startswith(UNCLEAR_LICENCE)]
    dealt = sorted(licensed, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    singles = {
        "train": dealt[:TRAIN],
        "calibrate": dealt[TRAIN : TRAIN + CALIBRATE],
        "test": dealt[TRAIN + CALIBRATE :] + [name for name in patients if name not in licensed],
    }
    split = {
        part: [f"series/{name}_*" for name in SERIES[part]] + [f"singles/{name}_*" for name in sorted(singles[part])]
        for part in SERIES
    }
    print(json.dumps(split, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
