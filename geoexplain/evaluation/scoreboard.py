"""Measures of many images → methods × metrics: means and how far they can be trusted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from geoexplain.evaluation.bootstrap import CONFIDENCE, RESAMPLES, bootstrap_interval
from geoexplain.evaluation.explanations import Examination, ImageMeasures
from geoexplain.evaluation.figures import or_none
from geoexplain.explainer.baselines import BASELINES
from geoexplain.explainer.faithfulness import METRICS


@dataclass(frozen=True)
class Cell:
    """One metric of one method: the mean over `images` images that have a value, and its bootstrap interval.

    NaN for no images.
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
    return Cell(mean, *bootstrap_interval(found), len(found))


def best(board: Scoreboard, examination: Examination) -> dict[str, str]:
    """Metric with its steps → the method with the best mean, baselines aside; no entry for none, or a tie."""
    found = {}
    metrics = [name for name in METRICS if name in examination.metrics]
    for metric, column in zip(metrics, examination.columns, strict=True):
        sign = 1 if METRICS[metric].higher else -1
        means = {m: sign * row[column].mean for m, row in board.items() if m not in BASELINES and row[column].images}
        leading = [method for method, mean in means.items() if mean == max(means.values())]
        if len(leading) == 1:
            found[column] = leading[0]
    return found


def summary_of(
    answers: Sequence[ImageMeasures], examination: Examination, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Counts, the images left out by name, and the scoreboard, as plain data for JSON; what is NaN is None."""
    left = {status: [one for one in answers if one.status == status] for status in ("unreadable", "failed")}
    missing = [answer.id for answer in answers if answer.status == "missing"]
    board = scoreboard(answers, examination)
    return {
        "settings": dict(settings),
        "counts": {
            "evaluated": sum(answer.status == "ok" for answer in answers),
            **{status: len(ones) for status, ones in left.items()},
            "missing": len(missing),
        },
        **{status: [{"id": a.id, "file": a.file, "reason": a.reason} for a in ones] for status, ones in left.items()},
        "missing": missing,
        "interval": {"confidence": CONFIDENCE, "resamples": RESAMPLES, "method": "percentile bootstrap over images"},
        "baselines": [method for method in examination.methods if method in BASELINES],
        "higher_is_better": {
            column: METRICS[metric].higher
            for metric, column in zip(
                [m for m in METRICS if m in examination.metrics], examination.columns, strict=True
            )
        },
        "best": best(board, examination),
        "scores": {
            method: {
                column: {"mean": or_none(c.mean), "low": or_none(c.low), "high": or_none(c.high), "images": c.images}
                for column, c in row.items()
            }
            for method, row in board.items()
        },
    }
