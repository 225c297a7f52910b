"""Is the heatmap true of the network? The table of metrics, and several of them measured at once."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import cached_property

from geoexplain.errors import DataError
from geoexplain.explainer.combine import Heatmap
from geoexplain.explainer.metrics import (
    ROAD_STEPS,
    STEPS,
    Again,
    adcc_of_drop,
    deletion,
    insertion,
    measures_of_drop,
    road,
    share_dropped,
)
from geoexplain.explainer.subject import Measure, MeasuredSubject, checked


@dataclass(frozen=True, eq=False)
class Measuring:
    """One heatmap that is being measured; what several metrics share is computed once.

    again              as `adcc` takes it
    steps, road_steps  of deletion and insertion, and of ROAD
    seed               of ROAD's noise
    """

    subject: MeasuredSubject
    heatmap: Heatmap
    again: Again
    steps: int = STEPS
    road_steps: int = ROAD_STEPS
    seed: int = 0

    @cached_property
    def drop(self) -> float | str:
        """(p − p') / p of the image that the heatmap masks, negative for an increase; or why there is none."""
        return share_dropped(self.subject, self.heatmap)

    @cached_property
    def removal(self) -> tuple[Measure, Measure]:
        """Both measures of `road`."""
        return road(self.subject, self.heatmap, self.road_steps, self.seed)


@dataclass(frozen=True)
class Metric:
    """One way of measuring a heatmap.

    title    for tables
    higher   whether a higher value is better
    source   where it is defined
    measure  what gives it
    images   from its number of steps (0 where there are none) to how many images it takes through the network
    steps    "curve" (steps of deletion and insertion), "road", or None where there are none
    most     the largest value that there can be; the least is 0
    shared   what it shares with the other metrics that say the same here, and takes through the network once
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
        lambda it: adcc_of_drop(it.subject, it.heatmap, it.again, it.drop),
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
    """A metric with its number of steps: "deletion@50", "road-morf@5", "adcc"."""
    count = _steps_of(metric, steps, road_steps)
    return f"{metric}@{count}" if count else metric


def _steps_of(metric: str, steps: int, road_steps: int) -> int:
    return {"curve": steps, "road": road_steps, None: 0}[METRICS[metric].steps]


def images_needed(metrics: Collection[str], steps: int, road_steps: int) -> int:
    """How many images go through the network to measure one heatmap, without those that explain another image."""
    needed = {
        METRICS[name].shared or name: METRICS[name].images(_steps_of(name, steps, road_steps)) for name in metrics
    }
    return sum(needed.values()) or 1


def measure(
    subject: MeasuredSubject,
    heatmap: Heatmap,
    again: Again,
    metrics: Collection[str] | None = None,
    *,
    steps: int = STEPS,
    road_steps: int = ROAD_STEPS,
    seed: int = 0,
) -> tuple[Measure, ...]:
    """Measure one heatmap by several metrics, keys of METRICS (None: all), in its order.

    `again` is that of `adcc`, `steps` those of deletion and insertion, `seed` that of ROAD's noise.
    Raises DataError for another metric, and as the metrics do.
    """
    metrics = METRICS if metrics is None else metrics
    unknown = [metric for metric in metrics if metric not in METRICS]
    if unknown:
        raise DataError(f"expected metrics out of {tuple(METRICS)}, got {unknown[0]!r}: choose some of these.")
    checked(subject, heatmap)
    measuring = Measuring(subject, heatmap, again, steps, road_steps, seed)
    return tuple(
        replace(row.measure(measuring), name=metric_name(name, steps, road_steps))
        for name, row in METRICS.items()
        if name in metrics
    )
