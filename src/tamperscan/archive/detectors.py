"""The detectors of a run, one for each modality that has its own."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Final, cast

import tamperscan
from tamperscan.archive.manifest import Settings
from tamperscan.errors import WeightsError

AUTO: Final = "auto"
_PACKAGED: Final = {"CT": "ct", "MR": "mr"}


def load_detectors(settings: Settings, device: str, threads: int) -> dict[str, Any]:
    """Load the detectors of a run, by modality.

    Parameters
    ----------
    settings
        Of the run. A head that is asked for counts for CT; MR is judged by it if its detector has such a head.
    device, threads
        As for `tamperscan.load_detector`.

    Raises
    ------
    WeightsError
        If there is no such detector, head or device.
    """
    names = _PACKAGED if settings.detector == AUTO else {"CT": settings.detector}
    return {modality: _load(name, modality, settings, device, threads) for modality, name in names.items()}


def _load(name: str, modality: str, settings: Settings, device: str, threads: int) -> Any:
    how: dict[str, Any] = {"threads": threads, "device": cast("Any", device)}
    try:
        return tamperscan.load_detector(name, head=settings.head, **how)
    except WeightsError:
        if modality == "CT" or settings.head is None:
            raise
        return tamperscan.load_detector(name, **how)


def describe_detectors(detectors: Mapping[str, Any]) -> dict[str, Any]:
    """Say which version this is, and which weights it has.

    Parameters
    ----------
    detectors
        By modality.
    """
    return {
        "version": version("tamperscan"),
        "detectors": {
            modality: {
                "name": detector.name,
                "weights_sha256": detector.weights.sha256,
                "head": getattr(detector, "head", "published"),
                "calibration_scores": _scores(detector),
            }
            for modality, detector in detectors.items()
        },
    }


def _scores(detector: Any) -> list[float]:
    calibration = getattr(detector, "calibration", None)
    return [] if calibration is None else [float(score) for score in calibration.scan_scores]
