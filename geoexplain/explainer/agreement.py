"""Agreement of methods: the rank correlation of every pair of heatmaps of one image and target."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from geoexplain.explainer.cams import ExplanationCancelledError
from geoexplain.explainer.chance import chance_limit
from geoexplain.explainer.combine import Heatmap
from geoexplain.explainer.similarity import ranks
from geoexplain.explainer.subject import Subject
from geoexplain.explainer.table import ExplanationKind
from geoexplain.explainer.trace import Trace
from geoexplain.explainer.tuned import traced_candidates
from geoexplain.locator.model import GeoModel


@dataclass(frozen=True, eq=False)
class Agreement:
    """How similar the heatmaps of one image and target are. Similar heatmaps are not necessarily faithful.

    names         names of the heatmaps
    correlations  float64 (n, n) in [−1, 1]: Spearman's rank correlation over all pixels, 1 on the diagonal; NaN in the
                  row and the column of a flat heatmap
    limits        float64 (n, n) in [0, 1]: chance level, the |correlation| that 99 of 100 pairs of unrelated maps as
                  coarse as these two stay within; NaN in the same places and on the diagonal
    """

    names: tuple[str, ...]
    correlations: NDArray[np.float64]
    limits: NDArray[np.float64]

    def beyond_chance(self) -> NDArray[np.bool_]:
        """Return which pairs (n, n) correlate, or anticorrelate, beyond chance; False on the diagonal."""
        return np.abs(self.correlations) > self.limits  # false for NaN


def agreement(heatmaps: Mapping[str, Heatmap]) -> Agreement:
    """Compute the agreement of heatmaps of one size, given by name."""
    ranked = {name: ranks(heatmap.values) for name, heatmap in heatmaps.items() if not heatmap.flat}
    places = [place for place, name in enumerate(heatmaps) if name in ranked]
    correlations = np.full((len(heatmaps), len(heatmaps)), np.nan)
    if ranked:
        correlations[np.ix_(places, places)] = np.corrcoef(np.stack(list(ranked.values())))
    limits, maps = np.full_like(correlations, np.nan), list(heatmaps.values())
    for one, other in combinations(places, 2):
        limits[one, other] = limits[other, one] = chance_limit(maps[one].values, maps[other].values)
    return Agreement(tuple(heatmaps), correlations, limits)


def draw_all(
    model: GeoModel,
    tensor: Tensor,
    trace: Trace,
    candidates: Mapping[str, ExplanationKind] | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> dict[str, Heatmap]:
    """Draw the heatmap of every candidate from the trace of an image (1, 3, H, W).

    candidates  explanations by name; None: all of the model's that need the trace alone. Others run the network
    progress    called as progress(done, total) with counts of heatmaps
    cancelled   called before each heatmap and every pass; if it returns True, ExplanationCancelledError is raised
    """
    if candidates is None:
        candidates = traced_candidates(model)
    heatmaps: dict[str, Heatmap] = {}
    for name, candidate in candidates.items():
        if cancelled is not None and cancelled():
            raise ExplanationCancelledError("The comparison of methods was cancelled: start it again.")
        heatmaps[name] = candidate.draw(Subject(model, tensor, trace, cancelled=cancelled))
        if progress is not None:
            progress(len(heatmaps), len(candidates))
    return heatmaps
