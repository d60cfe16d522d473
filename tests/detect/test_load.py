from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tamperscan.data import packaged_weights
from tamperscan.detect.back_in_time import BackInTime
from tamperscan.detect.calibrating import TYPICALITY_FILE
from tamperscan.detect.calibration import CALIBRATION_FILE
from tamperscan.detect.detector import Detector
from tamperscan.detect.load import load_detector
from tamperscan.diffusion.weights import CARD_FILE, write_card
from tamperscan.errors import WeightsError


@pytest.fixture
def copy(calibrated, tmp_path):
    """A calibrated folder of one's own."""
    return shutil.copytree(calibrated.folder, tmp_path / "mine")


def test_calibrated_folder_is_a_detector(copy):
    assert isinstance(load_detector(copy), Detector)
    assert isinstance(load_detector(str(copy)), Detector)


@pytest.mark.parametrize("name", ["nothing", "", "CT", "mri", "no/such/folder"])
def test_unknown_name(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match=r"ct, mr, published|no weights here"):
        load_detector(name)


def test_folder_that_is_not_calibrated(untrained):
    with pytest.raises(WeightsError, match=r"not calibrated.*tamperscan calibrate"):
        load_detector(untrained.folder)


def test_folder_without_a_card(tmp_path):
    with pytest.raises(WeightsError, match="no weights here"):
        load_detector(tmp_path)


@pytest.mark.parametrize("name", [CALIBRATION_FILE, TYPICALITY_FILE, "network.onnx"])
def test_altered_file(copy, name):
    with (copy / name).open("ab") as stream:
        stream.write(b" ")
    with pytest.raises(WeightsError, match=f"{name}: differs from what its card says"):
        load_detector(copy)


def test_missing_file(copy):
    (copy / CALIBRATION_FILE).unlink()
    with pytest.raises(WeightsError, match="is missing from the weights"):
        load_detector(copy)


@pytest.mark.parametrize("text", ["[]", "{}", "no JSON", '{"scan_scores": "x"}'])
@pytest.mark.parametrize("name", [CALIBRATION_FILE, TYPICALITY_FILE])
def test_calibration_of_another_make(copy, calibrated, name, text):
    (copy / name).write_text(text)
    write_card(copy, calibrated.card)
    with pytest.raises(WeightsError, match=r"can't be used.*Calibrate anew"):
        load_detector(copy)


def test_damaged_card(copy):
    (copy / CARD_FILE).write_text("{")
    with pytest.raises(WeightsError, match="is not a card"):
        load_detector(copy)


def test_packaged_detectors():
    if not packaged_weights():
        pytest.skip("this checkout holds no packaged weights")
    assert isinstance(load_detector("ct"), Detector)
    assert isinstance(load_detector("published"), BackInTime)


def test_path_is_a_folder_also_if_it_is_called_like_a_detector(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match="no folder"):
        load_detector(Path("ct"))
