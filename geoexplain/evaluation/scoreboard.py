"""Measures of many images → methods × metrics: means and how far they can be trusted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoexplain.evaluation.explanations import Examination, ImageMeasures
from geoexplain.evaluation.figures import FEWEST_IMAGES, INTERVAL, or_none
from geoexplain.explainer.faithfulness import METRICS
from geoexplain.explainer.intervals import CONFIDENCE, mean_interval
from geoexplain.explainer.table import BASELINE, of_family


@dataclass(frozen=True)
class Cell:
    """One metric of one method: the mean over `images` images that have a value, and its interval.

    NaN for no images; the interval of one is infinite.
    """

    mean: float
    low: float
    high: float
    images: int


Scoreboard = dict[str, dict[str, Cell]]
"""Method → metric with its steps → Cell."""


def scoreboard(answers: Sequence[ImageMeasures], examination: Examination) -> Scoreboard:
    """The means of all images that could be read; an image without a value for a metric is left out of its mean."""
    return {
        method: {
            column: cell_of([answer.values[method][column] for answer in answers if answer.status == "ok"])
            for column in examination.columns
        }
        for method in examination.methods
    }


def cell_of(values: Sequence[float | None]) -> Cell:
    """Mean and interval of the values that there are."""
    found = np.array([value for value in values if value is not None], dtype=np.float64)
    mean = float(found.mean()) if len(found) else float("nan")
    return Cell(mean, *mean_interval(found), len(found))


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


def standings(answers: Sequence[ImageMeasures], examination: Examination) -> dict[str, Standing]:
    """Metric with its steps → what it says.

    One is better than another if the interval of the mean difference, over the images that have both values, lies
    above 0, at a confidence of 95 % for all comparisons of the metric together (Bonferroni). Of fewer than
    FEWEST_IMAGES images none is better.
    """
    metrics = [name for name in METRICS if name in examination.metrics]
    return {
        column: _standing(_values(answers, examination, column, 1 if METRICS[metric].higher else -1))
        for metric, column in zip(metrics, examination.columns, strict=True)
    }


def _values(
    answers: Sequence[ImageMeasures], examination: Examination, column: str, sign: int
) -> dict[str, NDArray[np.float64]]:
    """Method → its values (images,) of which more is better, NaN where there is none; only methods that have some."""
    seen = [answer for answer in answers if answer.status == "ok"]
    found = {
        method: sign * np.array([answer.values[method][column] for answer in seen], dtype=np.float64)
        for method in examination.methods
    }
    return {method: values for method, values in found.items() if np.isfinite(values).any()}


def _standing(values: Mapping[str, NDArray[np.float64]]) -> Standing:
    methods = [name for name in values if name not in of_family(BASELINE)]
    baselines = [name for name in values if name in of_family(BASELINE)]
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


def summary_of(
    answers: Sequence[ImageMeasures], examination: Examination, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Counts, the images left out by name, and the scoreboard, as plain data for JSON; what is NaN is None."""
    left = {status: [one for one in answers if one.status == status] for status in ("unreadable", "failed")}
    missing = [answer.id for answer in answers if answer.status == "missing"]
    board, stands = scoreboard(answers, examination), standings(answers, examination)
    return {
        "settings": dict(settings),
        "counts": {
            "evaluated": sum(answer.status == "ok" for answer in answers),
            **{status: len(ones) for status, ones in left.items()},
            "missing": len(missing),
        },
        **{status: [{"id": a.id, "file": a.file, "reason": a.reason} for a in ones] for status, ones in left.items()},
        "missing": missing,
        "interval": INTERVAL,
        "baselines": [method for method in examination.methods if method in of_family(BASELINE)],
        "higher_is_better": {
            column: METRICS[metric].higher
            for metric, column in zip(
                [m for m in METRICS if m in examination.metrics], examination.columns, strict=True
            )
        },
        "best": {column: one.best for column, one in stands.items() if one.best is not None},
        "leading": {column: list(one.leading) for column, one in stands.items()},
        "better_than_baselines": {column: list(one.beating) for column, one in stands.items()},
        "scores": {
            method: {
                column: {"mean": or_none(c.mean), "low": or_none(c.low), "high": or_none(c.high), "images": c.images}
                for column, c in row.items()
            }
            for method, row in board.items()
        },
    }
