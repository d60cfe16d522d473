"""The crops that a predictor explains worst, for people to look at before they are learned from again.

What was pasted, blurred or generated has another noise than its surroundings, and a predictor that saw it rarely
explains it badly. Each crop's loss is compared with those of the same scan, as scans differ by dose and kernel. Metal,
motion and the table's edge are found in the same way: what a crop shows is for people to say.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tamperscan.detect.crops import CachedScan, crop_places, cut_square
from tamperscan.diffusion.predictor import NoisePredictor, Predictor
from tamperscan.diffusion.weights import Card, open_weights
from tamperscan.errors import TrainingError
from tamperscan.files import write_file
from tamperscan.scan.windows import LUNG_NOISE_CT, IntensityWindow

REVIEW_FILE: Final = "review.json"
REVIEW_PICTURE: Final = "review.png"
MOST: Final = 24
"""So many crops are shown."""
PLACES_A_SCAN: Final = 48
MOST_PLACES: Final = 20_000
"""So many places are looked at in a scan, and in all of them together."""
_COLUMNS: Final = 6
_MAD_TO_SIGMA: Final = 1.4826
# A spread is known to no better than this share of the median loss.
_LEAST_SPREAD: Final = 0.02


@dataclass(frozen=True)
class OddCrop:
    """A crop and how badly it is explained.

    Attributes
    ----------
    scan, sha256
        Name of the scan, and hash of its pixels.
    slice, row, column
        Its centre, counted from 0.
    loss
        Mean square error of the noise that was predicted, in units of the noise that was added.
    off
        How far above the median of its scan, in robust standard deviations.
    """

    scan: str
    sha256: str
    slice: int
    row: int
    column: int
    loss: float
    off: float


def write_review(run: Path, weights: Path, cached: Sequence[CachedScan]) -> Path | None:
    """Review what a training run has learned from; None for networks that are not told how much noise there is.

    Parameters
    ----------
    run
        Its folder, with the crop cache.
    weights
        Folder of a noise predictor.
    cached
        The scans.
    """
    opened = open_weights(weights)
    if opened.card.kind != "low-noise":
        return None
    return review_crops(NoisePredictor(opened), opened.card, run / "cache", cached, run)


def review_crops(predictor: Predictor, card: Card, folder: Path, cached: Sequence[CachedScan], out: Path) -> Path:
    """Write a contact sheet and a list of the crops with the highest loss.

    Parameters
    ----------
    predictor, card
        A trained low-noise predictor.
    folder, cached
        The crop cache that it was trained on.
    out
        Folder for ``review.png`` and ``review.json``.

    Returns
    -------
    Path
        The list.
    """
    odd = find_odd(predictor, card, folder, cached)
    plain = {"about": "Crops with the highest loss, for people to look at.", "crops": [asdict(each) for each in odd]}
    write_file(out / REVIEW_PICTURE, _sheet([_shown(folder, cached, each, card) for each in odd], odd))
    write_file(out / REVIEW_FILE, (json.dumps(plain, indent=1) + "\n").encode())
    return out / REVIEW_FILE


def find_odd(
    predictor: Predictor, card: Card, folder: Path, cached: Sequence[CachedScan], most: int = MOST
) -> list[OddCrop]:
    """Return the crops with the highest loss, worst first, at most one a slice of a scan.

    The same places and the same noise are drawn again for the same cache.
    """
    places = max(4, min(PLACES_A_SCAN, MOST_PLACES // max(1, len(cached))))
    found: list[OddCrop] = []
    for number, entry in enumerate(cached):
        found += _losses(predictor, card, folder, entry, np.random.default_rng((0, number)), places)
    worst: dict[tuple[str, int], OddCrop] = {}
    for each in sorted(found, key=lambda crop: -crop.off):
        worst.setdefault((each.sha256, each.slice), each)
    return list(worst.values())[:most]


def read_left_out(path: Path) -> frozenset[str]:
    """Read which scans are to be left out: the hashes of the pixels of those in a list.

    Raises
    ------
    TrainingError
        If it is no list of crops.
    """
    try:
        crops = json.loads(path.read_bytes())["crops"]
        return frozenset(str(each["sha256"]) for each in crops)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{path}: can't be read as a list of crops ({error}). Give a {REVIEW_FILE}.") from error


def _losses(
    predictor: Predictor, card: Card, folder: Path, entry: CachedScan, rng: np.random.Generator, count: int
) -> list[OddCrop]:
    window = window_of(card, entry)
    sigma = np.float32(_level(card, window))
    volume = np.load(folder / entry.file, mmap_mode="r")
    places = crop_places(folder / entry.file, rng, count)
    losses = []
    for z, row, column in places:
        image = window.to_model(cut_square(volume[z], row, column, card.crop_px).astype(np.float32))
        noise = rng.standard_normal(image.shape, dtype=np.float32)
        predicted = predictor.predict(image + sigma * noise, np.array([sigma]))[0]
        losses.append(float(np.mean((predicted - noise) ** 2)))
    values = np.array(losses)
    middle = float(np.median(values)) if len(values) else 0.0
    spread = max(
        _MAD_TO_SIGMA * float(np.median(np.abs(values - middle))) if len(values) else 0.0, _LEAST_SPREAD * middle
    )
    return [
        OddCrop(entry.name, entry.sha256, z, row, column, loss, (loss - middle) / spread if spread else 0.0)
        for (z, row, column), loss in zip(places, losses, strict=True)
    ]


def window_of(card: Card, entry: CachedScan) -> IntensityWindow:
    """Return the window that a scan's crops are shown in."""
    return IntensityWindow(*card.window) if card.window else IntensityWindow(entry.low, entry.high)


def _level(card: Card, window: IntensityWindow) -> float:
    """Return the lowest level that the detector asks at, in model units."""
    if card.levels_hu:
        return min(card.levels_hu) / window.units_per_model_unit
    if card.levels_of_range:
        return min(card.levels_of_range) * 2.0  # model units span the range twice: -1 to 1
    return 15.0 / LUNG_NOISE_CT.units_per_model_unit


def _shown(folder: Path, cached: Sequence[CachedScan], crop: OddCrop, card: Card) -> NDArray[np.float32]:
    entry = next(each for each in cached if each.sha256 == crop.sha256)
    volume = np.load(folder / entry.file, mmap_mode="r")
    image = cut_square(volume[crop.slice], crop.row, crop.column, card.crop_px).astype(np.float32)
    return window_of(card, entry).to_model(image)


def _sheet(images: Sequence[NDArray[np.float32]], crops: Sequence[OddCrop]) -> bytes:
    from matplotlib.figure import Figure  # not through pyplot, which looks for a screen

    rows = max(1, -(-len(images) // _COLUMNS))
    figure = Figure(figsize=(1.9 * _COLUMNS, 2.25 * rows), dpi=110, layout="constrained")
    for number in range(rows * _COLUMNS):
        axes = figure.add_subplot(rows, _COLUMNS, number + 1)
        axes.set_axis_off()
        if number < len(images):
            crop = crops[number]
            axes.imshow(images[number], cmap="gray", vmin=-1, vmax=1)
            label = f"{number + 1}: {crop.scan[-24:]}\nslice {crop.slice}, +{crop.off:.1f} sd"
            axes.set_title(label, fontsize=6)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": "tamperscan"})
    return buffer.getvalue()
