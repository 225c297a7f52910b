"""Accuracy at radii, and the calibration error."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

CALIBRATION_BINS = 15

Radius = TypeVar("Radius", int, float)


def accuracy_by_km(error_km: NDArray[np.float64], radii_km: tuple[Radius, ...]) -> dict[Radius, float]:
    """Return radius → share of errors (N,) below it, in [0, 1]; NaN for no errors."""
    return {radius: float((error_km < radius).mean()) if len(error_km) else float("nan") for radius in radii_km}


def expected_calibration_error(
    confidence: NDArray[np.float64], correct: NDArray[np.bool_], bins: int = CALIBRATION_BINS
) -> float:
    """Compute the mean gap between confidence and accuracy over `bins` equal bins, weighted by their shares of samples.

    confidence (N,) in [0, 1], correct (N,) bool; a bin includes its upper bound. In [0, 1]; 0 for no samples.
    Naeini et al. 2015; Guo et al. 2017, eq. 3.
    """
    index = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gap = 0.0
    for b in np.unique(index):
        inside = index == b
        gap += inside.mean() * abs(float(correct[inside].mean()) - float(confidence[inside].mean()))
    return float(gap)
