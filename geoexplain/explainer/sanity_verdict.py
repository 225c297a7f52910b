"""Verdicts of the sanity check: a map depends on the weights, partly, survives them, or there are too few draws.

A verdict compares the map of the trained network with maps of networks whose weights are all random.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoexplain.explainer.chance import chance_level
from geoexplain.explainer.combine import Heatmap
from geoexplain.explainer.equivalence import TOO_FEW, Equivalence, equivalence
from geoexplain.explainer.intervals import MOST
from geoexplain.explainer.similarity import rank_correlation, structural_similarity
from geoexplain.words import about, counted, listed

DEPENDS, PARTLY, SURVIVES = "depends", "partly", "survives"
NO_MAP = "none"
DEPENDS_BELOW, SURVIVES_ABOVE = 0.2, 0.5
"""Resemblance to the original map when all weights are random: below the first value a map depends on the weights,
above the second it survives them. These limits are our own choice: Adebayo et al. give none."""

RANGES = {
    DEPENDS: (-math.inf, DEPENDS_BELOW),
    PARTLY: (DEPENDS_BELOW, SURVIVES_ABOVE),
    SURVIVES: (SURVIVES_ABOVE, math.inf),
}
"""Verdict → the range (low, high) of resemblances that must hold the whole interval of the mean."""

PHRASES = {
    DEPENDS: "depends on what was learnt",
    PARTLY: "is partly the image's own",
    SURVIVES: "survives random weights: it shows the image, not what was learnt",
}


@dataclass(frozen=True, eq=False)
class Comparisons:
    """Comparisons of random networks' maps with the original map: float64 arrays of one shape, draws on the first axis.

    correlations  Spearman's rank correlation ρ; NaN where one of the two maps is flat
    chances       chance level: mean |ρ| of unrelated maps as coarse as these; 0 where the random network's map is flat,
                  NaN where the original is flat or nothing was compared
    similarities  SSIM; NaN where one of the two maps is flat
    """

    correlations: NDArray[np.float64]
    chances: NDArray[np.float64]
    similarities: NDArray[np.float64]

    def compare(self, original: Heatmap, drawn: Heatmap, at: tuple[int, ...]) -> None:
        """Compare two heatmaps of one size, and store the figures at index `at` of the arrays."""
        if original.flat:
            return
        if drawn.flat:
            self.chances[at] = 0
            return
        self.correlations[at] = rank_correlation(original.values, drawn.values)
        self.chances[at] = chance_level(original.values, drawn.values)
        self.similarities[at] = structural_similarity(original.values, drawn.values)

    def resemblances(self) -> NDArray[np.float64]:
        """Compute the resemblance beyond chance, (|ρ| − chance) / (1 − chance), in the shape of the arrays.

        It is 1 for the same map and for its negative, since the sign of ρ depends on the draw and signs would cancel
        over draws. It is 0 on average for unrelated maps, whose |ρ| is 0.25 for maps as coarse as 7 × 7. The scaling is
        that of Cohen's κ. It is 0 where the random network's map is flat, and NaN where nothing was compared.
        """
        beyond = (np.abs(self.correlations) - self.chances) / (1 - self.chances)
        return np.where(np.isnan(self.correlations), 0 * self.chances, beyond)

    def mean_resemblances(self) -> NDArray[np.float64]:
        """Compute the mean resemblance over the draws that were compared; NaN where the original map is flat."""
        return mean_over_first(self.resemblances())

    def mean_similarities(self) -> NDArray[np.float64]:
        """Compute the mean SSIM over the draws; NaN where every map is flat."""
        return mean_over_first(self.similarities)

    def figures(self) -> str:
        """Return the figures behind the resemblance at the last step as text."""
        absolute, chance, similarity = (
            float(mean_over_first(figure)[..., -1].mean())
            for figure in (np.abs(self.correlations), self.chances, self.similarities)
        )
        if math.isnan(absolute):
            return "every map is flat"
        return f"mean |ρ| {absolute:.2f}, of unrelated maps {chance:.2f}; SSIM {similarity:.2f}"


def classify_resemblances(resemblances: NDArray[np.float64]) -> Equivalence:
    """Classify the mean of resemblances (N,) of networks whose weights are all random; NaN is ignored."""
    return equivalence(resemblances[np.isfinite(resemblances)], RANGES)


def verdict_name(result: Equivalence, *, flat: bool) -> str:
    """Return DEPENDS, PARTLY, SURVIVES or TOO_FEW; NO_MAP if the original map is flat."""
    return NO_MAP if flat else result.verdict


def verdict_sentence(title: str, result: Equivalence, unit: str, figures: str, *, flat: bool) -> str:
    """Return a verdict in words, with the figures that it is based on.

    unit     what was counted, in the singular: "draw" or "image"
    figures  as Comparisons.figures() returns them
    flat     True if the original map is flat
    """
    if flat:
        return f"{title}: the map is flat, so there is nothing to check."
    few = result.verdict == TOO_FEW
    verdict = (
        f"too few {unit}s to tell whether it {verdicts_text(result.possible)}"
        if few
        else f"it {PHRASES[result.verdict]}"
    )
    more = f" {more_text(result, unit)}" if few else ""
    return (
        f"{title}: {verdict}. With all weights random the resemblance is {two_decimals_text(result.mean)} "
        f"({interval_text(result)}; {counted(result.count, unit)}; {figures}).{more}"
    )


def interval_text(result: Equivalence) -> str:
    """Return the interval of a mean as text: "95 %: −0.03 to 0.15", or "no interval"."""
    if not math.isfinite(result.low):
        return "no interval"
    return f"95 %: {two_decimals_text(result.low)} to {two_decimals_text(result.high)}"


def two_decimals_text(value: float) -> str:
    """Return a number to two decimals, without a sign if they are 0."""
    return f"{round(value, 2) + 0.0:.2f}"  # −0.0 + 0.0 is 0.0


def more_text(result: Equivalence, unit: str) -> str:
    """Say how many more draws, or images, should give a verdict."""
    if result.more is None:
        return f"Even {MOST:,} {unit}s would not tell: it lies on the border."
    if result.count < 2:
        return f"At least {result.more} more {unit}s are needed."
    return f"{about(result.more, f'more {unit}')} should tell."


def verdicts_text(verdicts: Sequence[str]) -> str:
    """Return the possible verdicts in words: "depends on what was learnt or is partly the image's own"."""
    phrases = [PHRASES[verdict].partition(":")[0] for verdict in verdicts]
    return listed(phrases, "or")


def mean_over_first(figures: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the mean over the first axis, without NaN; NaN where all values are NaN."""
    counts = np.isfinite(figures).sum(axis=0)
    return np.where(counts, np.nansum(figures, axis=0) / np.maximum(counts, 1), np.nan)
