"""``tamperscan train-head``, from a folder of scans to weights with a head."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from chest_archive import archive_in, chest, train
from dicom_maker import write_series

pytest.importorskip("onnxscript")

from tamperscan.detect.heads import HEADS, heads_in
from tamperscan.diffusion.weights import open_weights


def train_head(*arguments):
    command = [sys.executable, "-m", "tamperscan.cli.main", "train-head", *map(str, arguments)]
    surroundings = {**os.environ, "OMP_NUM_THREADS": "2"}
    return subprocess.run(command, capture_output=True, text=True, env=surroundings, check=False)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Four patients, and weights of a predictor that learned from them for one step."""
    folder = tmp_path_factory.mktemp("train-head")
    data = archive_in(folder / "archive")
    (data / "anna" / "broken.dcm").unlink()
    write_series(data / "dora", chest(9), SeriesInstanceUID="1.2.3.9", PixelSpacing=[2.5, 2.5], PatientID="dora")
    assert train(data, "--out", folder / "run", "--steps", 1, "--no-bf16").returncode == 0
    return data, folder / "run" / "weights", folder


def test_members_can_be_trained_apart_and_are_joined_at_the_end(archive):
    data, weights, folder = archive
    options = (data, "--weights", weights, "--out", folder / "head", "--steps", 1)
    first = train_head(*options, "--member", 0)
    assert first.returncode == 0, first.stderr
    assert "Member 0 is trained" in first.stdout
    whole = train_head(*options)
    assert whole.returncode == 0, whole.stderr
    assert "with a self-forged head are in" in whole.stdout
    assert heads_in(open_weights(folder / "head" / "weights")) == HEADS


def test_a_member_that_there_is_none_of_is_refused(archive):
    data, weights, folder = archive
    run = train_head(data, "--weights", weights, "--out", folder / "other", "--member", 5)
    assert run.returncode != 0
    assert "no member 5 of 2" in run.stderr
    assert "Traceback" not in run.stderr
