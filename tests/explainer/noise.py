"""Unrelated maps, as coarse as those of a network's stages."""

import numpy as np
from numpy.typing import NDArray

from geoexplain.explainer.combine import Heatmap, upsample

SIZE_HW = (56, 56)


def coarse_map(rng: np.random.Generator, side: int = 7, size_hw: tuple[int, int] = SIZE_HW) -> NDArray[np.float32]:
    """Return a rectified random map of `side` × `side`, upsampled as stage maps are."""
    return upsample(np.maximum(rng.normal(size=(side, side)), 0).astype(np.float32), size_hw)


def heatmap(values: NDArray[np.floating], name: str = "grad-cam") -> Heatmap:
    """Return values as a heatmap; flat if they are all equal."""
    flat = bool(np.ptp(values) == 0)
    return Heatmap(np.float32(values), name, 0, "probability", "stage", "sum", (1.0,), flat)
