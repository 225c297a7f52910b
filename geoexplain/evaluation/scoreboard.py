"""Means and intervals of methods × metrics, from the measures of many images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoexplain.evaluation.figures import FEWEST_IMAGES
from geoexplain.evaluation.methods import baseline_methods
from geoexplain.explainer.intervals import CONFIDENCE, mean_interval


@dataclass(frozen=True)
class Cell:
    """One metric of one method: the mean over `images` images that have a value, and its interval.

    NaN for no images; the interval of one is infinite.
    """

    mean: float
    low: float
    high: float
    images: int


@dataclass(frozen=True)
class Standing:
    """The ranking of the methods by one metric, from differences per image; baselines do not count as methods.

    best     the method that is better than every other method and every baseline; None if there is none
    leading  the method with the best mean and all that do not differ from it significantly, in the board's order
    beating  methods that are better than every baseline; empty without baselines
    """

    best: str | None
    leading: tuple[str, ...]
    beating: tuple[str, ...]


@dataclass(frozen=True)
class Scores:
    """Methods × metrics.

    board             method → metric with its steps → Cell
    standings         metric with its steps → ranking of the methods
    higher_is_better  metric with its steps → whether a higher value is better
    images            number of images, including those without a value for some metric
    """

    board: dict[str, dict[str, Cell]]
    standings: dict[str, Standing]
    higher_is_better: dict[str, bool]
    images: int


def scores_of(
    values: Mapping[str, Mapping[str, Sequence[float | None]]], higher_is_better: Mapping[str, bool]
) -> Scores:
    """Compute means and rankings from the values of each method and metric, one per image in the same order, or None.

    One method is better than another if the interval of the mean difference, over the images that have both values,
    lies above 0, at a confidence of 95 % for all comparisons of the metric together (Bonferroni). For fewer than
    FEWEST_IMAGES images no method is better.
    """
    return Scores(
        {method: {column: cell_of(values[method][column]) for column in higher_is_better} for method in values},
        {column: _standing(_gains(values, column, 1 if higher else -1)) for column, higher in higher_is_better.items()},
        dict(higher_is_better),
        len(values[next(iter(values))][next(iter(higher_is_better))]),
    )


def cell_of(values: Sequence[float | None]) -> Cell:
    """Compute mean and interval of the values that are not None."""
    numbers = np.array([value for value in values if value is not None], dtype=np.float64)
    mean = float(numbers.mean()) if len(numbers) else float("nan")
    return Cell(mean, *mean_interval(numbers), len(numbers))


def _gains(
    values: Mapping[str, Mapping[str, Sequence[float | None]]], column: str, sign: int
) -> dict[str, NDArray[np.float64]]:
    """Return method → values (images,), signed so that higher is better, NaN for None; only methods with values."""
    signed = {method: sign * np.array(row[column], dtype=np.float64) for method, row in values.items()}
    return {method: gains for method, gains in signed.items() if np.isfinite(gains).any()}


def _standing(values: Mapping[str, NDArray[np.float64]]) -> Standing:
    methods = [name for name in values if name not in baseline_methods()]
    baselines = [name for name in values if name in baseline_methods()]
    if not methods:
        return Standing(None, (), ())
    comparisons = len(methods) - 1 + len(methods) * len(baselines)

    def better(one: str, other: str) -> bool:
        return is_better(values[one] - values[other], comparisons)

    first = max(methods, key=lambda name: float(np.nanmean(values[name])))
    leading = tuple(name for name in methods if name == first or not better(first, name))
    beating = tuple(name for name in methods if baselines and all(better(name, other) for other in baselines))
    alone = leading == (first,) and comparisons > 0 and (first in beating or not baselines)
    return Standing(first if alone else None, leading, beating)


def is_better(gains: NDArray[np.float64], comparisons: int = 1) -> bool:
    """Return whether gains (images,), which may be NaN, are above 0 on average, as one of several comparisons."""
    found = gains[np.isfinite(gains)]
    if len(found) < FEWEST_IMAGES:
        return False
    low, _ = mean_interval(found, 1 - (1 - CONFIDENCE) / max(1, comparisons))
    return low > 0
