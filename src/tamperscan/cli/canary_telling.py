"""How ``calibrate`` and ``train-head`` check and tell whether what they made still finds known forgeries."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tamperscan.cli.console import Bar, tell_note

if TYPE_CHECKING:
    from tamperscan.detect.canaries import Score
    from tamperscan.diffusion.weights import Weights
    from tamperscan.scan import PlannedScan


def check_canaries(made: Weights, patients: Iterable[tuple[str, PlannedScan]]) -> Weights:
    """Check a calibrated detector; gives it with what came of it in its card."""
    from tamperscan.detect.load import load_detector
    from tamperscan.forge.canary_check import slice_score

    return _check(made, slice_score(load_detector(made.folder).screen), patients)


def check_head(made: Weights, patients: Iterable[tuple[str, PlannedScan]]) -> Weights:
    """Check a self-forged head that is not calibrated yet."""
    from tamperscan.forge.canary_check import head_score

    return _check(made, head_score(made), patients)


def _check(made: Weights, score: Score, patients: Iterable[tuple[str, PlannedScan]]) -> Weights:
    from tamperscan.detect.canaries import PATIENTS
    from tamperscan.forge.canaries import METHODS
    from tamperscan.forge.canary_check import check_and_note

    done, most = 0, PATIENTS * len(METHODS)
    with Bar("Forging canaries") as bar:

        def on_pair() -> None:
            nonlocal done
            done += 1
            bar.update(min(done, most), most)

        result, noted = check_and_note(made, score, patients, on_pair)
    if result.enough and not result.passed:
        tell_note(f"WARNING: {result}")
    else:
        print(result)
    return noted
