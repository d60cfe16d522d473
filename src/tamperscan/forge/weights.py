"""Weights of forging methods: a folder with the network's tensors, and a card with their hash."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from tamperscan.diffusion.weights import CARD_FILE
from tamperscan.errors import ForgeError
from tamperscan.files import sync, write_file
from tamperscan.safe_json import parse_json

TENSORS_FILE: Final = "network.safetensors"


@dataclass(frozen=True)
class ForgeWeights:
    """A checked folder of weights.

    Attributes
    ----------
    state
        Name to tensor; floating-point tensors are float32, whatever they are stored as.
    card
        What they are, as plain facts: at least ``kind`` and ``files`` (file name to SHA-256).
    sha256
        Hash of the file of tensors.
    """

    state: dict[str, torch.Tensor]
    card: dict[str, Any]
    sha256: str


def write_weights(folder: Path, state: Mapping[str, torch.Tensor], card: Mapping[str, Any]) -> None:
    """Write a network's tensors and its card as a folder, whole or not at all.

    Parameters
    ----------
    folder
        Replaced if it is there.
    state
        Name to tensor; floating-point tensors are stored in float16.
    card
        Values that JSON can hold, with ``kind``; the hash of the tensors is added as ``files``.

    Raises
    ------
    ForgeError
        If a value is too large for float16 or no number, or the folder can't be written.
    """
    tensors = save({name: _as_stored(name, tensor) for name, tensor in state.items()})
    described = {**card, "files": {TENSORS_FILE: hashlib.sha256(tensors).hexdigest()}}
    temporary, old = (folder.with_name(folder.name + ending) for ending in (".tmp", ".old.tmp"))
    try:
        for left in (temporary, old):
            shutil.rmtree(left, ignore_errors=True)
        temporary.mkdir(parents=True)
        write_file(temporary / TENSORS_FILE, tensors)
        write_file(temporary / CARD_FILE, (json.dumps(described, indent=1) + "\n").encode())
        # A folder can't take the place of one that holds files.
        if folder.exists():
            folder.replace(old)
        temporary.replace(folder)
        sync(folder.parent)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise ForgeError(
            f"{folder}: the weights can't be written ({error.strerror}). Choose another folder."
        ) from error


def read_weights(folder: Path, kind: str | None = None) -> ForgeWeights:
    """Open a folder of weights and check it against its card.

    Parameters
    ----------
    folder
        As written by `write_weights`.
    kind
        What the card's ``kind`` must be; None for any.

    Raises
    ------
    ForgeError
        If a file is missing, the tensors are not what the card says, or they are of another kind.
    """
    card = _read_card(folder)
    if kind is not None and card["kind"] != kind:
        raise ForgeError(f"{folder}: holds weights of the kind '{card['kind']}', not '{kind}'. Give another folder.")
    path = folder / TENSORS_FILE
    try:
        tensors = path.read_bytes()
    except OSError as error:
        raise ForgeError(
            f"{path}: can't be read ({error.strerror}). Copy the folder again, or train the weights anew."
        ) from error
    sha256 = hashlib.sha256(tensors).hexdigest()
    if sha256 != card["files"].get(TENSORS_FILE):
        raise ForgeError(
            f"{path}: differs from what its card says (SHA-256). It was altered or damaged: copy the folder again, or"
            " train the weights anew."
        )
    return ForgeWeights(_parse(path, tensors), card, sha256)


def packaged_folder(name: str) -> Path:
    """Find weights that come with the package.

    Parameters
    ----------
    name
        Method and what else decides, such as ``"gan-inject"``.

    Raises
    ------
    ForgeError
        If this installation does not hold them, with the command that makes some.
    """
    folder = Path(str(files("tamperscan.data").joinpath("forge", name)))
    if not (folder / CARD_FILE).is_file():
        method, _, action = name.partition("-")
        option = f" --action {action}" if action else ""
        raise ForgeError(
            f"This installation holds no forging weights '{name}'. Make some with 'tamperscan forge train {method}"
            f"{option}' and give their folder as --weights, or choose another method."
        )
    return folder


def _as_stored(name: str, tensor: torch.Tensor) -> torch.Tensor:
    if not tensor.is_floating_point():
        return tensor.detach().cpu().contiguous()
    stored = tensor.detach().cpu().to(torch.float16).contiguous()
    if not bool(torch.isfinite(stored).all()):
        raise ForgeError(f"The weights '{name}' hold values that are no numbers or too large. Train them anew.")
    return stored


def _read_card(folder: Path) -> dict[str, Any]:
    path = folder / CARD_FILE
    try:
        card = parse_json(path.read_bytes())
    except OSError as error:
        raise ForgeError(
            f"{folder}: no forging weights here ({CARD_FILE} can't be read: {error.strerror}). Give a folder made by"
            " 'tamperscan forge train'."
        ) from error
    except ValueError as error:
        raise ForgeError(f"{path}: is no JSON ({error}). Copy the folder again, or train the weights anew.") from error
    if not isinstance(card, dict) or "kind" not in card or not isinstance(card.get("files"), dict):
        raise ForgeError(f"{path}: is no card of forging weights. Give a folder made by 'tamperscan forge train'.")
    return card


def _parse(path: Path, tensors: bytes) -> dict[str, torch.Tensor]:
    try:
        stored = load(tensors)
    except SafetensorError as error:
        raise ForgeError(f"{path}: is no file of tensors ({error}). Train the weights anew.") from error
    return {name: value.float() if value.is_floating_point() else value for name, value in stored.items()}
