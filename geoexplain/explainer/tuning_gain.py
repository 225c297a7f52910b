"""How much tuned weights gain on their own image over the best map without tuning, by two measures."""

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
from geoexplain.explainer.metrics import Redraw
from geoexplain.explainer.objectives import CHECKED_BY, OBJECTIVES, Objective
from geoexplain.explainer.subject import Subject
from geoexplain.explainer.table import CAMS, TUNED, ExplanationKind, kinds_of_family
from geoexplain.explainer.trace import trace
from geoexplain.explainer.tuning import TUNING_STEPS, Case, Setting, heatmap_of, redraw_of

BETTER, WORSE, NO_GAIN, UNKNOWN = "better", "worse", "no gain", "unknown"


@dataclass(frozen=True)
class Gain:
    """One measure, higher is better, of tuned weights and of the map they are compared with, on one image.

    title         of the measure
    tuned, other  the means over its grids, which are other numbers of steps than those of the search
    low, high     interval of the mean difference, whose width reflects the choice of steps alone; infinite for a
                  measure without steps, whose noise on one image is unknown
    """

    title: str
    tuned: float
    other: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """BETTER, WORSE or NO_GAIN, decided by the interval; UNKNOWN if it is infinite."""
        if not math.isfinite(self.low):
            return UNKNOWN
        return BETTER if self.low > 0 else WORSE if self.high < 0 else NO_GAIN


@dataclass(frozen=True)
class ImageGain:
    """Tuned weights against the best of `untuned_kinds` on the image that they were tuned on.

    other   title of that best explanation
    own     gain by the objective of the search
    second  gain by CHECKED_BY, which the search did not use
    """

    other: str
    own: Gain
    second: Gain


def untuned_kinds() -> dict[str, ExplanationKind]:
    """Return the CAMs that need no tuning and a single trace, as maps with tuned weights do."""
    return {name: kind for name, kind in kinds_of_family(*CAMS).items() if not kind.passes and name != TUNED}


def measurement_count(objective: str) -> int:
    """Return the number of heatmaps that `image_gain` measures at most."""
    return len(untuned_kinds()) + 2 * max(1, len(OBJECTIVES[objective].grids)) + 2 * len(CHECKED_BY.grids)


def image_gain(
    case: Case,
    setting: Setting,
    objective: str = "insertion-deletion",
    steps: int = TUNING_STEPS,
    *,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> ImageGain | None:
    """Compare a setting that was tuned on an image with the best map of that image that needs no tuning.

    The best of `untuned_kinds` is chosen by the objective in `steps` steps, as in the search. Both are then measured
    again with other numbers of steps: among a hundred settings that differ only by the noise of the steps, the search
    finds one that looks better. Returns None if the setting, or every map without tuning, has no value.

    progress   called as progress(done, total) with counts of measured heatmaps
    cancelled  called before each heatmap; if it returns True, ExplanationCancelledError is raised

    Raises DataError for another objective or steps below 1, ExplanationCancelledError when cancelled.
    """
    if objective not in OBJECTIVES:
        raise DataError(f"expected an objective out of {tuple(OBJECTIVES)}, got {objective!r}: choose one of these.")
    done, total = 0, measurement_count(objective)

    def measure(by: Objective, drawn: tuple[Heatmap, Redraw], count: int) -> float | None:
        nonlocal done
        if cancelled is not None and cancelled():
            raise ExplanationCancelledError("Tuning was cancelled: start it again.")
        value = by.value(case.subject, *drawn, count)
        done += 1
        if progress is not None:
            progress(done, total)
        return value

    by = OBJECTIVES[objective]
    rows = untuned_kinds()
    maps = {name: heatmap_and_redraw(case, row) for name, row in rows.items()}
    values = {name: measure(by, drawn, steps) for name, drawn in maps.items()}
    known = {name: value for name, value in values.items() if value is not None}
    tuned = heatmap_of(case, setting), redraw_of(case, setting)
    if not known or tuned[0].flat:
        return None
    other = max(known, key=known.__getitem__)

    def gain(by: Objective, usual: int) -> Gain | None:
        pairs = [(measure(by, tuned, count), measure(by, maps[other], count)) for count in by.grids or (usual,)]
        both = np.array([pair for pair in pairs if None not in pair], dtype=np.float64)
        if not len(both):
            return None
        own, others = both.T
        return Gain(by.title, float(own.mean()), float(others.mean()), *mean_interval(own - others))

    own, second = gain(by, steps), gain(CHECKED_BY, steps)
    return None if own is None or second is None else ImageGain(rows[other].title, own, second)


def heatmap_and_redraw(case: Case, row: ExplanationKind) -> tuple[Heatmap, Redraw]:
    """Return the heatmap of one of `untuned_kinds` for a case, and a function that draws it for another image."""
    draw = partial(_draw_row, case, row)
    return draw(case.subject.tensor), draw


def _draw_row(case: Case, row: ExplanationKind, tensor: Tensor) -> Heatmap:
    model = case.subject.model
    return row.draw(Subject(model, tensor, trace(model, tensor, case.subject.target, "probability")))


def gain_text(gain: ImageGain | None) -> str:
    """Describe the gain of tuning on its image in two sentences: by the objective of the search, and by CHECKED_BY."""
    if gain is None:
        return "There is nothing to compare with: every map that needs no tuning is flat."
    own, second = gain.own, gain.second
    over = f"over {gain.other}, the best that needs no tuning: {own.title} {own.tuned:.3f} against {own.other:.3f}"
    first = {
        BETTER: f"A gain of {own.tuned - own.other:+.3f} {over}, a difference of {interval_text(own)}.",
        NO_GAIN: f"No gain {over}; the difference, {interval_text(own)}, is within the noise of the steps.",
        WORSE: f"No gain {over}, a difference of {interval_text(own)}.",
        UNKNOWN: f"Measured once {over}: one measurement cannot show a gain.",
    }[own.verdict]
    second_text = {
        BETTER: "it is better",
        WORSE: "it is worse",
        NO_GAIN: "it is no better",
        UNKNOWN: "the result is open",
    }[second.verdict]
    difference = "" if second.verdict == UNKNOWN else f", a difference of {interval_text(second)}"
    return (
        f"{first} By another measure, which it was not tuned for, {second_text}: {second.title} {second.tuned:.3f} "
        f"against {second.other:.3f}{difference}."
    )


def interval_text(gain: Gain) -> str:
    """Return the interval of a difference: "−0.012 to +0.034"."""
    return f"{gain.low:+.3f} to {gain.high:+.3f}".replace("-", "−")
