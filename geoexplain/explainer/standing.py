"""Which explanations of one image a metric finds better than chance. It does not rank them."""

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, stdtrit

from geoexplain.explainer.faithfulness import METRICS
from geoexplain.explainer.intervals import CONFIDENCE, FEWEST
from geoexplain.explainer.subject import Measure
from geoexplain.explainer.trial import Trial

SMALLEST = 0.001
"""Smallest share of the largest value that logits are computed of, in place of 0."""


@dataclass(frozen=True)
class Standing:
    """The result of one metric on one image.

    limit        value beyond which a method stands out from unrelated maps as coarse as the methods' own; None if
                 there are too few such maps, or all have the same value
    outstanding  names of the methods that stand out and are better than every baseline
    ahead        titles of the baselines that are better than every method
    """

    limit: float | None
    outstanding: tuple[str, ...]
    ahead: tuple[str, ...]


def find_standing(trial: Trial, metric: str, name: str) -> Standing:
    """Find the methods that stand out by a metric, key of METRICS; `name` is the name of its measures.

    The limit is that of a prediction interval: a further unrelated map per method would stay within it, all of them
    in 95 % of cases, if the logit of their values, as shares of the metric's largest value, is normal (Student's t,
    one-sided, Bonferroni). The methods that stand out are not ranked: one image does not show whether the order would
    hold for others.
    """
    row = METRICS[metric]
    sign = 1 if row.higher else -1
    values = {one.name: value for one in trial.explanations if (value := _value(one.measures, name)) is not None}
    methods = [one for one in trial.explanations if not one.baseline and one.name in values]
    baselines = [one for one in trial.explanations if one.baseline and one.name in values]
    chance = [value / row.most for measures in trial.chance if (value := _value(measures, name)) is not None]
    limit = _limit(np.array(chance), sign, len(methods))
    best_method = max((sign * values[one.name] for one in methods), default=-math.inf)
    to_beat = [sign * values[one.name] for one in baselines]
    return Standing(
        None if limit is None else row.most * limit,
        tuple(
            one.name
            for one in methods
            if limit is not None and sign * values[one.name] > max(sign * row.most * limit, *to_beat, -math.inf)
        ),
        tuple(one.title for one in baselines if sign * values[one.name] > best_method),
    )


def _value(measures: Collection[Measure], name: str) -> float | None:
    return next(measure.value for measure in measures if measure.name == name)


def _limit(shares: NDArray[np.float64], sign: int, methods: int) -> float | None:
    if len(shares) < FEWEST or not methods:
        return None
    odds = logit(np.clip(shares, SMALLEST, 1 - SMALLEST))
    if np.ptp(odds) == 0:
        return None
    reach = float(stdtrit(len(odds) - 1, 1 - (1 - CONFIDENCE) / methods)) * float(odds.std(ddof=1))
    return float(expit(odds.mean() + sign * reach * math.sqrt(1 + 1 / len(odds))))
