"""Any explanation by its name: a CAM method, a Combi-CAM, or an attribution of every pixel."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from geoexplain.errors import DataError
from geoexplain.explainer.attribution import METHODS as ATTRIBUTIONS
from geoexplain.explainer.attribution import Attribution, integrated_gradients, smoothgrad_squared
from geoexplain.explainer.cams import score_cam
from geoexplain.explainer.candidates import CANDIDATES
from geoexplain.explainer.combine import Heatmap, combine
from geoexplain.explainer.explanation import Explanation
from geoexplain.locator.model import GeoModel

DRAWINGS: dict[str, str] = {**{name: candidate.title for name, candidate in CANDIDATES.items()}, **ATTRIBUTIONS}
"""Every explanation that draw() knows, with its words for a menu."""

SLOW = ("score-cam", *ATTRIBUTIONS)
"""Those that run the network many times over, and therefore report how far they are and can be called off."""


@dataclass(frozen=True, eq=False)
class Drawing:
    """A heatmap, and the attribution that it shows, if it shows one."""

    heatmap: Heatmap
    attribution: Attribution | None = None


def draw(
    explanation: Explanation,
    model: GeoModel,
    name: str,
    *,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Drawing:
    """One explanation of what was traced: its image, cell and score.

    name       key in DRAWINGS
    progress   called as progress(done, total) by those in SLOW
    cancelled  asked again and again by those in SLOW; if it says True, ExplanationCancelledError is raised

    Raises DataError for another name, ExplanationCancelledError when called off.
    """
    if name not in DRAWINGS:
        raise DataError(f"expected an explanation out of {tuple(DRAWINGS)}, got {name!r}: choose one of these.")
    if name in ATTRIBUTIONS:
        return _attributed(explanation, model, name, progress, cancelled)
    tensor, trace = explanation.tensor, explanation.trace
    if name != "score-cam":
        return Drawing(CANDIDATES[name].draw(model, tensor, trace))
    deepest = score_cam(model, tensor, trace, trace.stages[-1], progress=progress, cancelled=cancelled)
    return Drawing(combine([deepest], (1.0,), "sum", trace.size_hw))


def _attributed(
    explanation: Explanation,
    model: GeoModel,
    name: str,
    progress: Callable[[int, int], None] | None,
    cancelled: Callable[[], bool] | None,
) -> Drawing:
    attribute = integrated_gradients if name == "integrated-gradients" else smoothgrad_squared
    found = attribute(
        model,
        explanation.tensor,
        explanation.trace.explained,
        explanation.trace.score,
        progress=progress,
        cancelled=cancelled,
    )
    values = np.zeros_like(found.saliency) if found.flat else found.saliency
    heatmap = Heatmap(values, name, found.target, found.score, level="image", how="none", weights=(), flat=found.flat)
    return Drawing(heatmap, found)
