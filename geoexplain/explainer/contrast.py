"""Why here and not there: what in an image speaks for one cell rather than another."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from geoexplain.errors import DataError
from geoexplain.explainer.cams import FLAT_SPREAD
from geoexplain.explainer.combine import Heatmap, combine_pair, deepest_weights, equal_weights
from geoexplain.explainer.explanation import Explanation, target_cell
from geoexplain.explainer.target import log_odds
from geoexplain.explainer.trace import Trace, trace
from geoexplain.locator.model import GeoModel


@dataclass(frozen=True, eq=False)
class SignedMap:
    """What speaks for one cell rather than another, and where.

    here    the heatmap of what speaks for the explained cell
    there   that of what speaks for the other one; both in one unit, so that they may be subtracted
    values  float32 (H, W), here − there: above 0 what speaks for the explained cell; all zeros if `flat`
    flat    True if that holds no structure, so that there is nothing to show
    """

    here: Heatmap
    there: Heatmap
    values: NDArray[np.float32]
    flat: bool


@dataclass(frozen=True, eq=False)
class Contrast:
    """One image, two cells: how far one is ahead of the other, and every map of why.

    here      the explanation of log p_here − log p_there
    there     that of log p_there − log p_here: same pass, every gradient turned round
    log_odds  log p_here − log p_there, the natural logarithm; above 0 if `here` is the more probable
    """

    here: Explanation = field(repr=False)
    there: Explanation = field(repr=False)
    log_odds: float

    @property
    def target(self) -> int:
        """The explained cell."""
        return self.here.target

    @property
    def against(self) -> int:
        """The other cell."""
        return self.there.target

    def swapped(self) -> "Contrast":
        """The same question asked the other way round. No network pass."""
        return Contrast(self.there, self.here, -self.log_odds)

    def heatmap(self, method: str) -> SignedMap:
        """A gradient method on its own: the maps of the deepest stage. No network pass; errors as of Explanation."""
        return self.combi_cam(deepest_weights(len(self.here.trace.stages)), method=method, level="stage")

    def combi_cam(
        self,
        weights: tuple[float, ...] | None = None,
        *,
        method: str = "grad-cam",
        level: str = "block",
        how: str = "sum",
    ) -> SignedMap:
        """Combi-CAM of both cells by the same weights, one from the other. No network pass.

        As for `Explanation.combi_cam`; what `how` divides a stage's map by is common to both cells.
        """
        maps, others = self.here.maps(method, level), self.there.maps(method, level)
        chosen = equal_weights(len(maps)) if weights is None else weights
        return subtract_heatmaps(*combine_pair(maps, others, chosen, how, self.here.size_hw))


def contrast(explanation: Explanation, model: GeoModel, against: int | tuple[float, float]) -> Contrast:
    """Hold the explained cell of an image against another one, with one forward and one gradient pass.

    explanation  by `model`; its target is the cell that is held against the other, whatever score it explains
    against      the other cell, or (latitude, longitude) in degrees of a place in it

    The maps of the explained cell are made of the gradient g of log p_here − log p_there, those of the other of −g: a
    method that keeps what raises a score thus shows what favours either. Selvaraju et al., IJCV 2020
    (sect. 3.3), turn the gradient round likewise for what speaks against a class; here what it speaks for has a name.
    Raises DataError for a cell that does not exist, or the explained one.
    """
    other = target_cell(model, against)
    if other is None:
        raise DataError("expected a cell to hold the explained one against, got none: choose another cell.")
    traced = trace(model, explanation.tensor, explanation.target, against=other)
    odds = float(log_odds(traced.logits, traced.target, other))
    there = reversed_trace(traced, other)
    return Contrast(replace(explanation, trace=traced), replace(explanation, trace=there), odds)


def reversed_trace(traced: Trace, target: int) -> Trace:
    """The trace of the same pass and of the score's negative, which is that of `target`."""
    return replace(
        traced,
        blocks=tuple(replace(stage, gradient=-stage.gradient) for stage in traced.blocks),
        stages=tuple(replace(stage, gradient=-stage.gradient) for stage in traced.stages),
        target=target,
    )


def subtract_heatmaps(here: Heatmap, there: Heatmap) -> SignedMap:
    """One heatmap less another of the same size and unit."""
    values = here.values - there.values
    flat = bool(np.ptp(values) <= FLAT_SPREAD * max(here.values.max(), there.values.max()))
    return SignedMap(here, there, np.zeros_like(values) if flat else values, flat)
