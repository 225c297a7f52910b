"""On one image an explanation lies on something by chance: how much of it would, wherever its spots were."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from geoexplain.explainer.concepts import ConceptInfluence, Influence, dilate

BEYOND = 0.025
"""Share of all places that lie beyond either end of the range of chance, for all concepts of an image together."""

MORE, FEWER = "more", "fewer"


def chance_ranges(
    influence: Influence, masks: Mapping[str, NDArray[np.bool_]], *, dilation_px: int = 0
) -> dict[str, tuple[float, float]]:
    """The range of ci that the same strongest pixels reach wherever they lie, for every concept that counts.

    In 95 % of all places they lie within the ranges of all concepts (Bonferroni).

    The k strongest pixels of a coarse map are one or two spots, which lie on a concept or beside it: on one image ci is
    anything from 0 to a multiple of 1 although the explanation has nothing to do with the concept. So the spots are
    moved as a whole, to every place of the image, continued periodically (Lotwick and Silverman, J. R. Stat. Soc. B 44,
    1982), and ci is taken anew. What lies within the range says nothing of the concept.

    masks, dilation_px  as of `concept_influence`
    """
    spots = np.fft.rfft2(influence.top.astype(np.float64))
    ranges = {}
    counting = [one for one in influence.concepts if not one.ignored and one.share]
    beyond = BEYOND / max(1, len(counting))
    for one in counting:
        mask = np.fft.rfft2(dilate(masks[one.concept], dilation_px).astype(np.float64))
        counts = np.rint(np.fft.irfft2(spots.conj() * mask, influence.top.shape))
        low, high = np.quantile(counts / influence.top.sum() / one.share, (beyond, 1 - beyond))
        ranges[one.concept] = float(low), float(high)
    return ranges


def beyond_chance(one: ConceptInfluence, chance: tuple[float, float] | None) -> str:
    """What ci says of one concept on one image: MORE, FEWER, or "" for what chance explains."""
    if one.ci is None or chance is None:
        return ""
    return MORE if one.ci > chance[1] else FEWER if one.ci < chance[0] else ""
