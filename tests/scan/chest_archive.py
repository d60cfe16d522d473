"""A folder of small made-up chest CT, and `tamperscan train` on it, for tests of several commands."""

import json
import os
import subprocess
import sys

import numpy as np
from dicom_maker import write_series


def chest(seed):
    """Two slices of a body with two lungs and noise, in HU."""
    rng = np.random.default_rng(seed)
    row, column = np.indices((128, 128)) - 64
    image = np.full((2, 128, 128), -1000.0)
    image[:, (row / 50) ** 2 + (column / 60) ** 2 < 1] = 40
    for middle in (-25, 25):
        image[:, (row / 32) ** 2 + ((column - middle) / 18) ** 2 < 1] = -850
    return (image + rng.normal(0, 20, image.shape)).astype(np.int16)


def archive_in(folder):
    """Three patients, one series each; and a file that is no scan."""
    for index, name in enumerate(("anna", "bert", "cleo")):
        values = {"SeriesInstanceUID": f"1.2.3.{index}", "PixelSpacing": [2.5, 2.5], "PatientID": name}
        write_series(folder / name, chest(index), **values)
    (folder / "anna" / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM broken")
    (folder.parent / "split.json").write_text(json.dumps({"train": ["anna", "bert"], "calibrate": ["cleo"]}))
    return folder


def train(*arguments, **environment):
    command = [sys.executable, "-m", "tamperscan.cli.main", "train", *map(str, arguments)]
    surroundings = {**os.environ, "OMP_NUM_THREADS": "2", **environment}
    return subprocess.run(command, capture_output=True, text=True, env=surroundings, check=False)
