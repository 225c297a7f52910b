"""One forward and one gradient pass: activation and gradient of every block and stage of the network."""

from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from geoexplain.errors import DataError
from geoexplain.explainer.target import (
    LOG_ODDS,
    CellGroup,
    Explained,
    log_odds,
    most_probable_cell,
    resolve_target,
    target_score,
    validate_other,
)
from geoexplain.locator.gate import channel_statistics
from geoexplain.locator.model import GeoModel

LEVELS = ("stage", "block")
"""Levels at which maps are computed: after every stage (its last block), or after every block."""


@dataclass(frozen=True, eq=False)
class Stage:
    """The activation of one stage or block, and the gradient of the score with respect to it.

    activation  float32 (C, h, w), detached
    gradient    float32 (C, h, w)
    level       "stage" or "block"
    index       position within its level, counted from 1 at the input
    """

    activation: Tensor
    gradient: Tensor
    level: str
    index: int


@dataclass(frozen=True, eq=False)
class Trace:
    """The result of one forward and one gradient pass for one image and one target.

    blocks    every block, in order from the input
    stages    every stage, that is its last block; shares its tensors with `blocks`
    features  float32 (1, D)
    logits    float32 (1, K)
    target    the explained cell, 0 … K − 1; of several cells the most probable one
    score     "probability" or "logit"; "log-odds" in a contrast
    size_hw   height and width in pixels of the network's input
    group     the cells that are explained together; None for a single cell
    statistics  float32 (1, F), input of the model's gate; None without a gate
    """

    blocks: tuple[Stage, ...]
    stages: tuple[Stage, ...]
    features: Tensor
    logits: Tensor
    target: int
    score: str
    size_hw: tuple[int, int]
    group: CellGroup | None = None
    statistics: Tensor | None = None

    @property
    def explained(self) -> Explained:
        """The cell or cells that the score belongs to: `target`, or `group` if there is one."""
        return self.target if self.group is None else self.group

    def at(self, level: str) -> tuple[Stage, ...]:
        """Return `stages` for "stage", `blocks` for "block". Raises DataError for another level."""
        if level not in LEVELS:
            raise DataError(f"expected a level out of {LEVELS}, got {level!r}: choose one of these.")
        return self.stages if level == "stage" else self.blocks


def trace(
    model: GeoModel,
    tensor: Tensor,
    target: Explained | None = None,
    score: str = "probability",
    *,
    against: int | None = None,
) -> Trace:
    """Run the network forward once, and backward once from the target's score to every block.

    tensor   normalised image (1, 3, H, W)
    target   the cell to explain, 0 … K − 1, or several cells as one; None: the most probable cell
    score    "probability" (softmax, as in the authors' code of Combi-CAM) or "logit" (the field's standard)
    against  another cell: the score is then "log-odds", log p_target − log p_against, whatever `score` says. Of several
             target cells, the most probable one is contrasted

    Leaves no hook and no `.grad` in the model; calls may run in parallel threads.
    Raises DataError for another shape, target or score, or a cell against itself.
    """
    if tensor.dim() != 4 or tensor.shape[:2] != (1, 3):
        raise DataError(f"expected one image as a tensor (1, 3, H, W), got {tuple(tensor.shape)}: pass images singly.")
    backbone = model.backbone
    stage_ends = list(accumulate(backbone.stage_lengths))
    first, *others = backbone.blocks
    # The graph starts after the first block. Its output is the earliest activation that is needed, and the stem and
    # the first block, at the largest resolution, would be the most expensive part of the gradient pass.
    with torch.no_grad():
        activations = [first(backbone.stem(tensor.to(model.device)))]  # (1, C, h, w)
    with torch.enable_grad():
        activations[0].requires_grad_()
        for block in others:
            activations.append(block(activations[-1]))
        features = backbone.pool(activations[-1])  # (1, D)
        logits = model.head(features)  # (1, K)
        explained = resolve_target(target, logits)
        cell = most_probable_cell(explained, logits)
        if against is None:
            scored = target_score(logits, explained, score)
        else:
            explained = cell
            score, scored = LOG_ODDS, log_odds(logits, cell, validate_other(against, cell, logits))
        gradients = torch.autograd.grad(scored.sum(), activations)
    statistics = None
    if model.gate is not None:
        statistics = channel_statistics(
            [activations[stage_ends[stage - 1] - 1].detach() for stage in model.gate.stages]
        )
    pairs = [(a.detach()[0].float(), g[0].float()) for a, g in zip(activations, gradients, strict=True)]
    return Trace(
        blocks=tuple(Stage(a, g, "block", i) for i, (a, g) in enumerate(pairs, 1)),
        stages=tuple(Stage(*pairs[end - 1], "stage", i) for i, end in enumerate(stage_ends, 1)),
        features=features.detach().float(),
        logits=logits.detach().float(),
        target=cell,
        score=score,
        size_hw=(tensor.shape[2], tensor.shape[3]),
        group=explained if isinstance(explained, CellGroup) else None,
        statistics=statistics,
    )
