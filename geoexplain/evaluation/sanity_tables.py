"""Combine the sanity checks of many images: resemblances with intervals over the images, and a verdict."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoexplain.evaluation.figures import or_none
from geoexplain.explainer.equivalence import Equivalence
from geoexplain.explainer.intervals import mean_interval
from geoexplain.explainer.sanity_verdict import (
    NO_MAP,
    Comparisons,
    classify_resemblances,
    mean_over_first,
    verdict_name,
    verdict_sentence,
)


@dataclass(frozen=True, eq=False)
class SetSanity:
    """The sanity check of one method over all images whose map is not flat.

    steps         the part that was randomised at each step, in addition to those before it
    resemblances  (steps,): mean over the images of each image's mean over its draws; see Comparisons
    intervals     (low, high) of that mean at each step
    correlations  (steps,): mean rank correlation, with its sign
    similarities  (steps,): mean SSIM
    found         classification of the images' resemblances with all weights random
    verdict       verdict as in SanityCheck
    sentence      the verdict as a sentence
    images        number of images with a map
    verdicts      verdict on single images → number of images
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

    def as_dict(self) -> dict[str, Any]:
        """Return the result as plain data for JSON; NaN becomes None."""
        return {
            "verdict": self.verdict,
            "sentence": self.sentence,
            "more_images": self.found.more if self.images else None,
            "images": self.images,
            "verdicts_of_single_images": self.verdicts,
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
                    self.steps, self.resemblances, self.intervals, self.correlations, self.similarities, strict=True
                )
            ],
        }


def over_images(
    title: str, steps: Sequence[str], compared: Sequence[Comparisons], verdicts: Sequence[str]
) -> SetSanity:
    """Combine the comparisons (draws, steps) and verdicts of at least one image for the method called `title`."""
    each = [one for one, verdict in zip(compared, verdicts, strict=True) if verdict != NO_MAP]
    images = len(each)
    each = each or [compared[0]]
    left = np.stack([one.mean_resemblances() for one in each])  # (images, steps)
    arrays = [(one.correlations, one.chances, one.similarities) for one in each]
    everything = Comparisons(*(np.concatenate(part) for part in zip(*arrays, strict=True)))
    found = classify_resemblances(left[:, -1])
    return SetSanity(
        tuple(steps),
        mean_over_first(left),
        tuple(mean_interval(step[np.isfinite(step)]) for step in left.T),
        mean_over_first(np.stack([mean_over_first(one.correlations) for one in each])),
        mean_over_first(np.stack([one.mean_similarities() for one in each])),
        found,
        verdict_name(found, flat=not images),
        verdict_sentence(title, found, "image", everything.figures(), flat=not images),
        images,
        dict(sorted(Counter(verdicts).items())),
    )
