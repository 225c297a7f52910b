"""Heatmaps that know nothing of the network: what every explanation has to beat."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import sobel

from geoexplain.explainer.cams import is_flat
from geoexplain.explainer.combine import Heatmap
from geoexplain.explainer.subject import Seed, Subject

GAUSSIAN_SIGMA = 0.25
"""Standard deviation of the centred Gaussian, as a fraction of each side."""


def random_map(image: NDArray[np.float32], seed: Seed) -> NDArray[np.float32]:
    """Every pixel uniform in [0, 1) and independent of the others."""
    return np.random.default_rng(seed).random(image.shape[1:], dtype=np.float32)


def centred_gaussian(image: NDArray[np.float32], _seed: Seed) -> NDArray[np.float32]:
    """exp(−r² / 2), 1 at the centre, with distances in units of GAUSSIAN_SIGMA of each side."""
    height, width = image.shape[1:]
    south = ((np.arange(height) + 0.5) / height - 0.5) / GAUSSIAN_SIGMA
    east = ((np.arange(width) + 0.5) / width - 0.5) / GAUSSIAN_SIGMA
    return np.exp(-(south[:, None] ** 2 + east**2) / 2).astype(np.float32)


def edge_map(image: NDArray[np.float32], _seed: Seed) -> NDArray[np.float32]:
    """Magnitude of the Sobel gradient of the channels' mean; the border continues its outermost pixels."""
    grey = image.mean(axis=0, dtype=np.float64)
    return np.hypot(sobel(grey, 0, mode="nearest"), sobel(grey, 1, mode="nearest")).astype(np.float32)


def baseline_heatmap(
    name: str, compute: Callable[[NDArray[np.float32], Seed], NDArray[np.float32]], subject: Subject
) -> Heatmap:
    """Values (H, W) ≥ 0 that `compute` makes of an image (3, H, W) and a seed as the heatmap of a subject.

    The target is only noted.
    """
    values = compute(subject.tensor[0].detach().cpu().numpy(), subject.seed)
    flat = is_flat(values)
    return Heatmap(
        values=np.zeros_like(values) if flat else values,
        method=name,
        target=subject.target,
        score="probability",
        level="image",
        how="none",
        weights=(),
        flat=flat,
    )
