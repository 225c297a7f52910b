"""Objectives of tuning weights: one number per heatmap, higher is better."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoexplain.explainer.combine import Heatmap, scale_to_range
from geoexplain.explainer.metrics import Redraw, adcc, deletion, insertion, road_removal
from geoexplain.explainer.subject import MeasuredSubject, pixel_ranks


@dataclass(frozen=True)
class Objective:
    """A number that tuning maximizes.

    title   for tables and messages
    steps   whether it has a number of steps
    lowest  its smallest possible value, which stands for a missing value in a search
    value   (subject, heatmap, redraw, steps) → value; None for a flat heatmap
    key     heatmap → the array that determines the value: equal keys give equal values
    grids   other numbers of steps, to estimate the noise of the steps; empty without steps
    """

    title: str
    steps: bool
    lowest: float
    value: Callable[[MeasuredSubject, Heatmap, Redraw, int], float | None]
    key: Callable[[Heatmap], NDArray[np.generic]]
    grids: tuple[int, ...] = ()


def insertion_minus_deletion(subject: MeasuredSubject, heatmap: Heatmap, _again: Redraw, steps: int) -> float | None:
    """Compute insertion AUC − deletion AUC (Petsiuk et al. 2018), in [−1, 1], with 2 `steps` − 2 images."""
    inserted, deleted = insertion(subject, heatmap, steps).value, deletion(subject, heatmap, steps).value
    return None if inserted is None or deleted is None else inserted - deleted


def adcc_value(subject: MeasuredSubject, heatmap: Heatmap, redraw: Redraw, _steps: int) -> float | None:
    """Compute ADCC (Poppi et al. 2021), in [0, 1]. Explaining the masked image takes a gradient pass each time."""
    return adcc(subject, heatmap, redraw).value


def probability_lost(subject: MeasuredSubject, heatmap: Heatmap, _again: Redraw, steps: int) -> float | None:
    """Compute p − ROAD, most relevant first (Rong et al. 2022), in [−1, 1]: the probability lost with the top pixels.

    The removed shares (1/2, 3/2, …) / `steps` are imputed from their neighbours; `steps` images go through the network.
    """
    left = road_removal(subject, heatmap, steps).value
    return None if left is None else subject.probability - left


OBJECTIVES: dict[str, Objective] = {
    "insertion-deletion": Objective(
        "insertion AUC − deletion AUC",
        True,
        -1.0,
        insertion_minus_deletion,
        lambda heatmap: pixel_ranks(heatmap.values),
        (9, 11, 13, 17, 19),
    ),
    "adcc": Objective("ADCC", False, 0.0, adcc_value, lambda heatmap: scale_to_range(heatmap.values)),
}
"""Every objective of tuning; higher is better. Command-line choices and tests read this."""


CROSS_CHECK = "road"
CHECKED_BY = Objective(
    "probability lost to ROAD",
    True,
    -1.0,
    probability_lost,
    lambda heatmap: pixel_ranks(heatmap.values),
    (3, 4, 5, 6, 7),
)
"""A second measure of tuned weights, which no search maximizes. It fills in pixels from their neighbours, whereas
insertion and deletion replace them by a colour or a blur."""


def objective_name(objective: str, steps: int) -> str:
    """Return an objective, or CROSS_CHECK, with its number of steps, if any: "insertion-deletion@12", "adcc"."""
    return f"{objective}@{steps}" if objective == CROSS_CHECK or OBJECTIVES[objective].steps else objective
