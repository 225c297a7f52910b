"""How alike two heatmaps are by chance: a coarse map has so few independent pixels that unrelated ones correlate."""

import math

import numpy as np
from numpy.typing import NDArray

from geoexplain.explainer.similarity import ranks

LARGEST_SIDE_PX = 112
"""Maps are thinned to about this side: heatmaps are smoother than that, and it saves three quarters of the time."""

CHANCE_QUANTILE = 0.99
"""Share of unrelated pairs whose |ρ| stays within `chance_limit`: a matrix of ten maps holds 45 pairs."""

SMALLEST_VARIANCE = 1e-6
"""A window whose variance is below this share of the largest is constant, and has no correlation."""


def shifted_correlations(one: NDArray[np.floating], other: NDArray[np.floating]) -> NDArray[np.float64]:
    """Rank correlations (N,) of a map (H, W) with what another (H, W) shows when its place is shifted.

    The other map is continued by its mirror image, so that every shift, 2 H × 2 W of them, shows an unbroken map that
    is as coarse, and has nothing to do with what lies where. Neither continuing it periodically would do, whose seam
    lets maps look finer than they are, nor turning it over alone: a blot in the middle stays where it is. The
    correlation is Pearson's of the ranks in the whole map. For stationary maps this estimates the effective sample
    size of Clifford, Richardson and Hémon, Biometrics 45 (1989), without a model of their covariance.

    Empty if one of the maps is constant.
    """
    stride = max(1, math.ceil(max(one.shape) / LARGEST_SIDE_PX))
    x, y = (values[::stride, ::stride] for values in (one, other))
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return np.zeros(0)
    x, y = (ranks(values).reshape(values.shape) for values in (x, y))
    x, y = (x - x.mean()) / np.linalg.norm(x - x.mean()), (y - y.mean()) / y.std()
    tile = mirror_tile(y)
    window = np.fft.rfft2(np.ones_like(x), tile.shape).conj()
    spectrum, size = np.fft.rfft2(tile), x.size
    covariances = np.fft.irfft2(spectrum * np.fft.rfft2(x, tile.shape).conj(), tile.shape)
    means = np.fft.irfft2(spectrum * window, tile.shape) / size
    variances = np.fft.irfft2(np.fft.rfft2(tile**2) * window, tile.shape) - size * means**2
    varied = variances > SMALLEST_VARIANCE * variances.max()
    return covariances[varied] / np.sqrt(variances[varied])


def mirror_tile(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """A map (H, W) and its mirror images (2 H, 2 W): continued periodically it has no seam."""
    return np.block([[values, values[:, ::-1]], [values[::-1], values[::-1, ::-1]]])


def shift_at_random(values: NDArray[np.floating], generator: np.random.Generator) -> NDArray[np.floating]:
    """What a map (H, W) shows when its place is shifted at random, as in `shifted_correlations`."""
    height, width = values.shape
    down, right = generator.integers(2 * height), generator.integers(2 * width)
    return np.roll(mirror_tile(values), (-down, -right), (0, 1))[:height, :width]


def chance_level(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """The mean |ρ| of two maps (H, W) that are as coarse as these and unrelated, in [0, 1); NaN if one is constant.

    For maps of 7 × 7 it is near 0.25, and near 0 for maps of independent pixels.
    """
    found = shifted_correlations(one, other)
    return float(np.abs(found).mean()) if len(found) else math.nan


def chance_limit(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """The |ρ| that unrelated maps as coarse as these stay within in CHANCE_QUANTILE of all cases; NaN likewise."""
    found = shifted_correlations(one, other)
    return float(np.quantile(np.abs(found), CHANCE_QUANTILE)) if len(found) else math.nan
