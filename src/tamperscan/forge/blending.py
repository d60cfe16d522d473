"""Gradient-domain blending in 2-D and 3-D: what is pasted keeps its detail and takes on the level of its surroundings.

After Perez, Gangnet and Blake, "Poisson image editing" (SIGGRAPH 2003), equations 4 and 5. With the gradients of a
single source, the pasted part is the source plus a membrane: the harmonic function that equals the difference of target
and source on the border. Distances between slices, rows and columns may differ.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse.linalg import cg

from tamperscan.errors import ForgeError
from tamperscan.forge.site import Mask, Spacing, Voxels

# Far below the rounding of stored values, which are whole numbers of a few thousand.
_TOLERANCE: Final = 1e-8
_MOST_STEPS: Final = 20_000

Vector = NDArray[np.float64]


def paste(target: Voxels, source: Voxels, mask: Mask, spacing_mm: Spacing) -> Voxels:
    """Paste a source into a target, keeping the source's gradients and the target's values on the border.

    Parameters
    ----------
    target
        float32 ``[slice, row, column]``; a single slice is blended in 2-D.
    source
        Of the same shape; only its voxels in the mask and beside it matter.
    mask
        bool, of the same shape: what is replaced.
    spacing_mm
        Distance of voxels along (slice, row, column).

    Returns
    -------
    float32 ``[slice, row, column]``, equal to the target outside the mask.

    Raises
    ------
    ForgeError
        If the mask leaves nothing of the target beside it.
    """
    difference = np.where(mask | ndimage.binary_dilation(mask), target - source, 0.0)
    pasted: Voxels = np.where(mask, source + fill_harmonic(difference, mask, spacing_mm), target).astype(np.float32)
    return pasted


def fill_harmonic(values: NDArray[Any], mask: Mask, spacing_mm: Spacing) -> NDArray[np.float64]:
    """Replace the values in a mask by the harmonic function that continues those beside it.

    Beyond the border of the array nothing is known, and nothing is asked for (Neumann's condition).

    Parameters
    ----------
    values
        ``[slice, row, column]``.
    mask
        bool, of the same shape: what is replaced.
    spacing_mm
        Distance of voxels along (slice, row, column).

    Raises
    ------
    ForgeError
        If the mask leaves nothing beside it.
    """
    check_border(mask)
    filled = values.astype(np.float64)
    rows = laplacian(mask, spacing_mm)
    inner = np.flatnonzero(mask)
    known = np.where(mask, 0.0, filled).ravel()
    filled[mask] = solve(-rows[:, inner], rows @ known)
    return filled


def laplacian(at: Mask, spacing_mm: Spacing) -> sparse.csr_matrix:
    """Return the discrete Laplacian as a matrix ``[voxels of the mask, voxels of the array]``.

    The seven-point stencil with each axis divided by its squared distance, times the squared distance of columns so
    that the figures are near 1. Neighbours beyond the border of the array are left out.
    """
    index = np.arange(at.size).reshape(at.shape)
    number = np.full(at.shape, -1)
    number[at] = np.arange(int(at.sum()))
    rows, columns, weights = [], [], []
    for axis, step_mm in enumerate(spacing_mm):
        weight = (spacing_mm[2] / step_mm) ** 2
        for here, there in _neighbours(axis):
            row = number[here][at[here]]
            rows += [row, row]
            columns += [index[there][at[here]], index[here][at[here]]]
            weights += [np.full(row.size, weight), np.full(row.size, -weight)]
    entries = (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.csr_matrix(entries, shape=(int(at.sum()), at.size))


def _neighbours(axis: int) -> list[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """Pair each voxel with its neighbour before and after along an axis, as two views of the array."""
    full = [slice(None)] * 3
    first, last = full.copy(), full.copy()
    first[axis], last[axis] = slice(None, -1), slice(1, None)
    return [(tuple(first), tuple(last)), (tuple(last), tuple(first))]


def check_border(mask: Mask) -> None:
    """Refuse a mask with no voxel beside it: there is nothing to go by.

    Raises
    ------
    ForgeError
        With what to do.
    """
    if mask.all():
        raise ForgeError("The altered part would fill all that the scan has there. Choose a smaller diameter.")


def solve(matrix: sparse.csr_matrix, right: Vector) -> Vector:
    """Solve a symmetric positive definite system by conjugate gradients.

    Raises
    ------
    ForgeError
        If it does not converge.
    """
    solution, steps = cg(matrix, right, rtol=_TOLERANCE, maxiter=_MOST_STEPS)
    if steps != 0:
        raise ForgeError("The blending did not converge. Choose a smaller diameter.")
    found: Vector = solution
    return found
