"""Chance level of concept influence on one image: the range that the same strongest pixels reach at any position."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from geoexplain.explainer.concepts import ConceptInfluence, Influence, dilate

BEYOND = 0.025
"""Share of all shifts beyond either end of the range of chance, for all concepts of an image together."""

MORE, FEWER = "more", "fewer"


def chance_ranges(
    influence: Influence, masks: Mapping[str, NDArray[np.bool_]], *, dilation_px: int = 0
) -> dict[str, tuple[float, float]]:
    """Compute the range (low, high) of ci that the same strongest pixels reach by chance, for each concept that counts.

    The k strongest pixels of a coarse map form one or two spots, which either lie on a concept or do not: on one image,
    ci may be 0 or far above 1 although the explanation is unrelated to the concept. Therefore the spots are shifted
    together to every position of the image, continued periodically (Lotwick and Silverman, J. R. Stat. Soc. B 44,
    1982), and ci is computed for each. A ci within the range is no evidence. 95 % of all shifts lie within the ranges
    of all concepts (Bonferroni).

    masks, dilation_px  as for `concept_influence`
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
    """Return MORE or FEWER if ci of one concept on one image is beyond the range of chance, else ""."""
    if one.ci is None or chance is None:
        return ""
    return MORE if one.ci > chance[1] else FEWER if one.ci < chance[0] else ""
