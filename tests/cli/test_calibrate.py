"""A site calibrates the packaged weights on its own scans, one of which was tampered with."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from dicom_maker import write_series
from scipy import ndimage

from tamperscan.data import packaged_weights

pytestmark = pytest.mark.skipif("ct" not in packaged_weights(), reason="no packaged weights")
PATIENTS = 12
TAMPERED = 5
PIXEL_MM = 1.2


def calibrate(*arguments):
    command = [sys.executable, "-m", "tamperscan.cli.main", "calibrate", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def patient(number):
    """One slice of a made-up chest, in HU; one of the patients has hardly any noise in a disc of 36 mm."""
    rng = np.random.default_rng(number)
    row, column = (np.indices((256, 256)) - 128) * PIXEL_MM
    image = np.full(row.shape, -1000.0)
    image[(row / 98) ** 2 + (column / 142) ** 2 < 1] = 30
    field = ndimage.gaussian_filter(rng.normal(size=row.shape), 3.5)
    for middle in (-62, 62):
        lung = (row / 64) ** 2 + ((column - middle) / 40) ** 2 < 1
        image[lung] = (-860 + 45 * field / field.std())[lung]
        for down, right in rng.uniform(-1, 1, (15, 2)) * (42, 26):
            image[np.hypot(row - down, column - middle - right) < 3] = 30  # a vessel
    noise = ndimage.gaussian_filter(rng.normal(size=row.shape), 0.7)
    noise *= rng.uniform(20, 30) / noise.std()
    if number == TAMPERED:
        noise = np.where(np.hypot(row, column - 62) < 18, 0.02 * noise, noise)
    return (ndimage.gaussian_filter(image, 0.5) + noise)[None].astype(np.int16)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """What the command said, and the detector that it made."""
    folder = tmp_path_factory.mktemp("site")
    for number in range(PATIENTS):
        values = {"SeriesInstanceUID": f"1.2.3.{number}", "PixelSpacing": [PIXEL_MM, PIXEL_MM]}
        write_series(folder / "archive" / f"patient-{number}", patient(number), **values)
    (folder / "archive" / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM broken")
    return calibrate(folder / "archive", "--weights", "ct", "--out", folder / "ours"), folder / "ours"


def test_tampered_patient_is_named_and_set_aside(site):
    run, out = site
    assert run.returncode == 0, run.stderr
    (sentence,) = (line for line in run.stdout.splitlines() if line.startswith("Set aside: "))
    (named,) = json.loads((out / "card.json").read_text())["calibration"]["set_aside"]
    assert named["name"] in sentence
    assert "Look at it" in sentence
    assert f"calibrated on {PATIENTS - 1} authentic patients" in run.stdout
    assert "too small by up to 0.077" in run.stdout  # 1/13


def test_detector_keeps_the_others_only(site):
    stored = json.loads((site[1] / "calibration.json").read_text())
    assert len(stored["scan_scores"]) == len(stored["ground"]) == PATIENTS - 1
    assert stored["set_aside"] == 1
    assert {round(each["pixel_mm"], 2) for each in stored["ground"]} == {PIXEL_MM}


def test_unreadable_file_is_told(site):
    assert "broken.dcm" in site[0].stderr
    assert "Traceback" not in site[0].stderr


def test_weights_that_are_not_there(tmp_path):
    run = calibrate(tmp_path, "--weights", tmp_path / "none", "--out", tmp_path / "out")
    assert run.returncode == 3
    assert "no weights here" in run.stderr


def test_too_few_patients(tmp_path):
    write_series(tmp_path / "one", patient(0), PixelSpacing=[PIXEL_MM, PIXEL_MM])
    run = calibrate(tmp_path / "one", "--weights", "ct", "--out", tmp_path / "out")
    assert run.returncode == 3
    assert "at least 5 are needed" in run.stderr


def test_every_option_is_documented():
    reference = (Path(__file__).parents[2] / "docs" / "reference" / "cli.md").read_text()
    for option in set(re.findall(r"--[a-z][a-z0-9-]+", calibrate("--help").stdout)):
        assert option in reference, option
