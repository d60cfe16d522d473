"""``tamperscan calibrate``: make a detector of trained weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tamperscan.cli.console import Bar, new_app, notices, tell_error

app = new_app()


@app.command(epilog="Example: tamperscan calibrate archive/ --weights runs/ours/weights --out detectors/ours")
def calibrate(
    data: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of authentic scans, not those trained on.")],
    weights: Annotated[
        str, typer.Option("--weights", help='Folder of trained weights, or packaged ones by name ("ct").')
    ],
    out: Annotated[Path, typer.Option("--out", "-o", file_okay=False, help="Folder for the detector.")],
    split: Annotated[
        Path | None,
        typer.Option("--split", help="JSON file of part to globs below FOLDER; a glob is a patient."),
    ] = None,
    part: Annotated[
        str, typer.Option("--part", help="Parts of the split to calibrate on, with commas between them.")
    ] = "calibrate",
) -> None:
    """Learn what authentic scans look like, and how high they score.

    Without a split every scan counts as a patient of its own. n patients support no p-value below 1/(n + 1): for an
    alarm rate of 0.05 at least 19 are needed, for 0.01 at least 99.

    A few tampered studies among the scans do little harm: patients that score far above all others, at most one in
    ten, are named and set aside. Look at them.
    """
    from tamperscan.detect.calibrating import calibrate_weights
    from tamperscan.detect.load import find_weights
    from tamperscan.detect.training import find_patients

    trained = find_weights(weights)
    console = notices()
    patients = find_patients(
        data,
        trained.card.modality,
        split=split,
        parts=part.split(","),
        on_error=lambda error: tell_error(str(error)),
    )
    aside: list[str] = []
    with Bar("Scoring patients") as bar:
        made = calibrate_weights(
            trained,
            patients,
            out,
            on_scan=lambda name, outcome: console.print(f"{name}: {outcome}", soft_wrap=True),
            on_set_aside=lambda patient: aside.append(str(patient)),
            progress=bar.update,
        )
    count = made.card.calibration["patients"]
    for sentence in aside:
        print(f"Set aside: {sentence}")
    print(f"The detector {made.card.name} is in {made.folder}, calibrated on {count} authentic patients.")
    print(f"The smallest p-value that it can give is {1 / (count + 1):.3g}.")
    if aside:
        cost = len(aside) / (count + len(aside) + 1)
        print(f"If what was set aside is authentic, its p-values are too small by up to {cost:.2g}.")
