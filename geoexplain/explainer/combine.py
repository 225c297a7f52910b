"""Combi-CAM: the maps of several stages and a weight for each → one heatmap. No network in here."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F

from geoexplain.errors import DataError
from geoexplain.explainer.attribution import Attribution
from geoexplain.explainer.cams import StageMap, is_flat
from geoexplain.explainer.target import Explained

TANH_GAMMA = 2.0
"""Scale γ inside LayerCAM's tanh (Jiang et al. 2021, sect. III-C)."""


@dataclass(frozen=True, eq=False)
class Heatmap:
    """A finished heatmap.

    values   float32 (H, W), ≥ 0, not normalised for display; all zeros if `flat`
    method   key of the CAM method whose maps were combined
    target   the explained cell, or several as one
    score    "probability" or "logit"; "log-odds" in a contrast
    level    "stage" or "block"
    how      key in COMBINATIONS
    weights  one per stage or block, from the input on
    flat     True if the combination holds no structure, so that there is nothing to show
    maps     the raw maps that were combined; none of an attribution or a baseline
    attribution  the attribution of every pixel that it shows, if it shows one
    """

    values: np.ndarray
    method: str
    target: Explained
    score: str
    level: str
    how: str
    weights: tuple[float, ...]
    flat: bool
    maps: tuple[StageMap, ...] = field(default=(), repr=False)
    attribution: Attribution | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Preset:
    """Every choice that makes a Combi-CAM; `weights` gives them for any number of maps ≥ 1."""

    level: str
    score: str
    how: str
    weights: Callable[[int], tuple[float, ...]]
    method: str = "grad-cam"


def over_maximum(values: np.ndarray) -> np.ndarray:
    """A map (h, w) ≥ 0 divided by its maximum; zeros if it is flat."""
    return np.zeros_like(values) if is_flat(values) else values / values.max()


def over_range(values: np.ndarray) -> np.ndarray:
    """A map (h, w) ≥ 0 min–max scaled to [0, 1]; zeros if it is flat."""
    return np.zeros_like(values) if is_flat(values) else (values - values.min()) / (values.max() - values.min())


DIVISORS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "nothing": lambda values: values,
    "maximum": over_maximum,
    "range": over_range,
}
"""What a raw map can be divided by."""

FOLDS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {"sum": np.add, "maximum": np.maximum}
"""How the weighed maps become one."""


@dataclass(frozen=True)
class Combination:
    """One way of combining, as plain data, which Python and the browser follow alike.

    title    for menus
    divide   key in DIVISORS: what each raw map (h, w) is divided by, at its own resolution
    gamma    γ > 0 of tanh(γ M), taken of the divided map M; None takes none
    fold     key in FOLDS: what becomes of the maps once they are upsampled and weighed

    Raises DataError for another divisor, γ or fold: the browser knows none but these.
    """

    title: str
    divide: str = "nothing"
    gamma: float | None = None
    fold: str = "sum"

    def __post_init__(self) -> None:
        for what, value, known in (("a divisor", self.divide, DIVISORS), ("a fold", self.fold, FOLDS)):
            if value not in known:
                raise DataError(
                    f"way of combining {self.title!r}: expected {what} out of {tuple(known)}, got {value!r}: "
                    "choose one of these."
                )
        if self.gamma is not None and not (math.isfinite(self.gamma) and self.gamma > 0):
            raise DataError(
                f"way of combining {self.title!r}: expected a finite gamma above 0, or None, got {self.gamma}: "
                f"LayerCAM takes {TANH_GAMMA:g}."
            )

    def scale(self, values: np.ndarray) -> np.ndarray:
        """A raw map (h, w) ≥ 0 made ready to be weighed; zeros if it is flat and divided by something."""
        divided = DIVISORS[self.divide](values)
        return divided if self.gamma is None else np.tanh(self.gamma * divided)


COMBINATIONS: dict[str, Combination] = {
    "sum": Combination("Sum of raw maps (as published)"),
    "max": Combination("Sum, each map divided by its maximum", "maximum"),
    "minmax": Combination("Sum, each map scaled to 0–1", "range"),
    "tanh": Combination("Maximum of tanh-scaled maps (LayerCAM)", "maximum", TANH_GAMMA, "maximum"),
}
"""Every way of combining. Menus, command-line choices, the browser's blending and tests read this table."""


def every(n: int) -> tuple[float, ...]:
    """Weights for n ≥ 1 maps: 1 for each."""
    return (1.0,) * n


def deepest(n: int) -> tuple[float, ...]:
    """Weights for n ≥ 1 maps: 1 for the last, 0 for the others."""
    return (0.0,) * (n - 1) + (1.0,)


def shallow_half(n: int) -> tuple[float, ...]:
    """Weights for n ≥ 1 maps: 1 for the first n / 2, rounded down but at least one, 0 for the others."""
    shallow = max(1, n // 2)
    return (1.0,) * shallow + (0.0,) * (n - shallow)


def upsample(values: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """A map (h, w) at another size (H, W), float32: bilinear, corners aligned, as everywhere."""
    # A copy, since torch cannot view an array that is read-only.
    grid = torch.tensor(values, dtype=torch.float32)[None, None]
    return F.interpolate(grid, tuple(size_hw), mode="bilinear", align_corners=True)[0, 0].numpy()


def combine(maps: Sequence[StageMap], weights: Sequence[float], how: str, size_hw: tuple[int, int]) -> Heatmap:
    """Weigh and combine the maps of one method over stages or blocks: Combi-CAM for any weights.

    maps     at least one; all of one method, target, score and level
    weights  one per map, finite and ≥ 0; 0 leaves a map out
    how      key in COMBINATIONS: each map is scaled at its own resolution ("sum": not at all; "max": divided by its
             maximum; "minmax": to 0–1; "tanh": tanh(2 M / max M)), upsampled with the corners aligned, multiplied by
             its weight, and added up ("tanh": the maximum is taken instead)
    size_hw  height and width of the heatmap in pixels

    A map that is flat adds nothing to "max", "minmax" and "tanh". With weight 1 on one map and 0 elsewhere, "sum"
    gives that map itself. The browser blends in the same order, in assets/studio/blend.js, from the raw float32 maps by
    the row of COMBINATIONS; this function is its reference, and a test holds the two together for every row.

    Raises DataError for no maps, maps that do not belong together, or wrong weights or way of combining.
    """
    _check(maps, weights, how)
    scale = COMBINATIONS[how].scale
    return folded(maps, [scale(stage_map.values) for stage_map in maps], weights, how, size_hw)


def combine_pair(
    maps: Sequence[StageMap], others: Sequence[StageMap], weights: Sequence[float], how: str, size_hw: tuple[int, int]
) -> tuple[Heatmap, Heatmap]:
    """`combine` for two cells' maps of the same stages or blocks, so that the heatmaps may be held against each other.

    What `how` divides by is common to both maps of a stage: each by its own, the fainter would look as strong.
    """
    _check(maps, weights, how)
    _check(others, weights, how)
    scale = COMBINATIONS[how].scale
    pairs = [scale(np.stack([one.values, other.values])) for one, other in zip(maps, others, strict=True)]
    return (
        folded(maps, [one for one, _ in pairs], weights, how, size_hw),
        folded(others, [other for _, other in pairs], weights, how, size_hw),
    )


def folded(
    maps: Sequence[StageMap],
    scaled: Sequence[np.ndarray],
    weights: Sequence[float],
    how: str,
    size_hw: tuple[int, int],
) -> Heatmap:
    """The heatmap of maps whose values have been scaled for `how` already: upsampled, weighed and folded into one."""
    fold = FOLDS[COMBINATIONS[how].fold]
    total = np.zeros(size_hw, dtype=np.float32)
    for values, weight in zip(scaled, weights, strict=True):
        if weight > 0:
            total = fold(total, np.float32(weight) * upsample(values, size_hw))
    flat = is_flat(total)
    first = maps[0]
    return Heatmap(
        values=np.zeros_like(total) if flat else total,
        method=first.method,
        target=first.target,
        score=first.score,
        level=first.level,
        how=how,
        weights=tuple(float(weight) for weight in weights),
        flat=flat,
        maps=tuple(maps),
    )


def _check(maps: Sequence[StageMap], weights: Sequence[float], how: str) -> None:
    if how not in COMBINATIONS:
        raise DataError(f"expected a way of combining out of {tuple(COMBINATIONS)}, got {how!r}: choose one of these.")
    if not maps:
        raise DataError("expected at least one map to combine, got none: choose at least one stage.")
    if len({(m.method, m.target, m.score, m.level) for m in maps}) > 1:
        raise DataError("expected maps of one method, target, score and level, got a mixture: combine each by itself.")
    if len(weights) != len(maps):
        raise DataError(f"expected {len(maps)} weights, one per {maps[0].level}, got {len(weights)}: give one each.")
    for weight in weights:
        if not (math.isfinite(weight) and weight >= 0):
            raise DataError(f"expected weights that are finite and at least 0, got {weight}: use 0 to leave a map out.")
