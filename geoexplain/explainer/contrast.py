"""Contrast: what in an image supports one cell rather than another."""

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
    """What supports one cell rather than another, and where in the image.

    here    heatmap of what supports the explained cell
    there   heatmap of what supports the other cell; both have the same unit, so that they can be subtracted
    values  float32 (H, W), here − there: above 0 where the image supports the explained cell; all zeros if `flat`
    flat    True if `values` are constant up to rounding, so that there is nothing to show
    """

    here: Heatmap
    there: Heatmap
    values: NDArray[np.float32]
    flat: bool


@dataclass(frozen=True, eq=False)
class Contrast:
    """The explanation of one cell of an image against another.

    here      explanation of log p_here − log p_there
    there     explanation of log p_there − log p_here: from the same pass, with every gradient negated
    log_odds  log p_here − log p_there, natural logarithm; above 0 if `here` is more probable
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
        """Return the same contrast with the two cells swapped. No network pass."""
        return Contrast(self.there, self.here, -self.log_odds)

    def heatmap(self, method: str) -> SignedMap:
        """Draw a gradient method on its own: the maps of the deepest stage. No network pass.

        Raises DataError as `Explanation.heatmap` does.
        """
        return self.combi_cam(deepest_weights(len(self.here.trace.stages)), method=method, level="stage")

    def combi_cam(
        self,
        weights: tuple[float, ...] | None = None,
        *,
        method: str = "grad-cam",
        level: str = "block",
        how: str = "sum",
    ) -> SignedMap:
        """Draw the difference of both cells' Combi-CAMs with the same weights. No network pass.

        As `Explanation.combi_cam`; `how` divides both cells' maps of a stage by the same value.
        """
        maps, others = self.here.maps(method, level), self.there.maps(method, level)
        chosen = equal_weights(len(maps)) if weights is None else weights
        return subtract_heatmaps(*combine_pair(maps, others, chosen, how, self.here.size_hw))


def contrast(explanation: Explanation, model: GeoModel, against: int | tuple[float, float]) -> Contrast:
    """Contrast the explained cell of an image with another one, with one forward and one gradient pass.

    explanation  an explanation by `model`; its target is contrasted with the other cell, whatever score it explains
    against      the other cell, or a position (latitude, longitude) in degrees in it

    The maps of the explained cell come from the gradient g of log p_here − log p_there, those of the other cell from
    −g. A method that keeps what raises a score thus shows what supports each cell. Selvaraju et al., IJCV 2020
    (sect. 3.3), negate the gradient in the same way to show evidence against a class; here, that is evidence for the
    other cell. Raises DataError for a cell that does not exist, or the explained one.
    """
    other = target_cell(model, against)
    if other is None:
        raise DataError("expected a cell to contrast the explained one with, got none: choose another cell.")
    traced = trace(model, explanation.tensor, explanation.target, against=other)
    odds = float(log_odds(traced.logits, traced.target, other))
    there = reversed_trace(traced, other)
    return Contrast(replace(explanation, trace=traced), replace(explanation, trace=there), odds)


def reversed_trace(traced: Trace, target: int) -> Trace:
    """Return the trace of the negative score, that of `target`, from the same pass."""
    return replace(
        traced,
        blocks=tuple(replace(stage, gradient=-stage.gradient) for stage in traced.blocks),
        stages=tuple(replace(stage, gradient=-stage.gradient) for stage in traced.stages),
        target=target,
    )


def subtract_heatmaps(here: Heatmap, there: Heatmap) -> SignedMap:
    """Subtract `there` from `here`, heatmaps of the same size and unit."""
    values = here.values - there.values
    flat = bool(np.ptp(values) <= FLAT_SPREAD * max(here.values.max(), there.values.max()))
    return SignedMap(here, there, np.zeros_like(values) if flat else values, flat)
