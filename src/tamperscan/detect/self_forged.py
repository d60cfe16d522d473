"""The self-forged head at run time: which pixels look altered, by a network that was shown forged authentic scans."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tamperscan.detect.blocks import block_mean
from tamperscan.detect.statistics import grid_step
from tamperscan.diffusion.networks import Device, Precision, open_network
from tamperscan.diffusion.runtime import pad_to_stride
from tamperscan.diffusion.weights import Card, Weights
from tamperscan.errors import WeightsError
from tamperscan.safe_json import parse_json
from tamperscan.scan.windows import LUNG_NOISE_CT

HEAD_FILE = "self-forged.onnx"
FACTS_FILE = "self-forged.json"
# A single pixel is never sure beyond this; what matters is how much of a place looks altered.
LARGEST_ODDS = 8.0
# A window of the size of a small lesion; see docs/results.md for others.
SMOOTHING_MM = 4.0


@dataclass(frozen=True)
class HeadFacts:
    """What a head is, beside its network.

    Attributes
    ----------
    levels_hu
        Noise levels whose predicted noise it is shown, as from `head_levels`; they must be the card's.
    held_out
        For each member the patients that it has not learned from.
    training
        How it was trained, as plain facts.
    """

    levels_hu: tuple[float, ...]
    held_out: tuple[tuple[str, ...], ...]
    training: dict[str, Any]

    def members_without(self, patient: str) -> tuple[int, ...] | None:
        """Return the members that have not learned from a patient; None for all, where none has."""
        members = tuple(member for member, names in enumerate(self.held_out) if patient in names)
        return members or None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {"levels_hu": self.levels_hu, "held_out": self.held_out, "training": self.training}


class SelfForgedNetwork:
    """Runs the members of a head.

    Parameters
    ----------
    weights
        A checked folder of weights that holds a head.
    threads
        CPU threads; None for one each core that this process may use.
    calls, device, precision
        As for `tamperscan.diffusion.networks.open_network`.

    Attributes
    ----------
    network
        The network itself.

    Raises
    ------
    WeightsError
        If there is no head, it does not fit the predictor, or the runtime can't load it.
    """

    def __init__(
        self,
        weights: Weights,
        *,
        threads: int | None = None,
        calls: int = 1,
        device: Device = "auto",
        precision: Precision = "auto",
    ) -> None:
        self.facts = read_facts(weights)
        self.stride = weights.card.stride
        self.network = open_network(
            weights.folder / HEAD_FILE,
            threads=threads,
            calls=calls,
            device=device,
            precision=precision,
            advice="Make the head anew.",
        )

    def log_odds(self, image: NDArray[np.float32], noise: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return each member's log-odds that a pixel was altered.

        Parameters
        ----------
        image
            float32 ``[row, column]`` in model units.
        noise
            float32 ``[level, row, column]``: its standardised predicted noise.

        Returns
        -------
        float32 ``[member, row, column]``.
        """
        rows, columns = image.shape
        inputs = {
            "image": pad_to_stride(image[None], self.stride)[None],
            "noise": pad_to_stride(noise, self.stride)[None],
        }
        return self.network.run(inputs)[0, :, :rows, :columns]


def read_facts(weights: Weights) -> HeadFacts:
    """Read what a head is.

    Raises
    ------
    WeightsError
        If the weights hold no head, or one of another predictor.
    """
    if not {HEAD_FILE, FACTS_FILE} <= weights.card.files.keys():
        raise WeightsError(
            f"{weights.folder}: holds no self-forged head. Make one with 'tamperscan train-head', or use the head"
            " 'typicality'."
        )
    try:
        plain = parse_json((weights.folder / FACTS_FILE).read_bytes())
        facts = HeadFacts(
            tuple(plain["levels_hu"]), tuple(tuple(names) for names in plain["held_out"]), dict(plain["training"])
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise WeightsError(
            f"{weights.folder}: its {FACTS_FILE} can't be used ({problem}). Make the head anew."
        ) from error
    if facts.levels_hu != head_levels(weights.card):
        raise WeightsError(f"{weights.folder}: its head was made for other noise levels. Make the head anew.")
    return facts


def head_levels(card: Card) -> tuple[float, ...]:
    """Return a card's noise levels in HU; those of MR as if its range were the window of `LUNG_NOISE_CT`."""
    return card.levels_hu or tuple(level * LUNG_NOISE_CT.width for level in card.levels_of_range)


def place_odds(
    odds: NDArray[np.float32], region: NDArray[np.bool_], spacing_mm: tuple[float, float]
) -> NDArray[np.float32]:
    """Average log-odds over small places inside a region.

    Parameters
    ----------
    odds
        float32 ``[member, row, column]``, of a slice or a part of it.
    region
        bool ``[row, column]``: outside of it nothing counts.
    spacing_mm
        Distance between (rows, columns) in mm.

    Returns
    -------
    float32 ``[member, row, column]`` on the coarse grid; NaN outside the region.
    """
    step = grid_step(spacing_mm)
    sigma = SMOOTHING_MM / (step * float(np.mean(spacing_mm)))
    weight = block_mean(region.astype(np.float32), step)
    share = ndimage.gaussian_filter(weight, sigma, mode="constant")
    clipped = np.clip(odds, -LARGEST_ODDS, LARGEST_ODDS) * region
    totals = [ndimage.gaussian_filter(block_mean(each, step), sigma, mode="constant") for each in clipped]
    known = weight > 0.5
    places = [np.where(known, total / np.maximum(share, 1e-3), np.float32(np.nan)) for total in totals]
    return np.stack(places).astype(np.float32)


def suspicion_of_odds(
    places: NDArray[np.float32], members: tuple[int, ...] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Turn the log-odds of places into suspicion, which starts at zero.

    They are not centred on the slice: the head was shown crops that were altered as a whole as authentic ones, so that
    a scanner's own texture does not raise its odds.

    Parameters
    ----------
    places
        float32 ``[member, row, column]``, as from `place_odds`.
    members
        Which members count; None for all.

    Returns
    -------
    float32 ``[row, column]``: the members' mean log-odds, and the suspicion; NaN outside the region.
    """
    chosen = places if members is None else places[list(members)]
    odds = np.asarray(chosen.mean(axis=0), np.float32)
    return odds, odds + np.float32(LARGEST_ODDS)
