import json
import re
import shutil

import pytest
from dicom_maker import write_series

from tamperscan.errors import ForgeError
from tamperscan.forge.folder import read_forgeries
from tamperscan.forge.write import MASK, RECORD, SCAN, write_forgery

from .toy import forged


@pytest.fixture
def out(tmp_path):
    """Two forgeries of one series, and things that are none."""
    out = tmp_path / "out"
    for name in ("b", "a"):
        series = write_series(tmp_path / name)
        write_forgery(forged(series)[1], series, out)
    (out / ".half.tmp").mkdir()
    (out / "notes").mkdir()
    return out


def test_forgeries_are_found_by_name(out):
    found = read_forgeries(out)
    assert [stored.name for stored in found] == ["forged_a_ball_inject_0", "forged_b_ball_inject_0"]
    assert found[0].scan == out / "forged_a_ball_inject_0" / SCAN
    assert found[0].mask == out / "forged_a_ball_inject_0" / MASK


def test_records_come_back_as_they_were_made(tmp_path):
    series = write_series(tmp_path / "a")
    _, forgery = forged(series)
    folder = write_forgery(forgery, series, tmp_path / "out")
    assert read_forgeries(tmp_path / "out")[0].record == forgery.record
    assert read_forgeries(folder)[0].record == forgery.record


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda folder: (folder / RECORD).unlink(), r"forgery\.json can't be read"),
        (lambda folder: (folder / RECORD).write_text("{"), "is no record of a forgery"),
        (lambda folder: (folder / RECORD).write_text("[]"), "is no record of a forgery"),
        (lambda folder: (folder / RECORD).write_text('{"forged": true}'), "is no record of a forgery"),
        (lambda folder: shutil.rmtree(folder / SCAN), "scan is missing"),
        (lambda folder: (folder / MASK).unlink(), r"mask\.nii\.gz is missing"),
    ],
)
def test_a_damaged_forgery_is_told_and_left_out(out, damage, problem):
    damage(out / "forged_a_ball_inject_0")
    errors = []
    assert [stored.name for stored in read_forgeries(out, errors.append)] == ["forged_b_ball_inject_0"]
    (error,) = errors
    assert isinstance(error, ForgeError)
    assert error.args[0].startswith(str(out / "forged_a_ball_inject_0"))
    assert re.search(problem, str(error))


@pytest.mark.parametrize(("key", "value"), [("forged", False), ("action", "swap"), ("place", 7), ("slice_range", [1])])
def test_a_record_that_makes_no_sense_is_told(out, key, value):
    path = out / "forged_a_ball_inject_0" / RECORD
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    errors = []
    assert len(read_forgeries(out, errors.append)) == 1
    assert "is no record of a forgery" in str(errors[0])


def test_an_empty_folder_holds_no_forgery(tmp_path):
    assert read_forgeries(tmp_path) == []


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ForgeError, match="is no folder"):
        read_forgeries(tmp_path / "none")
