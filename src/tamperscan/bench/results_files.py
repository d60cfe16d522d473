"""What a comparison leaves behind: results.json, results.md, curves, a gallery, and a section of the results page."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tamperscan.bench.comparing import Compared
from tamperscan.bench.comparison import SECTION, comparison_page
from tamperscan.bench.document import plain, write_section
from tamperscan.bench.gallery import write_gallery
from tamperscan.bench.jobs import SLICES_FOLDER
from tamperscan.bench.plan import Plan
from tamperscan.bench.roc_figures import emphasised, write_curves
from tamperscan.files import make_folder, write_file

RESULTS_JSON: Final = "results.json"
RESULTS_PAGE: Final = "results.md"
FIGURES_FOLDER: Final = "figures"
GALLERY_FOLDER: Final = "gallery"
IMAGES_FOLDER: Final = "images"
IMAGE_PREFIX: Final = "bench_"

_CAPTIONS: Final = {
    "roc": "Tampered slices found against authentic slices called suspicious; no place told.",
    "froc_slice": "Tampered places found against false marks an authentic slice.",
    "froc_scan": "Tampered places found against false marks an authentic volume.",
}


def write_results(plan: Plan, compared: Compared, page: Path | None = None) -> list[Path]:
    """Write everything into the folder of the run, and a section of a page where one is given.

    Parameters
    ----------
    plan
        Whose folder.
    compared
        What came of it.
    page
        Such as ``docs/results.md``; its pictures go to ``images/`` beside it.

    Returns
    -------
    list of Path
        What a reader may want to open: the page, the JSON document, the gallery.

    Raises
    ------
    OutputError
        If something can't be written.
    """
    comparison = compared.comparison
    make_folder(plan.out)
    pictures = write_curves(comparison.screening, comparison.ours, plan.out / FIGURES_FOLDER)
    gallery = write_gallery(
        compared.collected,
        compared.cuts,
        plan.out / SLICES_FOLDER,
        plan.out / GALLERY_FOLDER,
        emphasised([curve for curve in comparison.screening.curves if curve.kind == "roc"], comparison.ours)[:2],
    )
    told = comparison_page(comparison)
    write_file(plan.out / RESULTS_PAGE, f"{told}\n\n{_figures(pictures, plan.out)}\n".encode())
    document = {**plain(comparison), "signs": _signs(compared), "failures": plain(compared.collected.failures)}
    write_file(plan.out / RESULTS_JSON, (json.dumps(document, indent=1) + "\n").encode())
    if page is not None:
        write_section(page, SECTION, f"{told}\n\n{_figures(_copy(pictures, page), page.parent)}")
    return [plan.out / RESULTS_PAGE, plan.out / RESULTS_JSON, gallery]


def _figures(pictures: Sequence[Path], beside: Path) -> str:
    if not pictures:
        return ""
    shown = [f"![{_caption(path)}]({Path(os.path.relpath(path, beside)).as_posix()})" for path in pictures]
    return "\n\n".join(["### Curves", "Every patient counts alike. Grey: the contenders that are not named.", *shown])


def _caption(path: Path) -> str:
    """Tell what a picture shows, by its name."""
    stem = path.stem.removeprefix(IMAGE_PREFIX)
    kind = max((kind for kind in _CAPTIONS if stem.startswith(kind)), key=len)
    modality, task = stem.removeprefix(f"{kind}_").split("_", 1)
    return f"{modality.upper()}, {task}. {_CAPTIONS[kind]}"


def _copy(pictures: Sequence[Path], page: Path) -> list[Path]:
    """Copy the pictures of single slices beside a page; those of whole scans stay in the folder of the run."""
    folder = page.parent / IMAGES_FOLDER
    make_folder(folder)
    copies = []
    for picture in (each for each in pictures if not each.stem.startswith("froc_scan")):
        copies.append(folder / f"{IMAGE_PREFIX}{picture.name}")
        write_file(copies[-1], picture.read_bytes())
    return copies


def _signs(compared: Compared) -> dict[str, object]:
    """Return how each contender's energy became suspicion, by name and modality."""
    return {
        f"{reading.name} ({reading.outcome.modality})": {
            "nodes": plain(reading.signs.nodes),
            "patches": plain(reading.signs.patches),
        }
        for reading in compared.collected.readings
    }
