from __future__ import annotations

import json

import numpy as np
import pytest

from tamperscan.detect.training import find_patients, find_scans, read_split, train_detector
from tamperscan.errors import ScanError, TrainingError


def write_scan(path, modality="CT"):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.full((2, 20, 20), -100 if modality == "CT" else 100, np.int16))


@pytest.fixture
def folder(tmp_path):
    """Four CT and one MR scan, at three depths."""
    for name in ("a/one.npy", "a/two.npy", "b/three.npy", "b/deep/four.npy"):
        write_scan(tmp_path / "scans" / name)
    write_scan(tmp_path / "scans" / "c" / "brain.npy", "MR")
    return tmp_path / "scans"


@pytest.fixture
def told():
    return []


def names(scans):
    return sorted(scan.name for scan in scans)


def test_all_scans_of_a_folder(folder, told):
    assert names(find_scans(folder, "CT", on_error=told.append)) == ["four", "one", "three", "two"]
    assert names(find_scans(folder, "MR")) == ["brain"]


def test_other_modality_is_told(folder, told):
    list(find_scans(folder / "c", "CT", on_error=told.append))
    assert "is MR, not CT" in str(told[0])
    assert len(told) == 1


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["a"], ["one", "two"]),
        (["a/*.npy"], ["one", "two"]),
        (["?/t*.npy"], ["three", "two"]),
        (["b"], ["four", "three"]),
        (["b/*.npy"], ["three"]),
        (["*/four.npy"], []),
        (["b/deep", "a"], ["four", "one", "two"]),
        (["a/one.npy", "a/o*", "a/two.npy"], ["one", "two"]),
    ],
)
def test_only_what_matches_is_read(folder, patterns, expected):
    assert names(find_scans(folder, "CT", patterns=patterns)) == expected


def test_pattern_that_matches_nothing_is_told(folder, told):
    assert names(find_scans(folder, "CT", patterns=["a", "typo*"], on_error=told.append)) == ["one", "two"]
    assert [str(error) for error in told] == [f"{folder}: holds nothing that matches 'typo*'. Check the pattern."]


def test_folder_that_is_not_there(tmp_path):
    for patterns in (None, ["*"]):
        with pytest.raises(ScanError, match="is not there"):
            list(find_scans(tmp_path / "none", "CT", patterns=patterns))


def test_folder_without_scans(tmp_path):
    with pytest.raises(ScanError, match="holds no scan"):
        list(find_scans(tmp_path, "CT"))


def test_one_unreadable_file_does_not_end_the_run(folder, told):
    (folder / "a" / "damaged.npy").write_bytes(b"\x93NUMPY rubbish")
    assert names(find_scans(folder, "CT", patterns=["a/*", "b/three.npy"], on_error=told.append)) == [
        "one",
        "three",
        "two",
    ]
    assert len(told) == 1
    assert "damaged.npy" in str(told[0])


def test_scans_are_read_one_at_a_time(folder):
    (folder / "b" / "three.npy").write_bytes(b"damaged after the first")
    assert next(find_scans(folder, "CT", patterns=["a", "b"])).name in ("one", "two")


def split_file(tmp_path, split):
    path = tmp_path / "split.json"
    path.write_text(split if isinstance(split, str) else json.dumps(split))
    return path


def test_split(tmp_path):
    path = split_file(tmp_path, {"train": ["a/*", "b"], "test": []})
    assert read_split(path, "train") == ["a/*", "b"]
    assert read_split(path, "test") == []


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({"train": [], "calibrate": []}, "has no part 'test'. Its parts: train, calibrate"),
        ([], "has no part 'test'. Its parts: none"),
        ("no JSON", "can't be read as a split"),
        ("\udcff", "can't be read as a split"),
        ({"test": "a/*"}, "its part 'test' is no list of globs"),
        ({"test": {"a": 1}}, "its part 'test' is no list of globs"),
        ({"test": None}, "its part 'test' is no list of globs"),
    ],
)
def test_split_that_can_not_be_used(tmp_path, split, message):
    path = tmp_path / "split.json"
    path.write_bytes(split.encode(errors="surrogateescape") if isinstance(split, str) else json.dumps(split).encode())
    with pytest.raises(TrainingError, match=message):
        read_split(path, "test")


def test_split_that_is_not_there(tmp_path):
    with pytest.raises(TrainingError, match="can't be read as a split"):
        read_split(tmp_path / "none.json", "train")


def test_glob_of_a_split_is_a_patient(folder, tmp_path):
    split = split_file(tmp_path, {"train": ["c"], "test": ["a/*.npy", "b"]})
    found = [(patient, scan.name) for patient, scan in find_patients(folder, "CT", split=split, parts=["test"])]
    assert found == [("a/*.npy", "one"), ("a/*.npy", "two"), ("b", "three"), ("b", "four")]


def test_parts_of_a_split_are_joined(folder, tmp_path):
    split = split_file(tmp_path, {"train": ["a"], "test": ["b"]})
    patients = [patient for patient, _ in find_patients(folder, "CT", split=split, parts=["test", "train"])]
    assert patients == ["b", "b", "a", "a"]


def test_without_a_split_each_scan_is_a_patient(folder):
    patients = [patient for patient, _ in find_patients(folder, "CT", parts=[])]
    assert sorted(patients) == ["four", "one", "three", "two"]


def test_nothing_to_train_on(run, tmp_path):
    with pytest.raises(TrainingError, match="no scan to train on"):
        train_detector(iter([]), tmp_path, run[1])


def test_card_tells_how_it_was_trained(run):
    card = run[2].card
    assert (card.name, card.kind, card.modality, card.licence) == ("tiny", "low-noise", "CT", "made up")
    assert (card.window, card.stride) == ((-1050.0, 450.0), 8)
    assert card.levels_hu
    assert card.training["steps"] == 100
    assert [entry["name"] for entry in card.training["scans"]] == [f"patient-{seed}" for seed in range(100, 104)]
    assert all(len(entry["sha256"]) == 64 and entry["slices"] == 2 for entry in card.training["scans"])


def test_it_learned_something(run):
    assert run[2].card.training["loss"] < 1.0
    assert {path.name for path in run[0].iterdir()} >= {"cache", "weights", "loss.csv", "state.safetensors"}


def test_finished_run_reads_no_scan_again(run, monkeypatch):
    from .conftest import small_network

    out, options, weights = run
    monkeypatch.setattr("tamperscan.diffusion.train.build_network", lambda settings: small_network((8, 16, 24)))
    told, cards = [], []
    monkeypatch.setattr("tamperscan.diffusion.export.export_weights", lambda network, card, folder: cards.append(card))
    train_detector(iter([]), out, options, on_scan=told.append)
    assert told == []
    assert cards[0].training["scans"] == weights.card.training["scans"]
    assert cards[0].training["steps"] == 100
