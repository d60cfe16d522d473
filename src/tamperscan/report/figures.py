"""Pictures of findings: the slice, the suspicion in it, and the place enlarged.

Slices are shown as they are stored, row 0 on top, and in millimetres, so that anisotropic pixels keep their
shape.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from numpy.typing import NDArray

from tamperscan.detect.results import Finding, Screening
from tamperscan.report.canvas import HEAT, OUTLINE, SKY, new_figure, png_bytes
from tamperscan.scan.volume import Scan

LUNG_WINDOW_HU = (-1350.0, 150.0)
MR_PERCENTILES = (1.0, 99.5)
ZOOM_MM = 80.0
SMALLEST_RING_MM = 8.0
PAPER = "black"
TYPE = "white"
_AXIS_ENDS = (("R", "L"), ("A", "P"), ("F", "H"))  # towards the negative and positive end of the LPS axes


def display_window(scan: Scan) -> tuple[float, float]:
    """Darkest and brightest value shown: the lung window (HU) for CT, percentiles of the signal otherwise."""
    if scan.modality == "CT":
        return LUNG_WINDOW_HU
    sample = scan.voxels[:: max(1, scan.shape[0] // 16), ::4, ::4]
    low, high = (float(edge) for edge in np.percentile(sample, MR_PERCENTILES))
    return low, max(high, low + 1e-6)


def suspicion_range(screening: Screening) -> tuple[float, float]:
    """Suspicion at which the colours begin (the scan's median) and end (its highest): one scale for a scan.

    Parameters
    ----------
    screening
        The screening, whose map and regions set the scale.
    """
    measured = screening.suspicion[screening.regions]
    if not measured.size:
        return 0.0, 1e-6
    high = float(measured.max())
    low = float(np.median(measured, overwrite_input=True))  # millions of voxels, and the copy is our own
    return low, max(high, low + 1e-6)


def edge_labels(affine: NDArray[np.float64]) -> tuple[str, str, str, str]:
    """Name the patient's sides at the (left, right, top, bottom) edge of a slice.

    Letters are those of DICOM: R, L, A, P, F (feet) and H (head); empty where the affine was never set.

    Parameters
    ----------
    affine
        ``[4, 4]``, voxel index (slice, row, column, 1) to patient position.
    """
    if np.array_equal(affine, np.eye(4)):
        return "", "", "", ""
    top, bottom = _axis_ends(affine[:3, 1])
    left, right = _axis_ends(affine[:3, 2])
    return left, right, top, bottom


def _axis_ends(direction: NDArray[np.float64]) -> tuple[str, str]:
    axis = int(np.argmax(np.abs(direction)))
    start, end = _AXIS_ENDS[axis]
    return (start, end) if direction[axis] > 0 else (end, start)


@dataclass(frozen=True)
class _View:
    """One finding's slice, ready to be drawn, with lengths in mm from the corner of voxel (0, 0)."""

    image: NDArray[np.float32]
    heat: NDArray[np.float32]
    looked: NDArray[np.bool_]
    extent: tuple[float, float, float, float]
    window: tuple[float, float]
    heat_range: tuple[float, float]
    centre: tuple[float, float]
    radius: float
    labels: tuple[str, str, str, str]


def _view(screening: Screening, finding: Finding, heat_range: tuple[float, float]) -> _View:
    scan = screening.scan
    slice_, row, column = finding.centre
    _, rows, columns = scan.shape
    _, row_mm, column_mm = scan.spacing_mm
    looked = screening.regions[slice_]
    return _View(
        image=scan.voxels[slice_],
        heat=np.where(looked, screening.suspicion[slice_], np.nan).astype(np.float32),
        looked=looked,
        extent=(0.0, columns * column_mm, rows * row_mm, 0.0),
        window=display_window(scan),
        heat_range=(heat_range[0], max(heat_range[1], finding.score)),
        centre=((column + 0.5) * column_mm, (row + 0.5) * row_mm),
        radius=max(SMALLEST_RING_MM, max(finding.size_mm[1:]) / 2),
        labels=edge_labels(scan.affine),
    )


def finding_figure(screening: Screening, finding: Finding, heat_range: tuple[float, float]) -> bytes:
    """Draw one finding: the slice with a ring, the suspicion in it, and the place enlarged.

    Parameters
    ----------
    screening
        The screening that the finding is of.
    finding
        The finding to draw.
    heat_range
        Suspicion at which the colours begin and end, as from `suspicion_range`; the finding's score is kept inside.

    Returns
    -------
    bytes
        A PNG of 1500 x 690 pixels.
    """
    figure = new_figure(12.5, 5.75, PAPER)
    view = _view(screening, finding, heat_range)
    whole, heated, close, close_heated = _panels(figure)
    _draw_slice(whole, view, f"slice {finding.centre[0]}")
    _draw_sides(whole, view.labels)
    _draw_ring(whole, view)
    _draw_slice(heated, view, "suspicion where the detector looked")
    _draw_heat(heated, view)
    _draw_outline(heated, view)
    _draw_colour_bar(figure, heated, view)
    _draw_slice(close, view, "the place, enlarged", enlarged=True)
    _draw_slice(close_heated, view, "with suspicion", enlarged=True)
    _draw_heat(close_heated, view)
    _draw_ring(close_heated, view)
    return png_bytes(figure)


def _panels(figure: Figure) -> tuple[Axes, Axes, Axes, Axes]:
    grid = figure.add_gridspec(
        2,
        3,
        width_ratios=(2, 2, 1),
        left=0.012,
        right=0.988,
        top=0.93,
        bottom=0.075,
        wspace=0.04,
        hspace=0.16,
    )
    return (
        figure.add_subplot(grid[:, 0]),
        figure.add_subplot(grid[:, 1]),
        figure.add_subplot(grid[0, 2]),
        figure.add_subplot(grid[1, 2]),
    )


def _draw_slice(axes: Axes, view: _View, title: str, *, enlarged: bool = False) -> None:
    low, high = view.window
    axes.imshow(view.image, cmap="gray", vmin=low, vmax=high, extent=view.extent, interpolation="nearest")
    if enlarged:
        _zoom(axes, view)
    axes.set_title(title, color=TYPE, fontsize=11, pad=5)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color("#444444")
    _draw_scale_bar(axes, 20 if enlarged else 50)


def _zoom(axes: Axes, view: _View) -> None:
    x, y = view.centre
    half = ZOOM_MM / 2
    axes.set_xlim(x - half, x + half)
    axes.set_ylim(y + half, y - half)


def _draw_sides(axes: Axes, labels: tuple[str, str, str, str]) -> None:
    for (x, y), label in zip(((0.025, 0.5), (0.975, 0.5), (0.5, 0.965), (0.5, 0.035)), labels, strict=True):
        axes.text(
            x,
            y,
            label,
            color=TYPE,
            fontsize=10,
            ha="center",
            va="center",
            transform=axes.transAxes,
            path_effects=OUTLINE,
        )


def _draw_scale_bar(axes: Axes, length_mm: float) -> None:
    left, right = axes.get_xlim()
    start = left + 0.04 * (right - left)
    ends = [start, start + length_mm]
    down = axes.get_xaxis_transform()  # mm across, and a share of the panel's height up
    axes.plot(ends, [0.05, 0.05], "w-", linewidth=2.5, transform=down, path_effects=OUTLINE)
    axes.text(start, 0.07, f"{length_mm:g} mm", color=TYPE, fontsize=9, transform=down, path_effects=OUTLINE)


def _draw_ring(axes: Axes, view: _View) -> None:
    ring = Circle(view.centre, view.radius, fill=False, edgecolor=SKY, linewidth=2)
    ring.set_path_effects(OUTLINE)
    axes.add_patch(ring)


def _draw_heat(axes: Axes, view: _View) -> None:
    low, high = view.heat_range
    axes.imshow(view.heat, cmap=HEAT, vmin=low, vmax=high, extent=view.extent, interpolation="nearest")


def _draw_outline(axes: Axes, view: _View) -> None:
    if not view.looked.any() or view.looked.all():
        return
    rows, columns = view.looked.shape
    _, right, bottom, _ = view.extent
    across = (np.arange(columns) + 0.5) * right / columns
    down = (np.arange(rows) + 0.5) * bottom / rows
    axes.contour(across, down, view.looked.astype(np.float32), levels=[0.5], colors=[SKY], linewidths=0.8)


def _draw_colour_bar(figure: Figure, axes: Axes, view: _View) -> None:
    low, high = view.heat_range
    inset = axes.inset_axes((0.0, -0.045, 1.0, 0.022))
    bar = figure.colorbar(axes.images[-1], cax=inset, orientation="horizontal", ticks=[low, high])
    bar.ax.set_facecolor("#3a3a3a")
    bar.ax.set_xticklabels([f"{low:.3g}: median", f"{high:.3g}: highest in scan"], color=TYPE, fontsize=9)
    first, last = bar.ax.get_xticklabels()
    first.set_horizontalalignment("left")
    last.set_horizontalalignment("right")
    bar.outline.set_edgecolor("#777777")
