"""What evaluations compare, by name, and how each name becomes a heatmap."""

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from geoexplain.explainer.attribution import METHODS as ATTRIBUTIONS
from geoexplain.explainer.attribution import integrated_gradients, smoothgrad_squared
from geoexplain.explainer.baselines import BASELINES, baseline
from geoexplain.explainer.candidates import CANDIDATES, Candidate
from geoexplain.explainer.combine import Heatmap
from geoexplain.explainer.sanity import SANITY_CANDIDATES
from geoexplain.explainer.target import Explained
from geoexplain.explainer.trace import Trace, trace
from geoexplain.explainer.tuned import TITLES, TUNED_CANDIDATE, candidate_of, tuned_weights
from geoexplain.locator.model import GeoModel
from geoexplain.locator.tuned import StageWeights

TUNED = TUNED_CANDIDATE
"""The explanation that only some models have."""


def untuned_methods() -> tuple[str, ...]:
    """Explanations that every model has."""
    return tuple(CANDIDATES)


def baseline_methods() -> tuple[str, ...]:
    """Maps that know nothing of the network."""
    return tuple(BASELINES)


def attribution_methods() -> tuple[str, ...]:
    """Attributions of pixels."""
    return tuple(ATTRIBUTIONS)


def faithfulness_methods() -> tuple[str, ...]:
    """Explanations and baselines whose faithfulness can be measured."""
    return (*CANDIDATES, TUNED, *BASELINES)


def default_faithfulness_methods() -> tuple[str, ...]:
    """All but Score-CAM, which takes as many passes as all the others together, and what only some models have."""
    return (*(name for name, candidate in CANDIDATES.items() if candidate.gradient), *BASELINES)


def sanity_methods() -> tuple[str, ...]:
    """Explanations that depend on a network, and can be compared with those of random ones."""
    return tuple(TITLES)


def default_sanity_methods() -> tuple[str, ...]:
    """Those for which one trace of each random network is enough, without what only some models have."""
    return tuple(SANITY_CANDIDATES)


def concept_methods() -> tuple[str, ...]:
    """Explanations, baselines and attributions whose concept influence can be measured."""
    return (*faithfulness_methods(), *ATTRIBUTIONS)


def title_of(method: str) -> str:
    """The title of a name out of sanity_methods()."""
    return TITLES[method]


def candidates_by_name(model: GeoModel, methods: Sequence[str]) -> dict[str, Candidate]:
    """The explanations of names out of sanity_methods(). Raises DataError for one that the model does not have."""
    return {name: candidate_of(model, name) for name in methods}


def tuned_weights_for(model: GeoModel, methods: Collection[str]) -> StageWeights | None:
    """The model's tuned weights, None where no method needs them. Raises DataError where it has none."""
    return tuned_weights(model) if TUNED in methods else None


def draw(model: GeoModel, tensor: Tensor, traced: Trace, method: str, seed: Sequence[int]) -> Heatmap:
    """The heatmap of a name out of faithfulness_methods(), for the traced cell of an image (1, 3, H, W)."""
    if method in BASELINES:
        return baseline(method, tensor, traced.target, seed)
    return candidate_of(model, method).draw(model, tensor, traced)


def draw_anew(model: GeoModel, target: Explained, method: str, seed: Sequence[int], tensor: Tensor) -> Heatmap:
    """The same for an image that is not traced yet. A random map is another one with another seed."""
    if method in BASELINES:
        return baseline(method, tensor, target, seed)
    return candidate_of(model, method).draw(model, tensor, trace(model, tensor, target, "probability"))


def is_attribution(method: str) -> bool:
    """Whether a name out of concept_methods() is an attribution of pixels, which `attribute` computes."""
    return method in ATTRIBUTIONS


def attribute(
    model: GeoModel, tensor: Tensor, target: Explained, method: str, seed: Sequence[int], *, steps: int, samples: int
) -> NDArray[np.float32]:
    """The saliency (H, W) of an attribution for one cell of an image (1, 3, H, W).

    steps, samples  see integrated_gradients() and smoothgrad_squared()
    """
    if method == "integrated-gradients":
        return integrated_gradients(model, tensor, target, "probability", steps=steps).saliency
    number = int(np.random.SeedSequence(tuple(seed)).generate_state(1)[0])
    return smoothgrad_squared(model, tensor, target, "probability", steps=steps, samples=samples, seed=number).saliency
