"""Filling in removed pixels from those around them, so that no shape of the removed region is left to be seen."""

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from scipy.sparse.linalg import splu

NOISE = 0.01
"""Standard deviation of the noise on filled-in pixels, in normalised space (Rong et al. 2022)."""

EDGE, CORNER = 1 / 6, 1 / 12
NEIGHBOURS = (
    *((dy, dx, EDGE) for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1))),
    *((dy, dx, CORNER) for dy, dx in ((-1, -1), (-1, 1), (1, -1), (1, 1))),
)
"""Row and column steps to the eight neighbours of a pixel, and their weights, which add up to 1."""


def linear_imputation(image: NDArray[np.floating], removed: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Every removed pixel as the weighted mean of its neighbours: x_i = Σ_j w_j x_j, w renormalised at the borders.

    image    (C, H, W); the values of removed pixels are not looked at
    removed  (H, W), at least one pixel is kept

    Returns (C, H, W). One sparse factorisation serves all channels. Rong et al., ICML 2022.
    """
    filled = image.astype(np.float64)
    count = int(removed.sum())
    if count == 0:
        return filled
    # Numbers of the unknowns, −1 for a known pixel, −2 beyond the border.
    number = np.full((removed.shape[0] + 2, removed.shape[1] + 2), -2)
    inner = number[1:-1, 1:-1]
    inner[:] = -1
    inner[removed] = np.arange(count)
    values = np.pad(filled, ((0, 0), (1, 1), (1, 1)))
    rows, columns = (axis + 1 for axis in np.nonzero(removed))
    # Multiplied by the sum of their weights, the equations are symmetric: (D − W) x = known neighbours.
    weight_sum, known = np.zeros(count), np.zeros((count, len(filled)))
    i_parts, j_parts, w_parts = [np.arange(count)], [np.arange(count)], [weight_sum]
    for dy, dx, weight in NEIGHBOURS:
        neighbour = number[rows + dy, columns + dx]
        weight_sum += weight * (neighbour > -2)
        at = neighbour == -1
        known[at] += weight * values[:, rows[at] + dy, columns[at] + dx].T
        unknown = np.flatnonzero(neighbour >= 0)
        i_parts.append(unknown)
        j_parts.append(neighbour[unknown])
        w_parts.append(np.full(len(unknown), -weight))
    indices = (np.concatenate(i_parts), np.concatenate(j_parts))
    system = scipy.sparse.csc_matrix((np.concatenate(w_parts), indices), shape=(count, count))
    # Symmetric and diagonally dominant: no pivoting is needed, and the ordering for symmetric matrices fills in least.
    factors = splu(system, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    filled[:, removed] = factors.solve(known).T
    return filled


def noisy_linear_imputation(
    image: NDArray[np.floating], removed: NDArray[np.bool_], generator: np.random.Generator
) -> NDArray[np.float32]:
    """`linear_imputation` plus normal noise of standard deviation NOISE on the removed pixels: float32 (C, H, W)."""
    filled = linear_imputation(image, removed)
    filled[:, removed] += generator.normal(0, NOISE, (len(filled), int(removed.sum())))
    return filled.astype(np.float32)
