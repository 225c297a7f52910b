"""Chance level of the similarity of heatmaps: coarse maps have few independent pixels, so unrelated ones correlate."""

import math

import numpy as np
from numpy.typing import NDArray

from geoexplain.explainer.similarity import ranks

LARGEST_SIDE_PX = 112
"""Maps are subsampled to about this side, which takes a quarter of the time; heatmaps are smoother than that."""

CHANCE_QUANTILE = 0.99
"""Share of unrelated pairs whose |ρ| stays within `chance_limit`; it is high, since ten maps form 45 pairs."""

SMALLEST_VARIANCE = 1e-6
"""A window whose variance is below this share of the largest counts as constant, and has no correlation."""


def shifted_correlations(one: NDArray[np.floating], other: NDArray[np.floating]) -> NDArray[np.float64]:
    """Compute the rank correlations (N,) of a map (H, W) with all shifts of another map (H, W).

    The other map is extended by its mirror images, so that each of its 2 H × 2 W shifts is a map without a seam, as
    coarse as the original, and unrelated to the first map. Periodic extension would add a seam, which makes maps look
    finer than they are; mirroring alone would leave a spot in the middle where it is. The correlation is Pearson's of
    the ranks in the whole map. For stationary maps this estimates the effective sample size of Clifford, Richardson
    and Hémon, Biometrics 45 (1989), without a model of their covariance.

    Returns an empty array if one of the maps is constant.
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
    """Join a map (H, W) and its mirror images to a tile (2 H, 2 W), which continues periodically without a seam."""
    return np.block([[values, values[:, ::-1]], [values[::-1], values[::-1, ::-1]]])


def shift_at_random(values: NDArray[np.floating], generator: np.random.Generator) -> NDArray[np.floating]:
    """Shift a map (H, W) at random, extended by its mirror images as in `shifted_correlations`."""
    height, width = values.shape
    down, right = generator.integers(2 * height), generator.integers(2 * width)
    return np.roll(mirror_tile(values), (-down, -right), (0, 1))[:height, :width]


def chance_level(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Estimate the mean |ρ| of unrelated maps as coarse as these two (H, W), in [0, 1); NaN if one is constant.

    It is near 0.25 for maps of 7 × 7, and near 0 for maps of independent pixels.
    """
    correlations = shifted_correlations(one, other)
    return float(np.abs(correlations).mean()) if len(correlations) else math.nan


def chance_limit(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Estimate the CHANCE_QUANTILE of |ρ| of unrelated maps as coarse as these two (H, W); NaN if one is constant."""
    correlations = shifted_correlations(one, other)
    return float(np.quantile(np.abs(correlations), CHANCE_QUANTILE)) if len(correlations) else math.nan
