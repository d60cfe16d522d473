"""Figures of the explanation: curves with their intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tamperscan.bench.explain.levels import Sweep, published_level_hu
from tamperscan.bench.explain.maps import maps_figure
from tamperscan.bench.explain.run import Explanation
from tamperscan.bench.explain.spectra import SpectrumRatio
from tamperscan.bench.explain.subjects import NODULE
from tamperscan.bench.explain.zones import Compared
from tamperscan.bench.metrics import Estimate
from tamperscan.files import make_folder, write_file
from tamperscan.report.canvas import BLUE, FAINT, INK, SKY, VERMILION, new_figure, plain_axes, png_bytes

# The rest of Okabe and Ito's colours.
GREEN, PURPLE, ORANGE = "#009e73", "#cc79a7", "#e69f00"
LINES: Final = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, INK)

KIND_WORDS: Final[Mapping[str, str]] = {"FB": "tumour removed", "FM": "tumour injected"}
TISSUE_WORDS: Final[Mapping[str, str]] = {"parenchyma": "lung tissue (parenchyma)", "soft": "soft tissue"}
MAIN_TISSUE: Final[Mapping[str, str]] = {"FB": "parenchyma", "FM": "soft"}

_LEVEL_LABEL = "noise level asked for (HU)"
_LEVEL_TICKS = (3, 5, 10, 20, 50, 100)
# Bands that fewer of the places have say more of which scans are left than of the tampering.
_LEAST_PART = 0.6


def write_figures(explanation: Explanation, compared: Sequence[Compared], folder: Path) -> dict[str, Path]:
    """Draw what there is to draw.

    Parameters
    ----------
    explanation
        The results.
    compared
        The attributions behind them.
    folder
        Where the PNG files are written; made if missing.

    Returns
    -------
    dict of str to Path
        Name of each figure, and its file; figures without anything to show are left out.

    Raises
    ------
    OutputError
        If a file can't be written.
    """
    written = {}
    for name, figure in _figures(explanation, compared):
        path = folder / f"explain-{name}.png"
        make_folder(folder)
        write_file(path, png_bytes(figure))
        written[name] = path
    return written


def _figures(explanation: Explanation, compared: Sequence[Compared]) -> Iterator[tuple[str, Figure]]:
    if compared:
        yield "maps", maps_figure(compared)
    if explanation.attribution is not None:
        yield "profile", _profile_figure(explanation)
    if explanation.spectra:
        yield "spectra", _spectra_figure(explanation)
    if explanation.swaps:
        yield "swaps", _swaps_figure(explanation)
    if any(one.kind in KIND_WORDS for one in explanation.sweeps):
        yield "levels", _levels_figure(explanation)
    if explanation.forged:
        yield "forged", _forged_figure(explanation)


def _profile_figure(explanation: Explanation) -> Figure:
    assert explanation.attribution is not None  # asked before
    figure = new_figure(9, 3.4)
    panels = _panels(figure, 2)
    for axes, (kind, words) in zip(panels, KIND_WORDS.items(), strict=True):
        rows = [row for row in explanation.attribution.profile if row.kind == kind]
        away = [float(row.zone) for row in rows]
        _band(axes, away, [row.energy for row in rows], VERMILION, "predicted noise (energy)")
        _band(axes, away, [row.attribution for row in rows], BLUE, "attribution to pixels (absolute)")
        axes.axvline(16.0, color=FAINT, linestyle=":", linewidth=1.2)
        axes.text(16.3, 0.02, "edge of the cube", transform=axes.get_xaxis_transform(), fontsize=8, color=FAINT)
        _ratio_axis(axes, "tampered / healthy, per mm²", "distance from the place (mm)", words)
    _share_y(panels)
    _legend(panels[0])
    return figure


def _spectra_figure(explanation: Explanation) -> Figure:
    figure = new_figure(9, 3.6)
    panels = _panels(figure, 2)
    for axes, (kind, words) in zip(panels, KIND_WORDS.items(), strict=True):
        shown = [one for one in explanation.spectra if one.kind == kind]
        for one, colour in zip(shown, (INK, BLUE, VERMILION), strict=False):
            _spectrum(axes, one, colour)
        places = f", {shown[0].places} places" if shown else ""
        _ratio_axis(axes, "power, tampered / rest of slice", "spatial frequency (cycles/mm)", words + places)
    _share_y(panels)
    _legend(panels[0])
    return figure


def _spectrum(axes: Axes, one: SpectrumRatio, colour: str) -> None:
    kept = [index for index, count in enumerate(one.counts) if count >= _LEAST_PART * one.places]
    _band(axes, [one.frequencies[index] for index in kept], [one.times[index] for index in kept], colour, one.what)


def _swaps_figure(explanation: Explanation) -> Figure:
    figure = new_figure(9, 4.2)
    axes = figure.add_axes((0.08, 0.13, 0.52, 0.80))
    for swap, colour in zip(explanation.swaps, LINES, strict=False):
        _band(axes, explanation.asked_hu, swap.times, colour, swap.name)
    removed = _sweep(explanation.sweeps, "FB", "parenchyma")
    if removed is not None:
        curve = [one.times for one in removed.levels]
        _band(
            axes, explanation.asked_hu, curve, INK, "CT-GAN's removals,\nagainst the rest of their slices", dashed=True
        )
    _ratio_axis(axes, "energy of the predicted noise, after / before", _LEVEL_LABEL, "")
    _level_axis(axes)
    figure.legend(
        *axes.get_legend_handles_labels(),
        loc="center left",
        bbox_to_anchor=(0.61, 0.55),
        fontsize=9,
        frameon=False,
        title="residual in a healthy place exchanged for:",
        title_fontsize=9,
        alignment="left",
    )
    return figure


def _levels_figure(explanation: Explanation) -> Figure:
    figure = new_figure(9, 6.0)
    upper, lower = _panels(figure, 2, bottom=0.54, height=0.39), _panels(figure, 2, bottom=0.09, height=0.33)
    for kind, above, below in zip(KIND_WORDS, upper, lower, strict=True):
        for tissue, colour in (("parenchyma", BLUE), ("soft", VERMILION)):
            _standings(above, explanation, kind, tissue, colour)
        _level_axis(above)
        above.set_ylim(-0.02, 1.02)
        above.axhline(0.5, color=FAINT, linewidth=1.0)
        above.set_title(KIND_WORDS[kind], fontsize=10, color=INK)
        plain_axes(above, x_label="", y_label="AUC within the slice")
        _two_sides(below, _sweep(explanation.sweeps, kind, MAIN_TISSUE[kind]))
        below.set_title(f"two-sidedness, {TISSUE_WORDS[MAIN_TISSUE[kind]]}", fontsize=9, color=INK)
    _nodules(upper[1], explanation)
    for axes in (*upper, lower[0]):
        _legend(axes)
    return figure


def _standings(axes: Axes, explanation: Explanation, kind: str, tissue: str, colour: str) -> None:
    one = _sweep(explanation.sweeps, kind, tissue)
    if one is None:
        return
    label = f"{TISSUE_WORDS[tissue]}, {one.levels[0].places} places"
    _band(axes, explanation.asked_hu, [level.auc for level in one.levels], colour, label)
    axes.plot(
        [one.published.level_hu], [one.published.auc.value], "D", color=colour, markeredgecolor="white", markersize=8
    )
    axes.plot(
        [2.35], [one.high_pass.auc.value], "s", color=colour, markeredgecolor="white", markersize=7, clip_on=False
    )


def _nodules(axes: Axes, explanation: Explanation) -> None:
    one = _sweep(explanation.sweeps, NODULE, "soft")
    if one is not None and one.levels[0].places:
        values = [level.auc.value for level in one.levels]
        label = f"soft tissue of real nodules, {one.levels[0].places} places"
        axes.plot(explanation.asked_hu, values, color=INK, linestyle="--", linewidth=1.4, label=label)
    for marker, label in (("D", "at the published level and window"), ("s", "high-pass of the image alone")):
        axes.plot([], [], marker, color=FAINT, markersize=6, label=label)


def _two_sides(axes: Axes, one: Sweep | None) -> None:
    if one is not None:
        asked = [level.level_hu for level in one.levels]
        above, below = ([getattr(level, side).value for level in one.levels] for side in ("above", "below"))
        axes.fill_between(asked, above, color=VERMILION, alpha=0.85, linewidth=0, label="in the highest tenth")
        axes.fill_between(
            asked, [-share for share in below], color=BLUE, alpha=0.85, linewidth=0, label="in the lowest tenth"
        )
    for expected in (0.1, -0.1):
        axes.axhline(expected, color=INK, linewidth=1.0, linestyle=":")
    _level_axis(axes)
    axes.set_ylim(-0.8, 1.0)
    axes.set_yticks([-0.5, 0.0, 0.5, 1.0], ["0.5", "0", "0.5", "1"])
    plain_axes(axes, x_label=_LEVEL_LABEL, y_label="share of places")


def _forged_figure(explanation: Explanation) -> Figure:
    figure = new_figure(9, 3.6)
    left, right = _panels(figure, 2)
    removals = [one for one in explanation.forged if one.action == "remove"]
    injections = [one for one in explanation.forged if one.action == "inject" and one.standing is not None]
    for one, colour in zip(removals, LINES, strict=False):
        _band(left, one.levels_hu, one.times, colour, f"{one.method}, {one.places} places")
    for one, colour in zip(injections, LINES, strict=False):
        levels = one.standing.levels if one.standing else ()
        count = levels[0].places if levels else 0
        _band(right, one.levels_hu, [level.auc for level in levels], colour, f"{one.method}, {count} places")
    _ratio_axis(left, "energy in lung tissue, after / before", _LEVEL_LABEL, "remove: healthy lung overwritten")
    plain_axes(right, x_label=_LEVEL_LABEL, y_label="AUC within the slice, soft tissue")
    right.set_title("inject: a lesion put into healthy lung", fontsize=10, color=INK)
    right.set_ylim(-0.02, 1.02)
    right.axhline(0.5, color=FAINT, linewidth=1.0)
    for axes in (left, right):
        _level_axis(axes)
        _legend(axes)
    return figure


def _sweep(sweeps: Sequence[Sweep], kind: str, tissue: str) -> Sweep | None:
    return next((one for one in sweeps if (one.kind, one.tissue) == (kind, tissue)), None)


def _panels(figure: Figure, count: int, bottom: float = 0.15, height: float = 0.74) -> list[Axes]:
    width = 0.9 / count
    return [figure.add_axes((0.08 + index * width, bottom, width - 0.08, height)) for index in range(count)]


def _share_y(panels: Sequence[Axes]) -> None:
    ends = [axes.get_ylim() for axes in panels]
    for axes in panels:
        axes.set_ylim(min(low for low, _ in ends), max(high for _, high in ends))


def _band(
    axes: Axes, x: Sequence[float], estimates: Sequence[Estimate], colour: str, label: str, *, dashed: bool = False
) -> None:
    """Draw a curve with its interval."""
    values, low, high = (np.array([getattr(one, end) for one in estimates]) for end in ("value", "low", "high"))
    axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
    axes.plot(x, values, color=colour, linewidth=1.8, linestyle="--" if dashed else "-", label=label)


def _legend(axes: Axes) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8.5, frameon=False)


def _ratio_axis(axes: Axes, y_label: str, x_label: str, title: str) -> None:
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.3g}")
    axes.axhline(1.0, color=FAINT, linewidth=1.0)
    axes.set_title(title, fontsize=10, color=INK)
    plain_axes(axes, x_label=x_label, y_label=y_label)


def _level_axis(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.set_xticks(_LEVEL_TICKS, [str(tick) for tick in _LEVEL_TICKS])
    axes.minorticks_off()
    axes.set_xlim(2.2, 130)
    axes.axvline(published_level_hu(), color=FAINT, linestyle=":", linewidth=1.2)
