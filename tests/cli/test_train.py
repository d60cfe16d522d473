import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from chest_archive import archive_in, train

pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from tamperscan.diffusion.weights import open_weights


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """One run of two steps on two of three patients: what it said, and its folder."""
    folder = tmp_path_factory.mktemp("training")
    data, out = archive_in(folder / "archive"), folder / "run"
    options = ("--steps", 2, "--no-bf16", "--split", folder / "split.json", "--name", "ours", "--licence", "our own")
    return train(data, "--out", out, *options), out


def test_training_ends_with_weights(trained):
    run, out = trained
    assert run.returncode == 0, run.stderr
    weights = open_weights(out / "weights")
    assert f"Weights of ours are in {out / 'weights'} (SHA-256 {weights.sha256[:16]})" in run.stdout
    assert {path.name for path in out.iterdir()} >= {"cache", "state.safetensors", "loss.csv", "loss.png", "weights"}


def test_card_says_what_was_trained_on(trained):
    card = open_weights(trained[1] / "weights").card
    assert (card.name, card.licence, card.kind, card.modality) == ("ours", "our own", "low-noise", "CT")
    assert card.training["steps"] == 2
    assert card.training["settings"]["name"] == "low-noise-ct"
    assert sorted(scan["slices"] for scan in card.training["scans"]) == [2, 2]
    assert len({scan["sha256"] for scan in card.training["scans"]}) == 2


def test_unreadable_file_is_told_and_left_out(trained):
    assert "broken.dcm" in trained[0].stderr
    assert "Traceback" not in trained[0].stderr


def test_nothing_to_train_on(tmp_path):
    (tmp_path / "empty").mkdir()
    run = train(tmp_path / "empty", "--out", tmp_path / "run")
    assert run.returncode == 3
    assert run.stderr.strip().splitlines()[-1].startswith("Error: ")
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (("--preset", "best"), "no training preset 'best'"),
        (("--split", "none.json"), "none.json: can't be read as a split"),
    ],
)
def test_choices_that_do_not_exist(tmp_path, options, what):
    run = train(tmp_path, "--out", tmp_path / "run", *options)
    assert run.returncode == 3
    assert what in run.stderr


def test_part_that_the_split_has_not(tmp_path):
    (tmp_path / "split.json").write_text('{"train": [], "test": []}')
    run = train(tmp_path, "--out", tmp_path / "run", "--split", tmp_path / "split.json", "--part", "best")
    assert run.returncode == 3
    assert "has no part 'best'. Its parts: train, test." in run.stderr


def test_folder_that_is_not_there(tmp_path):
    run = train(tmp_path / "nothing", "--out", tmp_path / "run")
    assert run.returncode == 3
    assert "nothing" in run.stderr


def test_every_option_is_documented():
    reference = (Path(__file__).parents[2] / "docs" / "reference" / "cli.md").read_text()
    help_text = train("--help").stdout
    assert "Example: tamperscan train" in help_text
    for option in set(re.findall(r"--[a-z][a-z0-9-]+", help_text)):
        assert option in reference, option


def test_without_torch(tmp_path):
    program = (
        "import sys\n"
        "sys.modules['accelerate'] = None\n"
        f"sys.argv = ['tamperscan', 'train', {str(tmp_path)!r}, '--out', {str(tmp_path / 'run')!r}]\n"
        "from tamperscan.cli.main import main\n"
        "main()\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 3
    assert "pip install 'tamperscan[train]'" in run.stderr


def test_two_processes_train_together_and_runs_share_decoded_scans(trained, tmp_path):
    # 'accelerate launch' starts one process only where there is no GPU; this is what it starts where there are some.
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "tamperscan"]
    options = ["--out", tmp_path / "run", "--steps", "1", "--no-bf16", "--cache", tmp_path / "shared"]
    command = [*launch, "train", trained[1].parent / "archive", *options]
    cpu = {**os.environ, "ACCELERATE_USE_CPU": "true"}
    run = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, env=cpu)
    assert run.returncode == 0, run.stderr
    assert open_weights(tmp_path / "run" / "weights").card.training["processes"] == 2
    arrays = {path.name for path in (tmp_path / "shared").glob("*.npy")}
    assert arrays
    assert not list((tmp_path / "run" / "cache").glob("*.npy"))


def test_another_seed_is_another_run(trained):
    data, out = trained[1].parent / "archive", trained[1]
    run = train(data, "--out", out, "--steps", 3, "--seed", 1, "--split", out.parent / "split.json")
    assert run.returncode == 3
    assert "is of another run (seed was 0, not 1)" in run.stderr
