"""Which of several ranges holds a mean? An answer only if its whole interval lies in one of them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoexplain.explainer.intervals import FEWEST, further_values, mean_interval

TOO_FEW = "too few"


@dataclass(frozen=True)
class Equivalence:
    """What values say of the range that their mean lies in.

    verdict    the name of the range, or TOO_FEW
    possible   the ranges that the interval reaches into, in order: one of them unless the verdict is TOO_FEW
    mean       of the values; NaN for none
    low, high  its 95 % interval; infinite for one value
    count      how many values
    more       how many more would settle it, if they are like these: 0 if it is settled, None for more than are counted
    """

    verdict: str
    possible: tuple[str, ...]
    mean: float
    low: float
    high: float
    count: int
    more: int | None


def equivalence(values: NDArray[np.float64], ranges: Mapping[str, tuple[float, float]]) -> Equivalence:
    """Say in which of some ranges the mean of independent values (N,) lies.

    That a difference is "not significant" says nothing: the fewer and the more scattered the values, the sooner it is
    so. Here few and scattered values say nothing (Schuirmann, J. Pharmacokinet. Biopharm. 15, 1987, for one range).

    ranges  name → (low, high), which border on one another in rising order and reach from −∞ to ∞
    """
    low, high = mean_interval(values)

    def holding(low: float, high: float) -> str | None:
        return next((name for name, (least, most) in ranges.items() if least <= low and high <= most), None)

    found = holding(low, high) if len(values) >= FEWEST else None
    possible = tuple(name for name, (least, most) in ranges.items() if low <= most and high >= least)
    return Equivalence(
        found or TOO_FEW,
        (found,) if found else possible,
        float(values.mean()) if len(values) else math.nan,
        low,
        high,
        len(values),
        further_values(values, lambda low, high: holding(low, high) is not None),
    )
