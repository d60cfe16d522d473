"""Operating curves as pictures: few contenders in colour, the others in grey behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes

from tamperscan.bench.collecting import contender_of
from tamperscan.bench.comparison_tables import TASKS
from tamperscan.bench.protocols.screening import SEVERAL, Curve, ScreeningResult
from tamperscan.files import make_folder, write_file
from tamperscan.report.canvas import GRID, INK, new_figure, plain_axes, png_bytes

MOST_EMPHASISED: Final = 6
MOST_FALSE_MARKS: Final = 8.0

# Okabe and Ito, yellow left out as it is too pale on white; ours comes first. Each has a dash of its own, too, so that
# the curves are told apart in grey print.
_COLOURS: Final = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#56b4e9", "#000000")
_DASHES: Final = ("-", "--", "-.", (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)), (0, (4, 1, 1, 1, 1, 1)))
_ACROSS: Final = {
    "roc": "share of authentic slices called suspicious",
    "froc per slice": "false marks an authentic slice",
    "froc per scan": "false marks an authentic scan",
}
_UP: Final = {
    "roc": "share of tampered slices found",
    "froc per slice": "share of tampered places found",
    "froc per scan": "share of tampered places found",
}
_OTHERS: Final = "others"
_GREY: Final = "#c3c9d0"
_PANEL_INCHES: Final = 3.5
_LEGEND_INCHES: Final = 0.6
_PANELS_ACROSS: Final = 3
_FILES: Final = {"roc": "roc", "froc per slice": "froc_slice", "froc per scan": "froc_scan"}


def write_curves(result: ScreeningResult, ours: str, folder: Path) -> list[Path]:
    """Draw the operating curves: a picture for each kind, modality and task, with a panel for each generator.

    Parameters
    ----------
    result
        With its curves.
    ours
        Our contender, which is always emphasised.
    folder
        Where pictures go.

    Returns
    -------
    list of Path
        The pictures, ``roc_*.png`` and ``froc_*.png``.

    Raises
    ------
    OutputError
        If they can't be written.
    """
    make_folder(folder)
    known = [curve for curve in result.curves if curve.false]
    slots: dict[str, int] = {}
    pictures = []
    for kind, modality, task in dict.fromkeys((curve.kind, curve.modality, curve.task) for curve in known):
        curves = [curve for curve in known if (curve.kind, curve.modality, curve.task) == (kind, modality, task)]
        path = folder / f"{_FILES[kind]}_{modality.lower()}_{TASKS[task]}.png"
        write_file(path, draw_curves(curves, emphasised(curves, ours), slots))
        pictures.append(path)
    return pictures


def emphasised(curves: Sequence[Curve], ours: str) -> list[str]:
    """Choose the contenders that get a colour: ours, then those with the largest areas under their curves.

    Of a contender that is read in two ways, the better one.
    """
    areas: dict[str, list[float]] = {}
    for curve in curves:
        if curve.false:
            areas.setdefault(curve.contender, []).append(_area(curve))
    best = sorted(areas, key=lambda name: -float(np.mean(areas[name])))
    first = {contender_of(name): name for name in reversed(best)}
    ranked = [name for name in best if first[contender_of(name)] == name and name != ours]
    mine = [ours] if ours in areas else []
    return [*mine, *ranked[: MOST_EMPHASISED - len(mine)]]


def _area(curve: Curve) -> float:
    """Return the area under a curve as far as it is drawn."""
    most = _most(curve.kind)
    false, true = np.append(curve.false, max(most, curve.false[-1])), np.append(curve.true, curve.true[-1])
    grid = np.linspace(0.0, most, 401)
    return float(true[np.searchsorted(false, grid, side="right").clip(1, len(false)) - 1].mean())


def _most(kind: str) -> float:
    return 1.0 if kind == "roc" else MOST_FALSE_MARKS


def draw_curves(curves: Sequence[Curve], coloured: Sequence[str], slots: dict[str, int] | None = None) -> bytes:
    """Draw curves of one kind, modality and task, with a panel for each generator.

    Parameters
    ----------
    curves
        At least one.
    coloured
        Contenders that get a colour, at most six; the others are grey.
    slots
        Which colour each contender had in earlier pictures; it is kept where it is free, and new ones are added.

    Returns
    -------
    bytes
        A PNG.
    """
    styles = _styles(coloured, {} if slots is None else slots)
    generators = list(dict.fromkeys(curve.generator for curve in curves))
    across = 2 if len(generators) == 4 else min(len(generators), _PANELS_ACROSS)
    down = -(-len(generators) // across)
    height = down * _PANEL_INCHES + _LEGEND_INCHES
    figure = new_figure(max(across, 2) * _PANEL_INCHES, height)
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for axes, generator in zip(panels, generators, strict=False):
        chosen = [curve for curve in curves if curve.generator == generator]
        _draw_panel(axes, chosen, styles, "all generators" if generator == SEVERAL else generator)
    for axes in panels[len(generators) :]:
        axes.set_axis_off()
    figure.tight_layout(rect=(0, _LEGEND_INCHES / height, 1, 1))
    lines = {str(line.get_label()): line for axes in panels for line in axes.get_lines()}
    shown = [name for name in (*coloured, _OTHERS) if name in lines]
    figure.legend([lines[name] for name in shown], shown, loc="lower center", ncols=4, frameon=False, fontsize=9)
    return png_bytes(figure)


def _styles(coloured: Sequence[str], slots: dict[str, int]) -> dict[str, dict[str, Any]]:
    """Give each contender a colour and a dash; its old ones if no other has them."""
    taken: dict[str, int] = {}
    for name in sorted(coloured, key=lambda each: each not in slots):
        free = [slot for slot in range(MOST_EMPHASISED) if slot not in taken.values()]
        taken[name] = slots[name] if slots.get(name) in free else free[0]
    slots.update({name: slot for name, slot in taken.items() if name not in slots})
    return {
        name: {"color": _COLOURS[slot], "linestyle": _DASHES[slot], "linewidth": 2.4 if slot == 0 else 1.6}
        for name, slot in taken.items()
    }


def _draw_panel(axes: Axes, curves: Sequence[Curve], styles: Mapping[str, dict[str, Any]], title: str) -> None:
    kind = curves[0].kind
    plain_axes(axes, x_label=_ACROSS[kind], y_label=_UP[kind])
    axes.set_title(title, fontsize=10, color=INK)
    if kind == "roc":
        axes.plot([0, 1], [0, 1], color=GRID, linewidth=1, zorder=1)
    for curve in curves:
        if curve.contender not in styles:
            axes.step(curve.false, curve.true, where="post", color=_GREY, linewidth=0.8, label=_OTHERS, zorder=2)
    for name, style in list(styles.items())[::-1]:
        for curve in (one for one in curves if one.contender == name):
            axes.step(curve.false, curve.true, where="post", label=name, zorder=3, **style)
    axes.set_xlim(0, _most(kind))
    axes.set_ylim(0, 1.01)
