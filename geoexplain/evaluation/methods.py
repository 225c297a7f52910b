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

FAITHFULNESS_METHODS = (*CANDIDATES, TUNED_CANDIDATE, *BASELINES)
"""Explanations whose faithfulness can be measured, the last of which only some models have, then baselines."""

DEFAULT_FAITHFULNESS_METHODS = (*(name for name, candidate in CANDIDATES.items() if candidate.gradient), *BASELINES)
"""All but Score-CAM, which takes as many passes as all the others together, and what only some models have."""

SANITY_METHODS = tuple(TITLES)
"""Explanations that depend on a network, and can be compared with those of random ones."""

DEFAULT_SANITY_METHODS = tuple(SANITY_CANDIDATES)

CONCEPT_METHODS = (*FAITHFULNESS_METHODS, *ATTRIBUTIONS)
"""Explanations, baselines and attributions whose concept influence can be measured."""


def title_of(method: str) -> str:
    """The title of a name out of SANITY_METHODS."""
    return TITLES[method]


def candidates_by_name(model: GeoModel, methods: Sequence[str]) -> dict[str, Candidate]:
    """The explanations of names out of SANITY_METHODS. Raises DataError for one that the model does not have."""
    return {name: candidate_of(model, name) for name in methods}


def tuned_weights_for(model: GeoModel, methods: Collection[str]) -> StageWeights | None:
    """The model's tuned weights, None where no method needs them. Raises DataError where it has none."""
    return tuned_weights(model) if TUNED_CANDIDATE in methods else None


def draw(model: GeoModel, tensor: Tensor, traced: Trace, method: str, seed: Sequence[int]) -> Heatmap:
    """The heatmap of a name out of FAITHFULNESS_METHODS, for the traced cell of an image (1, 3, H, W)."""
    if method in BASELINES:
        return baseline(method, tensor, traced.target, seed)
    return candidate_of(model, method).draw(model, tensor, traced)


def draw_anew(model: GeoModel, target: Explained, method: str, seed: Sequence[int], tensor: Tensor) -> Heatmap:
    """The same for an image that is not traced yet. A random map is another one with another seed."""
    if method in BASELINES:
        return baseline(method, tensor, target, seed)
    return candidate_of(model, method).draw(model, tensor, trace(model, tensor, target, "probability"))


def is_attribution(method: str) -> bool:
    """Whether a name out of CONCEPT_METHODS is an attribution of pixels, which `attribute` computes."""
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
