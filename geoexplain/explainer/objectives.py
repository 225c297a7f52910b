"""What weights can be tuned for: one number per heatmap, of which more is better."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoexplain.explainer.combine import Heatmap, over_range
from geoexplain.explainer.metrics import Again, adcc, deletion, insertion, road_removal
from geoexplain.explainer.subject import MeasuredSubject, positions


@dataclass(frozen=True)
class Objective:
    """What is made as large as possible.

    title   for people
    steps   whether it has a number of steps
    lowest  the least it can be, which a heatmap without a value counts as in a search
    value   of a subject's heatmap, with what explains another image alike, in so many steps; None for a flat one
    key     what of a heatmap decides the value: equal keys, equal values
    grids   other numbers of steps, by which the noise of the steps shows; empty without steps
    """

    title: str
    steps: bool
    lowest: float
    value: Callable[[MeasuredSubject, Heatmap, Again, int], float | None]
    key: Callable[[Heatmap], NDArray[np.generic]]
    grids: tuple[int, ...] = ()


def insertion_minus_deletion(subject: MeasuredSubject, heatmap: Heatmap, _again: Again, steps: int) -> float | None:
    """Insertion AUC − deletion AUC (Petsiuk et al. 2018), in [−1, 1]: 2 `steps` − 2 images through the network."""
    inserted, deleted = insertion(subject, heatmap, steps).value, deletion(subject, heatmap, steps).value
    return None if inserted is None or deleted is None else inserted - deleted


def harmonic(subject: MeasuredSubject, heatmap: Heatmap, again: Again, _steps: int) -> float | None:
    """ADCC (Poppi et al. 2021), in [0, 1]. The masked image is explained, which takes a gradient pass each time."""
    return adcc(subject, heatmap, again).value


def probability_lost(subject: MeasuredSubject, heatmap: Heatmap, _again: Again, steps: int) -> float | None:
    """P − ROAD, most relevant first (Rong et al. 2022), in [−1, 1]: what the cell loses when the strongest pixels go.

    The means of neighbours replace them, in shares (1/2, 3/2, …) / `steps`: as many images through the network.
    """
    left = road_removal(subject, heatmap, steps).value
    return None if left is None else subject.probability - left


OBJECTIVES: dict[str, Objective] = {
    "insertion-deletion": Objective(
        "insertion AUC − deletion AUC",
        True,
        -1.0,
        insertion_minus_deletion,
        lambda heatmap: positions(heatmap.values),
        (9, 11, 13, 17, 19),
    ),
    "adcc": Objective("ADCC", False, 0.0, harmonic, lambda heatmap: over_range(heatmap.values)),
}
"""Everything that weights can be tuned for; higher is better. Command-line choices and tests read this."""


CROSS_CHECK = "road"
CHECKED_BY = Objective(
    "probability lost to ROAD",
    True,
    -1.0,
    probability_lost,
    lambda heatmap: positions(heatmap.values),
    (3, 4, 5, 6, 7),
)
"""What tuned weights are measured by besides, since no search makes it larger: it fills pixels in from those around
them, where insertion and deletion paint them over with a colour or a blur."""


def objective_name(objective: str, steps: int) -> str:
    """An objective, or CROSS_CHECK, with its number of steps, if it has one: "insertion-deletion@12", "adcc"."""
    return f"{objective}@{steps}" if objective == CROSS_CHECK or OBJECTIVES[objective].steps else objective
