"""tamperscan tells whether a medical scan was tampered with, where, and how sure that is.

::

    import tamperscan

    scan = tamperscan.read_scan("study/")
    screening = tamperscan.load_detector("ct").screen(scan)
    print(screening.verdict, screening.p_value, screening.findings)

Research use only: no medical device, and not for diagnosis.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tamperscan.errors import OutputError, ScanError, TamperscanError, TrainingError, WeightsError

if TYPE_CHECKING:
    from tamperscan.detect.back_in_time import BackInTime
    from tamperscan.detect.detector import Detector
    from tamperscan.detect.load import load_detector
    from tamperscan.detect.results import Finding, Screening, SliceResult
    from tamperscan.scan import Scan, iter_scans, read_scan, read_scans

# Loaded when first asked for, so that importing the package (and the command line's help) takes no time.
_LAZY = {
    "BackInTime": "tamperscan.detect.back_in_time",
    "Detector": "tamperscan.detect.detector",
    "Finding": "tamperscan.detect.results",
    "Scan": "tamperscan.scan",
    "Screening": "tamperscan.detect.results",
    "SliceResult": "tamperscan.detect.results",
    "iter_scans": "tamperscan.scan",
    "load_detector": "tamperscan.detect.load",
    "read_scan": "tamperscan.scan",
    "read_scans": "tamperscan.scan",
}

__all__ = [
    "BackInTime",
    "Detector",
    "Finding",
    "OutputError",
    "Scan",
    "ScanError",
    "Screening",
    "SliceResult",
    "TamperscanError",
    "TrainingError",
    "WeightsError",
    "iter_scans",
    "load_detector",
    "read_scan",
    "read_scans",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'tamperscan' has no attribute '{name}'")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
