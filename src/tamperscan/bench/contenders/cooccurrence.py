"""Co-occurrences of noise residuals: how the signs of four neighbouring residuals go together, by window.

After the third-order residual and the quantised co-occurrences of Cozzolino, Poggi and Verdoliva 2015 (Splicebuster),
whose residuals are among the spatial rich models of Fridrich and Kodovský 2012.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tamperscan.bench.contenders.contender import Image

BLOCK_PX = 8
# A window is this many blocks wide: 24 pixels.
WINDOW_BLOCKS = 3
_LENGTH = 4
_SYMBOLS = 3
# A residual takes four pixels in a row, four of them in a row take seven.
_MARGIN = 3

Codes = NDArray[np.intp]


def residual(image: Image) -> Image:
    """Return the third-order difference along the columns, ``[row, column - 3]``."""
    return image[:, :-3] - 3 * image[:, 1:-2] + 3 * image[:, 2:-1] - image[:, 3:]


def features(image: Image, quantum: float) -> NDArray[np.float32]:
    """Return the square roots of each window's histograms.

    Parameters
    ----------
    image
        ``[row, column]``; filled up by repeating the edge to whole blocks.
    quantum
        Residuals are rounded to multiples of this, and cut off at one.

    Returns
    -------
    float32 ``[row, column, feature]``, one window a block: 25 features along the residual and 25 across it.
    """
    padded = np.pad(image, [(0, -side % BLOCK_PX) for side in image.shape], mode="edge")
    along, across = _codes(padded, quantum)
    turned_along, turned_across = _codes(padded.T, quantum)
    counts = [
        _block_counts(along) + _block_counts(turned_along.T),
        _block_counts(across) + _block_counts(turned_across.T),
    ]
    windows = [ndimage.uniform_filter(count, (WINDOW_BLOCKS, WINDOW_BLOCKS, 1), mode="nearest") for count in counts]
    shares = np.concatenate([window / window.sum(axis=2, keepdims=True) for window in windows], axis=2)
    roots: NDArray[np.float32] = np.sqrt(np.maximum(shares, 0.0)).astype(np.float32)
    return roots


def _codes(image: Image, quantum: float) -> tuple[Codes, Codes]:
    """Name the four residuals around each pixel by a number, taken along the residual and across it."""
    rows, columns = image.shape
    found = residual(np.pad(image, _MARGIN, mode="reflect"))
    symbols = np.clip(np.rint(found / quantum), -1, 1).astype(np.intp) + 1
    along = sum(_SYMBOLS**k * symbols[_MARGIN : _MARGIN + rows, k : k + columns] for k in range(_LENGTH))
    across = sum(_SYMBOLS**k * symbols[k + 2 : k + 2 + rows, 2 : 2 + columns] for k in range(_LENGTH))
    return _CLASSES[along], _CLASSES[across]


def _block_counts(codes: Codes) -> NDArray[np.float64]:
    """Count the codes in each block, ``[row, column, code]``."""
    down, across = (side // BLOCK_PX for side in codes.shape)
    block = (np.arange(codes.shape[0]) // BLOCK_PX)[:, None] * across + (np.arange(codes.shape[1]) // BLOCK_PX)[None]
    total = np.bincount((block * _COUNT + codes).ravel(), minlength=down * across * _COUNT)
    return total.reshape(down, across, _COUNT).astype(np.float64)


def _symmetry_classes() -> tuple[Codes, int]:
    """Give tuples that are each other's negative or reversal the same number: noise knows no direction."""
    numbers: dict[tuple[int, ...], int] = {}
    classes = np.zeros(_SYMBOLS**_LENGTH, dtype=np.intp)
    for symbols in product(range(_SYMBOLS), repeat=_LENGTH):
        negative = tuple(_SYMBOLS - 1 - symbol for symbol in symbols)
        name = min(symbols, symbols[::-1], negative, negative[::-1])
        code = sum(_SYMBOLS**k * symbol for k, symbol in enumerate(symbols))
        classes[code] = numbers.setdefault(name, len(numbers))
    return classes, len(numbers)


_CLASSES, _COUNT = _symmetry_classes()
