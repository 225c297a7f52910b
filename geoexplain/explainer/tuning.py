"""Which weights make the most faithful Combi-CAM? A search on maps that were traced once, few measurements long."""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from geoexplain.errors import DataError
from geoexplain.explainer.cams import ExplanationCancelledError, StageMap
from geoexplain.explainer.combine import COMBINATIONS, Heatmap, combine, every
from geoexplain.explainer.metrics import Again
from geoexplain.explainer.objectives import OBJECTIVES, objective_name
from geoexplain.explainer.subject import MeasuredSubject, subject
from geoexplain.explainer.table import stage_maps
from geoexplain.explainer.target import Explained
from geoexplain.explainer.trace import LEVELS, trace
from geoexplain.explainer.tuned import presets
from geoexplain.locator.model import GeoModel

TUNING_STEPS = 12
"""Steps of deletion and insertion while tuning, unless told otherwise: enough to tell weights apart."""

GRID = (0.0, 0.25, 0.5, 1.0, 2.0)
"""What a weight is tried at, the largest of all being 1 at the time."""

PASSES = 3
"""How often the search goes through all weights at most; it ends before when nothing is gained any more."""

RUNGS = (0.25, 0.5, 1.0)
"""Shares of the images after which a trial is given up unless it leads."""


@dataclass(frozen=True)
class Setting:
    """One Combi-CAM: "stage" or "block", key in COMBINATIONS, and one weight per map."""

    level: str
    how: str
    weights: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Case:
    """An image and a cell to tune on: what it is measured by, and its maps by level, traced once."""

    subject: MeasuredSubject
    method: str
    maps: dict[str, tuple[StageMap, ...]] = field(repr=False)

    @property
    def flat(self) -> bool:
        """True if there is no map to weigh."""
        return all(one.flat for maps in self.maps.values() for one in maps)


@dataclass(frozen=True, eq=False)
class Tuning:
    """What a search found.

    method     the gradient CAM whose maps are combined
    setting    the best of all that were measured; the largest weight is 1
    objective  its name, with the steps
    value      its mean over the images where it has a value
    starts     the same of every preset and every single map, by name; None for a map that is flat on every image
    without    of the starts, on how many images one has no value; none where it has one on all
    images     how many were tuned on: those with a map to weigh
    trials     settings that were tried, and `measured` how many heatmaps that took through the network
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


def prepare(
    model: GeoModel,
    tensor: Tensor,
    target: Explained | None = None,
    method: str = "grad-cam",
    *,
    cancelled: Callable[[], bool] | None = None,
) -> Case:
    """Trace a normalised image (1, 3, H, W) once: the maps of one gradient method for the probability of a cell.

    `target` None is the most probable cell. `cancelled` is asked before every later pass of the network, too.
    Raises DataError for another shape, cell or method, ExplanationCancelledError when called off.
    """
    traced = trace(model, tensor, target, "probability")
    maps = {level: stage_maps(traced, method, level) for level in LEVELS}
    return Case(subject(model, tensor, traced.explained, cancelled=cancelled), method, maps)


def heatmap_of(case: Case, setting: Setting) -> Heatmap:
    """A case's Combi-CAM by a setting. No network pass."""
    return combine(case.maps[setting.level], setting.weights, setting.how, case.subject.size_hw)


def again_of(case: Case, setting: Setting) -> Again:
    """What makes the same Combi-CAM of another image (1, 3, H, W), for the same cell."""

    def again(tensor: Tensor) -> Heatmap:
        traced = trace(case.subject.model, tensor, case.subject.target, "probability")
        maps = stage_maps(traced, case.method, setting.level)
        return combine(maps, setting.weights, setting.how, case.subject.size_hw)

    return again


def value_of(case: Case, setting: Setting, objective: str, steps: int) -> float | None:
    """The objective of a case's Combi-CAM by a setting; None for a flat one."""
    return OBJECTIVES[objective].value(case.subject, heatmap_of(case, setting), again_of(case, setting), steps)


def scaled(weights: Sequence[float]) -> tuple[float, ...]:
    """Weights ≥ 0, one of them above 0, divided by the largest."""
    largest = max(weights)
    return tuple(weight / largest for weight in weights)


def starts_of(level: str, how: str | None, counts: dict[str, int]) -> dict[str, Setting]:
    """What a search begins with, by name: the presets as they are, equal weights, and every map alone.

    `counts` says how many maps a level has. Only what is of `level` and `how` (None: any way) is searched from.
    """
    way = how or "max"
    found = {
        name: Setting(preset.level, preset.how, scaled(preset.weights(counts[preset.level])))
        for name, preset in presets().items()
    }
    alike = Setting(level, way, every(counts[level]))
    if alike not in found.values():
        found["equal weights"] = alike
    for index in range(counts[level]):
        alone = tuple(float(other == index) for other in range(counts[level]))
        found[f"{level} {index + 1} alone"] = Setting(level, way, alone)
    return found


def steps_of(how: str | None, count: int) -> list[tuple[int | None, float | str]]:
    """One pass of the search over `count` maps: (None, a way of combining), or (index of a weight, a value).

    The deepest maps come first: they matter most.
    """
    ways: list[tuple[int | None, float | str]] = [(None, way) for way in COMBINATIONS] if how is None else []
    return ways + [(index, value) for index in reversed(range(count)) for value in GRID]


def moved(setting: Setting, index: int | None, value: float | str) -> Setting | None:
    """A setting after one of `steps_of`; None if it would leave nothing."""
    if index is None:
        return replace(setting, how=str(value))
    weights = [float(value) if other == index else weight for other, weight in enumerate(setting.weights)]
    return replace(setting, weights=scaled(weights)) if max(weights) > 0 else None


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

    All presets and every map alone are measured on every image; from the best of them the search goes along one
    weight after the other, to the values of GRID. A trial is measured on a quarter of the images, goes on to half and
    to all of them only while it leads, and takes the lead only if it does on all: so the result is at no time worse,
    on these images, than any start. Heatmaps of an image that the objective cannot tell apart are measured once.

    cases      at least one, of one method and model; those without any map to weigh are left out
    level      "stage" or "block": what is weighed
    how        key in COMBINATIONS; None tries every way
    objective  key in OBJECTIVES
    steps      of deletion and insertion
    passes     through all weights, at most
    seed       of the order of the images, which decides what trials see first
    progress   hears (done, total) in trials, those spared among them
    cancelled  asked before every trial

    Raises DataError for another level, way or objective, steps below 1, no map to weigh in any case, or none that the
    objective has a value for; ExplanationCancelledError when called off.
    """
    checked_choices(level, how, objective)
    useful = [case for case in cases if not case.flat]
    if not useful:
        raise DataError("expected an image with something to explain, got flat maps alone: choose other images.")
    order = np.random.default_rng(seed).permutation(len(useful))
    bench = _Bench([useful[i] for i in order], objective, steps, cancelled)
    counts = {key: len(maps) for key, maps in useful[0].maps.items()}
    starts = starts_of(level, how, counts)
    one_pass = steps_of(how, counts[level])
    total = len(starts) + passes * len(one_pass)
    report = progress or (lambda _done, _total: None)

    values: dict[str, NDArray[np.float64]] = {}
    for name, setting in starts.items():
        values[name] = bench.values(setting, len(useful))
        report(len(values), total)
    means = {name: bench.mean(found) for name, found in values.items()}
    within = [name for name, one in starts.items() if one.level == level and how in {None, one.how}]
    first = max(within, key=means.__getitem__)
    best, leading = starts[first], values[first]
    seen = {starts[name] for name in within}
    done = trials = len(starts)
    for _ in range(passes):
        before = best
        for index, value in one_pass:
            trial = moved(best, index, value)
            if trial is not None and trial not in seen:
                seen.add(trial)
                trials += 1
                found = bench.race(trial, leading)
                if found is not None:
                    best, leading = trial, found
            done += 1
            report(done, total)
        if best == before:
            break
    report(total, total)
    overall = max(means, key=means.__getitem__)
    if means[overall] > bench.mean(leading):
        best, leading = starts[overall], values[overall]
    if np.isnan(leading).all():
        raise DataError(f"expected a map that {OBJECTIVES[objective].title} has a value for, got none: choose others.")
    return Tuning(
        useful[0].method,
        best,
        objective_name(objective, steps),
        float(np.nanmean(leading)),
        {name: float(np.nanmean(found)) if np.isfinite(found).any() else None for name, found in values.items()},
        {name: int(np.isnan(found).sum()) for name, found in values.items() if np.isnan(found).any()},
        len(useful),
        trials,
        bench.measured,
    )


def checked_choices(level: str, how: str | None, objective: str) -> None:
    """Raise DataError for a level, a way of combining or an objective that does not exist."""
    for what, value, known in (
        ("a level", level, LEVELS),
        ("a way of combining", how or "max", tuple(COMBINATIONS)),
        ("an objective", objective, tuple(OBJECTIVES)),
    ):
        if value not in known:
            raise DataError(f"expected {what} out of {known}, got {value!r}: choose one of these.")


class _Bench:
    """Measures settings on cases, in their order, and remembers every value."""

    def __init__(self, cases: Sequence[Case], objective: str, steps: int, cancelled: Callable[[], bool] | None):
        self._cases, self._objective, self._steps = cases, OBJECTIVES[objective], steps
        self._cancelled = cancelled
        self._known: list[dict[bytes, float]] = [{} for _ in cases]
        self.measured = 0

    def values(self, setting: Setting, stop: int, start: int = 0) -> NDArray[np.float64]:
        """The objective (stop − start,) of a setting on some of the cases; NaN where it has no value."""
        return np.array([self._value(i, setting) for i in range(start, stop)], dtype=np.float64)

    def mean(self, values: NDArray[np.float64]) -> float:
        """The mean by which settings are ranked: what has no value counts as the least that there can be."""
        return float(np.where(np.isnan(values), self._objective.lowest, values).mean())

    def race(self, setting: Setting, leading: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """The values of a setting on all cases if it leads after every rung; None as soon as it does not."""
        found = np.zeros(0)
        for share in RUNGS:
            stop = max(1, round(share * len(self._cases)))
            found = np.concatenate([found, self.values(setting, stop, len(found))])
            if self.mean(found) <= self.mean(leading[: len(found)]):
                return None
        return found

    def _value(self, index: int, setting: Setting) -> float:
        if self._cancelled is not None and self._cancelled():
            raise ExplanationCancelledError("Tuning was cancelled: start it again.")
        case, known = self._cases[index], self._known[index]
        heatmap = heatmap_of(case, setting)
        if heatmap.flat:
            return math.nan
        key = hashlib.blake2b(np.ascontiguousarray(self._objective.key(heatmap)).data, digest_size=16).digest()
        if key not in known:
            value = self._objective.value(case.subject, heatmap, again_of(case, setting), self._steps)
            known[key] = math.nan if value is None else value
            self.measured += 1
        return known[key]
