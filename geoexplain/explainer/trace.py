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
    best_of,
    checked_other,
    checked_target,
    log_odds,
    target_score,
)
from geoexplain.locator.gate import channel_statistics
from geoexplain.locator.model import GeoModel

LEVELS = ("stage", "block")
"""Where maps can be taken: after every stage (its last block), or after every block."""


@dataclass(frozen=True, eq=False)
class Stage:
    """The output of one block, and how the score changes with it.

    activation  float32 (C, h, w), detached
    gradient    float32 (C, h, w): derivative of the score with respect to the activation
    level       "stage" or "block"
    index       position among its level, counted from 1 at the input
    """

    activation: Tensor
    gradient: Tensor
    level: str
    index: int


@dataclass(frozen=True, eq=False)
class Trace:
    """Everything that one forward and one gradient pass tell about one image and one cell, or place.

    blocks    the output of every block, in order from the input
    stages    the output of every stage's last block; shares its tensors with `blocks`
    features  float32 (1, D)
    logits    float32 (1, K)
    target    the explained cell, 0 … K − 1; of a group the most probable one
    score     "probability" or "logit"; "log-odds" if it was traced against another cell
    size_hw   height and width in pixels of the tensor that the network saw
    group     the cells that are explained together; None for one alone
    statistics  float32 (1, F), what the model's gate reads; None without a gate
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
        """What the score is of: the target alone, or its group."""
        return self.target if self.group is None else self.group

    def at(self, level: str) -> tuple[Stage, ...]:
        """`stages` for "stage", `blocks` for "block". Raises DataError for another level."""
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
    """Run the network once, and once backwards from the score of one cell, or of several together, to every block.

    tensor   normalised image (1, 3, H, W)
    target   the cell to explain, 0 … K − 1, or several as one; None is the most probable one
    score    "probability" (softmax, as in the authors' code of Combi-CAM) or "logit" (the field's standard)
    against  another cell: what is explained is then "log-odds", how far the first is ahead of it, whatever the score;
             of a group its most probable cell is

    Nothing is left behind in the model: no hook, no `.grad`; calls may run in parallel threads.
    Raises DataError for another shape, cell or score, or a cell against itself.
    """
    if tensor.dim() != 4 or tensor.shape[:2] != (1, 3):
        raise DataError(f"expected one image as a tensor (1, 3, H, W), got {tuple(tensor.shape)}: pass images singly.")
    backbone = model.backbone
    stage_ends = list(accumulate(backbone.stage_lengths))
    first, *others = backbone.blocks
    # The graph starts behind the first block: its output is the earliest activation that is asked for, and the
    # stem and the first block, at the largest resolution, would be the dearest part of the gradient pass.
    with torch.no_grad():
        activations = [first(backbone.stem(tensor.to(model.device)))]  # (1, C, h, w)
    with torch.enable_grad():
        activations[0].requires_grad_()
        for block in others:
            activations.append(block(activations[-1]))
        features = backbone.pool(activations[-1])  # (1, D)
        logits = model.head(features)  # (1, K)
        explained = checked_target(target, logits)
        cell = best_of(explained, logits)
        if against is None:
            scored = target_score(logits, explained, score)
        else:
            explained = cell
            score, scored = LOG_ODDS, log_odds(logits, cell, checked_other(against, cell, logits))
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
