"""The figures that a model is judged by: accuracy at radii, calibration."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

CALIBRATION_BINS = 15

Radius = TypeVar("Radius", int, float)


def accuracy_by_km(error_km: NDArray[np.float64], radii_km: tuple[Radius, ...]) -> dict[Radius, float]:
    """Share of errors (N,) below each radius, in [0, 1]; NaN for no errors at all."""
    return {radius: float((error_km < radius).mean()) if len(error_km) else float("nan") for radius in radii_km}


def expected_calibration_error(
    confidence: NDArray[np.float64], correct: NDArray[np.bool_], bins: int = CALIBRATION_BINS
) -> float:
    """Mean gap between confidence and accuracy, weighted by the share of samples in each of `bins` equal bins.

    confidence (N,) in [0, 1], correct (N,) bool; a bin holds its upper bound. In [0, 1]; 0 for no samples.
    Naeini et al. 2015; Guo et al. 2017, eq. 3.
    """
    index = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gap = 0.0
    for b in np.unique(index):
        inside = index == b
        gap += inside.mean() * abs(float(correct[inside].mean()) - float(confidence[inside].mean()))
    return float(gap)
