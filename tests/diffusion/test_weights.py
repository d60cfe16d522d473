import json

import pytest

from tamperscan.diffusion.weights import CARD_FILE, NETWORK_FILE, Card, file_sha256, open_weights, write_card
from tamperscan.errors import WeightsError


@pytest.fixture
def folder(tmp_path):
    """A folder of weights whose network is no network: nothing here runs it."""
    (tmp_path / NETWORK_FILE).write_bytes(b"network")
    (tmp_path / "more.json").write_bytes(b"{}")
    card = Card(
        name="made up",
        kind="low-noise",
        modality="CT",
        window=(-1050.0, 450.0),
        crop_px=96,
        files=dict.fromkeys([NETWORK_FILE, "more.json"], ""),
    )
    write_card(tmp_path, card)
    return tmp_path


def change_card(folder, **changes):
    path = folder / CARD_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_card_comes_back_with_hashes(folder):
    weights = open_weights(folder)
    assert weights.card.name == "made up"
    assert weights.card.files[NETWORK_FILE] == file_sha256(folder / NETWORK_FILE)
    assert weights.sha256 == file_sha256(folder / CARD_FILE)
    assert weights.network_path == folder / NETWORK_FILE


def test_hash_is_the_standard_one(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")  # FIPS 180-4, example of SHA-256
    assert file_sha256(tmp_path / "abc").startswith("ba7816bf8f01cfea414140de5dae2223")


def test_hash_of_all_changes_with_any_file(folder):
    before = open_weights(folder).sha256
    (folder / "more.json").write_bytes(b"[]")
    assert write_card(folder, open_card(folder)).sha256 != before


def open_card(folder):
    return Card.model_validate_json((folder / CARD_FILE).read_text())


@pytest.mark.parametrize("name", [NETWORK_FILE, "more.json"])
def test_altered_file(folder, name):
    (folder / name).write_bytes(b"other")
    with pytest.raises(WeightsError, match=rf"{name}: differs from what its card says.*altered or damaged"):
        open_weights(folder)


@pytest.mark.parametrize("name", [NETWORK_FILE, "more.json"])
def test_missing_file(folder, name):
    (folder / name).unlink()
    with pytest.raises(WeightsError, match=rf"{name}: is missing from the weights"):
        open_weights(folder)


@pytest.mark.parametrize("place", ["nothing", "."])
def test_no_weights(tmp_path, place):
    with pytest.raises(WeightsError, match=r"no weights here .*tamperscan weights import"):
        open_weights(tmp_path / place)


@pytest.mark.parametrize(
    ("changes", "what"),
    [({"format": 2}, "format"), ({"kind": "other"}, "kind"), ({"crop_px": "many"}, "crop_px"), ({"more": 1}, "more")],
)
def test_card_of_another_make(folder, changes, what):
    change_card(folder, **changes)
    with pytest.raises(WeightsError, match=rf"card\.json: is not a card of weights \({what}: "):
        open_weights(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00", '{"name": "only"}'])
def test_what_is_no_card(folder, text):
    (folder / CARD_FILE).write_text(text)
    with pytest.raises(WeightsError, match="is not a card of weights"):
        open_weights(folder)


def test_card_without_a_network(folder):
    change_card(folder, files={})
    with pytest.raises(WeightsError, match=rf"names no {NETWORK_FILE}"):
        open_weights(folder)


def test_card_that_names_a_file_elsewhere(folder):
    (folder.parent / "outside").write_bytes(b"x")
    change_card(folder, files={"../outside": file_sha256(folder.parent / "outside")})
    with pytest.raises(WeightsError, match="outside its folder"):
        open_weights(folder)
