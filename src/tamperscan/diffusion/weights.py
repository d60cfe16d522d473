"""Weights as data: a folder with an ONNX network, its card, and hashes that tell when either was altered."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tamperscan.errors import WeightsError
from tamperscan.files import write_file

CARD_FILE = "card.json"
NETWORK_FILE = "network.onnx"
_CHUNK = 1 << 20


class Card(BaseModel):
    """What a set of weights is, what it was trained on, and what its files hash to.

    Attributes
    ----------
    format
        Version of this layout.
    name
        Name of the detector that these weights make.
    kind
        ``"low-noise"`` (told sigma) or ``"published"`` (told a step of a schedule).
    modality
        ``"CT"`` or ``"MR"``.
    window
        (low, high) intensities that map to -1 and 1; None for MR images that are scaled by themselves.
    crop_px
        Side of the crops that it was trained on.
    stride
        Image sides must be multiples of this.
    levels_hu
        Noise levels at which a low-noise network is asked, in HU.
    levels_of_range
        The same for modalities without units (MR): parts of the scan's own range.
    schedule, timesteps
        Noise schedule of a published network.
    files
        File name to SHA-256, for every file in the folder but the card.
    training, calibration
        How the network was trained and the detector calibrated, as plain facts.
    licence
        Licence of the weights and attribution of the collections.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    name: str
    kind: Literal["low-noise", "published"]
    modality: Literal["CT", "MR"]
    window: tuple[float, float] | None
    crop_px: int
    stride: int = 8
    levels_hu: tuple[float, ...] = ()
    levels_of_range: tuple[float, ...] = ()
    schedule: str | None = None
    timesteps: int = 1000
    files: dict[str, str] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)
    calibration: dict[str, Any] = Field(default_factory=dict)
    licence: str = ""


@dataclass(frozen=True)
class Weights:
    """A checked folder of weights.

    Attributes
    ----------
    folder
        Where its files lie.
    card
        What they are.
    sha256
        One hash for all of it: of the card, which holds the hashes of the other files.
    """

    folder: Path
    card: Card
    sha256: str

    @property
    def network_path(self) -> Path:
        """The ONNX file."""
        return self.folder / NETWORK_FILE


def open_weights(folder: Path) -> Weights:
    """Open a folder of weights and check every file against its hash.

    Raises
    ------
    WeightsError
        If the folder, its card or a file is missing, or a file is not what the card says.
    """
    card_path = folder / CARD_FILE
    try:
        text = card_path.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"{folder}: no weights here ({CARD_FILE} can't be read: {error.strerror}). Give a folder made by"
            " 'tamperscan train' or 'tamperscan weights import', or reinstall the package."
        ) from error
    card = _parse_card(card_path, text)
    for name, expected in card.files.items():
        if Path(name).name != name:
            raise WeightsError(f"{card_path}: names a file outside its folder ({name}). Don't use these weights.")
        _check_file(folder / name, expected)
    if NETWORK_FILE not in card.files:
        raise WeightsError(f"{card_path}: names no {NETWORK_FILE}. The folder is incomplete; make it anew.")
    return Weights(folder, card, hashlib.sha256(text).hexdigest())


def write_card(folder: Path, card: Card) -> Weights:
    """Write a card, with the hashes of all other files that the card names, and open the folder.

    Parameters
    ----------
    folder
        Holds the files already.
    card
        Its ``files`` need names only; the hashes are taken here.
    """
    hashed = card.model_copy(update={"files": {name: file_sha256(folder / name) for name in sorted(card.files)}})
    write_file(folder / CARD_FILE, (json.dumps(hashed.model_dump(mode="json"), indent=1) + "\n").encode())
    return open_weights(folder)


def file_sha256(path: Path) -> str:
    """Hash a file without reading it at once."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_CHUNK):
            digest.update(block)
    return digest.hexdigest()


def _parse_card(path: Path, text: bytes) -> Card:
    try:
        return Card.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise WeightsError(
            f"{path}: is not a card of weights ({place}: {first['msg']}). Make the weights anew or reinstall."
        ) from error


def _check_file(path: Path, expected: str) -> None:
    if not path.is_file():
        raise WeightsError(f"{path}: is missing from the weights. Reinstall the package or copy the folder again.")
    if file_sha256(path) != expected:
        raise WeightsError(
            f"{path}: differs from what its card says (SHA-256). It was altered or damaged: reinstall the package or"
            " copy the folder again."
        )
