"""``tamperscan forge train``: train the networks that forge."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from tamperscan.cli.console import Bar, new_app, tell_error
from tamperscan.errors import ForgeError

app = new_app(no_args_is_help=True)


class ActionName(StrEnum):
    """What to do to a scan."""

    INJECT = "inject"
    REMOVE = "remove"


ActionOption = Annotated[ActionName, typer.Option("--action", help="Put a lesion in, or take one out.")]
DataArgument = Annotated[Path, typer.Argument(metavar="DATA", help="Folder of authentic chest CT.")]
OutOption = Annotated[
    Path, typer.Option("--out", "-o", file_okay=False, help="Folder of the run; an interrupted run goes on.")
]
SplitOption = Annotated[
    Path | None, typer.Option("--split", dir_okay=False, help="JSON file of part to globs below DATA.")
]
PartOption = Annotated[str, typer.Option("--part", help="Part of the split to train on.")]
StepsOption = Annotated[int | None, typer.Option("--steps", min=1, help="Optimiser steps.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of weights, crops and noise.")]
LicenceOption = Annotated[str, typer.Option("--licence", help="Licence and attribution of the scans, for the card.")]


@app.callback()
def train() -> None:
    """Train the networks of the methods 'gan' and 'diffusion' on authentic scans."""


@app.command("gan", epilog="Example: tamperscan forge train gan archive/ --action remove --out runs/gan-remove")
def train_gan(
    data: DataArgument,
    out: OutOption,
    action: ActionOption,
    split: SplitOption = None,
    part: PartOption = "train",
    steps: StepsOption = None,
    seed: SeedOption = 0,
    licence: LicenceOption = "",
) -> None:
    """Train a generator that puts nodules in, or one that takes them out.

    Injection learns from nodules that readers have marked, removal from healthy lung.
    """
    _train("gan", data, out, split, part, steps, seed, licence, action=action.value)


@app.command("diffusion", epilog="Example: tamperscan forge train diffusion archive/ --out runs/forge-diffusion")
def train_diffusion(
    data: DataArgument,
    out: OutOption,
    split: SplitOption = None,
    part: PartOption = "train",
    steps: StepsOption = None,
    seed: SeedOption = 0,
    licence: LicenceOption = "",
) -> None:
    """Train the diffusion model that fills in what was cut out, in either direction."""
    _train("diffusion", data, out, split, part, steps, seed, licence)


def _train(
    method: str,
    data: Path,
    out: Path,
    split: Path | None,
    part: str,
    steps: int | None,
    seed: int,
    licence: str,
    **options: Any,
) -> None:
    """Train a method's network with a progress bar, and say where its weights are."""
    facts = {"split": split, "part": part, "steps": steps, "seed": seed, "licence": licence, **options}
    with Bar("Training") as bar:
        made = _trainer(method)(data, out, on_error=tell_error, report=bar.update, **facts)
    print(f"The weights are in {made}. Use them with: tamperscan forge PATH --method {method} --weights {made}")


def _trainer(method: str) -> Callable[..., Path]:
    """Load what trains a method; it needs torch."""
    try:
        if method == "gan":
            from tamperscan.forge.gan_training import train_gan

            return train_gan
        from tamperscan.forge.diffusion_training import train_diffusion
    except ImportError as error:
        raise ForgeError(
            f"Training needs packages that are not installed ({error.name}). Run: pip install 'tamperscan[forge]'."
        ) from error
    return train_diffusion
