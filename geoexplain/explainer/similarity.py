"""Similarity of two heatmaps: rank correlation and SSIM."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from geoexplain.errors import DataError
from geoexplain.explainer.combine import scale_to_range

SSIM_SIGMA, SSIM_RADIUS_PX = 1.5, 5
SSIM_C1, SSIM_C2 = 0.01**2, 0.03**2
"""Window and constants of Wang et al. 2004, sect. III-C, for values in [0, 1]: 11 × 11 px, σ = 1.5."""


def ranks(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the ranks (N,) of values of any shape, from 1 for the smallest; equal values share their mean rank."""
    _, place, counts = np.unique(values.ravel(), return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def rank_correlation(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Compute Spearman's rank correlation of two maps of one shape, in [−1, 1]; NaN if one of them is constant."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(np.corrcoef(ranks(one), ranks(other))[0, 1])


def structural_similarity(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Compute the mean SSIM of two maps (H, W) ≥ 0, each scaled to its own range; 1 if equal, NaN if one is constant.

    The mean is over all windows inside the maps. Wang et al., IEEE TIP 2004, eq. 13. Raises DataError for maps below
    11 × 11 px.
    """
    if min(one.shape) <= 2 * SSIM_RADIUS_PX:
        raise DataError(f"expected maps of at least 11 × 11 px, got {one.shape}: enlarge them first.")
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    x, y = (scale_to_range(values.astype(np.float64)) for values in (one, other))
    mean_x, mean_y = _window_means(x), _window_means(y)
    variance_x, variance_y = _window_means(x * x) - mean_x**2, _window_means(y * y) - mean_y**2
    covariance = _window_means(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + SSIM_C1) / (mean_x**2 + mean_y**2 + SSIM_C1)
    structure = (2 * covariance + SSIM_C2) / (variance_x + variance_y + SSIM_C2)
    return float((luminance * structure).mean())


def _window_means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    r = SSIM_RADIUS_PX
    return gaussian_filter(values, SSIM_SIGMA, radius=r)[r:-r, r:-r]
