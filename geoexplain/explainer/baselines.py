"""Heatmaps that know nothing of the network: what every explanation has to beat."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import sobel
from torch import Tensor

from geoexplain.errors import DataError
from geoexplain.explainer.cams import is_flat
from geoexplain.explainer.combine import Heatmap
from geoexplain.explainer.target import Explained

Seed = int | Sequence[int]
"""What NumPy takes as a seed: one number ≥ 0, or several that together make one."""

GAUSSIAN_SIGMA = 0.25
"""Standard deviation of the centred Gaussian, as a fraction of each side."""


@dataclass(frozen=True)
class Baseline:
    """One heatmap without a network: `compute` takes the image (3, H, W) and a seed to values (H, W) ≥ 0."""

    title: str
    compute: Callable[[NDArray[np.float32], Seed], NDArray[np.float32]]


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


BASELINES: dict[str, Baseline] = {
    "random": Baseline("Random map", random_map),
    "gaussian": Baseline("Centred Gaussian", centred_gaussian),
    "edges": Baseline("Edges of the image (Sobel)", edge_map),
}
"""Every baseline. Tables, command-line choices and tests read this."""


def baseline(name: str, tensor: Tensor, target: Explained, seed: Seed = 0) -> Heatmap:
    """A baseline as the heatmap of a normalised image (1, 3, H, W); `target` is only noted, `seed` draws "random".

    Raises DataError for a name that is not in BASELINES.
    """
    if name not in BASELINES:
        raise DataError(f"expected a baseline out of {tuple(BASELINES)}, got {name!r}: choose one of these.")
    values = BASELINES[name].compute(tensor[0].detach().cpu().numpy(), seed)
    flat = is_flat(values)
    return Heatmap(
        values=np.zeros_like(values) if flat else values,
        method=name,
        target=target,
        score="probability",
        level="image",
        how="none",
        weights=(),
        flat=flat,
    )
