"""Imputation: fill in removed pixels from their neighbours, so that the shape of the removed region is not visible."""

from functools import lru_cache

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from scipy.sparse.linalg import splu

NOISE = 0.01
"""Standard deviation of the noise on filled-in pixels, in normalised space (Rong et al. 2022)."""

EDGE, CORNER = 1 / 6, 1 / 12
NEIGHBORS = (
    *((dy, dx, EDGE) for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1))),
    *((dy, dx, CORNER) for dy, dx in ((-1, -1), (-1, 1), (1, -1), (1, 1))),
)
"""Row and column offsets of the eight neighbours of a pixel, and their weights, which sum to 1."""

UNDIVIDED_PX = 4
"""Rectangles of the grid up to this side are not divided further."""


def linear_imputation(image: NDArray[np.floating], removed: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Replace removed pixels by the weighted mean of their neighbours: x_i = Σ_j w_j x_j, w renormalised at borders.

    image    (C, H, W); the values of removed pixels are ignored
    removed  (H, W); at least one pixel must not be removed

    Returns (C, H, W). One sparse factorisation serves all channels. Rong et al., ICML 2022.
    """
    filled = image.astype(np.float64)
    count = int(removed.sum())
    if count == 0:
        return filled
    places = np.flatnonzero(removed)
    places = places[np.argsort(elimination_order(*removed.shape)[places])]
    rows, columns = (axis + 1 for axis in np.unravel_index(places, removed.shape))
    # Index of the unknown at each pixel, −1 for a known pixel, −2 beyond the border.
    number = np.full((removed.shape[0] + 2, removed.shape[1] + 2), -2)
    number[1:-1, 1:-1] = -1
    number[rows, columns] = np.arange(count)
    values = np.pad(filled, ((0, 0), (1, 1), (1, 1)))
    # Multiplied by the sum of the weights, the equations are symmetric: (D − W) x = known neighbours.
    weight_sum, known = np.zeros(count), np.zeros((count, len(filled)))
    i_parts, j_parts, w_parts = [np.arange(count)], [np.arange(count)], [weight_sum]
    for dy, dx, weight in NEIGHBORS:
        neighbor = number[rows + dy, columns + dx]
        weight_sum += weight * (neighbor > -2)
        at = neighbor == -1
        known[at] += weight * values[:, rows[at] + dy, columns[at] + dx].T
        unknown = np.flatnonzero(neighbor >= 0)
        i_parts.append(unknown)
        j_parts.append(neighbor[unknown])
        w_parts.append(np.full(len(unknown), -weight))
    indices = (np.concatenate(i_parts), np.concatenate(j_parts))
    system = scipy.sparse.csc_matrix((np.concatenate(w_parts), indices), shape=(count, count))
    # Symmetric and diagonally dominant: no pivoting is needed, and the unknowns are already in a good order.
    factors = splu(system, permc_spec="NATURAL", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    filled[:, rows - 1, columns - 1] = factors.solve(known).T
    return filled


@lru_cache(maxsize=4)
def elimination_order(height: int, width: int) -> NDArray[np.int64]:
    """Return each pixel's position (H · W,) in an elimination order with little fill-in: nested dissection.

    The two halves of a grid come first and the line between them last, recursively within each half. The order serves
    any region of the grid, so that none has to be computed per region. George, SIAM J. Numer. Anal. 10 (1973).
    """
    lines: list[NDArray[np.int64]] = []

    def dissect(block: NDArray[np.int64]) -> None:
        if max(block.shape) <= UNDIVIDED_PX:
            lines.append(block.ravel())
            return
        if block.shape[0] < block.shape[1]:
            block = block.T
        middle = len(block) // 2
        dissect(block[:middle])
        dissect(block[middle + 1 :])
        lines.append(block[middle])

    dissect(np.arange(height * width).reshape(height, width))
    order = np.empty(height * width, dtype=np.int64)
    order[np.concatenate(lines)] = np.arange(height * width)
    return order


def noisy_linear_imputation(
    image: NDArray[np.floating], removed: NDArray[np.bool_], generator: np.random.Generator
) -> NDArray[np.float32]:
    """Apply `linear_imputation` and add normal noise of deviation NOISE to the removed pixels; float32 (C, H, W)."""
    filled = linear_imputation(image, removed)
    filled[:, removed] += generator.normal(0, NOISE, (len(filled), int(removed.sum())))
    return filled.astype(np.float32)
