"""Combi-CAM: the maps of several stages and a weight for each → one heatmap. No network in here."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from geoexplain.errors import DataError
from geoexplain.explainer.cams import StageMap, is_flat
from geoexplain.explainer.target import Explained

TANH_GAMMA = 2.0
"""Scale γ inside LayerCAM's tanh (Jiang et al. 2021, sect. III-C)."""


@dataclass(frozen=True)
class Combination:
    """One way of combining: `scale` each raw map (h, w) at its own resolution, upsample, weigh, then `fold`."""

    title: str
    scale: Callable[[np.ndarray], np.ndarray]
    fold: Callable[[np.ndarray, np.ndarray], np.ndarray]


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
    """

    values: np.ndarray
    method: str
    target: Explained
    score: str
    level: str
    how: str
    weights: tuple[float, ...]
    flat: bool


@dataclass(frozen=True)
class Preset:
    """A named setting of every choice that makes a Combi-CAM; `weights` gives them for any number of maps ≥ 1."""

    title: str
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


def squashed(values: np.ndarray) -> np.ndarray:
    """LayerCAM's tanh(γ M / max M) of a map (h, w) ≥ 0; zeros if it is flat."""
    return np.tanh(TANH_GAMMA * over_maximum(values))


COMBINATIONS: dict[str, Combination] = {
    "sum": Combination("Sum of raw maps (as published)", lambda values: values, np.add),
    "max": Combination("Sum, each map divided by its maximum", over_maximum, np.add),
    "minmax": Combination("Sum, each map scaled to 0–1", over_range, np.add),
    "tanh": Combination("Maximum of tanh-scaled maps (LayerCAM)", squashed, np.maximum),
}
"""Every way of combining. Menus, command-line choices and tests read this table."""


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


PRESETS: dict[str, Preset] = {
    "as-published": Preset("Combi-CAM (as published)", "block", "probability", "sum", every),
    "all-stages": Preset("All stages, equal say", "stage", "probability", "max", every),
    "deep-only": Preset("Deepest stage only (Grad-CAM)", "stage", "probability", "sum", deepest),
    "shallow-only": Preset("Shallow half of the stages", "stage", "probability", "max", shallow_half),
}
"""Named settings. "as-published" is Faget, Lisani, Colom (VISAPP 2026): the raw Grad-CAMs of all blocks, summed.
Raw maps differ by orders of magnitude between shallow and deep stages, so the presets in which every chosen stage is to
be seen divide each by its maximum."""

DEFAULT_PRESET = "as-published"
"""What Combi-CAM is where nobody has set it: in the studio, on the command line, in Python and for scripts alike."""


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
    gives that map itself. The browser blends in the same order, in assets/blend.js, from the raw float32 maps; this
    function is its reference, and a test holds the two together, so a change here is a change there.

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
    fold = COMBINATIONS[how].fold
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
