"""Sanity checks of many images → what is left of every method, with intervals over the images and a verdict."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoexplain.evaluation.figures import INTERVAL, or_none
from geoexplain.evaluation.sanity import ImageSanity, Randomisation, comparisons_of
from geoexplain.explainer.equivalence import Equivalence
from geoexplain.explainer.intervals import mean_interval
from geoexplain.explainer.sanity_verdict import (
    NO_MAP,
    Comparisons,
    finding,
    mean_over_first,
    sentence_of,
    verdict_of,
)
from geoexplain.explainer.table import kind_of


@dataclass(frozen=True, eq=False)
class SetSanity:
    """One method over all images that have a map to speak of.

    steps         the part that was drawn at each step, in addition to those before it
    resemblances  (steps,): mean over the images of each one's mean over its draws; see Comparisons
    intervals     (low, high) of that mean at each step
    correlations  (steps,): mean rank correlation, with its sign
    similarities  (steps,): mean SSIM
    found         what the images' resemblances say, all weights being random
    verdict       as of SanityCheck
    sentence      the verdict in words
    images        how many images have a map
    verdicts      how many images have which verdict, alone
    """

    steps: tuple[str, ...]
    resemblances: NDArray[np.float64]
    intervals: tuple[tuple[float, float], ...]
    correlations: NDArray[np.float64]
    similarities: NDArray[np.float64]
    found: Equivalence
    verdict: str
    sentence: str
    images: int
    verdicts: dict[str, int]


def over_images(answers: Sequence[ImageSanity], randomisation: Randomisation) -> dict[str, SetSanity]:
    """Method → what is found over all images; nothing when no image could be examined.

    Images are what is counted: each with networks of its own, and one figure, the mean over these.
    """
    seen = [answer for answer in answers if answer.status == "ok"]
    return {name: over_images_of(name, seen) for name in randomisation.methods} if seen else {}


def over_images_of(name: str, seen: Sequence[ImageSanity]) -> SetSanity:
    """One method over the images that could be examined, at least one."""
    verdicts = Counter(answer.verdicts[name] for answer in seen)
    with_map = [answer for answer in seen if answer.verdicts[name] != NO_MAP]
    each = [comparisons_of(answer, name) for answer in with_map or seen[:1]]
    left = np.stack([one.mean_resemblances() for one in each])  # (images, steps)
    everything = Comparisons(*(np.concatenate(one) for one in zip(*map(arrays_of, each), strict=True)))
    found = finding(left[:, -1])
    return SetSanity(
        tuple(seen[0].steps),
        mean_over_first(left),
        tuple(mean_interval(step[np.isfinite(step)]) for step in left.T),
        mean_over_first(np.stack([mean_over_first(one.correlations) for one in each])),
        mean_over_first(np.stack([one.mean_similarities() for one in each])),
        found,
        verdict_of(found, flat=not with_map),
        sentence_of(kind_of(name).title, found, "image", everything.figures(), flat=not with_map),
        len(with_map),
        dict(sorted(verdicts.items())),
    )


def arrays_of(one: Comparisons) -> tuple[NDArray[np.float64], ...]:
    """The arrays that make Comparisons."""
    return one.correlations, one.chances, one.similarities


def summary_of(
    answers: Sequence[ImageSanity], found: Mapping[str, SetSanity], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Counts, the images left out by name, and what is found by method, as plain data for JSON; what is NaN is None."""
    left = {status: [one for one in answers if one.status == status] for status in ("unreadable", "failed", "missing")}
    return {
        "settings": dict(settings),
        "counts": {"evaluated": sum(one.status == "ok" for one in answers)} | {key: len(v) for key, v in left.items()},
        **{key: [{"id": one.id, "file": one.file, "reason": one.reason} for one in ones] for key, ones in left.items()},
        "interval": INTERVAL,
        "methods": {
            name: {
                "verdict": one.verdict,
                "sentence": one.sentence,
                "more_images": one.found.more if one.images else None,
                "images": one.images,
                "verdicts_of_single_images": one.verdicts,
                "steps": [
                    {
                        "randomised": step,
                        "resemblance": or_none(float(resemblance)),
                        "low": or_none(low),
                        "high": or_none(high),
                        "rank_correlation": or_none(float(correlation)),
                        "ssim": or_none(float(similarity)),
                    }
                    for step, resemblance, (low, high), correlation, similarity in zip(
                        one.steps, one.resemblances, one.intervals, one.correlations, one.similarities, strict=True
                    )
                ],
            }
            for name, one in found.items()
        },
    }
