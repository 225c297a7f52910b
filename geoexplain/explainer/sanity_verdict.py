"""What is left of a map when all weights are random: it depends on them, survives, partly, or too few draws to tell."""

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
"""Resemblance to the original, all weights being random, below which a map is said to depend on them, and above which
it is said to survive them. Our own choice: Adebayo et al. give none."""

RANGES = {
    DEPENDS: (-math.inf, DEPENDS_BELOW),
    PARTLY: (DEPENDS_BELOW, SURVIVES_ABOVE),
    SURVIVES: (SURVIVES_ABOVE, math.inf),
}
"""What a mean resemblance says, by the range that holds its whole interval."""

PHRASES = {
    DEPENDS: "depends on what was learnt",
    PARTLY: "is partly the image's own",
    SURVIVES: "survives random weights: it shows the image, not what was learnt",
}


@dataclass(frozen=True, eq=False)
class Comparisons:
    """Maps of random networks compared with the original one: float64 arrays of one shape, draws first.

    correlations  Spearman's rank correlation ρ; NaN where one of the two maps is flat
    chances       mean |ρ| of unrelated maps that are as coarse; 0 where the drawn map is flat, NaN where the original
                  is, and where nothing was compared
    similarities  SSIM; NaN where one of the two maps is flat
    """

    correlations: NDArray[np.float64]
    chances: NDArray[np.float64]
    similarities: NDArray[np.float64]

    def compare(self, original: Heatmap, drawn: Heatmap, at: tuple[int, ...]) -> None:
        """Compare two heatmaps of one size, and keep the figures at one place of the arrays."""
        if original.flat:
            return
        if drawn.flat:
            self.chances[at] = 0
            return
        self.correlations[at] = rank_correlation(original.values, drawn.values)
        self.chances[at] = chance_level(original.values, drawn.values)
        self.similarities[at] = structural_similarity(original.values, drawn.values)

    def resemblances(self) -> NDArray[np.float64]:
        """What the maps have in common beyond chance, (|ρ| − chance) / (1 − chance), in the shape of the arrays.

        1 for the same map, also upside down: the sign of ρ depends on the draw, and over draws signs would cancel. On
        average 0 for unrelated maps, whose |ρ| is 0.25 where they are as coarse as 7 × 7; scaled as Cohen's κ is. 0
        where the drawn map is flat, NaN where nothing was compared.
        """
        beyond = (np.abs(self.correlations) - self.chances) / (1 - self.chances)
        return np.where(np.isnan(self.correlations), 0 * self.chances, beyond)

    def mean_resemblances(self) -> NDArray[np.float64]:
        """Mean over the draws that were compared; NaN where the original map is flat."""
        return mean_over_first(self.resemblances())

    def mean_similarities(self) -> NDArray[np.float64]:
        """Mean SSIM over the draws; NaN where every map is flat."""
        return mean_over_first(self.similarities)

    def figures(self) -> str:
        """What the resemblance at the last step is made of, in words."""
        absolute, chance, similarity = (
            float(mean_over_first(figure)[..., -1].mean())
            for figure in (np.abs(self.correlations), self.chances, self.similarities)
        )
        if math.isnan(absolute):
            return "every map is flat"
        return f"mean |ρ| {absolute:.2f}, of unrelated maps {chance:.2f}; SSIM {similarity:.2f}"


def finding(left: NDArray[np.float64]) -> Equivalence:
    """What resemblances (N,), all weights being random, say of a map; NaN counts for nothing."""
    return equivalence(left[np.isfinite(left)], RANGES)


def verdict_of(found: Equivalence, *, flat: bool) -> str:
    """DEPENDS, PARTLY, SURVIVES or TOO_FEW; NO_MAP of an original map that is flat."""
    return NO_MAP if flat else found.verdict


def sentence_of(title: str, found: Equivalence, unit: str, figures: str, *, flat: bool) -> str:
    """A verdict in words, with the figures that decide it.

    unit     what was counted, in the singular: "draw" or "image"
    figures  as of Comparisons
    flat     whether the original map is flat
    """
    if flat:
        return f"{title}: the map is flat, so there is nothing to check."
    few = found.verdict == TOO_FEW
    words = f"too few {unit}s to tell whether it {in_words(found.possible)}" if few else f"it {PHRASES[found.verdict]}"
    more = f" {more_text(found, unit)}" if few else ""
    return (
        f"{title}: {words}. With all weights random the resemblance is {hundredths(found.mean)} "
        f"({interval_text(found)}; {counted(found.count, unit)}; {figures}).{more}"
    )


def interval_text(found: Equivalence) -> str:
    """The interval of a mean: "95 %: −0.03 to 0.15", or that there is none."""
    if not math.isfinite(found.low):
        return "no interval"
    return f"95 %: {hundredths(found.low)} to {hundredths(found.high)}"


def hundredths(value: float) -> str:
    """A number to two decimals, without a sign if they are 0."""
    return f"{round(value, 2) + 0.0:.2f}"  # −0.0 + 0.0 is 0.0


def more_text(found: Equivalence, unit: str) -> str:
    """How many more draws, or images, should settle what is not settled."""
    if found.more is None:
        return f"Even {MOST:,} {unit}s would not tell: it lies on the border."
    if found.count < 2:
        return f"At least {found.more} more {unit}s are needed."
    return f"{about(found.more, f'more {unit}')} should tell."


def in_words(verdicts: Sequence[str]) -> str:
    """Verdicts as what is possible: "depends on what was learnt or is partly the image's own"."""
    phrases = [PHRASES[verdict].partition(":")[0] for verdict in verdicts]
    return listed(phrases, "or")


def mean_over_first(figures: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the first axis of what is not NaN; NaN where everything is."""
    counts = np.isfinite(figures).sum(axis=0)
    return np.where(counts, np.nansum(figures, axis=0) / np.maximum(counts, 1), np.nan)
