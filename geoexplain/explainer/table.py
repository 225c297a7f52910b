"""The table of explanations: one row for every way of explaining, which menus, commands and evaluations read."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from geoexplain.errors import DataError
from geoexplain.explainer.attribution import SAMPLES, STEPS, Attribution, integrated_gradients, smoothgrad_squared
from geoexplain.explainer.baselines import baseline_heatmap, centered_gaussian, edge_map, random_map
from geoexplain.explainer.cams import StageMap, grad_cam, grad_cam_plus_plus, layer_cam, score_cam, stage_map
from geoexplain.explainer.combine import (
    COMBINATIONS,
    Heatmap,
    Preset,
    combine,
    deepest_weights,
    equal_weights,
    shallow_weights,
)
from geoexplain.explainer.subject import Seed, Subject
from geoexplain.explainer.trace import Stage, Trace, trace
from geoexplain.locator.model import GeoModel
from geoexplain.locator.tuned import StageWeights

FAMILIES = GRADIENT_CAM, PERTURBATION_CAM, COMBINATION, ATTRIBUTION, BASELINE = (
    "gradient CAM",
    "perturbation CAM",
    "combination of stages",
    "attribution of pixels",
    "baseline",
)
"""Families of explanations, by what they are computed from: the gradients of a stage, further passes for a stage, the
maps of several stages, the gradients of every pixel; or the image alone, without the network."""

CAMS = GRADIENT_CAM, PERTURBATION_CAM, COMBINATION
"""The families whose heatmaps come from maps of stages or blocks."""

COMBI_CAM = "combi-cam"
"""Combi-CAM as published, which is the default."""

TUNED = "combi-cam-tuned"
"""Combi-CAM with tuned weights, which only some models have."""

PUBLISHED_SOURCE = "Faget, Lisani, Colom, VISAPP 2026"


@dataclass(frozen=True)
class ExplanationKind:
    """One kind of explanation: a row of the table EXPLANATIONS.

    title    title for menus and tables
    family   one of FAMILIES
    source   the paper that defines it
    passes   number of network passes beyond one trace, in words for a menu; empty if the trace is enough
    draw     subject → heatmap; raises ExplanationCancelledError when cancelled
    compute  for a gradient CAM: Stage → map (h, w), ≥ 0, raw magnitude
    preset   settings of the Combi-CAM controls for it; None if it is not offered as a preset

    Raises DataError for another family, or a gradient CAM without `compute`.
    """

    title: str
    family: str
    source: str
    passes: str
    draw: Callable[[Subject], Heatmap]
    compute: Callable[[Stage], Tensor] | None = None
    preset: Preset | None = None

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise DataError(
                f"explanation {self.title!r}: expected a family out of {FAMILIES}, got {self.family!r}: "
                "choose one of these."
            )
        if (self.compute is not None) != (self.family == GRADIENT_CAM):
            raise DataError(
                f"explanation {self.title!r}: expected a function of a stage for a {GRADIENT_CAM} and for no other, "
                f"got {self.compute} for the family {self.family!r}: use gradient_cam()."
            )


def gradient_cam(
    name: str, title: str, source: str, compute: Callable[[Stage], Tensor], preset: Preset | None = None
) -> ExplanationKind:
    """Return the row of a CAM method that uses activation and gradient; its heatmap is the deepest stage's."""
    return ExplanationKind(
        title, GRADIENT_CAM, source, "", partial(_draw_deepest_stage, name, compute), compute, preset
    )


def combination(title: str, source: str, preset: Preset) -> ExplanationKind:
    """Return the row of a Combi-CAM by a preset: its own method, level, score, way of combining and weights."""
    return ExplanationKind(title, COMBINATION, source, "", partial(draw_preset, preset), preset=preset)


def baseline(
    name: str, title: str, source: str, compute: Callable[[NDArray[np.float32], Seed], NDArray[np.float32]]
) -> ExplanationKind:
    """Return the row of a baseline, which does not use the network: image (3, H, W) and seed → values (H, W) ≥ 0."""
    return ExplanationKind(title, BASELINE, source, "", partial(baseline_heatmap, name, compute))


def draw_preset(preset: Preset, subject: Subject) -> Heatmap:
    """Draw Combi-CAM by a preset.

    If the preset's score is not "probability", the network is traced again for it. The trace's own score takes
    precedence if it is not "probability", since the user has chosen it.
    """
    traced = subject.trace
    if traced.score == "probability" and preset.score != "probability":
        traced = trace(subject.model, subject.tensor, subject.target, preset.score)
    maps = stage_maps(traced, preset.method, preset.level)
    return combine(maps, preset.weights(len(maps)), preset.how, traced.size_hw)


def _draw_deepest_stage(name: str, compute: Callable[[Stage], Tensor], subject: Subject) -> Heatmap:
    traced = subject.trace
    maps = tuple(stage_map(traced, stage, name, compute(stage)) for stage in traced.stages)
    return combine(maps, deepest_weights(len(maps)), "sum", traced.size_hw)


def _draw_score_cam(subject: Subject) -> Heatmap:
    traced = subject.trace
    deepest_map = score_cam(
        subject.model,
        subject.tensor,
        traced,
        traced.stages[-1],
        progress=subject.progress,
        cancelled=subject.cancelled,
    )
    return replace(combine([deepest_map], (1.0,), "sum", traced.size_hw), weights=deepest_weights(len(traced.stages)))


def _draw_integrated_gradients(subject: Subject) -> Heatmap:
    return _attribution_heatmap(
        integrated_gradients(
            subject.model,
            subject.tensor,
            subject.target,
            subject.trace.score,
            steps=subject.steps,
            progress=subject.progress,
            cancelled=subject.cancelled,
        )
    )


def _draw_smoothgrad_squared(subject: Subject) -> Heatmap:
    seed = subject.seed
    return _attribution_heatmap(
        smoothgrad_squared(
            subject.model,
            subject.tensor,
            subject.target,
            subject.trace.score,
            steps=subject.steps,
            samples=subject.samples,
            seed=seed if isinstance(seed, int) else int(np.random.SeedSequence(seed).generate_state(1)[0]),
            progress=subject.progress,
            cancelled=subject.cancelled,
        )
    )


def _attribution_heatmap(attribution: Attribution) -> Heatmap:
    values = np.zeros_like(attribution.saliency) if attribution.flat else attribution.saliency
    return Heatmap(
        values,
        attribution.method,
        attribution.target,
        attribution.score,
        level="image",
        how="none",
        weights=(),
        flat=attribution.flat,
        attribution=attribution,
    )


def _draw_tuned(subject: Subject) -> Heatmap:
    return draw_preset(preset_of_weights(tuned_weights(subject.model)), subject)


EXPLANATIONS: dict[str, ExplanationKind] = {
    "grad-cam": gradient_cam(
        "grad-cam",
        "Grad-CAM",
        "Selvaraju et al., ICCV 2017",
        grad_cam,
        Preset("stage", "probability", "sum", deepest_weights),
    ),
    "grad-cam++": gradient_cam("grad-cam++", "Grad-CAM++", "Chattopadhay et al., WACV 2018", grad_cam_plus_plus),
    "layer-cam": gradient_cam("layer-cam", "LayerCAM", "Jiang et al., IEEE TIP 2021", layer_cam),
    "score-cam": ExplanationKind(
        "Score-CAM", PERTURBATION_CAM, "Wang et al., CVPR Workshops 2020", "a pass per channel", _draw_score_cam
    ),
    COMBI_CAM: combination(
        "Combi-CAM, as published", PUBLISHED_SOURCE, Preset("block", "probability", "sum", equal_weights)
    ),
    "combi-cam-all": combination(
        "Combi-CAM, all stages alike", PUBLISHED_SOURCE, Preset("stage", "probability", "max", equal_weights)
    ),
    "combi-cam-shallow": combination(
        "Combi-CAM, shallow half", PUBLISHED_SOURCE, Preset("stage", "probability", "max", shallow_weights)
    ),
    TUNED: ExplanationKind("Combi-CAM, tuned", COMBINATION, PUBLISHED_SOURCE, "", _draw_tuned),
    "integrated-gradients": ExplanationKind(
        "Integrated Gradients",
        ATTRIBUTION,
        "Sundararajan et al., ICML 2017",
        f"{STEPS} passes",
        _draw_integrated_gradients,
    ),
    "smoothgrad-squared": ExplanationKind(
        "SmoothGrad²", ATTRIBUTION, "Hooker et al., NeurIPS 2019", f"{STEPS * SAMPLES} passes", _draw_smoothgrad_squared
    ),
    "random": baseline("random", "Random map", "every pixel by itself", random_map),
    "gaussian": baseline("gaussian", "Centred Gaussian", "the middle of the image", centered_gaussian),
    "edges": baseline("edges", "Edges of the image (Sobel)", "Sobel and Feldman 1968", edge_map),
}
"""Every explanation. Menus, command-line choices, panels, evaluations, tables and tests read this.

A CAM method on its own is the map of its deepest stage. "combi-cam" is Faget, Lisani, Colom (VISAPP 2026): the raw
Grad-CAMs of all blocks, summed. Raw maps differ by orders of magnitude between shallow and deep stages. Therefore the
other Combi-CAMs divide each map by its maximum, so that every chosen stage is visible."""

ALIASES = {
    "as-published": COMBI_CAM,
    "all-stages": "combi-cam-all",
    "shallow-only": "combi-cam-shallow",
    "deep-only": "grad-cam",
    "tuned": TUNED,
}
"""Former name → name; accepted wherever an explanation or a preset is named."""


def canonical_name(name: str) -> str:
    """Return an explanation's name in EXPLANATIONS by its present or a former name; other names stay unchanged."""
    return name if name in EXPLANATIONS else ALIASES.get(name, name)


def explanation_kind(name: str) -> ExplanationKind:
    """Return the row of an explanation by its present or a former name. Raises DataError for another name."""
    kind = EXPLANATIONS.get(canonical_name(name))
    if kind is None:
        raise DataError(f"expected an explanation out of {tuple(EXPLANATIONS)}, got {name!r}: choose one of these.")
    return kind


def kinds_of_family(*families: str) -> dict[str, ExplanationKind]:
    """Return the rows of some of FAMILIES, in the order of the table."""
    return {name: kind for name, kind in EXPLANATIONS.items() if kind.family in families}


def network_kinds() -> dict[str, ExplanationKind]:
    """Return the rows that explain the network: all but the baselines."""
    return {name: kind for name, kind in EXPLANATIONS.items() if kind.family != BASELINE}


def slow_kinds() -> dict[str, ExplanationKind]:
    """Return the rows that run the network many times, and therefore report progress and can be cancelled."""
    return {name: kind for name, kind in EXPLANATIONS.items() if kind.passes}


def draw(name: str, subject: Subject) -> Heatmap:
    """Draw the heatmap of an explanation, given by its present or a former name.

    Raises DataError for another name, or for TUNED if no weights were tuned for the model;
    ExplanationCancelledError when cancelled.
    """
    return explanation_kind(name).draw(subject)


def stage_maps(traced: Trace, method: str, level: str) -> tuple[StageMap, ...]:
    """Compute the maps of one gradient CAM at every stage or block, in order from the input. No network pass.

    method  name of a gradient CAM
    level   "stage" or "block"

    Raises DataError for another method or level.
    """
    known = kinds_of_family(GRADIENT_CAM)
    if method not in known:
        raise DataError(f"expected a method out of {tuple(known)}, got {method!r}: choose one of these.")
    compute = known[method].compute
    assert compute is not None  # a gradient CAM has one
    return tuple(stage_map(traced, stage, method, compute(stage)) for stage in traced.at(level))


def tuned_weights(model: GeoModel) -> StageWeights:
    """Return the weights that were tuned for a model.

    Raises DataError, with the reason, if the model has none, or if they are for an unknown CAM method or way of
    combining.
    """
    tuned = model.tuned
    if tuned is None:
        raise DataError(
            model.untuned
            or f"model {model.name}: expected weights tuned for it, got none: `geoexplain tune --help` says how to "
            "make them."
        )
    for what, name, known in (
        ("a method", tuned.method, kinds_of_family(GRADIENT_CAM)),
        ("a way of combining", tuned.how, COMBINATIONS),
    ):
        if name not in known:
            raise DataError(
                f"model {model.name}: expected weights tuned for {what} out of {tuple(known)}, got "
                f"{name!r}: tune again."
            )
    return tuned


def is_tuned(model: GeoModel) -> bool:
    """Return True if a model has weights that `tuned_weights` accepts."""
    try:
        tuned_weights(model)
    except DataError:
        return False
    return True


def preset_of_weights(tuned: StageWeights) -> Preset:
    """Return tuned weights as a preset."""
    return Preset(tuned.level, tuned.score, tuned.how, lambda _n: tuned.weights, tuned.method)
