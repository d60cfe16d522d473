"""Recognises that a whole scan was processed after its reconstruction, and says so.

Resampling, lossy compression, denoising and coarse rounding rewrite the noise that a detector reads, in authentic and
in tampered scans alike. A verdict on such a scan would be a guess.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tamperscan.detect.noise_spectrum import noise_spectrum
from tamperscan.detect.processing_limits import Limits, line_features, read_limits
from tamperscan.detect.processing_measures import NOTHING, GridMeasures, grid_measures, middle
from tamperscan.scan.volume import Scan

# So many slices say enough of a scan, and cost little beside screening it.
_SLICES: Final = 5
# Some scanners store every second HU, and half a HU of rounding harms nothing.
_HARMLESS_STEP_HU: Final = 2.5


@dataclass(frozen=True)
class Trace:
    """Processing that was recognised in a scan.

    Attributes
    ----------
    name
        ``"coarse values"``, ``"block compression"``, ``"wavelet compression"``, ``"resampled"``, ``"denoised"`` or
        ``"smoothed"``.
    measured, limit
        What was measured, and above what it counts.
    sentence
        For people: what was done, and by what it is known.
    """

    name: str
    measured: float
    limit: float
    sentence: str


def find_traces(scan: Scan) -> tuple[Trace, ...]:
    """Find traces of processing of a whole CT, in up to five of its slices.

    Parameters
    ----------
    scan
        CT in HU; voxels must be finite. What an MR's pixels show was not studied, and nothing is found in one.

    Returns
    -------
    tuple of Trace
        The surest kinds first; empty where there is none.
    """
    if scan.modality != "CT":
        return ()
    grids, spectra = [], []
    for index in _slices_to_measure(scan.shape[0]):
        part = middle(scan.voxels[index])
        grid = grid_measures(part)
        if grid == NOTHING:
            continue
        grids.append(grid)
        spectrum = noise_spectrum(part)
        if spectrum is not None:
            spectra.append(line_features(spectrum, grid.unevenness))
    return traces_in(grids, spectra, read_limits()) if grids else ()


def processing_reasons(scan: Scan) -> tuple[str, ...]:
    """Say that a scan was processed as a whole, and why nothing is concluded from it then; empty if it was not."""
    traces = find_traces(scan)
    return (*(trace.sentence for trace in traces), _WHY_ABSTAINED) if traces else ()


def traces_in(
    grids: Sequence[GridMeasures], spectra: Sequence[NDArray[np.float64]], limits: Limits
) -> tuple[Trace, ...]:
    """Compare what was measured in a scan's slices, by their median, with the limits.

    Parameters
    ----------
    grids
        Of at least one slice.
    spectra
        Features of the slices' spectra, see `line_features`.
    limits
        What counts as a trace.
    """
    typical = {name: _median([getattr(each, name) for each in grids]) for name in vars(grids[0])}
    found = [
        *_coarse(typical["comb"], typical["step_hu"], limits.comb),
        *_over("block compression", typical["blocks"], limits.blocks, _BLOCKS, 1.0),
        *_over("wavelet compression", typical["wavelet"], limits.wavelet, _WAVELET, 1.0),
    ]
    # Compression repeats too; what is explained is not told twice.
    if not any(trace.name.endswith("compression") for trace in found):
        found += _over("resampled", typical["repetition"], limits.repetition, _RESAMPLED, typical["period_px"])
    if not found:
        found += _over("denoised", typical["unevenness"], limits.unevenness, _DENOISED, 1.0)
    if not found and spectra:
        features = np.median(np.stack(list(spectra)), axis=0)
        found += _over("smoothed", limits.smoothed.log_odds(features), limits.smoothed.limit, _SMOOTHED, 1.0)
    return tuple(found)


_WHY_ABSTAINED: Final = (
    "Abstained, because such processing rewrites the noise that is measured, in authentic and in tampered scans alike."
)
_BLOCKS: Final = (
    "This scan was globally lossy compressed in blocks of 8 x 8 pixels, as by JPEG: coefficients are zero {ratio:.2f}"
    " times as often on that grid as beside it ({limit:.2f} and less is known of untouched scans)."
)
_WAVELET: Final = (
    "This scan was globally lossy compressed by wavelets, as by JPEG 2000: coefficients are zero {ratio:.2f} times as"
    " often on even pixels as on odd ones ({limit:.2f} and less is known of untouched scans)."
)
_RESAMPLED: Final = (
    "This scan was globally resampled (enlarged, reduced or rotated): its noise repeats every {extra:.3g} pixels,"
    " {ratio:.0f} times as strongly as anything around it ({limit:.0f} and less is known of untouched scans)."
)
_DENOISED: Final = (
    "This scan was globally denoised: its finest noise differs by a factor of {ratio:.1f} from place to place"
    " ({limit:.1f} and less is known of untouched scans)."
)
_SMOOTHED: Final = (
    "This scan was globally smoothed, denoised or reduced and enlarged: the spectrum of its noise falls off as that of"
    " no reconstruction known (log-odds {value:.1f}; {bound:.1f} and less is known of untouched scans)."
)
_COARSE: Final = (
    "This scan was globally rounded to coarse values: {share:.0f} % of the histogram lies {step:.2g} HU apart"
    " ({limit:.0f} % and less is known of untouched scans)."
)


def _coarse(comb: float, step: float, limit: float) -> list[Trace]:
    if not (comb > limit and step > _HARMLESS_STEP_HU):
        return []
    sentence = _COARSE.format(share=comb * 100.0, step=step, limit=limit * 100.0)
    return [Trace("coarse values", comb, limit, sentence)]


def _over(name: str, measured: float, limit: float, sentence: str, extra: float) -> list[Trace]:
    """Return a trace where a measure, mostly a log10, is over its limit."""
    if not measured > limit:
        return []
    told = sentence.format(
        ratio=10.0 ** min(measured, 9.0), limit=10.0 ** min(limit, 9.0), value=measured, bound=limit, extra=extra
    )
    return [Trace(name, measured, limit, told)]


def _slices_to_measure(count: int) -> list[int]:
    """Choose slices evenly spread."""
    return sorted({int((place + 0.5) * count / _SLICES) for place in range(_SLICES)})


def _median(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return float(np.median(known)) if known else math.nan
