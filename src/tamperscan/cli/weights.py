"""``tamperscan weights``: import weights of the official code, show what weights are, check that they are unaltered."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tamperscan.cli.console import new_app, notices

if TYPE_CHECKING:
    from tamperscan.diffusion.weights import Card, Weights

app = new_app(no_args_is_help=True)

WhichArgument = Annotated[
    str, typer.Argument(metavar="NAME", help='Packaged weights ("ct"), or a folder of your own that holds weights.')
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document, and nothing else.")]


class Modality(StrEnum):
    """What a checkpoint was trained on."""

    CT = "ct"
    MR = "mr"


@app.callback(epilog="Example: tamperscan weights show ct")
def weights() -> None:
    """Import, show and check weights.

    Weights are a folder with a network (ONNX, never a pickle) and a card that says what it is, what it was trained
    and calibrated on, and what its files hash to.
    """


@app.command("import", epilog="Example: tamperscan weights import CT_model.pt --modality ct --out weights/published-ct")
def import_weights(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CT_model.pt, MRI_model.pt, or one of your own.")],
    modality: Annotated[Modality, typer.Option("--modality", help="What it was trained on; the file doesn't tell.")],
    out: Annotated[Path, typer.Option("--out", "-o", file_okay=False, help="Folder for the weights.")],
    ema: Annotated[
        bool, typer.Option("--ema", help="Take the moving average of the weights, not the weights as trained.")
    ] = False,
    name: Annotated[str, typer.Option("--name", help="Name of the weights; back-in-time-ct or -mr by default.")] = "",
    licence: Annotated[str, typer.Option("--licence", help="Licence and attribution, for the card.")] = "",
) -> None:
    """Import a checkpoint of the official code of Back-in-Time Diffusion.

    It is read as numbers only; a file that contains code is refused. Needs the packages of 'tamperscan[train]'; the
    weights that it makes don't.
    """
    from tamperscan.diffusion.import_official import import_checkpoint

    notices().print(f"Reading and exporting {file.name}; this takes about half a minute.", soft_wrap=True)
    kind: Literal["ct", "mr"] = "ct" if modality is Modality.CT else "mr"
    made = import_checkpoint(file, kind, out, averaged=ema, name=name, licence=licence)
    print(f"Weights of {made.card.name} are in {made.folder} (SHA-256 {made.sha256[:16]}).")
    print(f"Use them with: tamperscan screen PATH --detector {made.folder}")


@app.command("show", epilog="Example: tamperscan weights show ct")
def show(which: WhichArgument = "ct", as_json: JsonOption = False) -> None:
    """Show what weights are: what they were trained and calibrated on, their licence and their hashes."""
    opened = _open(which)
    if as_json:
        print(opened.card.model_dump_json())
        return
    width = 12
    for label, value in _facts(opened):
        print(f"{label:<{width}}{value}")


@app.command("check", epilog="Example: tamperscan weights check detectors/ours")
def check(which: WhichArgument = "ct", as_json: JsonOption = False) -> None:
    """Check every file of weights against the hash in their card; ends with 3 where one was altered."""
    import json

    opened = _open(which)
    if as_json:
        print(json.dumps({"name": opened.card.name, "folder": str(opened.folder), "sha256": opened.sha256, "ok": True}))
        return
    for name in opened.card.files:
        print(f"{name}: as its card says")
    print(f"The weights in {opened.folder} are unaltered. SHA-256 of their card: {opened.sha256}")


def _open(which: str) -> Weights:
    """Open packaged weights or a folder; opening checks every hash."""
    from tamperscan.data import packaged_weights, weights_path
    from tamperscan.diffusion.weights import open_weights

    own = Path(which).is_dir() and which not in packaged_weights()
    return open_weights(Path(which) if own else weights_path(which))


def _facts(opened: Weights) -> list[tuple[str, str]]:
    """Tell a card in words, a fact a line."""
    card = opened.card
    return [
        ("Name", card.name),
        ("Kind", _kind(card)),
        ("Modality", card.modality),
        ("Window", _window(card)),
        ("Crops", f"{card.crop_px} x {card.crop_px} pixels"),
        ("Trained", _training(card.training)),
        ("Calibrated", _calibration(card.calibration)),
        ("Licence", card.licence or "not stated"),
        *(("File", f"{name}  SHA-256 {sha256}") for name, sha256 in card.files.items()),
        ("Card", f"SHA-256 {opened.sha256}"),
        ("Folder", str(opened.folder)),
    ]


def _kind(card: Card) -> str:
    if card.kind == "published":
        return f"published network, asked at the first of {card.timesteps} levels of the {card.schedule} schedule"
    if card.levels_of_range:
        parts = ", ".join(f"{level:g}" for level in card.levels_of_range)
        return f"low-noise predictor, asked at {parts} of the scan's range"
    levels = ", ".join(f"{level:g}" for level in card.levels_hu) or "no"
    return f"low-noise predictor, asked at {levels} HU"


def _window(card: Card) -> str:
    if card.window is None:
        return "each image's own range"
    low, high = card.window
    return f"{low:g} to {high:g} HU"


def _training(facts: dict[str, Any]) -> str:
    words = []
    if scans := facts.get("scans"):
        words.append(f"on {len(scans)} scans with {sum(scan['slices'] for scan in scans)} slices")
    if facts.get("steps") is not None:
        words.append(f"{facts['steps']} steps")
    if facts.get("seconds"):
        words.append(f"{facts['seconds'] / 60:.0f} minutes")
    if facts.get("source"):
        words.append(f"{facts['source']}: {facts.get('file')}, weights {facts.get('weights')}")
    return ", ".join(words) or "not stated"


def _calibration(facts: dict[str, Any]) -> str:
    patients = facts.get("patients")
    if not patients:
        return "no: gives scores, but no p-values and no verdicts"
    parts = facts.get("parts")
    if parts:
        return f"on {parts} parts of authentic scans of {patients} patients; smallest p-value {1 / (parts + 1):.3g}"
    return f"on {patients} authentic patients; smallest p-value {1 / (patients + 1):.3g}"
