"""Find a detector by name or folder."""

from __future__ import annotations

from pathlib import Path

from tamperscan.data import weights_path
from tamperscan.detect.back_in_time import BackInTime
from tamperscan.detect.detector import Detector
from tamperscan.diffusion.weights import open_weights
from tamperscan.errors import WeightsError

PACKAGED = ("ct",)
PUBLISHED = "published"


def load_detector(name: str | Path = "ct", *, threads: int | None = None) -> Detector | BackInTime:
    """Load a detector; nothing is downloaded.

    Parameters
    ----------
    name
        ``"ct"`` for the packaged weights, ``"published"`` for the published score with the packaged predictor, or a
        folder of your own: one made by ``tamperscan calibrate`` gives a `Detector`, one made by ``tamperscan weights
        import`` a `BackInTime`.
    threads
        CPU threads; None for all that this process may use.

    Raises
    ------
    WeightsError
        If there is no such detector, or its files are missing, altered or not calibrated.
    """
    if name == PUBLISHED:
        return BackInTime(open_weights(weights_path("ct")), threads=threads)
    if name in PACKAGED:
        return Detector(open_weights(weights_path(str(name))), threads=threads)
    folder = Path(name)
    if not folder.is_dir():
        known = ", ".join((*PACKAGED, PUBLISHED))
        hint = " There are no weights for MR yet." if str(name).lower() in ("mr", "mri") else ""
        raise WeightsError(f"{name}: no detector of this name and no folder. Packaged are: {known}.{hint}")
    weights = open_weights(folder)
    if weights.card.kind == "published":
        return BackInTime(weights, threads=threads)
    return Detector(weights, threads=threads)
