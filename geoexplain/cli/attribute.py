"""Attributions for people: a bar while they are computed, and how well they add up in words and in records."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoexplain.cli.batch import progress_bar
from geoexplain.explainer.attribution import METHODS as ATTRIBUTIONS
from geoexplain.explainer.attribution import Attribution
from geoexplain.explainer.combine import Heatmap
from geoexplain.explainer.drawing import DRAWINGS, SLOW, Drawing, draw
from geoexplain.explainer.explanation import Explanation
from geoexplain.locator.model import GeoModel

BRIGHTEST_QUANTILE = 0.99


def drawn(explanation: Explanation, model: GeoModel, name: str) -> Drawing:
    """One of DRAWINGS, with a bar for those that take long."""
    with progress_bar(0, "passes", desc=DRAWINGS[name], hidden=name not in SLOW) as bar:

        def report(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        return draw(explanation, model, name, progress=report)


def attributed(explanation: Explanation, model: GeoModel, methods: Sequence[str]) -> dict[str, Drawing]:
    """Every attribution among `methods`, by its name."""
    return {name: drawn(explanation, model, name) for name in methods if name in ATTRIBUTIONS}


def completeness(attribution: Attribution) -> str:
    """How well it adds up, in words."""
    copies = ", on average over the noisy copies" if attribution.method == "smoothgrad-squared" else ""
    return (
        f"adds up to the {attribution.score}'s change of {attribution.score_change:+.3g} from an image of mean colour, "
        f"but for {attribution.completeness_error:.2g}{copies} (completeness error)"
    )


def shown(heatmap: Heatmap) -> NDArray[np.float32]:
    """What to lay over the image (H, W): of an attribution, no more than its 99th percentile.

    A few pixels outshine all others there, and would leave them black.
    """
    if heatmap.method not in ATTRIBUTIONS:
        return heatmap.values
    return np.minimum(heatmap.values, np.quantile(heatmap.values, BRIGHTEST_QUANTILE)).astype(np.float32)


def attribution_record(attribution: Attribution) -> dict[str, Any]:
    """How well it adds up, as plain data, and where the colours of its picture end."""
    return {
        "score_change": attribution.score_change,
        "completeness_error": attribution.completeness_error,
        "brightest_quantile": BRIGHTEST_QUANTILE,
    }
