"""The table of explanations: one row for every way of explaining, which menus, commands and evaluations read."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from geoexplain.errors import DataError
from geoexplain.explainer.attribution import SAMPLES, STEPS, Attribution, integrated_gradients, smoothgrad_squared
from geoexplain.explainer.baselines import baseline_heatmap, centred_gaussian, edge_map, random_map
from geoexplain.explainer.cams import StageMap, grad_cam, grad_cam_plus_plus, layer_cam, score_cam, stage_map
from geoexplain.explainer.combine import COMBINATIONS, Heatmap, Preset, combine, deepest, every, shallow_half
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
"""What an explanation is made from: gradients of a stage, further passes for a stage, the maps of several stages, the
gradients of every pixel; or, knowing nothing of the network, the image alone."""

CAMS = GRADIENT_CAM, PERTURBATION_CAM, COMBINATION
"""The families whose heatmaps are made of maps of stages or blocks."""

COMBI_CAM = "combi-cam"
"""Combi-CAM as published, and what Combi-CAM is where nobody has set it."""

TUNED = "combi-cam-tuned"
"""The Combi-CAM that only models have for which weights were tuned."""

PUBLISHED_SOURCE = "Faget, Lisani, Colom, VISAPP 2026"


@dataclass(frozen=True)
class ExplanationKind:
    """One way of explaining.

    title    for menus and tables
    family   one of FAMILIES
    source   where it is defined
    passes   how often it runs the network beyond one trace, in words for a menu; empty if the trace is enough
    draw     subject → heatmap; raises ExplanationCancelledError when called off
    compute  of a gradient CAM: Stage → map (h, w), ≥ 0, raw magnitude
    preset   what the controls of Combi-CAM are set to for it; None if it is not offered there

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
    """The row of a CAM method that takes a stage's activation and gradient. On its own it is the deepest stage."""
    return ExplanationKind(title, GRADIENT_CAM, source, "", partial(_deepest_stage, name, compute), compute, preset)


def combination(title: str, source: str, preset: Preset) -> ExplanationKind:
    """The row of a Combi-CAM by a preset: its own method, level, score, way of combining and weights."""
    return ExplanationKind(title, COMBINATION, source, "", partial(draw_preset, preset), preset=preset)


def baseline(
    name: str, title: str, source: str, compute: Callable[[NDArray[np.float32], Seed], NDArray[np.float32]]
) -> ExplanationKind:
    """The row of a map that knows nothing of the network: image (3, H, W) and seed → values (H, W) ≥ 0."""
    return ExplanationKind(title, BASELINE, source, "", partial(baseline_heatmap, name, compute))


def draw_preset(preset: Preset, subject: Subject) -> Heatmap:
    """Combi-CAM by a preset.

    The network is traced once more where the preset explains another score than the usual one; a score that somebody
    has chosen, and that the subject was traced for, counts before the preset's.
    """
    traced = subject.trace
    if traced.score == "probability" and preset.score != "probability":
        traced = trace(subject.model, subject.tensor, subject.target, preset.score)
    maps = stage_maps(traced, preset.method, preset.level)
    return combine(maps, preset.weights(len(maps)), preset.how, traced.size_hw)


def _deepest_stage(name: str, compute: Callable[[Stage], Tensor], subject: Subject) -> Heatmap:
    traced = subject.trace
    maps = tuple(stage_map(traced, stage, name, compute(stage)) for stage in traced.stages)
    return combine(maps, deepest(len(maps)), "sum", traced.size_hw)


def _score_cam(subject: Subject) -> Heatmap:
    traced = subject.trace
    found = score_cam(
        subject.model,
        subject.tensor,
        traced,
        traced.stages[-1],
        progress=subject.progress,
        cancelled=subject.cancelled,
    )
    return replace(combine([found], (1.0,), "sum", traced.size_hw), weights=deepest(len(traced.stages)))


def _integrated_gradients(subject: Subject) -> Heatmap:
    return _attributed(
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


def _smoothgrad_squared(subject: Subject) -> Heatmap:
    seed = subject.seed
    return _attributed(
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


def _attributed(found: Attribution) -> Heatmap:
    values = np.zeros_like(found.saliency) if found.flat else found.saliency
    return Heatmap(
        values,
        found.method,
        found.target,
        found.score,
        level="image",
        how="none",
        weights=(),
        flat=found.flat,
        attribution=found,
    )


def _tuned(subject: Subject) -> Heatmap:
    return draw_preset(preset_of_weights(tuned_weights(subject.model)), subject)


EXPLANATIONS: dict[str, ExplanationKind] = {
    "grad-cam": gradient_cam(
        "grad-cam",
        "Grad-CAM",
        "Selvaraju et al., ICCV 2017",
        grad_cam,
        Preset("stage", "probability", "sum", deepest),
    ),
    "grad-cam++": gradient_cam("grad-cam++", "Grad-CAM++", "Chattopadhay et al., WACV 2018", grad_cam_plus_plus),
    "layer-cam": gradient_cam("layer-cam", "LayerCAM", "Jiang et al., IEEE TIP 2021", layer_cam),
    "score-cam": ExplanationKind(
        "Score-CAM", PERTURBATION_CAM, "Wang et al., CVPR Workshops 2020", "a pass per channel", _score_cam
    ),
    COMBI_CAM: combination("Combi-CAM, as published", PUBLISHED_SOURCE, Preset("block", "probability", "sum", every)),
    "combi-cam-all": combination(
        "Combi-CAM, all stages alike", PUBLISHED_SOURCE, Preset("stage", "probability", "max", every)
    ),
    "combi-cam-shallow": combination(
        "Combi-CAM, shallow half", PUBLISHED_SOURCE, Preset("stage", "probability", "max", shallow_half)
    ),
    TUNED: ExplanationKind("Combi-CAM, tuned", COMBINATION, PUBLISHED_SOURCE, "", _tuned),
    "integrated-gradients": ExplanationKind(
        "Integrated Gradients", ATTRIBUTION, "Sundararajan et al., ICML 2017", f"{STEPS} passes", _integrated_gradients
    ),
    "smoothgrad-squared": ExplanationKind(
        "SmoothGrad²", ATTRIBUTION, "Hooker et al., NeurIPS 2019", f"{STEPS * SAMPLES} passes", _smoothgrad_squared
    ),
    "random": baseline("random", "Random map", "every pixel by itself", random_map),
    "gaussian": baseline("gaussian", "Centred Gaussian", "the middle of the image", centred_gaussian),
    "edges": baseline("edges", "Edges of the image (Sobel)", "Sobel and Feldman 1968", edge_map),
}
"""Every explanation. Menus, command-line choices, panels, evaluations, tables and tests read this.

A CAM method on its own is the map of its deepest stage. "combi-cam" is Faget, Lisani, Colom (VISAPP 2026): the raw
Grad-CAMs of all blocks, summed. Raw maps differ by orders of magnitude between shallow and deep stages, so that the
Combi-CAMs in which every chosen stage is to be seen divide each by its maximum."""

ALIASES = {
    "as-published": COMBI_CAM,
    "all-stages": "combi-cam-all",
    "shallow-only": "combi-cam-shallow",
    "deep-only": "grad-cam",
    "tuned": TUNED,
}
"""Former names, which are understood wherever an explanation or a preset is named."""


def canonical(name: str) -> str:
    """The name in EXPLANATIONS of an explanation by its present or a former name; any other name as it is."""
    return name if name in EXPLANATIONS else ALIASES.get(name, name)


def kind_of(name: str) -> ExplanationKind:
    """The row of an explanation by its present or a former name. Raises DataError for another name."""
    found = EXPLANATIONS.get(canonical(name))
    if found is None:
        raise DataError(f"expected an explanation out of {tuple(EXPLANATIONS)}, got {name!r}: choose one of these.")
    return found


def of_family(*families: str) -> dict[str, ExplanationKind]:
    """The rows of some families out of FAMILIES, in the order of the table."""
    return {name: kind for name, kind in EXPLANATIONS.items() if kind.family in families}


def of_network() -> dict[str, ExplanationKind]:
    """The rows that explain the network: all but the baselines."""
    return {name: kind for name, kind in EXPLANATIONS.items() if kind.family != BASELINE}


def slow() -> dict[str, ExplanationKind]:
    """The rows that run the network many times over, and therefore report progress and can be called off."""
    return {name: kind for name, kind in EXPLANATIONS.items() if kind.passes}


def draw(name: str, subject: Subject) -> Heatmap:
    """The heatmap of an explanation by its present or a former name.

    Raises DataError for another name, or TUNED where no weights were tuned for the model;
    ExplanationCancelledError when called off.
    """
    return kind_of(name).draw(subject)


def stage_maps(traced: Trace, method: str, level: str) -> tuple[StageMap, ...]:
    """The maps of one gradient CAM at every stage or block, from the input on. No network pass.

    method  name of a gradient CAM
    level   "stage" or "block"

    Raises DataError for another method or level.
    """
    known = of_family(GRADIENT_CAM)
    if method not in known:
        raise DataError(f"expected a method out of {tuple(known)}, got {method!r}: choose one of these.")
    compute = known[method].compute
    assert compute is not None  # a gradient CAM has one
    return tuple(stage_map(traced, stage, method, compute(stage)) for stage in traced.at(level))


def tuned_weights(model: GeoModel) -> StageWeights:
    """The weights tuned for a model.

    Raises DataError, which says why there are none, for a model without, or if they are for a CAM method or a way of
    combining that there is not.
    """
    tuned = model.tuned
    if tuned is None:
        raise DataError(
            model.untuned
            or f"model {model.name}: expected weights tuned for it, got none: `geoexplain tune --help` says how to "
            "make them."
        )
    for what, name, known in (
        ("a method", tuned.method, of_family(GRADIENT_CAM)),
        ("a way of combining", tuned.how, COMBINATIONS),
    ):
        if name not in known:
            raise DataError(
                f"model {model.name}: expected weights tuned for {what} out of {tuple(known)}, got "
                f"{name!r}: tune again."
            )
    return tuned


def is_tuned(model: GeoModel) -> bool:
    """Whether `tuned_weights` gives some for a model."""
    try:
        tuned_weights(model)
    except DataError:
        return False
    return True


def preset_of_weights(tuned: StageWeights) -> Preset:
    """Tuned weights as a preset."""
    return Preset(tuned.level, tuned.score, tuned.how, lambda _n: tuned.weights, tuned.method)
