"""Faithfulness of explanations over a set of images: every method and baseline by every metric."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from geoexplain.errors import DataError
from geoexplain.evaluation.figures import INTERVAL, or_none
from geoexplain.evaluation.methods import (
    baseline_methods,
    default_faithfulness_methods,
    draw,
    draw_anew,
    faithfulness_methods,
)
from geoexplain.evaluation.photos import SHARE_DIGITS
from geoexplain.evaluation.plot import plot_scores
from geoexplain.evaluation.question import (
    CELL,
    ERROR,
    PLACE,
    ImageAnswer,
    Question,
    TracedImage,
    check_names,
    examined_answers,
)
from geoexplain.evaluation.scoreboard import Scores, scores_of
from geoexplain.explainer.faithfulness import METRICS, measure, metric_name
from geoexplain.explainer.metrics import ROAD_STEPS, STEPS
from geoexplain.explainer.subject import Measure, prepare_subject
from geoexplain.locator.model import GeoModel

MEASURE_DIGITS = 9
"""Decimals kept of a metric."""


@dataclass(frozen=True)
class ImageMeasures(ImageAnswer):
    """The measures of one image.

    error_km  great-circle distance of the predicted point from the true position
    values    method → metric → value
    reasons   method → metric → reason why there is no value
    """

    error_km: float | None = None
    values: dict[str, dict[str, float | None]] = field(default_factory=dict)
    reasons: dict[str, dict[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Examination(Question[ImageMeasures, Scores]):
    """The question of faithfulness: every method measured by every metric.

    metrics     keys of METRICS
    steps       steps of deletion and insertion
    road_steps  steps of ROAD

    Raises DataError for unknown or no methods or metrics, or steps below 1.
    """

    FORMAT = "geoexplain-explanations/1"
    ANSWER = ImageMeasures
    ABOUT = (*PLACE, *CELL, *ERROR)
    PLOT = "methods-by-metrics.png"

    methods: tuple[str, ...] = field(default_factory=default_faithfulness_methods)
    metrics: tuple[str, ...] = field(default_factory=lambda: tuple(METRICS))
    steps: int = STEPS
    road_steps: int = ROAD_STEPS

    def __post_init__(self) -> None:
        super().__post_init__()
        check_names("metrics", self.metrics, METRICS)
        if min(self.steps, self.road_steps) < 1:
            raise DataError(f"expected at least 1 step, got {self.steps} and {self.road_steps}.")

    @classmethod
    def known_methods(cls) -> tuple[str, ...]:
        """See Question."""
        return faithfulness_methods()

    @property
    def higher_is_better(self) -> dict[str, bool]:
        """Metric with its number of steps → whether a higher value is better, in the order of METRICS."""
        return {
            metric_name(name, self.steps, self.road_steps): metric.higher
            for name, metric in METRICS.items()
            if name in self.metrics
        }

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the metrics with their numbers of steps, in the order of METRICS."""
        return tuple(self.higher_is_better)

    def own_settings(self) -> dict[str, Any]:
        """See Question."""
        return {"metrics": list(self.columns)}

    def examine(self, model: GeoModel, image: TracedImage) -> dict[str, Any]:
        """Measure every explanation by every metric; see Question."""
        target, index = image.trace.target, image.picture.index
        prepared = prepare_subject(model, image.tensor, target)
        values: dict[str, dict[str, float | None]] = {}
        reasons: dict[str, dict[str, str]] = {}
        for method in self.methods:
            measures = measure(
                prepared,
                draw(model, image.tensor, image.trace, method, (self.seed, index, 0)),
                # A random map is drawn again with another seed, since it does not depend on the image.
                partial(draw_anew, model, target, method, (self.seed, index, 1)),
                self.metrics,
                steps=self.steps,
                road_steps=self.road_steps,
                seed=self.seed,
            )
            values[method] = {one.name: rounded_value(one) for one in measures}
            why = {one.name: one.reason for one in measures if one.reason is not None}
            if why:
                reasons[method] = why
        return {"probability": round(prepared.probability, SHARE_DIGITS), "values": values, "reasons": reasons}

    def method_rows(self, answer: ImageMeasures) -> Iterator[Sequence[Any]]:
        """Yield one row per method; see Question."""
        for method, values in answer.values.items():
            why = "; ".join(f"{name}: {reason}" for name, reason in answer.reasons.get(method, {}).items())
            yield [method, *(values[name] for name in self.columns), why or None]

    def findings(self, answers: Sequence[ImageMeasures]) -> Scores:
        """Compute means and leading methods; see Question. A metric's mean leaves out images without a value."""
        seen = examined_answers(answers)
        values = {
            method: {column: [answer.values[method][column] for answer in seen] for column in self.columns}
            for method in self.methods
        }
        return scores_of(values, self.higher_is_better)

    def figures(self, answers: Sequence[ImageMeasures], findings: Scores) -> dict[str, Any]:
        """See Question."""
        standings = findings.standings
        return {
            "missing": [answer.id for answer in answers if answer.status == "missing"],
            "interval": INTERVAL,
            "baselines": [method for method in self.methods if method in baseline_methods()],
            "higher_is_better": findings.higher_is_better,
            "best": {column: one.best for column, one in standings.items() if one.best is not None},
            "leading": {column: list(one.leading) for column, one in standings.items()},
            "better_than_baselines": {column: list(one.beating) for column, one in standings.items()},
            "scores": {
                method: {
                    column: {
                        "mean": or_none(c.mean),
                        "low": or_none(c.low),
                        "high": or_none(c.high),
                        "images": c.images,
                    }
                    for column, c in row.items()
                }
                for method, row in findings.board.items()
            },
        }

    def plot(self, findings: Scores, title: str, file: Path) -> None:
        """See Question."""
        plot_scores(findings, title, file)


def rounded_value(one: Measure) -> float | None:
    """Return a measure's value, rounded to MEASURE_DIGITS decimals."""
    return None if one.value is None else round(one.value, MEASURE_DIGITS)
