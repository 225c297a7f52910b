"""Baselines: heatmaps computed without the network, which every explanation has to beat."""

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
    """Return a map (H, W) of independent pixels, uniform in [0, 1)."""
    return np.random.default_rng(seed).random(image.shape[1:], dtype=np.float32)


def centered_gaussian(image: NDArray[np.float32], _seed: Seed) -> NDArray[np.float32]:
    """Return exp(−r² / 2), 1 at the centre, with distances r in units of GAUSSIAN_SIGMA of each side."""
    height, width = image.shape[1:]
    south = ((np.arange(height) + 0.5) / height - 0.5) / GAUSSIAN_SIGMA
    east = ((np.arange(width) + 0.5) / width - 0.5) / GAUSSIAN_SIGMA
    return np.exp(-(south[:, None] ** 2 + east**2) / 2).astype(np.float32)


def edge_map(image: NDArray[np.float32], _seed: Seed) -> NDArray[np.float32]:
    """Return the magnitude of the Sobel gradient of the channels' mean; the border repeats the outermost pixels."""
    grey = image.mean(axis=0, dtype=np.float64)
    return np.hypot(sobel(grey, 0, mode="nearest"), sobel(grey, 1, mode="nearest")).astype(np.float32)


def baseline_heatmap(
    name: str, compute: Callable[[NDArray[np.float32], Seed], NDArray[np.float32]], subject: Subject
) -> Heatmap:
    """Return the heatmap of a subject with the values (H, W) ≥ 0 that `compute` returns for its image and seed.

    The values do not depend on the target, which is only recorded.
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
