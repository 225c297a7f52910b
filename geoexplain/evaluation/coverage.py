"""Coverage: how often the circles around predicted points contain the true positions."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np


@dataclass(frozen=True)
class Coverage:
    """The coverage of the circles of N images around their predicted points.

    half                    share of images whose true position lies within the half-probability circle, in [0, 1]
    ninety                  the same for the circle that contains 90 % of the probability
    median_half_radius_km   median radius of the half-probability circles
    median_radius_90_km     median radius of the 90 % circles

    All are NaN for no images. A calibrated model has half = 0.5 and ninety = 0.9.
    """

    half: float
    ninety: float
    median_half_radius_km: float
    median_radius_90_km: float

    def as_dict(self) -> dict[str, float | None]:
        """Return the figures as plain data for JSON; NaN becomes None."""
        return {key: None if math.isnan(value) else value for key, value in asdict(self).items()}


def coverage_of(error_km: Sequence[float], half_radius_km: Sequence[float], radius_90_km: Sequence[float]) -> Coverage:
    """Compute the coverage of circles with two radii (N,) each, for errors (N,) of the predicted points, all in km."""
    if not len(error_km):
        return Coverage(*[math.nan] * 4)
    errors, half, ninety = (np.asarray(values, dtype=np.float64) for values in (error_km, half_radius_km, radius_90_km))
    return Coverage(
        half=float((errors <= half).mean()),
        ninety=float((errors <= ninety).mean()),
        median_half_radius_km=float(np.median(half)),
        median_radius_90_km=float(np.median(ninety)),
    )
