"""Turn a checkpoint of the official code into weights that run without torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tamperscan.diffusion.weights import CARD_FILE, Card, Weights, file_sha256
from tamperscan.errors import OutputError, WeightsError

if TYPE_CHECKING:
    from tamperscan.diffusion.checkpoint import OfficialCheckpoint

_NAMES = {"ct": "back-in-time-ct", "mr": "back-in-time-mr"}
# Three steps down halve an image's sides three times.
_STRIDE = 8


def import_checkpoint(
    path: Path,
    modality: Literal["ct", "mr"],
    out: Path,
    *,
    averaged: bool = False,
    name: str = "",
    licence: str = "",
) -> Weights:
    """Read a checkpoint of the official code and write it as a folder of weights.

    Parameters
    ----------
    path
        ``CT_model.pt``, ``MRI_model.pt`` or a file that the official trainer saved.
    modality
        What it was trained on; the file doesn't tell.
    out
        Folder for the weights; made if missing.
    averaged
        Take the moving average of the weights instead of the weights as trained.
    name, licence
        For the card.

    Raises
    ------
    WeightsError
        If torch is not installed, or the file is no checkpoint of the published network.
    OutputError
        If the folder holds weights already, or can't be written.
    """
    if (out / CARD_FILE).exists():
        raise OutputError(f"{out}: holds weights already. Choose another folder.")
    try:
        from tamperscan.diffusion.checkpoint import read_official_checkpoint
        from tamperscan.diffusion.export import export_weights
    except ImportError as error:
        raise WeightsError(
            f"Reading a checkpoint needs packages that are not installed ({error.name}). "
            "Run: pip install 'tamperscan[train]'."
        ) from error
    checkpoint = read_official_checkpoint(path, modality, weights="ema" if averaged else "model")
    card = _card(checkpoint, averaged=averaged, name=name or _NAMES[modality], licence=licence)
    try:
        return export_weights(checkpoint.network(), card, out)
    except OSError as error:
        raise OutputError(f"{out}: can't be written ({error.strerror}). Choose another folder.") from error


def _card(checkpoint: OfficialCheckpoint, *, averaged: bool, name: str, licence: str) -> Card:
    preset = checkpoint.preset
    source: dict[str, Any] = {
        "source": "imported from a checkpoint of the official code (arXiv 2407.15169)",
        "file": checkpoint.path.name,
        "sha256": file_sha256(checkpoint.path),
        "weights": "moving average" if averaged else "as trained",
        "layout": checkpoint.variant,
        "steps": checkpoint.step,
    }
    return Card(
        name=name,
        kind="published",
        modality=preset.modality,
        window=preset.window,
        crop_px=preset.crop_px,
        stride=_STRIDE,
        schedule=checkpoint.schedule.name,
        timesteps=checkpoint.schedule.timesteps,
        training=source,
        licence=licence,
    )
