import json
import os
import shutil

import numpy as np
import pytest
from dicom_maker import write_series
from typer.testing import CliRunner

import tamperscan as package
from tamperscan.cli.forge import app
from tamperscan.data import sample_path
from tamperscan.errors import ForgeError, TamperscanError
from tamperscan.forge.folder import read_forgeries
from tamperscan.forge.method import load_method

SMALL = ("--action", "remove", "--method", "smooth", "--region", 8, "--diameter", 5)
PLACE = ("--place", "2,10,12")


@pytest.fixture
def forge(tmp_path):
    """Run the command in this process; forgeries go to ``tmp_path / "out"``."""

    def call(*arguments):
        words = [*map(str, arguments)]
        return CliRunner().invoke(app, words if "--out" in words else [*words, "--out", str(tmp_path / "out")])

    return call


@pytest.fixture
def series(tmp_path):
    return write_series(tmp_path / "studies" / "study")


def names(tmp_path):
    return [stored.name for stored in read_forgeries(tmp_path / "out")]


def test_a_scan_is_forged_where_it_was_told(forge, series, tmp_path):
    result = forge(series, *SMALL, *PLACE)
    assert (result.exit_code, result.stderr) == (0, "")
    (stored,) = read_forgeries(tmp_path / "out")
    assert stored.record.place.index == (2, 10, 12)
    assert (stored.record.place.diameter_mm, stored.record.region_mm, stored.record.seed) == (5.0, 8.0, 0)
    assert "remove by smooth, 5 mm at slice 2, row 10, column 12" in result.stdout
    assert f"{stored.record.voxels_changed} voxels differ" in result.stdout


def test_several_forgeries_of_a_scan_have_seeds_that_follow(forge, series, tmp_path):
    result = forge(series, *SMALL, *PLACE, "--count", 3, "--seed", 4)
    assert result.exit_code == 0
    assert names(tmp_path) == [f"forged_study_smooth_remove_{seed}" for seed in (4, 5, 6)]


def test_json_prints_the_records(forge, series, tmp_path):
    result = forge(series, *SMALL, *PLACE, "--count", 2, "--json")
    printed = [json.loads(line) for line in result.stdout.splitlines()]
    assert [record.pop("folder") for record in printed] == [str(tmp_path / "out" / name) for name in names(tmp_path)]
    written = [json.loads(path.read_text()) for path in sorted((tmp_path / "out").glob("*/forgery.json"))]
    assert printed == written


def test_one_scan_that_cannot_be_forged_does_not_end_the_run(forge, series, tmp_path):
    write_series(series.parent / "thin", np.zeros((1, 20, 24), np.int16), SeriesInstanceUID="1.2.3.9")
    (series.parent / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 40)
    result = forge(series.parent, *SMALL, *PLACE)
    assert result.exit_code == 3
    assert names(tmp_path) == ["forged_study_smooth_remove_0"]
    assert "slice 2, row 10, column 12 lies outside the scan, which has 1 slices" in result.stderr
    assert "broken.dcm" in result.stderr


def test_a_forgery_is_not_forged_again(forge, series, tmp_path):
    forge(series, *SMALL, *PLACE)
    result = forge(tmp_path / "out" / "forged_study_smooth_remove_0" / "scan", *SMALL, *PLACE, "--seed", 1)
    assert result.exit_code == 3
    assert "is a forgery already" in result.stderr


def test_the_same_order_again_changes_nothing(forge, series, tmp_path):
    first, second = (forge(series, *SMALL, *PLACE) for _ in range(2))
    assert first.stdout == second.stdout
    assert second.exit_code == 0
    assert len(names(tmp_path)) == 1


def test_another_forgery_of_that_name_is_not_replaced(forge, series):
    forge(series, *SMALL, *PLACE)
    result = forge(series, *SMALL, "--place", "2,9,9")
    assert result.exit_code == 3
    assert "is there already" in result.stderr


def test_a_single_slice_is_forged_in_two_dimensions_at_a_place_that_is_chosen(forge, tmp_path):
    shutil.copy(sample_path(), tmp_path / "chest.dcm")
    result = forge(tmp_path / "chest.dcm", "--action", "remove", "--method", "smooth")
    assert result.exit_code == 0
    assert "chest: a single slice; it is forged in two dimensions." in result.stderr
    (stored,) = read_forgeries(tmp_path / "out")
    assert stored.record.dimensions == 2
    scan = package.read_scan(tmp_path / "chest.dcm")
    row, column = stored.record.place.row, stored.record.place.column
    assert scan.voxels[0, row - 3 : row + 4, column - 3 : column + 4].max() > -500


def test_the_scan_to_copy_from_is_read(forge, series, tmp_path, monkeypatch):
    donor = write_series(tmp_path / "donor", SeriesInstanceUID="1.2.3.9")
    given = {}

    def load(name, weights, **options):
        given.update(options)
        return load_method("smooth")

    monkeypatch.setattr("tamperscan.forge.method.load_method", load)
    assert forge(series, "--action", "remove", "--method", "copymove", "--donor", donor, *PLACE).exit_code == 0
    assert given["donor"].name == "donor"


def test_only_copymove_copies_from_another_scan(forge, series, tmp_path):
    result = forge(series, *SMALL, "--donor", series)
    assert result.exit_code == 2
    assert "only the method 'copymove' copies" in result.stderr


@pytest.mark.parametrize(
    ("options", "code", "problem"),
    [
        (["--method", "magic"], 2, "there is no method 'magic'"),
        (["--action", "swap"], 2, "swap"),
        (["--place", "1,2"], 2, "SLICE,ROW,COLUMN"),
        (["--place", "1,-2,3"], 2, "SLICE,ROW,COLUMN"),
        (["--place", "2,10,99"], 3, "outside the scan"),
        (["--diameter", "9"], 3, "a lesion of 9 mm does not fit the region of 8 mm"),
        (["--action", "inject"], 3, "can only remove"),
        (["--count", "0"], 2, "--count"),
    ],
)
def test_wrong_orders_are_told(forge, series, tmp_path, options, code, problem):
    result = forge(series, *SMALL, *PLACE, *options)
    assert result.exit_code == code
    assert problem in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists() or not names(tmp_path)


def test_weights_that_do_not_fit_are_told_before_anything_is_read(tmp_path, forge):
    result = forge(tmp_path / "none", "--action", "remove", "--method", "smooth", "--weights", tmp_path)
    assert isinstance(result.exception, ForgeError)
    assert "has no weights" in str(result.exception)


def test_a_missing_path_is_told_once(forge, tmp_path):
    result = forge(tmp_path / "none", *SMALL)
    assert result.exit_code == 3
    assert result.stderr.count("does not exist") == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_told(forge, series, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    result = forge(series, *SMALL, *PLACE, "--out", tmp_path / "locked")
    assert "no permission" in str(result.exception)


def test_errors_end_with_3_and_without_a_traceback(tamperscan, tmp_path):
    (tmp_path / "file").write_text("in the way")
    outcome = tamperscan("forge", "none", *SMALL, "--out", tmp_path / "file" / "out")
    assert outcome.returncode == 3
    assert "something else of that name is in the way" in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_help_shows_the_command_and_its_training(tamperscan):
    outcome = tamperscan("forge", "--help")
    for part in ("--action", "--place", "--donor", "train", "Never send one to a PACS"):
        assert part in outcome.stdout
    assert "--split" in tamperscan("forge", "train", "gan", "--help").stdout


def test_training_without_scans_is_told(forge, tmp_path):
    pytest.importorskip("torch")
    (tmp_path / "empty").mkdir()
    for words in (("gan", "--action", "remove"), ("diffusion",)):
        result = forge("train", *words, tmp_path / "empty", "--steps", 1)
        assert isinstance(result.exception, TamperscanError)
        assert str(tmp_path / "empty") in str(result.exception)
