"""``tamperscan calibrate``: make a detector of trained weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tamperscan.cli.console import Bar, new_app, notices, results, tell_error, tell_note

if TYPE_CHECKING:
    from tamperscan.scan import PlannedScan

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
    checkpoints: Annotated[
        Path | None,
        typer.Option("--checkpoints", file_okay=False, help="Folder of what was measured; OUT-measured by default."),
    ] = None,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="CPU threads; all by default.")] = None,
    no_canaries: Annotated[
        bool, typer.Option("--no-canaries", help="Don't check that it still finds forgeries of these scans.")
    ] = False,
) -> None:
    """Learn what authentic scans look like, and how high they score.

    Without a split every scan counts as a patient of its own. n patients support no p-value below 1/(n + 1): for an
    alarm rate of 0.05 at least 19 are needed, for 0.01 at least 99.

    Each scan's measurements are kept in a folder beside OUT, so that the same command goes on where it was stopped, and
    measures only what is new when scans are added. However many scans there are, memory holds two of them at a time.

    A few tampered studies among the scans do little harm: patients that score far above all others, at most one in
    ten, are named and set aside. Look at them. Scans that repeat the slices of others, mirrored or turned, are left
    out. At the end forgeries of some of the scans are made: a detector that no longer finds them was taught that
    forgeries are authentic, and is told to be so.
    """
    from tamperscan.cli.canary_telling import check_canaries
    from tamperscan.detect.calibrating import calibrate_weights
    from tamperscan.detect.calibration_set import one_sided
    from tamperscan.detect.load import find_weights
    from tamperscan.detect.training import plan_patients

    trained = find_weights(weights)
    console = notices()

    def patients() -> Iterator[tuple[str, PlannedScan]]:
        return plan_patients(
            data,
            trained.card.modality,
            split=split,
            parts=part.split(","),
            on_error=tell_error,
        )

    kept = checkpoints or out.with_name(out.name + "-measured")
    aside: list[str] = []
    with Bar("Scoring patients") as bar:
        made = calibrate_weights(
            trained,
            patients(),
            out,
            checkpoints=kept,
            threads=threads,
            on_scan=lambda name, outcome: console.print(f"{name}: {outcome}", soft_wrap=True),
            on_set_aside=lambda patient: aside.append(str(patient)),
            progress=bar.update,
        )
    if not no_canaries and trained.card.modality == "CT":
        made = check_canaries(made, patients())
    count = made.card.calibration["patients"]
    if warning := one_sided(made.card.calibration):
        tell_note(warning)
    for sentence in aside:
        print(f"Set aside: {sentence}")
    print(f"The detector {made.card.name} is in {made.folder}, calibrated on {count} authentic patients.")
    print(f"The smallest p-value that it can give is {1 / (count + 1):.3g}.")
    _tell_groups(made.card.calibration["groups"])
    size = sum(path.stat().st_size for path in kept.glob("*.npz")) / 1e6
    print(f"What was measured is in {kept} ({size:.0f} MB): the same command uses it again. Else remove it.")
    if aside:
        cost = len(aside) / (count + len(aside) + 1)
        print(f"If what was set aside is authentic, its p-values are too small by up to {cost:.2g}.")


def _tell_groups(groups: list[dict[str, Any]]) -> None:
    """Print how many patients there are of each kind, and whom their scans would be compared with."""
    from rich.table import Table

    table = Table("by", "group", "patients", "compared with alike", "alarms at 0.05", box=None)
    for group in groups:
        share = f"{group['alarms']} [{group['low']:.0%} to {group['high']:.0%}]"
        alike = f"{group['own']} of {group['patients']}" if group["own"] else "none: with all"
        table.add_row(group["kind"], group["name"], str(group["patients"]), alike, share)
    results().print(table)
    for group in groups:
        if not group["low"] <= 0.05 <= group["high"]:
            print(f"Alarms at 0.05 are not 1 in 20 for {group['kind']} {group['name']}: add patients of that kind.")
