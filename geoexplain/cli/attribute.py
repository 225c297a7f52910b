"""Explanations for people: a bar while they are drawn, and how well attributions add up in words and in records."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoexplain.cli.batch import progress_bar
from geoexplain.explainer.attribution import Attribution
from geoexplain.explainer.combine import Heatmap
from geoexplain.explainer.explanation import Explanation
from geoexplain.explainer.table import explanation_kind
from geoexplain.locator.model import GeoModel

BRIGHTEST_QUANTILE = 0.99


def drawn(explanation: Explanation, model: GeoModel, name: str) -> Heatmap:
    """An explanation by its name, with a bar if it takes long."""
    kind = explanation_kind(name)
    with progress_bar(0, "passes", desc=kind.title, hidden=not kind.passes) as bar:

        def report(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        return explanation.draw(name, model, progress=report)


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
    if heatmap.attribution is None:
        return heatmap.values
    return np.minimum(heatmap.values, np.quantile(heatmap.values, BRIGHTEST_QUANTILE)).astype(np.float32)


def attribution_record(attribution: Attribution) -> dict[str, Any]:
    """How well it adds up, as plain data, and where the colours of its picture end."""
    return {
        "score_change": attribution.score_change,
        "completeness_error": attribution.completeness_error,
        "brightest_quantile": BRIGHTEST_QUANTILE,
    }
