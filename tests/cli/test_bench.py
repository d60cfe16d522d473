"""The options of the comparison, and the whole command in a process of its own."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tamperscan.cli import bench_compare
from tamperscan.cli.bench import app
from tamperscan.diffusion.gpu import gpu_is_there

ROOT = Path(__file__).parents[2]


def call(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_its_help_shows_the_comparison_and_lists_the_others():
    told = call("--help").output
    for word in ("--preset", "--contenders", "--btd", "ctgan", "authentic", "speed", "explain"):
        assert word in told
    assert "compare " not in told


def test_the_other_commands_stay():
    for name in ("ctgan", "authentic", "speed", "explain"):
        done = call(name, "--help")
        assert done.exit_code == 0
        assert "--data" in done.output


def test_a_folder_is_asked_for():
    done = call("--preset", "small")
    assert done.exit_code == 2
    assert "--out" in done.output


@pytest.mark.parametrize("words", [("--preset", "huge"), ("--modality", "PET"), ("--budget", "0"), ("--workers", "0")])
def test_what_makes_no_sense_is_refused(tmp_path, words):
    assert call("--out", tmp_path, *words).exit_code == 2


def test_a_preset_can_be_changed_option_by_option():
    from tamperscan.bench.plan import preset_named

    same = bench_compare._preset("small", None, None, None, None)
    assert same == preset_named("small")
    changed = bench_compare._preset("small", bench_compare.ModalityName.ALL, "cae, high-pass", "gan", 7.0)
    assert changed.modalities is None
    assert changed.contenders == ("cae", "high-pass")
    assert changed.methods == ("gan",)
    assert changed.budget_seconds == 7.0
    assert changed.places == same.places
    assert bench_compare._preset("full", bench_compare.ModalityName.MR, None, None, None).modalities == ("MR",)


@pytest.mark.parametrize(
    ("given", "folder"),
    [
        ("sets", "sets"),
        ("sets/CT/injection/CT_injection.csv", "sets"),
        ("sets/MRI/MRI_removal.csv", "sets"),
    ],
)
def test_the_btd_folder_is_found_by_its_tables(tmp_path, given, folder):
    assert bench_compare._btd_folder(tmp_path / given) == tmp_path / folder


def test_the_m3dsynth_folder_is_found_by_its_table():
    assert bench_compare._m3dsynth_folder(Path("m3d/data/data.csv")) == Path("m3d")
    assert bench_compare._m3dsynth_folder(Path("m3d/data.csv")) == Path("m3d")
    assert bench_compare._m3dsynth_folder(Path("m3d")) == Path("m3d")


def write_scans(folder):
    """Scans as the comparison's own tests have them."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("phantoms", ROOT / "tests" / "bench" / "phantoms.py")
    phantoms = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(phantoms)
    return phantoms.write_bench_data(folder)


def test_the_whole_command(tamperscan, tmp_path):
    folder = write_scans(tmp_path)
    words = ["bench", "--out", folder / "out", "--data", folder / "data", "--split", folder / "split.json"]
    words += ["--contenders", "high-pass,padim", "--methods", "smooth", "--workers", 1]
    page = tmp_path / "docs" / "results.md"
    done = tamperscan(*words, "--write", page)
    assert done.returncode == 0, done.stderr
    assert "It will take about" in done.stderr
    assert done.stdout == (folder / "out" / "results.md").read_text()
    assert "<!-- begin: comparison -->" in page.read_text()
    assert str(tmp_path) not in page.read_text()
    again = tamperscan(*words, "--json")
    assert again.returncode == 0, again.stderr
    told = json.loads(again.stdout)
    assert {one["name"] for one in told["contenders"]} == {"high-pass", "high-pass, both sides", "padim"}
    assert told["data"][0]["authentic"] == 2
    assert "0 slices measured anew" in again.stderr


@pytest.mark.skipif(gpu_is_there(), reason="there is a CUDA device")
def test_without_a_gpu_its_speed_is_not_measured(tamperscan, tmp_path):
    done = tamperscan("bench", "gpu", "--data", tmp_path, "--write", tmp_path / "page.md")
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "no GPU" in done.stderr
    assert not (tmp_path / "page.md").exists()


def test_what_is_missing_is_told_in_a_line(tamperscan, tmp_path):
    done = tamperscan("bench", "--out", tmp_path / "out", "--data", tmp_path)
    assert done.returncode == 3
    assert "holds no authentic scans" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
