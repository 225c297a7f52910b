"""What one image says of several explanations: which stand out from chance. It ranks none of them."""

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from geoexplain.explainer.faithfulness import METRICS
from geoexplain.explainer.intervals import CONFIDENCE, FEWEST
from geoexplain.explainer.subject import Measure
from geoexplain.explainer.trial import Trial


@dataclass(frozen=True)
class Standing:
    """What one metric says on one image.

    limit     the value beyond which a method stands out from unrelated maps as coarse as the methods' own; None if
              none can, because these are too few, all have the same value, or scatter beyond what the metric can be
    standing  names of the methods that stand out and are better than every baseline
    ahead     titles of the baselines that are better than every method
    """

    limit: float | None
    standing: tuple[str, ...]
    ahead: tuple[str, ...]


def standing(trial: Trial, metric: str, name: str) -> Standing:
    """What a metric, key of METRICS, says; `name` is that of its measures.

    The limit is that of a prediction interval: of the next unrelated map, and as many as there are methods, none
    exceeds it in 97.5 % of all cases if they are normal (Student's t of so many values, Bonferroni). Whichever of the
    methods is ahead of the others by less than that is not named: on one image nothing tells whether it always would.
    """
    sign = 1 if METRICS[metric].higher else -1
    goodness = {one.name: sign * value for one in trial.tried if (value := _value(one.measures, name)) is not None}
    methods = [one for one in trial.tried if not one.baseline and one.name in goodness]
    baselines = [one for one in trial.tried if one.baseline and one.name in goodness]
    best_method = max((goodness[one.name] for one in methods), default=-math.inf)
    best_baseline = max((goodness[one.name] for one in baselines), default=-math.inf)
    chance = [sign * value for measures in trial.chance if (value := _value(measures, name)) is not None]
    limit = _limit(chance, len(methods))
    if limit is not None and not 0 <= sign * limit <= METRICS[metric].most:
        limit = None
    return Standing(
        None if limit is None else sign * limit,
        tuple(one.name for one in methods if limit is not None and goodness[one.name] > max(limit, best_baseline)),
        tuple(one.title for one in baselines if goodness[one.name] > best_method),
    )


def _value(measures: Collection[Measure], name: str) -> float | None:
    return next(measure.value for measure in measures if measure.name == name)


def _limit(values: list[float], methods: int) -> float | None:
    if len(values) < FEWEST or not methods:
        return None
    deviation = float(np.std(values, ddof=1))
    if deviation == 0:
        return None
    reach = float(stdtrit(len(values) - 1, 1 - (1 - CONFIDENCE) / 2 / methods))
    return float(np.mean(values)) + reach * deviation * math.sqrt(1 + 1 / len(values))
