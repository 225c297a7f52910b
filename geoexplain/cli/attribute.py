"""Draw explanations with a progress bar, and report the completeness of attributions as text and as records."""

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
    """Draw the named explanation, with a progress bar if it takes long."""
    kind = explanation_kind(name)
    with progress_bar(0, "passes", desc=kind.title, hidden=not kind.passes) as bar:

        def report(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        return explanation.draw(name, model, progress=report)


def completeness(attribution: Attribution) -> str:
    """Describe in words how well an attribution sums to the score's change (its completeness)."""
    copies = ", on average over the noisy copies" if attribution.method == "smoothgrad-squared" else ""
    return (
        f"sums to the {attribution.score}'s change of {attribution.score_change:+.3g} from an image of mean colour, "
        f"up to an error of {attribution.completeness_error:.2g}{copies} (completeness error)"
    )


def shown(heatmap: Heatmap) -> NDArray[np.float32]:
    """Return the values (H, W) to draw over the image; those of an attribution are cut off at its 99th percentile.

    A few pixels of an attribution are far stronger than the others, which would all be drawn black.
    """
    if heatmap.attribution is None:
        return heatmap.values
    return np.minimum(heatmap.values, np.quantile(heatmap.values, BRIGHTEST_QUANTILE)).astype(np.float32)


def attribution_record(attribution: Attribution) -> dict[str, Any]:
    """Return an attribution's completeness as plain data, and the quantile at which its colours end."""
    return {
        "score_change": attribution.score_change,
        "completeness_error": attribution.completeness_error,
        "brightest_quantile": BRIGHTEST_QUANTILE,
    }
