"""One image, every explanation of it, every metric: what a scoreboard shows."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from torch import Tensor

from geoexplain.errors import DataError
from geoexplain.explainer.cams import ExplanationCancelledError, is_flat
from geoexplain.explainer.chance import moved
from geoexplain.explainer.combine import Heatmap, Preset
from geoexplain.explainer.faithfulness import METRICS, images_needed, measure
from geoexplain.explainer.metrics import ROAD_STEPS, STEPS
from geoexplain.explainer.subject import Measure, MeasuredSubject, Seed, Subject, subject
from geoexplain.explainer.table import BASELINE, ExplanationKind, combination, kind_of, of_family
from geoexplain.explainer.target import Explained
from geoexplain.explainer.trace import Trace, trace
from geoexplain.locator.model import GeoModel

CHANCE_MAPS = 10
"""Unrelated maps that are measured besides, unless told otherwise: their scatter is what a method has to exceed."""


@dataclass(frozen=True, eq=False)
class Tried:
    """One explanation, or baseline, and how it did.

    name, title  of the candidate or baseline
    baseline     True if it knows nothing of the network
    heatmap      what was measured
    drawing_s    seconds that drawing it took, the trace included, which all gradient methods share
    measures     one per metric, in the order of METRICS
    """

    name: str
    title: str
    baseline: bool
    heatmap: Heatmap
    drawing_s: float
    measures: tuple[Measure, ...]


@dataclass(frozen=True, eq=False)
class Trial:
    """All explanations of one image and cell, measured.

    subject  what they were measured on
    tried    the candidates, then the baselines
    chance   the measures of maps that are as coarse as the candidates' and unrelated to the image: the candidates' own,
             moved elsewhere
    """

    subject: MeasuredSubject
    tried: tuple[Tried, ...]
    chance: tuple[tuple[Measure, ...], ...]


def try_explanations(
    model: GeoModel,
    tensor: Tensor,
    target: Explained,
    candidates: Mapping[str, ExplanationKind],
    *,
    baselines: Sequence[str] | None = None,
    metrics: Collection[str] | None = None,
    steps: int = STEPS,
    road_steps: int = ROAD_STEPS,
    seed: int = 0,
    chance: int = CHANCE_MAPS,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Trial:
    """Draw and measure every candidate and baseline for one image (1, 3, H, W) and cell; the probability is explained.

    baselines  names of baselines; None is all of them
    metrics    keys of METRICS; None is all of them
    chance     how many unrelated maps are measured besides; none if every candidate's is flat
    progress   hears (maps measured, all), with fractions of one rounded down to hundredths: (250, 900) is two and a
               half of nine
    cancelled  is asked before every pass of the network

    Raises DataError for a cell, a metric or steps that are not there, ExplanationCancelledError when called off.
    """
    metrics = tuple(METRICS) if metrics is None else metrics
    unknown = [metric for metric in metrics if metric not in METRICS]
    if unknown or not metrics or min(steps, road_steps) < 1:
        raise DataError(
            f"expected metrics out of {tuple(METRICS)} and at least 1 step, got {tuple(metrics)}, {steps} and "
            f"{road_steps}."
        )
    known = of_family(BASELINE)
    rows = {**candidates, **{name: kind_of(name) for name in (known if baselines is None else baselines)}}
    total = len(rows) + chance
    each = images_needed(metrics, steps, road_steps)
    done = images = 0

    def heard(count: int) -> None:
        nonlocal images
        images += count
        if progress is not None:
            progress(100 * done + min(99, 100 * images // each), 100 * total)

    looked_at = subject(model, tensor, target, cancelled=cancelled, progress=heard)
    begun = time.perf_counter()
    traced = trace(model, looked_at.tensor, target, "probability")
    tracing_s = time.perf_counter() - begun
    tried = []
    for name, row in rows.items():
        images = 0
        if cancelled is not None and cancelled():
            raise ExplanationCancelledError("Measuring the explanations was cancelled: start it again.")
        begun = time.perf_counter()
        heatmap = row.draw(Subject(model, looked_at.tensor, traced, (seed, 0), cancelled=cancelled))
        again = partial(drawn_again, model, traced, row, (seed, 1), cancelled=cancelled)
        drawing_s = time.perf_counter() - begun + (tracing_s if name in candidates else 0.0)
        measures = measure(looked_at, heatmap, again, metrics, steps=steps, road_steps=road_steps, seed=seed)
        tried.append(Tried(name, row.title, row.family == BASELINE, heatmap, drawing_s, measures))
        done, images = done + 1, 0
        heard(0)
    by_chance = []
    for heatmap in moved_heatmaps([one.heatmap for one in tried if not one.baseline], chance, seed):
        images = 0
        # The same map of the masked image: what has nothing to do with the image does not change with it.
        again = partial(_unchanged, heatmap)
        by_chance.append(measure(looked_at, heatmap, again, metrics, steps=steps, road_steps=road_steps, seed=seed))
        done, images = done + 1, 0
        heard(0)
    done = total
    heard(0)
    return Trial(looked_at, tuple(tried), tuple(by_chance))


def moved_heatmaps(heatmaps: Sequence[Heatmap], count: int, seed: int = 0) -> list[Heatmap]:
    """So many heatmaps that are as coarse as these and unrelated to the image: each in turn, moved elsewhere.

    None if all are flat. Where a map that is zero almost everywhere is moved to where it is zero, it is flat.
    """
    found = [one for one in heatmaps if not one.flat]
    generator = np.random.default_rng(seed)
    values = [moved(found[place % len(found)].values, generator) for place in range(count if found else 0)]
    return [replace(found[place % len(found)], values=one, flat=is_flat(one)) for place, one in enumerate(values)]


def of_setting(method: str, level: str, how: str, weights: Sequence[float]) -> ExplanationKind:
    """Combi-CAM as somebody has set it. Drawing raises DataError for a setting that there is not."""
    given = tuple(weights)
    return combination("Combi-CAM, as set above", "", Preset(level, "probability", how, lambda _n: given, method))


def _unchanged(heatmap: Heatmap, _tensor: Tensor) -> Heatmap:
    return heatmap


def drawn_again(
    model: GeoModel,
    traced: Trace,
    row: ExplanationKind,
    seed: Seed,
    tensor: Tensor,
    *,
    cancelled: Callable[[], bool] | None = None,
) -> Heatmap:
    """An explanation of another image (1, 3, H, W), for the same cell: what `adcc` takes as `again`.

    A baseline is drawn by `seed`, without a pass of the network.
    """
    if row.family != BASELINE:
        traced = trace(model, tensor, traced.explained, "probability")
    return row.draw(Subject(model, tensor, traced, seed, cancelled=cancelled))
