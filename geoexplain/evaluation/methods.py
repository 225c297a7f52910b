"""The names of the methods that evaluations compare, and the heatmap of each."""

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
    """Return the CAMs and Combi-CAMs that every model has."""
    return tuple(name for name in kinds_of_family(*CAMS) if name != TUNED)


def baseline_methods() -> tuple[str, ...]:
    """Return the baselines, which do not depend on the network."""
    return tuple(kinds_of_family(BASELINE))


def attribution_methods() -> tuple[str, ...]:
    """Return the attributions of pixels."""
    return tuple(kinds_of_family(ATTRIBUTION))


def faithfulness_methods() -> tuple[str, ...]:
    """Return the methods and baselines whose faithfulness can be measured."""
    return tuple(kinds_of_family(*CAMS, BASELINE))


def default_faithfulness_methods() -> tuple[str, ...]:
    """Return methods and baselines, except Score-CAM, which is as slow as all others, and those of some models only."""
    return (*untuned_kinds(), *kinds_of_family(BASELINE))


def sanity_methods() -> tuple[str, ...]:
    """Return the methods that depend on a network, and can be compared with those of random networks."""
    return tuple(kinds_of_family(*CAMS))


def default_sanity_methods() -> tuple[str, ...]:
    """Return the methods that need only one trace of each random network, except those that only some models have."""
    return tuple(untuned_kinds())


def concept_methods() -> tuple[str, ...]:
    """Return the methods, baselines and attributions whose concept influence can be measured."""
    return (*faithfulness_methods(), *attribution_methods())


def title_of(method: str) -> str:
    """Return the title of a method."""
    return table.explanation_kind(method).title


def candidates_by_name(model: GeoModel, methods: Sequence[str]) -> dict[str, ExplanationKind]:
    """Return name → method for names out of sanity_methods(). Raises DataError for one that the model lacks."""
    return {name: candidate_of(model, name) for name in methods}


def tuned_weights_for(model: GeoModel, methods: Collection[str]) -> StageWeights | None:
    """Return the model's tuned weights; None if no method needs them. Raises DataError if it has none."""
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
    """Draw the heatmap of a name out of concept_methods(), for the traced cell of an image (1, 3, H, W).

    seed            seeds a random map and the noise of an attribution
    steps, samples  see integrated_gradients() and smoothgrad_squared()
    """
    return table.draw(method, Subject(model, tensor, traced, seed, steps, samples))


def draw_anew(model: GeoModel, target: Explained, method: str, seed: Sequence[int], tensor: Tensor) -> Heatmap:
    """Trace an image (1, 3, H, W) for a target and draw its heatmap; see `draw`."""
    return draw(model, tensor, trace(model, tensor, target, "probability"), method, seed)
