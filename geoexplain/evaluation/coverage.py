"""Whether circles hold the truth as often as they say: the half-probability circle for one image in two."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np


@dataclass(frozen=True)
class Coverage:
    """The circles of N images around their predicted points, against the truth.

    half                    share of images whose true position lies within the half-probability circle, in [0, 1]
    ninety                  the same of the circle that holds 90 % of the probability
    median_half_radius_km   of the half-probability circles
    median_radius_90_km     of the others

    All are NaN for no images. A calibrated model covers 0.5 and 0.9.
    """

    half: float
    ninety: float
    median_half_radius_km: float
    median_radius_90_km: float

    def as_dict(self) -> dict[str, float | None]:
        """The figures as plain data for JSON; NaN is None."""
        return {key: None if math.isnan(value) else value for key, value in asdict(self).items()}


def coverage_of(error_km: Sequence[float], half_radius_km: Sequence[float], radius_90_km: Sequence[float]) -> Coverage:
    """The coverage of circles of two radii (N,) each, in km, for errors (N,) of the predicted points, in km."""
    if not len(error_km):
        return Coverage(*[math.nan] * 4)
    errors, half, ninety = (np.asarray(values, dtype=np.float64) for values in (error_km, half_radius_km, radius_90_km))
    return Coverage(
        half=float((errors <= half).mean()),
        ninety=float((errors <= ninety).mean()),
        median_half_radius_km=float(np.median(half)),
        median_radius_90_km=float(np.median(ninety)),
    )
