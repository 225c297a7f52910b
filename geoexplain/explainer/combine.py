"""Combi-CAM: combines the maps of several stages, with a weight for each, to one heatmap. Runs no network."""

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
    """A finished heatmap at the size of the network's input.

    values   float32 (H, W), ≥ 0, not normalised for display; all zeros if `flat`
    method   name of the method, of whose maps a Combi-CAM is made
    target   the explained cell or cells
    score    "probability" or "logit"; "log-odds" in a contrast
    level    "stage" or "block"; "image" for an attribution or a baseline
    how      key in COMBINATIONS; "none" for an attribution or a baseline
    weights  one per stage or block, in order from the input
    flat     True if the values are constant up to rounding, so that there is nothing to show
    maps     the raw maps that were combined; empty for an attribution or a baseline
    attribution  the attribution that the heatmap shows, if any
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
    """The settings of a Combi-CAM; `weights(n)` returns the weights of n ≥ 1 maps."""

    level: str
    score: str
    how: str
    weights: Callable[[int], tuple[float, ...]]
    method: str = "grad-cam"


def divide_by_maximum(values: np.ndarray) -> np.ndarray:
    """Divide a map (h, w) ≥ 0 by its maximum; return zeros if it is flat."""
    return np.zeros_like(values) if is_flat(values) else values / values.max()


def scale_to_range(values: np.ndarray) -> np.ndarray:
    """Scale a map (h, w) ≥ 0 to [0, 1] (min–max); return zeros if it is flat."""
    return np.zeros_like(values) if is_flat(values) else (values - values.min()) / (values.max() - values.min())


DIVISORS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "nothing": lambda values: values,
    "maximum": divide_by_maximum,
    "range": scale_to_range,
}
"""Divisors of a raw map."""

FOLDS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {"sum": np.add, "maximum": np.maximum}
"""How the weighted maps become one."""


@dataclass(frozen=True)
class Combination:
    """One way of combining maps, as plain data that both Python and the browser interpret.

    title    title for menus
    divide   key in DIVISORS: the divisor of each raw map (h, w), at its own resolution
    gamma    γ > 0 in tanh(γ M), applied to the divided map M; None: no tanh
    fold     key in FOLDS: how the upsampled, weighted maps become one

    Raises DataError for another divisor, γ or fold, since the browser implements only these.
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
        """Divide a raw map (h, w) ≥ 0 and apply the tanh; return zeros for a flat map, unless it is not divided."""
        divided = DIVISORS[self.divide](values)
        return divided if self.gamma is None else np.tanh(self.gamma * divided)


COMBINATIONS: dict[str, Combination] = {
    "sum": Combination("Sum of raw maps (as published)"),
    "max": Combination("Sum, each map divided by its maximum", "maximum"),
    "minmax": Combination("Sum, each map scaled to 0–1", "range"),
    "tanh": Combination("Maximum of tanh-scaled maps (LayerCAM)", "maximum", TANH_GAMMA, "maximum"),
}
"""Every way of combining. Menus, command-line choices, the browser's blending and tests read this table."""


def equal_weights(n: int) -> tuple[float, ...]:
    """Return weights for n ≥ 1 maps: 1 for each."""
    return (1.0,) * n


def deepest_weights(n: int) -> tuple[float, ...]:
    """Return weights for n ≥ 1 maps: 1 for the last, 0 for the others."""
    return (0.0,) * (n - 1) + (1.0,)


def shallow_weights(n: int) -> tuple[float, ...]:
    """Return weights for n ≥ 1 maps: 1 for the first n / 2, rounded down but at least one, 0 for the others."""
    shallow = max(1, n // 2)
    return (1.0,) * shallow + (0.0,) * (n - shallow)


def upsample(values: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """Upsample a map (h, w) to float32 (H, W): bilinear, corners aligned, as everywhere in this project."""
    # torch.tensor copies, since torch cannot share memory with a read-only array.
    grid = torch.tensor(values, dtype=torch.float32)[None, None]
    return F.interpolate(grid, tuple(size_hw), mode="bilinear", align_corners=True)[0, 0].numpy()


def combine(maps: Sequence[StageMap], weights: Sequence[float], how: str, size_hw: tuple[int, int]) -> Heatmap:
    """Combine the maps of one method over stages or blocks to a heatmap: Combi-CAM with any weights.

    maps     at least one map; all of one method, target, score and level
    weights  one per map, finite and ≥ 0; 0 leaves a map out
    how      key in COMBINATIONS: each map is scaled at its own resolution ("sum": not at all; "max": divided by its
             maximum; "minmax": to 0–1; "tanh": tanh(2 M / max M)), upsampled with the corners aligned, multiplied by
             its weight, and added ("tanh": the maximum is taken instead)
    size_hw  height and width of the heatmap in pixels

    A flat map adds nothing to "max", "minmax" and "tanh". With weight 1 on one map and 0 elsewhere, "sum" gives that
    map itself. The browser blends the raw float32 maps in the same order, in assets/studio/blend.js, by the row of
    COMBINATIONS. This function is its reference, and a test compares the two for every row.

    Raises DataError for no maps, maps that differ in method, target, score or level, and wrong weights or way of
    combining.
    """
    _check(maps, weights, how)
    scale = COMBINATIONS[how].scale
    return fold_maps(maps, [scale(stage_map.values) for stage_map in maps], weights, how, size_hw)


def combine_pair(
    maps: Sequence[StageMap], others: Sequence[StageMap], weights: Sequence[float], how: str, size_hw: tuple[int, int]
) -> tuple[Heatmap, Heatmap]:
    """Combine two cells' maps of the same stages or blocks to two heatmaps that can be subtracted.

    As `combine`, but `how` divides both maps of a stage by the same value: otherwise the weaker map would look as
    strong as the other.
    """
    _check(maps, weights, how)
    _check(others, weights, how)
    scale = COMBINATIONS[how].scale
    pairs = [scale(np.stack([one.values, other.values])) for one, other in zip(maps, others, strict=True)]
    return (
        fold_maps(maps, [one for one, _ in pairs], weights, how, size_hw),
        fold_maps(others, [other for _, other in pairs], weights, how, size_hw),
    )


def fold_maps(
    maps: Sequence[StageMap],
    scaled: Sequence[np.ndarray],
    weights: Sequence[float],
    how: str,
    size_hw: tuple[int, int],
) -> Heatmap:
    """Fold maps into one heatmap: upsample and weight their values, which are already scaled for `how`."""
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
        kinds = sorted({f"{m.method} of {m.score} by {m.level}" for m in maps})
        raise DataError(
            f"expected maps of one method, target, score and level, got {', '.join(kinds)} for "
            f"{len({m.target for m in maps})} targets: combine each kind by itself."
        )
    if len(weights) != len(maps):
        raise DataError(
            f"expected {len(maps)} weights, one per {maps[0].level}, got {len(weights)}: give one for each."
        )
    for weight in weights:
        if not (math.isfinite(weight) and weight >= 0):
            raise DataError(f"expected weights that are finite and at least 0, got {weight}: use 0 to leave a map out.")
