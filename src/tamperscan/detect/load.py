"""Find a detector by name or folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tamperscan.data import packaged_weights, weights_path
from tamperscan.detect.back_in_time import BackInTime
from tamperscan.detect.detector import Detector
from tamperscan.diffusion.networks import Device, Precision
from tamperscan.diffusion.weights import Weights, open_weights
from tamperscan.errors import WeightsError

PACKAGED = ("ct", "mr")
PUBLISHED = "published"


def load_detector(
    name: str | Path = "ct",
    *,
    head: str | None = None,
    threads: int | None = None,
    device: Device = "auto",
    precision: Precision = "auto",
) -> Detector | BackInTime:
    """Load a detector; nothing is downloaded.

    Parameters
    ----------
    name
        ``"ct"`` or ``"mr"`` for the packaged weights, ``"published"`` for the published score with the packaged
        predictor for CT, or a folder of your own: one made by ``tamperscan calibrate`` gives a `Detector`, one made by
        ``tamperscan weights import`` a `BackInTime`.
    head
        How a `Detector` judges: ``"typicality"`` (of authentic noise; knows nothing of tampering), ``"self-forged"`` (a
        network that was shown forgeries made of authentic scans) or ``"combined"``; None for the strongest that it
        has, which for the packaged CT is ``"combined"``. The published score has none.
    threads
        CPU threads; None for all that this process may use.
    device
        ``"cuda"`` for an NVIDIA GPU, ``"cpu"``, or ``"auto"`` for the GPU where torch (the extra ``gpu``) or
        onnxruntime's build for CUDA finds one.
    precision
        ``"float32"``, or ``"auto"`` for bfloat16 where the GPU is quick at it, or where the extra ``fast`` is there and
        the processor is.

    Raises
    ------
    WeightsError
        If there is no such detector, or its files are missing, altered or not calibrated.
    """
    if name == PUBLISHED:
        _refuse(head, PUBLISHED)
        return BackInTime(open_weights(weights_path("ct")), threads=threads, device=device)
    how: dict[str, Any] = {"threads": threads, "device": device, "precision": precision}
    if name in PACKAGED:
        return Detector(open_weights(weights_path(str(name))), head=head, **how)
    folder = Path(name)
    if not folder.is_dir():
        known = ", ".join((*PACKAGED, PUBLISHED))
        raise WeightsError(f"{name}: no detector of this name and no folder. Packaged are: {known}.")
    weights = open_weights(folder)
    if weights.card.kind == "published":
        _refuse(head, str(name))
        return BackInTime(weights, threads=threads, device=device)
    return Detector(weights, head=head, **how)


def find_weights(name: str | Path) -> Weights:
    """Open weights by the name of packaged ones, or by their folder; they need not be calibrated.

    Parameters
    ----------
    name
        A packaged name, or a folder.

    Raises
    ------
    WeightsError
        If there are none, or a file is missing or altered.
    """
    return open_weights(weights_path(str(name)) if name in packaged_weights() else Path(name))


def _refuse(head: str | None, name: str) -> None:
    if head is not None:
        raise WeightsError(f"{name}: the published score has no heads. Leave the head '{head}' out.")
