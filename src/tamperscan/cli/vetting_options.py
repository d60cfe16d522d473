"""Options of ``train`` and ``train-head`` on what may be learned from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tamperscan.cli.console import tell_note

if TYPE_CHECKING:
    from tamperscan.detect.learning_set import Vetting

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


def tell_left_out(sentence: str) -> None:
    """Tell of a scan that is left out."""
    tell_note(sentence)


def tell_review(review: Path | None) -> None:
    """Say where the crops lie that people had better look at."""
    if review is not None:
        picture = review.with_suffix(".png")
        print(f"The crops that it explains worst are in {picture} and {review}. Look at them: what was tampered with")
        print(
            "belongs out of the training. Keep the entries of such scans in the list, and train anew with --leave-out."
        )
