"""Do tuned weights explain better on images that they were not tuned on? The gain over others, image by image."""

from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import closing
from functools import partial

import numpy as np
from numpy.typing import NDArray

from geoexplain.errors import DataError
from geoexplain.evaluation.bootstrap import bootstrap_interval
from geoexplain.evaluation.explanations import explained
from geoexplain.evaluation.pictures import Picture, Source
from geoexplain.explainer.cams import ExplanationCancelledError
from geoexplain.explainer.faithfulness import STEPS
from geoexplain.explainer.objectives import OBJECTIVES, objective_name
from geoexplain.explainer.tuning import Case, Setting, Tuning, prepare, value_of
from geoexplain.locator.model import GeoModel
from geoexplain.locator.tuned import HeldOut, Interval, StageWeights

REFERENCES = ("grad-cam", "combi-cam-all", "combi-cam", "gaussian")
"""What tuned weights are compared with: the deepest stage alone, equal weights, as published, and the middle of the
image, which knows nothing of the network."""

FEWEST = 10
"""Images below which a bootstrap interval says too little."""


def split(total: int, share: float, seed: int = 0) -> tuple[frozenset[int], frozenset[int]]:
    """The indices of `total` images at random: those to tune on, and the `share` that is held out.

    At least one is tuned on, and one held out unless the share is 0. Raises DataError for fewer images, or a share
    outside [0, 1).
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
    """The chosen images of a source, each traced once for its most probable cell; those that cannot be read are not.

    Raises DataError as `prepare` does, ExplanationCancelledError when called off.
    """
    found = []
    for done, picture in enumerate(_pictures(source, chosen), 1):
        if cancelled is not None and cancelled():
            raise ExplanationCancelledError("Tuning was cancelled: start it again.")
        if picture.tensor is not None:
            found.append(prepare(model, picture.tensor.to(model.device), None, method, cancelled=cancelled))
        if progress is not None:
            progress(done, len(chosen))
    return found


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
) -> HeldOut:
    """Measure a setting and the references, names out of EXPLANATIONS, on images that it was not tuned on.

    A gain is the mean of the differences, image by image, with the bootstrap interval of that mean. An image that
    cannot be read, or of which the setting or a reference gives a flat map, is left out, so that all are compared on
    the same; a reference that gives nothing but flat maps has no gain instead. Raises DataError when no image is left,
    ExplanationCancelledError when called off.
    """
    of = OBJECTIVES[objective].value
    own: list[float] = []
    others: dict[str, list[float]] = {name: [] for name in references}
    for done, picture in enumerate(_pictures(source, chosen), 1):
        if cancelled is not None and cancelled():
            raise ExplanationCancelledError("Measuring tuned weights was cancelled: start it again.")
        if picture.tensor is not None:
            case = prepare(model, picture.tensor.to(model.device), None, method, cancelled=cancelled)
            value = value_of(case, setting, objective, steps)
            if value is not None:
                own.append(value)
                for name in references:
                    # A random map is drawn anew each time: it has nothing to be coherent with.
                    drawn, again = (
                        partial(explained, model, case.subject.target, name, (seed, picture.index, time))
                        for time in (0, 1)
                    )
                    other = of(case.subject, drawn(case.subject.tensor), again, steps)
                    others[name].append(np.nan if other is None else other)
        if progress is not None:
            progress(done, len(chosen))
    values = np.array(own)
    gains = {name: gain for name in references if not np.isnan(gain := values - np.array(others[name])).all()}
    common = ~np.isnan([values, *gains.values()]).any(axis=0)
    if not common.any():
        raise DataError("expected a held-out image with something to explain, got none: hold out more.")
    images = int(common.sum())
    return HeldOut(
        on=f"{images:,} other images of {source.title}",
        images=images,
        objective=objective_name(objective, steps),
        value=interval(values[common]),
        gains={name: interval(gain[common]) for name, gain in gains.items()},
    )


def interval(values: NDArray[np.float64]) -> Interval:
    """The mean of values (N,), N ≥ 1, and its bootstrap interval, to 6 decimals."""
    low, high = bootstrap_interval(values)
    return Interval(*(round(float(value), 6) for value in (values.mean(), low, high)))


def stage_weights(tuning: Tuning, tuned_on: str, held_out: HeldOut | None) -> StageWeights:
    """What a search found as what a model carries."""
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
        held_out,
    )


def verdict(gain: Interval, images: int) -> str:
    """What a gain over so many images amounts to: "better", "no gain" or "worse", as the interval decides.

    Of fewer than FEWEST images the interval is too narrow to decide: "too few".
    """
    if images < FEWEST:
        return "too few"
    if gain.low > 0:
        return "better"
    return "worse" if gain.high < 0 else "no gain"


def _pictures(source: Source, chosen: Collection[int]) -> Generator[Picture, None, None]:
    with closing(source.pictures(frozenset(range(source.total)) - frozenset(chosen))) as pictures:
        yield from pictures
