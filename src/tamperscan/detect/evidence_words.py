"""The sentence of a finding: which side of typical it lies on, and what says so most."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamperscan.detect.centring import FEATURES
from tamperscan.detect.typicality import DOWN_WEIGHT


def tell(
    z: NDArray[np.floating[Any]], centred: NDArray[np.floating[Any]], tissue_words: Mapping[str, str]
) -> tuple[str, str]:
    """Put the evidence of one place into words.

    Parameters
    ----------
    z, centred
        ``[feature]``, as in `Evidence` at one place; NaN where it is missing.
    tissue_words
        The words for the tissues, by their names.

    Returns
    -------
    tuple of str
        The sign, ``"too noisy"`` or ``"too smooth"``, and a sentence.
    """
    known = np.nan_to_num(np.asarray(z, dtype=np.float64))
    # The side that made the suspicion, and the feature that says most on that side.
    up, down = np.linalg.norm(np.maximum(known, 0.0)), DOWN_WEIGHT * np.linalg.norm(np.maximum(-known, 0.0))
    most = int(np.argmax(known if up >= down else -known))
    statistic, tissue = FEATURES[most]
    word, difference = tissue_words[tissue], float(centred[most])
    if statistic == "energy":
        ratio = math.exp(0.5 * difference)
        said = f"The predicted noise of the {word} here is {ratio:.2g} times that of the slice's other {word}"
    else:
        side = "less" if difference > 0 else "more"
        said = (
            f"The predicted noise of neighbouring pixels is correlated {abs(difference):.2f} {side} in the {word} here"
            f" than in the slice's other {word}"
        )
    sign = "too noisy" if known[most] > 0 else "too smooth"
    return sign, f"{said} ({known[most]:+.1f} standard deviations from authentic scans)."
