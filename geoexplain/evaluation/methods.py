"""What evaluations compare, by name, and how each name becomes a heatmap."""

from collections.abc import Collection, Sequence

from torch import Tensor

from geoexplain.explainer import table
from geoexplain.explainer.attribution import SAMPLES, STEPS
from geoexplain.explainer.combine import Heatmap
from geoexplain.explainer.subject import Subject
from geoexplain.explainer.table import ATTRIBUTION, BASELINE, CAMS, TUNED, ExplanationKind, kinds_of_family
from geoexplain.explainer.target import Explained
from geoexplain.explainer.trace import Trace, trace
from geoexplain.explainer.tuned import candidate_of
from geoexplain.explainer.tuning_gain import untuned_kinds
from geoexplain.locator.model import GeoModel
from geoexplain.locator.tuned import StageWeights


def untuned_methods() -> tuple[str, ...]:
    """CAMs and Combi-CAMs that every model has."""
    return tuple(name for name in kinds_of_family(*CAMS) if name != TUNED)


def baseline_methods() -> tuple[str, ...]:
    """Maps that know nothing of the network."""
    return tuple(kinds_of_family(BASELINE))


def attribution_methods() -> tuple[str, ...]:
    """Attributions of pixels."""
    return tuple(kinds_of_family(ATTRIBUTION))


def faithfulness_methods() -> tuple[str, ...]:
    """Explanations and baselines whose faithfulness can be measured."""
    return tuple(kinds_of_family(*CAMS, BASELINE))


def default_faithfulness_methods() -> tuple[str, ...]:
    """All but Score-CAM, which takes as many passes as all the others together, and what only some models have."""
    return (*untuned_kinds(), *kinds_of_family(BASELINE))


def sanity_methods() -> tuple[str, ...]:
    """Explanations that depend on a network, and can be compared with those of random ones."""
    return tuple(kinds_of_family(*CAMS))


def default_sanity_methods() -> tuple[str, ...]:
    """Those for which one trace of each random network is enough, without what only some models have."""
    return tuple(untuned_kinds())


def concept_methods() -> tuple[str, ...]:
    """Explanations, baselines and attributions whose concept influence can be measured."""
    return (*faithfulness_methods(), *attribution_methods())


def title_of(method: str) -> str:
    """The title of an explanation."""
    return table.explanation_kind(method).title


def candidates_by_name(model: GeoModel, methods: Sequence[str]) -> dict[str, ExplanationKind]:
    """The explanations of names out of sanity_methods(). Raises DataError for one that the model does not have."""
    return {name: candidate_of(model, name) for name in methods}


def tuned_weights_for(model: GeoModel, methods: Collection[str]) -> StageWeights | None:
    """The model's tuned weights, None where no method needs them. Raises DataError where it has none."""
    return table.tuned_weights(model) if TUNED in methods else None


def draw(
    model: GeoModel,
    tensor: Tensor,
    traced: Trace,
    method: str,
    seed: Sequence[int],
    *,
    steps: int = STEPS,
    samples: int = SAMPLES,
) -> Heatmap:
    """The heatmap of a name out of concept_methods(), for the traced cell of an image (1, 3, H, W).

    seed            of a random map and of the noise of an attribution
    steps, samples  see integrated_gradients() and smoothgrad_squared()
    """
    return table.draw(method, Subject(model, tensor, traced, seed, steps, samples))


def draw_anew(model: GeoModel, target: Explained, method: str, seed: Sequence[int], tensor: Tensor) -> Heatmap:
    """The same for an image that is not traced yet. A random map is another one with another seed."""
    return draw(model, tensor, trace(model, tensor, target, "probability"), method, seed)
