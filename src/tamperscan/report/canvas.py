"""What all pictures of a report share: colours, type, and the way to a PNG.

Figures are made with matplotlib's objects and never with ``pyplot``, whose global state is neither
thread-safe nor ever freed in a service that runs for weeks. Colours are those of Okabe and Ito, which people
with any kind of colour vision can tell apart.
"""

from __future__ import annotations

import io

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patheffects import AbstractPathEffect, withStroke

INK = "#1b1f24"
FAINT = "#6b7480"
GRID = "#d9dee4"
BLUE = "#0072b2"
SKY = "#56b4e9"
VERMILION = "#d55e00"
# From nothing through vermilion to pale yellow: rises in lightness, so it also reads in grey print.
HEAT = LinearSegmentedColormap.from_list(
    "suspicion", [(0.55, 0.16, 0.0, 0.0), (0.84, 0.37, 0.0, 0.75), (1.0, 0.9, 0.35, 0.9)]
)
OUTLINE: list[AbstractPathEffect] = [withStroke(linewidth=3, foreground="black")]
DPI = 120
_PACKING = 3  # half the time of zlib's own choice for files that are 7 % larger


def new_figure(width_inches: float, height_inches: float, paper: str = "white") -> Figure:
    """Make an empty figure that draws without a display."""
    figure = Figure(figsize=(width_inches, height_inches), dpi=DPI, facecolor=paper)
    FigureCanvasAgg(figure)
    return figure


def png_bytes(figure: Figure) -> bytes:
    """Draw a figure as PNG, without a date inside so that equal figures give equal files; it is empty afterwards."""
    buffer = io.BytesIO()
    figure.savefig(
        buffer,
        format="png",
        metadata={"Software": "tamperscan"},
        facecolor=figure.get_facecolor(),
        pil_kwargs={"compress_level": _PACKING},
    )
    figure.clear()  # its parts refer to each other, and 20 MB would wait for the garbage collector
    return buffer.getvalue()


def wide_chart(x_label: str, y_label: str) -> tuple[Figure, Axes]:
    """Make a chart of 1320 x 408 pixels with quiet axes, and room for a legend above them."""
    figure = new_figure(11, 3.4)
    axes = figure.add_axes((0.07, 0.17, 0.915, 0.70))
    plain_axes(axes, x_label=x_label, y_label=y_label)
    return figure, axes


def legend_above(axes: Axes, columns: int) -> None:
    """Put the legend of a wide chart above it, in one line."""
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=9, frameon=False, ncols=columns)


def plain_axes(axes: Axes, *, x_label: str, y_label: str) -> None:
    """Give a chart quiet axes with labels."""
    axes.set_xlabel(x_label, color=INK, fontsize=10)
    axes.set_ylabel(y_label, color=INK, fontsize=10)
    axes.tick_params(colors=INK, labelsize=9)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)
