"""What weights can be tuned for: one number per heatmap, of which more is better."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoexplain.explainer.combine import Heatmap, over_range
from geoexplain.explainer.faithfulness import Again, adcc, deletion, insertion
from geoexplain.explainer.subject import Subject, positions


@dataclass(frozen=True)
class Objective:
    """What is made as large as possible.

    title   for people
    steps   whether it has a number of steps
    lowest  the least it can be, which is what a flat heatmap counts as
    value   of a subject's heatmap, with what explains another image alike, in so many steps; None for a flat one
    key     what of a heatmap decides the value: equal keys, equal values
    """

    title: str
    steps: bool
    lowest: float
    value: Callable[[Subject, Heatmap, Again, int], float | None]
    key: Callable[[Heatmap], NDArray[np.generic]]


def insertion_minus_deletion(subject: Subject, heatmap: Heatmap, _again: Again, steps: int) -> float | None:
    """Insertion AUC − deletion AUC (Petsiuk et al. 2018), in [−1, 1]: 2 `steps` − 2 images through the network."""
    inserted, deleted = insertion(subject, heatmap, steps).value, deletion(subject, heatmap, steps).value
    return None if inserted is None or deleted is None else inserted - deleted


def harmonic(subject: Subject, heatmap: Heatmap, again: Again, _steps: int) -> float | None:
    """ADCC (Poppi et al. 2021), in [0, 1]. The masked image is explained, which takes a gradient pass each time."""
    return adcc(subject, heatmap, again).value


OBJECTIVES: dict[str, Objective] = {
    "insertion-deletion": Objective(
        "insertion AUC − deletion AUC",
        True,
        -1.0,
        insertion_minus_deletion,
        lambda heatmap: positions(heatmap.values),
    ),
    "adcc": Objective("ADCC", False, 0.0, harmonic, lambda heatmap: over_range(heatmap.values)),
}
"""Everything that weights can be tuned for; higher is better. Command-line choices and tests read this."""


def objective_name(objective: str, steps: int) -> str:
    """An objective with its number of steps, if it has one: "insertion-deletion@12", "adcc"."""
    return f"{objective}@{steps}" if OBJECTIVES[objective].steps else objective
