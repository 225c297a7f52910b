"""What tuned weights gain on their own image, over the best map that needs no tuning, by two measures."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from torch import Tensor

from geoexplain.errors import DataError
from geoexplain.explainer.cams import ExplanationCancelledError
from geoexplain.explainer.combine import Heatmap
from geoexplain.explainer.intervals import mean_interval
from geoexplain.explainer.metrics import Again
from geoexplain.explainer.objectives import CHECKED_BY, OBJECTIVES, Objective
from geoexplain.explainer.subject import Subject
from geoexplain.explainer.table import CAMS, TUNED, ExplanationKind, of_family
from geoexplain.explainer.trace import trace
from geoexplain.explainer.tuning import TUNING_STEPS, Case, Setting, again_of, heatmap_of

BETTER, WORSE, NO_GAIN, UNKNOWN = "better", "worse", "no gain", "unknown"


@dataclass(frozen=True)
class Gain:
    """One measure, higher is better, of tuned weights and of what they are held against, on one image.

    title         of the measure
    tuned, other  the means over its grids, which are other numbers of steps than those of the search
    low, high     the interval of the mean difference: what the choice of steps alone would do. Infinite for a measure
                  without steps, whose noise on one image is not known
    """

    title: str
    tuned: float
    other: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """BETTER, WORSE or NO_GAIN, as the interval decides; UNKNOWN where it is infinite."""
        if not math.isfinite(self.low):
            return UNKNOWN
        return BETTER if self.low > 0 else WORSE if self.high < 0 else NO_GAIN


@dataclass(frozen=True)
class ImageGain:
    """Tuned weights against the best of `untuned` on the image that they were tuned on.

    other   its title
    own     by the objective of the search
    second  by CHECKED_BY, which the search did not look at
    """

    other: str
    own: Gain
    second: Gain


def untuned() -> dict[str, ExplanationKind]:
    """What needs no tuning, and no more than one trace: tuned weights are made of such maps, too."""
    return {name: kind for name, kind in of_family(*CAMS).items() if not kind.passes and name != TUNED}


def measurements(objective: str) -> int:
    """How many heatmaps `image_gain` measures at most."""
    return len(untuned()) + 2 * max(1, len(OBJECTIVES[objective].grids)) + 2 * len(CHECKED_BY.grids)


def image_gain(
    case: Case,
    setting: Setting,
    objective: str = "insertion-deletion",
    steps: int = TUNING_STEPS,
    *,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> ImageGain | None:
    """Measure a setting that was tuned on an image against the best map of that image which needs no tuning.

    The best of `untuned` is chosen by the objective in `steps` steps, as the search chooses. Both are then measured
    anew by other numbers of steps: of a hundred settings that differ by nothing but the noise of the steps, the search
    finds one that looks better. None if nothing that needs no tuning, or the setting itself, has a value.

    progress   hears (heatmaps measured, all of them)
    cancelled  is asked before each

    Raises DataError for another objective or steps below 1, ExplanationCancelledError when called off.
    """
    if objective not in OBJECTIVES:
        raise DataError(f"expected an objective out of {tuple(OBJECTIVES)}, got {objective!r}: choose one of these.")
    done, total = 0, measurements(objective)

    def measured(by: Objective, made: tuple[Heatmap, Again], count: int) -> float | None:
        nonlocal done
        if cancelled is not None and cancelled():
            raise ExplanationCancelledError("Tuning was cancelled: start it again.")
        value = by.value(case.subject, *made, count)
        done += 1
        if progress is not None:
            progress(done, total)
        return value

    by = OBJECTIVES[objective]
    rows = untuned()
    maps = {name: made_of(case, row) for name, row in rows.items()}
    values = {name: measured(by, made, steps) for name, made in maps.items()}
    found = {name: value for name, value in values.items() if value is not None}
    tuned = heatmap_of(case, setting), again_of(case, setting)
    if not found or tuned[0].flat:
        return None
    other = max(found, key=found.__getitem__)

    def gain(by: Objective, usual: int) -> Gain | None:
        pairs = [(measured(by, tuned, count), measured(by, maps[other], count)) for count in by.grids or (usual,)]
        both = np.array([pair for pair in pairs if None not in pair], dtype=np.float64)
        if not len(both):
            return None
        own, others = both.T
        return Gain(by.title, float(own.mean()), float(others.mean()), *mean_interval(own - others))

    own, second = gain(by, steps), gain(CHECKED_BY, steps)
    return None if own is None or second is None else ImageGain(rows[other].title, own, second)


def made_of(case: Case, row: ExplanationKind) -> tuple[Heatmap, Again]:
    """The heatmap of one of `untuned` for a case, and what makes the same of another image."""
    draw = partial(_drawn, case, row)
    return draw(case.subject.tensor), draw


def _drawn(case: Case, row: ExplanationKind, tensor: Tensor) -> Heatmap:
    model = case.subject.model
    return row.draw(Subject(model, tensor, trace(model, tensor, case.subject.target, "probability")))


def gain_words(gain: ImageGain | None) -> str:
    """What tuning gained on its image, in two sentences: by what it was tuned for, and by what it was not."""
    if gain is None:
        return "There is nothing to compare with: every map that needs no tuning is flat."
    own, second = gain.own, gain.second
    over = f"over {gain.other}, the best that needs no tuning: {own.title} {own.tuned:.3f} against {own.other:.3f}"
    first = {
        BETTER: f"A gain of {own.tuned - own.other:+.3f} {over}, a difference of {span(own)}.",
        NO_GAIN: f"No gain {over}; the difference, {span(own)}, is within the noise of the steps.",
        WORSE: f"No gain {over}, a difference of {span(own)}.",
        UNKNOWN: f"Measured once {over}: whether that is a gain cannot be told.",
    }[own.verdict]
    said = {
        BETTER: "it is better",
        WORSE: "it is worse",
        NO_GAIN: "it is no better",
        UNKNOWN: "nothing can be told",
    }[second.verdict]
    difference = "" if second.verdict == UNKNOWN else f", a difference of {span(second)}"
    return (
        f"{first} By another measure, which it was not tuned for, {said}: {second.title} {second.tuned:.3f} against "
        f"{second.other:.3f}{difference}."
    )


def span(gain: Gain) -> str:
    """The interval of a difference."""
    return f"{gain.low:+.3f} to {gain.high:+.3f}".replace("-", "−")
