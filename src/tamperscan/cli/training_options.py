"""Options that ``train`` and ``train-head`` share, and what both say of the scans that they learn from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tamperscan.detect.learning_set import Vetting

DataArgument = Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of authentic scans.")]
OutOption = Annotated[
    Path, typer.Option("--out", "-o", file_okay=False, help="Folder of the run; an interrupted run goes on.")
]
CacheOption = Annotated[
    Path | None,
    typer.Option("--cache", file_okay=False, help="Folder of decoded scans that runs share; the run's own if none."),
]
LoadersOption = Annotated[
    int | None,
    typer.Option("--loaders", min=0, help="Processes that make crops; by default those that a GPU needs."),
]
KeepCopiesOption = Annotated[
    bool, typer.Option("--keep-copies", help="Learn also from scans that repeat the slices of others.")
]
LeaveOutOption = Annotated[
    Path | None,
    typer.Option("--leave-out", dir_okay=False, exists=True, help="A review.json: its scans are left out."),
]
MostOfAScannerOption = Annotated[
    float, typer.Option("--most-of-a-scanner", min=0.01, max=1.0, help="Largest share of crops of a scanner model.")
]
MostOfAPatientOption = Annotated[
    float, typer.Option("--most-of-a-patient", min=0.01, max=1.0, help="Largest share of crops of a patient.")
]


def vetting_of(
    keep_copies: bool, leave_out: Path | None, most_of_a_scanner: float, most_of_a_patient: float
) -> Vetting:
    """Put the options together."""
    from tamperscan.detect.learning_set import Vetting
    from tamperscan.detect.review import read_left_out

    left_out = read_left_out(leave_out) if leave_out is not None else frozenset()
    return Vetting(keep_copies, most_of_a_scanner, most_of_a_patient, left_out)


def tell_review(review: Path | None) -> None:
    """Say where the crops lie that people had better look at."""
    if review is not None:
        picture = review.with_suffix(".png")
        print(f"The crops that it explains worst are in {picture} and {review}. Look at them: what was tampered with")
        print(
            "belongs out of the training. Keep the entries of such scans in the list, and train anew with --leave-out."
        )
