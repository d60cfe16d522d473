"""The loss of a training run as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tamperscan.files import new_file


def write_loss_curve(csv_path: Path, png_path: Path) -> None:
    """Draw a run's loss over its steps.

    Parameters
    ----------
    csv_path
        Lines of step, loss and seconds, as training writes them. A line that was cut off is left out.
    png_path
        The picture; replaces an older one in a single step. Nothing is written where there is no line.
    """
    points = _read(csv_path)
    if len(points) == 0:
        return
    # Not through pyplot, which looks for a screen and keeps figures alive.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    axes.plot(points[:, 0], points[:, 1], marker="." if len(points) < 3 else None)
    axes.set_xlabel("optimiser step")
    axes.set_ylabel("mean square error of the predicted noise")
    axes.set_title(f"{points[-1, 1]:.4f} after {points[-1, 0]:.0f} steps, {points[-1, 2] / 60:.0f} minutes")
    axes.grid(alpha=0.3)
    with new_file(png_path) as picture:
        figure.savefig(picture, format="png")


def _read(path: Path) -> NDArray[np.float64]:
    """Read the curve as ``[line, 3]``, one line a step: of a step that was made again, the last one counts."""
    points: dict[float, list[float]] = {}
    for line in path.read_text().splitlines() if path.is_file() else ():
        fields = line.split(",")
        try:
            values = [float(field) for field in fields]
        except ValueError:
            continue
        if len(values) == 3:
            points[values[0]] = values
    return np.array([points[step] for step in sorted(points)]).reshape(-1, 3)
