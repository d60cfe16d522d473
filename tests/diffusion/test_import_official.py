import sys

import pytest
from unet_reference import with_seeded_weights

torch = pytest.importorskip("torch")

from tamperscan.diffusion import export  # noqa: E402
from tamperscan.diffusion.import_official import import_checkpoint  # noqa: E402
from tamperscan.diffusion.published import PublishedUNet  # noqa: E402
from tamperscan.diffusion.weights import file_sha256  # noqa: E402
from tamperscan.errors import OutputError, WeightsError  # noqa: E402


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A file as the official trainer saves it, with weights of no meaning."""
    weights = with_seeded_weights(PublishedUNet()).state_dict()
    trained = {f"model.{name}": value for name, value in weights.items()}
    averaged = {f"ema_model.model.{name}": value * 0.5 for name, value in weights.items()}
    path = tmp_path_factory.mktemp("official") / "CT_model.pt"
    torch.save({"step": 700_000, "model": trained, "ema": averaged}, path)
    return path


@pytest.fixture
def imported(checkpoint, tmp_path, monkeypatch):
    """Import without the export, which takes half a minute and has tests of its own."""
    monkeypatch.setattr(export, "export_weights", lambda network, card, out: (network, card))

    def run(modality="ct", **settings):
        return import_checkpoint(checkpoint, modality, tmp_path / "out", **settings)

    return run


def test_card_of_the_ct_checkpoint(imported, checkpoint):
    _, card = imported()
    assert (card.name, card.kind, card.modality) == ("back-in-time-ct", "published", "CT")
    assert (card.window, card.crop_px, card.stride) == ((-700.0, 2000.0), 96, 8)
    assert (card.schedule, card.timesteps, card.levels_hu) == ("sigmoid", 1000, ())
    assert card.training["sha256"] == file_sha256(checkpoint)
    assert (card.training["file"], card.training["steps"]) == ("CT_model.pt", 700_000)
    assert card.licence == ""


def test_card_of_an_mr_checkpoint(imported):
    _, card = imported("mr")
    assert (card.name, card.modality, card.window, card.crop_px) == ("back-in-time-mr", "MR", None, 128)


def test_average_is_taken_where_it_is_asked_for(imported):
    (trained, as_trained), (averaged, as_averaged) = imported(), imported(averaged=True)
    torch.testing.assert_close(averaged.init_conv.weight, trained.init_conv.weight * 0.5)
    assert as_trained.training["weights"] == "as trained"
    assert as_averaged.training["weights"] == "moving average"


def test_name_and_licence_go_to_the_card(imported):
    _, card = imported(name="ours", licence="CC BY 4.0")
    assert (card.name, card.licence) == ("ours", "CC BY 4.0")


def test_weights_that_are_there_are_kept(imported, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "card.json").write_text("{}")
    with pytest.raises(OutputError, match="holds weights already"):
        imported()


def test_folder_that_cannot_be_written(checkpoint, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="name another folder"):
        import_checkpoint(checkpoint, "ct", tmp_path / "file" / "out")


def test_without_torch(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "tamperscan.diffusion.checkpoint", raising=False)
    with pytest.raises(WeightsError, match=r"not installed \(torch\)\. Run: pip install 'tamperscan\[train\]'"):
        import_checkpoint(tmp_path / "CT_model.pt", "ct", tmp_path / "out")
