"""``tamperscan bench --out DIR``: measure every detector on the same tampered scans."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tamperscan.cli import bench_options as options
from tamperscan.cli.bench_telling import steps, tell_line

if TYPE_CHECKING:
    from tamperscan.bench.plan import Plan, Preset

MR_SPLIT = Path("training/mr-split.json")
EPILOG = "Example: tamperscan bench --out runs/bench --preset small"


class PresetName(StrEnum):
    """How much is measured."""

    SMALL = "small"
    MEDIUM = "medium"
    FULL = "full"


class ModalityName(StrEnum):
    """What is measured."""

    CT = "CT"
    MR = "MR"
    ALL = "all"


def compare(
    out: options.OutOption,
    data: Annotated[
        Path, typer.Option("--data", file_okay=False, help="Folder of real scans, with ct/, mr/ and ctgan/ in it.")
    ] = options.DATA,
    split: options.SplitOption = options.SPLIT,
    mr_split: Annotated[Path, typer.Option("--mr-split", dir_okay=False, help="The same for mr/.")] = MR_SPLIT,
    preset: Annotated[
        PresetName, typer.Option("--preset", help="small: minutes; medium: an hour; full: many hours.")
    ] = PresetName.SMALL,
    modality: Annotated[
        ModalityName | None, typer.Option("--modality", help="What to measure; else what the preset says.")
    ] = None,
    contenders: Annotated[
        str | None, typer.Option("--contenders", metavar="A,B", help="Which detectors; else those of the preset.")
    ] = None,
    methods: Annotated[
        str | None, typer.Option("--methods", metavar="A,B", help="Which forging methods; else those of the preset.")
    ] = None,
    budget: Annotated[
        float | None, typer.Option("--budget", metavar="SECONDS", min=1.0, help="CPU time each may learn for.")
    ] = None,
    official: Annotated[
        Path | None, typer.Option("--official", file_okay=False, help="Imported weights of the published detector.")
    ] = None,
    backbone: Annotated[
        Path | None, typer.Option("--backbone", dir_okay=False, help="Backbone for PaDiM and PatchCore (safetensors).")
    ] = None,
    forged: Annotated[
        list[Path] | None,
        typer.Option("--forged", file_okay=False, help="Folder made by 'tamperscan forge'; repeatable."),
    ] = None,
    ctgan: Annotated[
        Path | None, typer.Option("--ctgan", file_okay=False, help="CT-GAN release; else ctgan/ in the data.")
    ] = None,
    btd: Annotated[
        list[Path] | None, typer.Option("--btd", help="Folder of the BTD test sets, or a table in it; repeatable.")
    ] = None,
    m3dsynth: Annotated[
        list[Path] | None, typer.Option("--m3dsynth", help="Folder of M3Dsynth, or its data.csv; repeatable.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of weights, crops and forgeries.")] = 0,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Contenders at a time; one for each core if not given.")
    ] = None,
    threads: Annotated[int, typer.Option("--threads", min=1, help="CPU threads of each contender.")] = 1,
    write: options.WriteOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print results.json, and nothing else.")] = False,
) -> None:
    """Measure every detector on the same tampered scans: real ones, and ones that are forged for it.

    Says what it will do and how long it may take, then does it. DIR gets results.json, results.md, figures/ and
    gallery/; and what is needed to go on after a kill, or to add to it: forged scans, slices, trained detectors.
    """
    from tamperscan.bench.comparing import Comparing
    from tamperscan.bench.document import provenance
    from tamperscan.bench.plan import Plan
    from tamperscan.bench.results_files import RESULTS_JSON, RESULTS_PAGE, write_results

    plan = Plan(
        out=out,
        data=data,
        splits={"CT": split, "MR": mr_split},
        preset=_preset(preset.value, modality, contenders, methods, budget),
        seed=seed,
        workers=workers or os.cpu_count() or 1,
        threads=threads,
        official=official,
        backbone=backbone,
        forged=tuple(forged or ()),
        ctgan=ctgan,
        btd=tuple(map(_btd_folder, btd or ())),
        m3dsynth=tuple(map(_m3dsynth_folder, m3dsynth or ())),
    )
    with ExitStack() as bars:
        comparing = Comparing(plan, step=steps(bars), tell=tell_line)
        compared = comparing.run(provenance("bench", *_words(plan)))
        bars.close()
    for path in write_results(plan, compared, write):
        tell_line(f"Written: {path}")
    if write is not None:
        tell_line(f"The section 'comparison' is in {write}.")
    print((out / (RESULTS_JSON if as_json else RESULTS_PAGE)).read_text(encoding="utf-8"), end="")


def _preset(
    name: str, modality: ModalityName | None, contenders: str | None, methods: str | None, budget: float | None
) -> Preset:
    """Take a preset, with what the user chose instead."""
    from tamperscan.bench.plan import preset_named

    chosen = preset_named(name)
    return replace(
        chosen,
        modalities=chosen.modalities if modality is None else None if modality == "all" else (modality.value,),
        contenders=options.names(contenders) or chosen.contenders,
        methods=options.names(methods) or chosen.methods,
        budget_seconds=chosen.budget_seconds if budget is None else budget,
    )


def _btd_folder(path: Path) -> Path:
    """Return the folder of the BTD test sets, of which a table may be given."""
    from tamperscan.bench.datasets.btd import TABLES

    whole = path.resolve().as_posix()
    found = [whole.removesuffix(f"/{table}") for table in TABLES if whole.endswith(f"/{table}")]
    return Path(found[0]) if found else path


def _m3dsynth_folder(path: Path) -> Path:
    """Return the folder of M3Dsynth, of which the table may be given, beside the scans or in ``data/``."""
    if path.suffix != ".csv":
        return path
    return path.parent.parent if path.parent.name == "data" else path.parent


def _words(plan: Plan) -> list[str | Path]:
    """Tell the options that decide the figures, so that the command can be run again."""
    preset = plan.preset
    words: list[str | Path] = ["--out", plan.out, "--data", plan.data, "--preset", preset.name]
    words += ["--split", plan.splits["CT"], "--mr-split", plan.splits["MR"]]
    words += ["--budget", f"{preset.budget_seconds:g}", "--seed", str(plan.seed)]
    words += ["--modality", preset.modalities[0] if preset.modalities else "all"]
    words += ["--contenders", ",".join(preset.contenders)] if preset.contenders else []
    words += ["--methods", ",".join(preset.methods)] if preset.methods else []
    for option, path in (("--official", plan.official), ("--backbone", plan.backbone), ("--ctgan", plan.ctgan)):
        words += [option, path] if path else []
    for option, paths in (("--forged", plan.forged), ("--btd", plan.btd), ("--m3dsynth", plan.m3dsynth)):
        words += [word for path in paths for word in (option, path)]
    return words
