"""``tamperscan train-head``: learn to see forgeries that are made on the fly from authentic scans."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tamperscan.cli import training_options as options
from tamperscan.cli.console import new_app, tell_error, tell_note
from tamperscan.cli.train import TrainingDisplay

app = new_app()


@app.command(epilog="Example: tamperscan train-head archive/ --weights runs/ours/weights --out runs/ours-head")
def train_head(
    data: options.DataArgument,
    weights: Annotated[Path, typer.Option("--weights", file_okay=False, help="Folder of the trained noise predictor.")],
    out: options.OutOption,
    split: Annotated[
        Path | None,
        typer.Option("--split", help="JSON file of part to globs below FOLDER; a glob is a patient."),
    ] = None,
    part: Annotated[
        str, typer.Option("--part", help="Parts of the split to train on, with commas between them.")
    ] = "train",
    members: Annotated[
        int, typer.Option("--members", min=2, max=8, help="Networks; each holds out its share of the patients.")
    ] = 2,
    member: Annotated[
        int | None,
        typer.Option("--member", min=0, help="Train this one only, to run several at once; all are joined at the end."),
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Optimiser steps of each member.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of weights and crops.")] = 0,
    keep_copies: options.KeepCopiesOption = False,
    leave_out: options.LeaveOutOption = None,
    most_of_a_scanner: options.MostOfAScannerOption = 0.6,
    most_of_a_patient: options.MostOfAPatientOption = 0.25,
    no_canaries: Annotated[
        bool, typer.Option("--no-canaries", help="Don't check that it finds forgeries of these scans.")
    ] = False,
    cache: options.CacheOption = None,
    loaders: options.LoadersOption = None,
) -> None:
    """Train the self-forged head, which is shown authentic crops and forgeries made of them.

    Each patient is held out by one of the members, so that 'tamperscan calibrate' can score everybody by a network that
    has not learned from them. The state is saved every 45 seconds. At the end OUT/weights holds the predictor and
    the head; calibrate it next.
    """
    from dataclasses import replace

    from tamperscan.cli.canary_telling import check_head
    from tamperscan.detect.learning_set import vet
    from tamperscan.detect.review import write_review
    from tamperscan.detect.self_forged import head_levels
    from tamperscan.detect.self_forging import CACHE_FOLDER, assemble_head, cache_patients, train_member
    from tamperscan.detect.training import name_data, plan_patients, read_split
    from tamperscan.diffusion.head import HeadSettings
    from tamperscan.diffusion.weights import open_weights
    from tamperscan.errors import TrainingError

    vetting = options.vetting_of(keep_copies, leave_out, most_of_a_scanner, most_of_a_patient)
    if member is not None and member >= members:
        raise TrainingError(f"there is no member {member} of {members}: they are counted from 0.")
    predictor = open_weights(weights)
    parts = part.split(",")
    patterns = [glob for each in parts for glob in read_split(split, each)] if split else None
    settings = replace(HeadSettings(), levels_hu=head_levels(predictor.card))
    settings = settings if steps is None else replace(settings, steps=steps)
    with TrainingDisplay() as display:
        scans = cache_patients(
            lambda: plan_patients(
                data,
                predictor.card.modality,
                split=split,
                parts=parts,
                on_error=tell_error,
            ),
            out,
            of=name_data(data, patterns),
            arrays=cache,
            on_scan=display.scan,
        )
        vetted = vet(scans, out / CACHE_FOLDER, vetting, tell_note)
        scans = vetted.scans
        for number in range(members) if member is None else (member,):
            train_member(
                predictor,
                scans,
                out,
                number,
                settings,
                members=members,
                seed=seed,
                loaders=loaders,
                vetting=vetting,
                report=display.step,
            )
    if member is not None:
        print(f"Member {member} is trained. Without --member the same command joins all {members}.")
        return
    made = assemble_head(predictor, scans, out, out / "weights", settings, members=members, vetting=vetted.facts)
    if predictor.card.modality == "CT" and not no_canaries:
        patients = plan_patients(data, "CT", split=split, parts=parts)
        made = check_head(made, patients)
    print(f"Weights of {made.card.name} with a self-forged head are in {made.folder} (SHA-256 {made.sha256[:16]}).")
    options.tell_review(write_review(out, weights, [scan for _, scan in scans]))
