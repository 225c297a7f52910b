"""Measures of many images → methods × metrics: means and how far they can be trusted."""

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
    """What one metric says of the methods, image by image; baselines are no methods.

    best     the one that is better than every other method and every baseline; None if there is none
    leading  the one with the best mean and all that cannot be told from it, in the board's order
    beating  methods that are better than every baseline; none where no baseline was measured
    """

    best: str | None
    leading: tuple[str, ...]
    beating: tuple[str, ...]


@dataclass(frozen=True)
class Scores:
    """Methods × metrics.

    board             method → metric with its steps → Cell
    standings         metric with its steps → what it says of the methods
    higher_is_better  metric with its steps → whether a higher value is better
    images            how many images were measured, whether or not a metric has a value for them
    """

    board: dict[str, dict[str, Cell]]
    standings: dict[str, Standing]
    higher_is_better: dict[str, bool]
    images: int


def scores_of(
    values: Mapping[str, Mapping[str, Sequence[float | None]]], higher_is_better: Mapping[str, bool]
) -> Scores:
    """Means of the values of each method and metric, one per image in the same order, None where there is none.

    One method is better than another if the interval of the mean difference, over the images that have both values,
    lies above 0, at a confidence of 95 % for all comparisons of the metric together (Bonferroni). Of fewer than
    FEWEST_IMAGES images none is better.
    """
    return Scores(
        {method: {column: cell_of(values[method][column]) for column in higher_is_better} for method in values},
        {column: _standing(_gains(values, column, 1 if higher else -1)) for column, higher in higher_is_better.items()},
        dict(higher_is_better),
        len(values[next(iter(values))][next(iter(higher_is_better))]),
    )


def cell_of(values: Sequence[float | None]) -> Cell:
    """Mean and interval of the values that there are."""
    found = np.array([value for value in values if value is not None], dtype=np.float64)
    mean = float(found.mean()) if len(found) else float("nan")
    return Cell(mean, *mean_interval(found), len(found))


def _gains(
    values: Mapping[str, Mapping[str, Sequence[float | None]]], column: str, sign: int
) -> dict[str, NDArray[np.float64]]:
    """Method → its values (images,) of which more is better, NaN where there is none; only methods that have some."""
    found = {method: sign * np.array(row[column], dtype=np.float64) for method, row in values.items()}
    return {method: gains for method, gains in found.items() if np.isfinite(gains).any()}


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
    """Whether gains (images,), NaN where there is none, are above 0 on average, as one of so many comparisons."""
    found = gains[np.isfinite(gains)]
    if len(found) < FEWEST_IMAGES:
        return False
    low, _ = mean_interval(found, 1 - (1 - CONFIDENCE) / max(1, comparisons))
    return low > 0
