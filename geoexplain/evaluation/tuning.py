"""Measure the gain of tuned weights over references, on images that they were not tuned on."""

from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from functools import partial

import numpy as np
from numpy.typing import NDArray

from geoexplain.errors import DataError
from geoexplain.evaluation.figures import FEWEST_IMAGES
from geoexplain.evaluation.methods import draw_anew
from geoexplain.evaluation.pictures import Picture, Source
from geoexplain.explainer.cams import ExplanationCancelledError
from geoexplain.explainer.combine import Heatmap
from geoexplain.explainer.intervals import mean_interval
from geoexplain.explainer.metrics import ROAD_STEPS, STEPS, Redraw
from geoexplain.explainer.objectives import CHECKED_BY, CROSS_CHECK, OBJECTIVES, Objective, objective_name
from geoexplain.explainer.tuning import Case, Setting, Tuning, heatmap_of, prepare_case, redraw_of
from geoexplain.locator.model import GeoModel
from geoexplain.locator.tuned import HeldOut, Interval, StageWeights

REFERENCES = ("grad-cam", "combi-cam-all", "combi-cam", "gaussian")
"""References for tuned weights: the deepest stage alone, equal weights, the published weights, and a Gaussian at the
centre of the image, which does not depend on the network."""

LARGEST_GAIN = 2.0
"""Largest difference between two values of an objective or of its cross-check; replaces infinite ends of intervals."""


def split(total: int, share: float, seed: int = 0) -> tuple[frozenset[int], frozenset[int]]:
    """Split the indices of `total` images at random into those to tune on and the `share` that is held out.

    At least one image is tuned on, and at least one is held out unless the share is 0. Raises DataError for fewer
    images, or a share outside [0, 1).
    """
    if not 0 <= share < 1:
        raise DataError(f"expected a share of images from 0 to below 1, got {share}.")
    needed = 2 if share > 0 else 1
    if total < needed:
        raise DataError(f"expected at least {needed} images, so that one can be held out, got {total}: give more.")
    order = np.random.default_rng(seed).permutation(total).tolist()
    held_out = min(max(1, round(share * total)), total - 1) if share > 0 else 0
    return frozenset(order[held_out:]), frozenset(order[:held_out])


def tuning_cases(
    model: GeoModel,
    source: Source,
    chosen: Collection[int],
    method: str = "grad-cam",
    *,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> list[Case]:
    """Trace each chosen image of a source for its top cell; skip images that cannot be read.

    Raises DataError as `prepare_case` does, and ExplanationCancelledError when cancelled.
    """
    cases = []
    for done, picture in enumerate(_pictures(source, chosen), 1):
        if cancelled is not None and cancelled():
            raise ExplanationCancelledError("Tuning was cancelled: start it again.")
        if picture.tensor is not None:
            cases.append(prepare_case(model, picture.tensor.to(model.device), None, method, cancelled=cancelled))
        if progress is not None:
            progress(done, len(chosen))
    return cases


def held_out_gains(
    model: GeoModel,
    source: Source,
    chosen: Collection[int],
    method: str,
    setting: Setting,
    *,
    objective: str = "insertion-deletion",
    steps: int = STEPS,
    seed: int = 0,
    references: Sequence[str] = REFERENCES,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> tuple[HeldOut, HeldOut]:
    """Measure a setting and the references, names out of faithfulness_methods(), on images that it was not tuned on.

    The measures are the objective, and CHECKED_BY, which it was not tuned for. A gain is the mean of the differences
    per image, with its interval. Images that cannot be read, or for which the setting or a reference gives a flat map,
    are left out, so that all are compared on the same images. A reference that gives only flat maps has no gain
    instead. Raises DataError if no image is left, and ExplanationCancelledError when cancelled.
    """
    measures = {
        objective_name(objective, steps): (OBJECTIVES[objective], steps),
        objective_name(CROSS_CHECK, ROAD_STEPS): (CHECKED_BY, ROAD_STEPS),
    }
    own: list[list[float]] = []  # (images, measures)
    others: dict[str, list[list[float]]] = {name: [] for name in references}
    for done, picture in enumerate(_pictures(source, chosen), 1):
        if cancelled is not None and cancelled():
            raise ExplanationCancelledError("Measuring tuned weights was cancelled: start it again.")
        if picture.tensor is not None:
            case = prepare_case(model, picture.tensor.to(model.device), None, method, cancelled=cancelled)
            mine = heatmap_of(case, setting)
            if not mine.flat:
                own.append(_values(case, mine, redraw_of(case, setting), measures.values()))
                for name in references:
                    # A random map is drawn again with another seed, since it does not depend on the image.
                    drawn, redraw = (
                        partial(draw_anew, model, case.subject.target, name, (seed, picture.index, time))
                        for time in (0, 1)
                    )
                    others[name].append(_values(case, drawn(case.subject.tensor), redraw, measures.values()))
        if progress is not None:
            progress(done, len(chosen))
    gains = [
        _held_out(
            name,
            source,
            np.array([values[place] for values in own]),
            {other: np.array([values[place] for values in rows]) for other, rows in others.items()},
        )
        for place, name in enumerate(measures)
    ]
    return gains[0], gains[1]


def _values(case: Case, heatmap: Heatmap, redraw: Redraw, measures: Iterable[tuple[Objective, int]]) -> list[float]:
    """Measure a heatmap by several objectives; NaN for no value."""
    values = (by.value(case.subject, heatmap, redraw, steps) for by, steps in measures)
    return [np.nan if value is None else value for value in values]


def _held_out(
    name: str, source: Source, values: NDArray[np.float64], others: Mapping[str, NDArray[np.float64]]
) -> HeldOut:
    """Compare the values (images,) of the setting with those of the references, on images where all have a value."""
    gains = {other: gain for other, theirs in others.items() if not np.isnan(gain := values - theirs).all()}
    common = ~np.isnan([values, *gains.values()]).any(axis=0)
    if not common.any():
        raise DataError("expected a held-out image with something to explain, got none: hold out more.")
    images = int(common.sum())
    return HeldOut(
        on=f"{images:,} other images of {source.title}",
        images=images,
        objective=name,
        value=interval(values[common]),
        gains={other: interval(gain[common]) for other, gain in gains.items()},
    )


def interval(values: NDArray[np.float64]) -> Interval:
    """Return the mean of values (N,), N ≥ 1, and its interval, to 6 decimals; for one value, the widest interval."""
    ends = np.clip(mean_interval(values), -LARGEST_GAIN, LARGEST_GAIN)
    return Interval(*(round(float(value), 6) for value in (values.mean(), *ends)))


def stage_weights(tuning: Tuning, tuned_on: str, held_out: tuple[HeldOut, HeldOut] | None) -> StageWeights:
    """Return the result of a search and its `held_out_gains` as StageWeights, which a model stores."""
    setting = tuning.setting
    return StageWeights(
        tuning.method,
        setting.level,
        "probability",
        setting.how,
        setting.weights,
        tuning.objective,
        tuned_on,
        tuning.images,
        *(held_out or (None, None)),
    )


def verdict(gain: Interval, images: int) -> str:
    """Return the verdict on a gain: "better", "no gain" or "worse", by its interval.

    For fewer than FEWEST_IMAGES images it is "too few".
    """
    if images < FEWEST_IMAGES:
        return "too few"
    if gain.low > 0:
        return "better"
    return "worse" if gain.high < 0 else "no gain"


def _pictures(source: Source, chosen: Collection[int]) -> Generator[Picture, None, None]:
    with closing(source.pictures(frozenset(range(source.total)) - frozenset(chosen))) as pictures:
        yield from pictures
