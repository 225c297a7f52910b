"""Faithfulness of heatmaps: the table of metrics, and a function that measures several of them at once."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import cached_property

from geoexplain.errors import DataError
from geoexplain.explainer.combine import Heatmap
from geoexplain.explainer.metrics import (
    ROAD_STEPS,
    STEPS,
    Redraw,
    adcc_of_drop,
    deletion,
    insertion,
    measures_of_drop,
    road,
    share_dropped,
)
from geoexplain.explainer.subject import Measure, MeasuredSubject, check_heatmap


@dataclass(frozen=True, eq=False)
class Measuring:
    """One heatmap during its measurement; results that several metrics share are computed once.

    redraw             draws the heatmap of another image, as for `adcc`
    steps, road_steps  number of steps of deletion and insertion, and of ROAD
    seed               seed of ROAD's noise
    """

    subject: MeasuredSubject
    heatmap: Heatmap
    redraw: Redraw
    steps: int = STEPS
    road_steps: int = ROAD_STEPS
    seed: int = 0

    @cached_property
    def drop(self) -> float | str:
        """(p − p') / p of the image masked by the heatmap, negative for an increase; or why there is none."""
        return share_dropped(self.subject, self.heatmap)

    @cached_property
    def removal(self) -> tuple[Measure, Measure]:
        """Both measures of `road`."""
        return road(self.subject, self.heatmap, self.road_steps, self.seed)


@dataclass(frozen=True)
class Metric:
    """One metric of heatmaps: a row of the table METRICS.

    title    title for tables
    higher   True if a higher value is better
    source   the paper that defines it
    measure  computes it for a heatmap
    images   number of steps (0 if it has none) → number of images that it takes through the network
    steps    "curve" (steps of deletion and insertion), "road", or None if it has no steps
    most     largest possible value; the smallest is 0
    shared   name of a result that it shares with other metrics, whose images go through the network once
    """

    title: str
    higher: bool
    source: str
    measure: Callable[[Measuring], Measure]
    images: Callable[[int], int] = lambda _steps: 1
    steps: str | None = None
    most: float = 1.0
    shared: str | None = None


METRICS: dict[str, Metric] = {
    "deletion": Metric(
        "Deletion AUC",
        False,
        "Petsiuk et al., BMVC 2018",
        lambda it: deletion(it.subject, it.heatmap, it.steps),
        lambda steps: steps - 1,
        "curve",
    ),
    "insertion": Metric(
        "Insertion AUC",
        True,
        "Petsiuk et al., BMVC 2018",
        lambda it: insertion(it.subject, it.heatmap, it.steps),
        lambda steps: steps - 1,
        "curve",
    ),
    "average-drop": Metric(
        "Average drop, %",
        False,
        "Chattopadhay et al., WACV 2018",
        lambda it: measures_of_drop(it.drop)[0],
        most=100.0,
        shared="drop",
    ),
    "average-increase": Metric(
        "Average increase, %",
        True,
        "Chattopadhay et al., WACV 2018",
        lambda it: measures_of_drop(it.drop)[1],
        most=100.0,
        shared="drop",
    ),
    "adcc": Metric(
        "ADCC",
        True,
        "Poppi et al., CVPR Workshops 2021",
        lambda it: adcc_of_drop(it.subject, it.heatmap, it.redraw, it.drop),
        shared="drop",
    ),
    "road-morf": Metric(
        "ROAD, most relevant first",
        False,
        "Rong et al., ICML 2022",
        lambda it: it.removal[0],
        lambda steps: 2 * steps,
        "road",
        shared="road",
    ),
    "road-lerf": Metric(
        "ROAD, least relevant first",
        True,
        "Rong et al., ICML 2022",
        lambda it: it.removal[1],
        lambda steps: 2 * steps,
        "road",
        shared="road",
    ),
}
"""Every metric. Tables, command-line choices and tests read this."""


def metric_name(metric: str, steps: int = STEPS, road_steps: int = ROAD_STEPS) -> str:
    """Return a metric's name with its number of steps: "deletion@50", "road-morf@5", "adcc"."""
    count = _steps_of(metric, steps, road_steps)
    return f"{metric}@{count}" if count else metric


def _steps_of(metric: str, steps: int, road_steps: int) -> int:
    return {"curve": steps, "road": road_steps, None: 0}[METRICS[metric].steps]


def images_needed(metrics: Collection[str], steps: int, road_steps: int) -> int:
    """Return how many images go through the network to measure one heatmap, without those of `redraw`."""
    needed = {
        METRICS[name].shared or name: METRICS[name].images(_steps_of(name, steps, road_steps)) for name in metrics
    }
    return sum(needed.values()) or 1


def measure(
    subject: MeasuredSubject,
    heatmap: Heatmap,
    redraw: Redraw,
    metrics: Collection[str] | None = None,
    *,
    steps: int = STEPS,
    road_steps: int = ROAD_STEPS,
    seed: int = 0,
) -> tuple[Measure, ...]:
    """Measure one heatmap by several metrics, keys of METRICS (None: all); the results are in the table's order.

    The other arguments are as for Measuring. Raises DataError for another metric, and as the metrics do.
    """
    metrics = METRICS if metrics is None else metrics
    unknown = [metric for metric in metrics if metric not in METRICS]
    if unknown:
        raise DataError(f"expected metrics out of {tuple(METRICS)}, got {unknown[0]!r}: choose some of these.")
    check_heatmap(subject, heatmap)
    measuring = Measuring(subject, heatmap, redraw, steps, road_steps, seed)
    return tuple(
        replace(row.measure(measuring), name=metric_name(name, steps, road_steps))
        for name, row in METRICS.items()
        if name in metrics
    )
