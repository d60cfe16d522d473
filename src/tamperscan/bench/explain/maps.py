"""One removal and one injection as pictures: the slice, the predicted noise, and where the score comes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy import ndimage

from tamperscan.bench.explain.subjects import HALF_MM
from tamperscan.bench.explain.zones import Compared
from tamperscan.bench.labels import KINDS
from tamperscan.bench.places import Map
from tamperscan.report.canvas import INK, SKY, new_figure

_SHOWN_MM = 34.0
_LUNG_WINDOW = (-1050.0, 150.0)
_HEADS: Final = ("slice (-1050 to 150 HU)", "predicted noise, energy", "attribution of the score")
# Single pixels are too fine to see where an attribution lies.
_BLUR_PX = 1.0


def maps_figure(compared: Sequence[Compared]) -> Figure:
    """Draw the typical place of each kind: the one whose energy over that of its healthy places is the median.

    Parameters
    ----------
    compared
        At least one.
    """
    kinds = [kind for kind in KINDS if any(each.subject.kind == kind for each in compared)]
    figure = new_figure(9, 0.5 + 2.95 * len(kinds))
    for row, kind in enumerate(kinds):
        each = typical([one for one in compared if one.subject.kind == kind])
        panels = [
            figure.add_axes(
                (0.05 + 0.315 * column, 0.02 + (len(kinds) - 1 - row) / len(kinds) * 0.95, 0.30, 0.88 / len(kinds))
            )
            for column in range(3)
        ]
        _draw(panels, each)
        panels[0].set_ylabel(f"{KINDS[kind]}, {each.subject.name.removesuffix('.dcm')}", fontsize=9, color=INK)
        for axes, head in zip(panels, _HEADS, strict=True):
            axes.set_title(head if row == 0 else "", fontsize=9.5, color=INK)
    return figure


def typical(compared: Sequence[Compared]) -> Compared:
    """Choose the place with the median ratio of energies (the lower one of two)."""
    ratios = [each.tampered.score / float(np.mean([one.score for _, one in each.healthy])) for each in compared]
    return compared[int(np.argsort(ratios, kind="stable")[(len(ratios) - 1) // 2])]


def _draw(panels: Sequence[Axes], each: Compared) -> None:
    subject = each.subject
    halves = [round(_SHOWN_MM / side) for side in subject.spacing_mm]
    box = tuple(slice(max(0, middle - half), middle + half) for middle, half in zip(subject.place, halves, strict=True))
    energy = ndimage.gaussian_filter(np.nan_to_num(each.tampered.energy), _BLUR_PX)[box]
    shared = ndimage.gaussian_filter(each.tampered.values, _BLUR_PX)[box].astype(np.float32)
    shown = subject.lung[box]
    limit = float(np.quantile(np.abs(shared), 0.995))
    panels[0].imshow(subject.hu[box], cmap="gray", vmin=_LUNG_WINDOW[0], vmax=_LUNG_WINDOW[1])
    panels[1].imshow(_within(energy, shown), cmap="cividis", vmin=0.0, vmax=float(np.quantile(energy[shown], 0.98)))
    panels[2].imshow(shared, cmap="PuOr_r", vmin=-limit, vmax=limit)
    middle = [place - side.start for place, side in zip(subject.place, box, strict=True)]
    for axes in panels:
        _mark(axes, middle, subject.spacing_mm)


def _within(values: Map, mask: np.ndarray) -> np.ma.MaskedArray:
    return np.ma.masked_where(~mask, values)


def _mark(axes: Axes, middle: Sequence[int], spacing_mm: tuple[float, float]) -> None:
    """Outline the square of 32 mm that was replaced."""
    half = [HALF_MM / side for side in spacing_mm]
    corner = (middle[1] - half[1], middle[0] - half[0])
    axes.add_patch(Rectangle(corner, 2 * half[1], 2 * half[0], fill=False, edgecolor=SKY, linewidth=1.4))
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)
