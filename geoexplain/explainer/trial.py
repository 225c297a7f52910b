"""Draw every explanation of one image and measure it by every metric, as a scoreboard shows them."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from torch import Tensor

from geoexplain.errors import DataError
from geoexplain.explainer.cams import ExplanationCancelledError, is_flat
from geoexplain.explainer.chance import shift_at_random
from geoexplain.explainer.combine import Heatmap, Preset
from geoexplain.explainer.faithfulness import METRICS, images_needed, measure
from geoexplain.explainer.metrics import ROAD_STEPS, STEPS
from geoexplain.explainer.subject import Measure, MeasuredSubject, Seed, Subject, prepare_subject
from geoexplain.explainer.table import BASELINE, ExplanationKind, combination, explanation_kind, kinds_of_family
from geoexplain.explainer.target import Explained
from geoexplain.explainer.trace import Trace, trace
from geoexplain.locator.model import GeoModel

CHANCE_MAPS = 10
"""Default number of unrelated maps that are also measured: a method has to exceed their scatter."""


@dataclass(frozen=True, eq=False)
class MeasuredExplanation:
    """One explanation, or baseline, with its measures.

    name, title  name and title of the candidate or baseline
    baseline     True if it does not use the network
    heatmap      the heatmap that was measured
    drawing_s    seconds to draw it, including the trace, which all gradient methods share
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
    """All explanations of one image and target, measured.

    subject       the image and target that they were measured on
    explanations  the candidates, then the baselines
    chance        measures of maps as coarse as the candidates' and unrelated to the image: the candidates' own maps,
                  shifted
    """

    subject: MeasuredSubject
    explanations: tuple[MeasuredExplanation, ...]
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
    """Draw and measure every candidate and baseline for one image (1, 3, H, W) and target, by its probability.

    baselines  names of baselines; None: all of them
    metrics    keys of METRICS; None: all of them
    chance     number of unrelated maps that are also measured; none are if every candidate's map is flat
    progress   called as progress(done, total) in hundredths of a map, rounded down: (250, 900) is two and a half maps
               of nine
    cancelled  called before every network pass; if it returns True, ExplanationCancelledError is raised

    Raises DataError for an unknown cell, metric or baseline and steps below 1, ExplanationCancelledError when
    cancelled.
    """
    metrics = tuple(METRICS) if metrics is None else metrics
    unknown = [metric for metric in metrics if metric not in METRICS]
    if unknown or not metrics or min(steps, road_steps) < 1:
        raise DataError(
            f"expected metrics out of {tuple(METRICS)} and at least 1 step, got {tuple(metrics)}, {steps} steps and "
            f"{road_steps} ROAD steps: choose at least one metric and one step."
        )
    known = kinds_of_family(BASELINE)
    rows = {**candidates, **{name: explanation_kind(name) for name in (known if baselines is None else baselines)}}
    total = len(rows) + chance
    each = images_needed(metrics, steps, road_steps)
    done = images = 0

    def report(count: int) -> None:
        nonlocal images
        images += count
        if progress is not None:
            progress(100 * done + min(99, 100 * images // each), 100 * total)

    measured_subject = prepare_subject(model, tensor, target, cancelled=cancelled, progress=report)
    begun = time.perf_counter()
    traced = trace(model, measured_subject.tensor, target, "probability")
    tracing_s = time.perf_counter() - begun
    measured = []
    for name, row in rows.items():
        images = 0
        if cancelled is not None and cancelled():
            raise ExplanationCancelledError("Measuring the explanations was cancelled: start it again.")
        begun = time.perf_counter()
        heatmap = row.draw(Subject(model, measured_subject.tensor, traced, (seed, 0), cancelled=cancelled))
        redraw = partial(redraw_explanation, model, traced, row, (seed, 1), cancelled=cancelled)
        drawing_s = time.perf_counter() - begun + (tracing_s if name in candidates else 0.0)
        measures = measure(measured_subject, heatmap, redraw, metrics, steps=steps, road_steps=road_steps, seed=seed)
        measured.append(MeasuredExplanation(name, row.title, row.family == BASELINE, heatmap, drawing_s, measures))
        done, images = done + 1, 0
        report(0)
    by_chance = []
    for heatmap in shifted_heatmaps([one.heatmap for one in measured if not one.baseline], chance, seed):
        images = 0
        # The masked image has the same map, since a map that is unrelated to the image does not change with it.
        redraw = partial(_return_same, heatmap)
        by_chance.append(
            measure(measured_subject, heatmap, redraw, metrics, steps=steps, road_steps=road_steps, seed=seed)
        )
        done, images = done + 1, 0
        report(0)
    done = total
    report(0)
    return Trial(measured_subject, tuple(measured), tuple(by_chance))


def shifted_heatmaps(heatmaps: Sequence[Heatmap], count: int, seed: int = 0) -> list[Heatmap]:
    """Return `count` heatmaps as coarse as these and unrelated to the image: each of them in turn, shifted at random.

    Returns an empty list if all are flat. A map that is zero almost everywhere may become flat when it is shifted.
    """
    sources = [one for one in heatmaps if not one.flat]
    generator = np.random.default_rng(seed)
    values = [
        shift_at_random(sources[index % len(sources)].values, generator) for index in range(count if sources else 0)
    ]
    return [replace(sources[index % len(sources)], values=one, flat=is_flat(one)) for index, one in enumerate(values)]


def custom_combination(method: str, level: str, how: str, weights: Sequence[float]) -> ExplanationKind:
    """Return a Combi-CAM with the user's settings. Drawing it raises DataError for invalid settings."""
    chosen = tuple(weights)
    return combination("Combi-CAM, as set above", "", Preset(level, "probability", how, lambda _n: chosen, method))


def _return_same(heatmap: Heatmap, _tensor: Tensor) -> Heatmap:
    return heatmap


def redraw_explanation(
    model: GeoModel,
    traced: Trace,
    row: ExplanationKind,
    seed: Seed,
    tensor: Tensor,
    *,
    cancelled: Callable[[], bool] | None = None,
) -> Heatmap:
    """Draw an explanation of another image (1, 3, H, W) for the same target, as `adcc` takes it as `redraw`.

    A baseline is drawn with `seed`, without a network pass.
    """
    if row.family != BASELINE:
        traced = trace(model, tensor, traced.explained, "probability")
    return row.draw(Subject(model, tensor, traced, seed, cancelled=cancelled))
