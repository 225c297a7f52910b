"""Tuning: a search for the weights of the most faithful Combi-CAM, on maps that are traced once."""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from geoexplain.errors import DataError
from geoexplain.explainer.cams import ExplanationCancelledError, StageMap
from geoexplain.explainer.combine import COMBINATIONS, Heatmap, combine, equal_weights
from geoexplain.explainer.metrics import Redraw
from geoexplain.explainer.objectives import OBJECTIVES, objective_name
from geoexplain.explainer.subject import MeasuredSubject, prepare_subject
from geoexplain.explainer.table import stage_maps
from geoexplain.explainer.target import Explained
from geoexplain.explainer.trace import LEVELS, trace
from geoexplain.explainer.tuned import presets
from geoexplain.locator.model import GeoModel

TUNING_STEPS = 12
"""Default number of steps of deletion and insertion during tuning: enough to distinguish weights."""

GRID = (0.0, 0.25, 0.5, 1.0, 2.0)
"""Values that are tried for a weight, relative to the largest weight."""

PASSES = 3
"""Largest number of passes of the search through all weights; it stops earlier if a pass improves nothing."""

RUNGS = (0.25, 0.5, 1.0)
"""Shares of the images after which a trial is dropped unless it leads."""


@dataclass(frozen=True)
class Setting:
    """One Combi-CAM: level "stage" or "block", key in COMBINATIONS, and one weight per map."""

    level: str
    how: str
    weights: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Case:
    """An image and a target to tune on: the subject of the measurements, and its maps by level, traced once."""

    subject: MeasuredSubject
    method: str
    maps: dict[str, tuple[StageMap, ...]] = field(repr=False)

    @property
    def flat(self) -> bool:
        """True if all maps are flat, so that there is nothing to weight."""
        return all(one.flat for maps in self.maps.values() for one in maps)


@dataclass(frozen=True, eq=False)
class Tuning:
    """The result of a search.

    method     the gradient CAM whose maps are combined
    setting    the best setting that was measured; its largest weight is 1
    objective  name of the objective, with its number of steps
    value      mean objective of the setting over the images where it has a value
    starts     mean objective of every preset and every single map, by name; None for a map that is flat on every image
    without    start → number of images on which it has no value, for starts with such images
    images     number of images that were tuned on: those with a map that is not flat
    trials     number of settings that were tried
    measured   number of heatmaps that were measured with the network for these trials
    """

    method: str
    setting: Setting
    objective: str
    value: float
    starts: dict[str, float | None]
    without: dict[str, int]
    images: int
    trials: int
    measured: int


def prepare_case(
    model: GeoModel,
    tensor: Tensor,
    target: Explained | None = None,
    method: str = "grad-cam",
    *,
    cancelled: Callable[[], bool] | None = None,
) -> Case:
    """Trace a normalised image (1, 3, H, W) once, and compute one gradient method's maps for the target's probability.

    target     the cell or cells to explain; None: the most probable cell
    cancelled  called before every later network pass, too; if it returns True, ExplanationCancelledError is raised

    Raises DataError for another shape, target or method, ExplanationCancelledError when cancelled.
    """
    traced = trace(model, tensor, target, "probability")
    maps = {level: stage_maps(traced, method, level) for level in LEVELS}
    return Case(prepare_subject(model, tensor, traced.explained, cancelled=cancelled), method, maps)


def heatmap_of(case: Case, setting: Setting) -> Heatmap:
    """Draw a case's Combi-CAM by a setting. No network pass."""
    return combine(case.maps[setting.level], setting.weights, setting.how, case.subject.size_hw)


def redraw_of(case: Case, setting: Setting) -> Redraw:
    """Return a function that draws the same Combi-CAM for another image (1, 3, H, W) and the same target."""

    def redraw(tensor: Tensor) -> Heatmap:
        traced = trace(case.subject.model, tensor, case.subject.target, "probability")
        maps = stage_maps(traced, case.method, setting.level)
        return combine(maps, setting.weights, setting.how, case.subject.size_hw)

    return redraw


def value_of(case: Case, setting: Setting, objective: str, steps: int) -> float | None:
    """Compute the objective of a case's Combi-CAM by a setting; None if it is flat."""
    return OBJECTIVES[objective].value(case.subject, heatmap_of(case, setting), redraw_of(case, setting), steps)


def scale_to_largest(weights: Sequence[float]) -> tuple[float, ...]:
    """Divide weights ≥ 0, at least one of them above 0, by the largest."""
    largest = max(weights)
    return tuple(weight / largest for weight in weights)


def starting_settings(level: str, how: str | None, counts: dict[str, int]) -> dict[str, Setting]:
    """Return the settings that a search starts with, by name: the presets, equal weights, and every map alone.

    counts  level → number of maps

    All are measured, but the search continues only from one of `level` and `how` (None: any way of combining).
    """
    way = how or "max"
    starts = {
        name: Setting(preset.level, preset.how, scale_to_largest(preset.weights(counts[preset.level])))
        for name, preset in presets().items()
    }
    equal = Setting(level, way, equal_weights(counts[level]))
    if equal not in starts.values():
        starts["equal weights"] = equal
    for index in range(counts[level]):
        alone = tuple(float(other == index) for other in range(counts[level]))
        starts[f"{level} {index + 1} alone"] = Setting(level, way, alone)
    return starts


def search_steps(how: str | None, count: int) -> list[tuple[int | None, float | str]]:
    """Return the steps of one pass over `count` maps: (None, way of combining), or (index of a weight, its value).

    The deepest maps come first, since they matter most.
    """
    ways: list[tuple[int | None, float | str]] = [(None, way) for way in COMBINATIONS] if how is None else []
    return ways + [(index, value) for index in reversed(range(count)) for value in GRID]


def apply_step(setting: Setting, index: int | None, value: float | str) -> Setting | None:
    """Apply one of `search_steps` to a setting; return None if all weights would be 0."""
    if index is None:
        return replace(setting, how=str(value))
    weights = [float(value) if other == index else weight for other, weight in enumerate(setting.weights)]
    return replace(setting, weights=scale_to_largest(weights)) if max(weights) > 0 else None


def tune(
    cases: Sequence[Case],
    *,
    level: str = "stage",
    how: str | None = None,
    objective: str = "insertion-deletion",
    steps: int = TUNING_STEPS,
    passes: int = PASSES,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Tuning:
    """Search for the weights with the highest mean objective over some images of one model.

    All presets and every map alone are measured on every image. From the best of them, the search varies one weight
    after the other, over the values of GRID. A trial is measured on a quarter of the images, then on half and on all of
    them only while it leads, and becomes the best setting only if it leads on all. So the result is never worse, on
    these images, than any start. Heatmaps of an image with equal objective keys are measured once.

    cases      at least one, all of one method and model; those with flat maps alone are left out
    level      "stage" or "block": the maps that are weighted
    how        key in COMBINATIONS; None: try every way
    objective  key in OBJECTIVES
    steps      number of steps of deletion and insertion
    passes     largest number of passes through all weights
    seed       seed of the order of the images, which determines the images that trials are measured on first
    progress   called as progress(done, total) with counts of trials, including skipped ones
    cancelled  called before every measurement; if it returns True, ExplanationCancelledError is raised

    Raises DataError for another level, way of combining or objective, for steps below 1, if all maps of all cases are
    flat, or if the objective has no value for any of them; ExplanationCancelledError when cancelled.
    """
    check_choices(level, how, objective)
    useful = [case for case in cases if not case.flat]
    if not useful:
        raise DataError(
            f"expected an image with a map that is not flat, got flat maps alone for {len(cases)}: choose other images."
        )
    order = np.random.default_rng(seed).permutation(len(useful))
    bench = _Bench([useful[i] for i in order], objective, steps, cancelled)
    counts = {key: len(maps) for key, maps in useful[0].maps.items()}
    starts = starting_settings(level, how, counts)
    one_pass = search_steps(how, counts[level])
    total = len(starts) + passes * len(one_pass)
    report = progress or (lambda _done, _total: None)

    values: dict[str, NDArray[np.float64]] = {}
    for name, setting in starts.items():
        values[name] = bench.values(setting, len(useful))
        report(len(values), total)
    means = {name: bench.mean(own) for name, own in values.items()}
    within = [name for name, one in starts.items() if one.level == level and how in {None, one.how}]
    first = max(within, key=means.__getitem__)
    best, leading = starts[first], values[first]
    seen = {starts[name] for name in within}
    done = trials = len(starts)
    for _ in range(passes):
        before = best
        for index, value in one_pass:
            trial = apply_step(best, index, value)
            if trial is not None and trial not in seen:
                seen.add(trial)
                trials += 1
                trial_values = bench.race(trial, leading)
                if trial_values is not None:
                    best, leading = trial, trial_values
            done += 1
            report(done, total)
        if best == before:
            break
    report(total, total)
    overall = max(means, key=means.__getitem__)
    if means[overall] > bench.mean(leading):
        best, leading = starts[overall], values[overall]
    if np.isnan(leading).all():
        raise DataError(f"expected a map with a value of {OBJECTIVES[objective].title}, got none: choose other images.")
    return Tuning(
        useful[0].method,
        best,
        objective_name(objective, steps),
        float(np.nanmean(leading)),
        {name: float(np.nanmean(own)) if np.isfinite(own).any() else None for name, own in values.items()},
        {name: int(np.isnan(own).sum()) for name, own in values.items() if np.isnan(own).any()},
        len(useful),
        trials,
        bench.measured,
    )


def check_choices(level: str, how: str | None, objective: str) -> None:
    """Raise DataError for a level, a way of combining or an objective that does not exist."""
    for what, value, known in (
        ("a level", level, LEVELS),
        ("a way of combining", how or "max", tuple(COMBINATIONS)),
        ("an objective", objective, tuple(OBJECTIVES)),
    ):
        if value not in known:
            raise DataError(f"expected {what} out of {known}, got {value!r}: choose one of these.")


class _Bench:
    """Measures settings on cases, in their order, and caches every value."""

    def __init__(self, cases: Sequence[Case], objective: str, steps: int, cancelled: Callable[[], bool] | None):
        self._cases, self._objective, self._steps = cases, OBJECTIVES[objective], steps
        self._cancelled = cancelled
        self._known: list[dict[bytes, float]] = [{} for _ in cases]
        self.measured = 0

    def values(self, setting: Setting, stop: int, start: int = 0) -> NDArray[np.float64]:
        """Compute the objective (stop − start,) of a setting on some of the cases; NaN where it has no value."""
        return np.array([self._value(i, setting) for i in range(start, stop)], dtype=np.float64)

    def mean(self, values: NDArray[np.float64]) -> float:
        """Compute the mean that ranks settings: a missing value counts as the objective's lowest."""
        return float(np.where(np.isnan(values), self._objective.lowest, values).mean())

    def race(self, setting: Setting, leading: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """Measure a setting on all cases; return its values, or None as soon as it does not lead after a rung."""
        values = np.zeros(0)
        for share in RUNGS:
            stop = max(1, round(share * len(self._cases)))
            values = np.concatenate([values, self.values(setting, stop, len(values))])
            if self.mean(values) <= self.mean(leading[: len(values)]):
                return None
        return values

    def _value(self, index: int, setting: Setting) -> float:
        if self._cancelled is not None and self._cancelled():
            raise ExplanationCancelledError("Tuning was cancelled: start it again.")
        case, known = self._cases[index], self._known[index]
        heatmap = heatmap_of(case, setting)
        if heatmap.flat:
            return math.nan
        key = hashlib.blake2b(np.ascontiguousarray(self._objective.key(heatmap)).data, digest_size=16).digest()
        if key not in known:
            value = self._objective.value(case.subject, heatmap, redraw_of(case, setting), self._steps)
            known[key] = math.nan if value is None else value
            self.measured += 1
        return known[key]
