"""Cases as pictures: what a contender finds best, what it misses, and which authentic slices it suspects most."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle

from tamperscan.bench.cases import Case
from tamperscan.bench.collecting import Collected, Reading
from tamperscan.bench.cuts import Cuts, SliceCut, tampering
from tamperscan.bench.masks import nodes_of
from tamperscan.bench.places import HIT_MM, distance_mm
from tamperscan.bench.scores import SliceScore
from tamperscan.bench.stored import Stored, load_slice
from tamperscan.files import make_folder, write_file
from tamperscan.report.canvas import HEAT, INK, OUTLINE, SKY, new_figure, png_bytes
from tamperscan.report.figures import LUNG_WINDOW_HU

Chapter = Literal["best", "missed", "worst"]
CHAPTERS: Final[Mapping[Chapter, str]] = {
    "best": "Found best: the highest suspicion lies within 16 mm of the tampered place, and is as high as it gets.",
    "missed": "Missed: tampered slices with the least suspicion.",
    "worst": "Worst false alarms: authentic slices with the most suspicion.",
}
PICTURES_A_CHAPTER: Final = 6
_MR_WINDOW: Final = (0.0, 1000.0)
_AROUND_MM: Final = 25.0
_PANEL_INCHES: Final = 4.5
_HEAD_INCHES: Final = 0.65


@dataclass(frozen=True)
class Exhibit:
    """One picture of the gallery.

    Attributes
    ----------
    chapter
        Why it is shown.
    case, cut, score
        The slice, and what the contender made of it.
    """

    chapter: Chapter
    case: Case
    cut: SliceCut
    score: SliceScore

    @property
    def words(self) -> str:
        """What it shows, in one line."""
        done = {"inject": "injected by", "remove": "removed by", None: "authentic"}[self.case.task]
        generator = self.case.generator if self.case.task else ""
        what = " ".join(filter(None, (done, generator)))
        return f"{self.case.name}, slice {self.cut.index}: {what}; highest suspicion {self.score.score:.2f}"


def write_gallery(
    collected: Collected, cuts: Mapping[str, Cuts], slices: Path, folder: Path, names: Sequence[str]
) -> Path:
    """Draw the cases of some contenders, and an HTML page that shows them.

    Parameters
    ----------
    collected, cuts
        What was measured.
    slices
        Folder of stored slices.
    folder
        Where the pictures and ``index.html`` go.
    names
        Contenders as in tables.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    OutputError
        If it can't be written.
    """
    make_folder(folder)
    parts = []
    for reading in (each for each in collected.readings if each.name in names):
        modality = reading.outcome.modality
        title = f"{reading.name} on {modality}"
        parts.append(f"<h2>{html.escape(title)}</h2>")
        exhibits = list(choose(collected, cuts, reading))
        for chapter, words in CHAPTERS.items():
            chosen = [each for each in exhibits if each.chapter == chapter]
            parts.append(f"<h3>{html.escape(words)}</h3>" if chosen else "")
            for number, exhibit in enumerate(chosen, start=1):
                stem = "".join(letter if letter.isalnum() else "_" for letter in title.lower())
                name = f"{stem}_{chapter}_{number}.png"
                write_file(folder / name, draw(exhibit, reading, load_slice(slices, exhibit.cut.key)))
                parts.append(
                    f'<figure><img src="{name}" width="900"><figcaption>{html.escape(exhibit.words)}'
                    "</figcaption></figure>"
                )
    page = folder / "index.html"
    write_file(page, _page(parts).encode())
    return page


def choose(collected: Collected, cuts: Mapping[str, Cuts], reading: Reading) -> Iterator[Exhibit]:
    """Choose what to show of a contender: one slice of a case, cases in the order of their scores."""
    told = collected.evidence.scores[reading.name]
    cases = [case for case in collected.evidence.cases if case.modality == reading.outcome.modality]
    tops = [(case, _top(told[case.name].slices, tampered=case.tampered)) for case in cases]
    known = sorted(((case, top) for case, top in tops if top is not None), key=lambda one: -one[1].score)
    tampered = [(case, top) for case, top in known if case.tampered]
    found = [(case, top) for case, top in tampered if _hits(case, top, cuts[case.name])]
    authentic = [(case, top) for case, top in known if not case.tampered]
    chapters: dict[Chapter, list[tuple[Case, SliceScore]]] = {
        "best": found[:PICTURES_A_CHAPTER],
        "missed": tampered[::-1][:PICTURES_A_CHAPTER],
        "worst": authentic[:PICTURES_A_CHAPTER],
    }
    for chapter, chosen in chapters.items():
        for case, top in chosen:
            cut = next(one for one in cuts[case.name].slices if one.index == top.index)
            yield Exhibit(chapter, case, cut, top)


def draw(exhibit: Exhibit, reading: Reading, stored: Stored) -> bytes:
    """Draw a slice with what was tampered with, and beside it the suspicion; a PNG."""
    across, down = _shown(stored)
    height = _PANEL_INCHES * min(1.0, (down[1] - down[0]) / (across[1] - across[0]))
    figure = new_figure(10.0, height + _HEAD_INCHES)
    top = height / (height + _HEAD_INCHES)
    grid = figure.add_gridspec(
        1, 3, width_ratios=(1, 1, 0.03), left=0.01, right=0.94, bottom=0.01, top=top, wspace=0.03
    )
    left, right, bar = (figure.add_subplot(grid[0, place]) for place in range(3))
    for axes, title in ((left, "tampered with" if exhibit.cut.tampered else "authentic"), (right, "suspicion")):
        _draw_slice(axes, stored, title)
        _draw_truth(axes, exhibit, stored)
    suspicion = reading.scorer.suspicion(exhibit.cut.key)
    sides = [step * count for step, count in zip(stored.grid.spacing_mm, suspicion.shape, strict=True)]
    low = float(np.nanmedian(suspicion))
    high = max(exhibit.score.score, low + 0.01)
    shown = right.imshow(suspicion, cmap=HEAT, vmin=low, vmax=high, extent=(0.0, sides[1], sides[0], 0.0))
    for axes in (left, right):
        axes.set_xlim(*across)
        axes.set_ylim(*down[::-1])
    _draw_peak(right, exhibit, stored)
    figure.colorbar(shown, cax=bar).ax.tick_params(labelsize=8)
    figure.suptitle(f"{reading.name}: {exhibit.words}", fontsize=9, color=INK)
    return png_bytes(figure)


def _draw_slice(axes: Axes, stored: Stored, title: str) -> None:
    rows, columns = stored.image.shape
    extent = (0.0, columns * stored.spacing_mm[1], rows * stored.spacing_mm[0], 0.0)
    low, high = LUNG_WINDOW_HU if stored.modality == "CT" else _MR_WINDOW
    axes.imshow(stored.image, cmap="gray", vmin=low, vmax=high, extent=extent)
    axes.set_title(title, color=INK, fontsize=10)
    axes.set_axis_off()


def _shown(stored: Stored) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return from where to where, across and down in mm, it was looked at, with what is around it."""
    ends = []
    for axis, step in ((1, stored.spacing_mm[1]), (0, stored.spacing_mm[0])):
        looked = np.flatnonzero(stored.region.any(axis=1 - axis))
        side = stored.image.shape[axis] * step
        ends.append((max(0.0, looked[0] * step - _AROUND_MM), min(side, looked[-1] * step + _AROUND_MM)))
    return ends[0], ends[1]


def _top(slices: Sequence[SliceScore], *, tampered: bool) -> SliceScore | None:
    known = [one for one in slices if one.tampered == tampered and math.isfinite(one.score)]
    return max(known, key=lambda one: one.score, default=None)


def _hits(case: Case, top: SliceScore, cuts: Cuts) -> bool:
    if not top.peaks or cuts.facts.spacing_mm is None:
        return False
    peak, pixel_mm = (top.peaks[0].row, top.peaks[0].column), cuts.facts.spacing_mm[1:]
    return any(distance_mm(peak, (place.row, place.column), pixel_mm) <= HIT_MM for place in tampering(case))


def _draw_truth(axes: Axes, exhibit: Exhibit, stored: Stored) -> None:
    """Outline what was tampered with: the mask where there is one, else the cube around the place."""
    grid = stored.grid
    if exhibit.cut.mask is not None and grid.nodes.any():
        mask = grid.spread(nodes_of(exhibit.cut.mask, int(grid.nodes.sum())).astype(np.float32), fill=0.0)
        across = (np.arange(mask.shape[1]) + 0.5) * grid.spacing_mm[1]
        down = (np.arange(mask.shape[0]) + 0.5) * grid.spacing_mm[0]
        if mask.any():
            axes.contour(across, down, mask, levels=[0.5], colors=[SKY], linewidths=1.2)
    elif exhibit.cut.tampered:
        for place in tampering(exhibit.case):
            middle = ((place.column + 0.5) * stored.spacing_mm[1], (place.row + 0.5) * stored.spacing_mm[0])
            axes.add_patch(Circle(middle, HIT_MM, fill=False, edgecolor=SKY, linewidth=1.2))


def _draw_peak(axes: Axes, exhibit: Exhibit, stored: Stored) -> None:
    for peak in exhibit.score.peaks[:1]:
        x, y = (peak.column + 0.5) * stored.spacing_mm[1], (peak.row + 0.5) * stored.spacing_mm[0]
        axes.plot([x], [y], marker="+", markersize=11, color="white", path_effects=OUTLINE)


def _page(parts: Sequence[str]) -> str:
    style = "body{font-family:sans-serif;max-width:960px;margin:2em auto;color:#1b1f24}figcaption{font-size:small}"
    head = f'<meta charset="utf-8"><title>Gallery of cases</title><style>{style}</style>'
    words = (
        "Blue: what was tampered with, by the mask or as a circle of 16 mm around the known place. The cross is the"
        " place of the highest suspicion; colours run from the median of the slice to its highest."
    )
    body = "\n".join(filter(None, parts))
    top = f"<h1>Gallery of cases</h1><p>{words}</p>"
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{top}\n{body}</body></html>\n'
