"""One forward and one gradient pass: activation and gradient of every block and stage of the network."""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from geoexplain.errors import DataError
from geoexplain.locator.model import GeoModel

LEVELS = ("stage", "block")
"""Where maps can be taken: after every stage (its last block), or after every block."""

SCORES: dict[str, Callable[[Tensor], Tensor]] = {
    # float64, since in float32 the gradient p (1 − p) of a confident prediction rounds to 0 and every map turns flat.
    "probability": lambda logits: torch.softmax(logits.double(), dim=-1),
    "logit": lambda logits: logits,
}
"""What is explained: name → function of the logits (N, K) that gives the score of each cell (N, K)."""

LOG_ODDS = "log-odds"
"""What is explained of two cells: how far one is ahead of the other. Not among SCORES: one cell alone has none."""


@dataclass(frozen=True, eq=False)
class Stage:
    """The output of one block, and how the score changes with it.

    activation    float32 (C, h, w), detached
    gradient      float32 (C, h, w): derivative of the score with respect to the activation
    level         "stage" or "block"
    index         position among its level, counted from 1 at the input
    score_masked  the lazy path of methods without gradients: activation (C, h, w) → score (C,) of the input masked
                  by each channel; None until a method that needs it attaches the network
    """

    activation: Tensor
    gradient: Tensor
    level: str
    index: int
    score_masked: Callable[[Tensor], Tensor] | None = None


@dataclass(frozen=True, eq=False)
class Trace:
    """Everything that one forward and one gradient pass tell about one image and one cell.

    blocks    the output of every block, in order from the input
    stages    the output of every stage's last block; shares its tensors with `blocks`
    features  float32 (1, D)
    logits    float32 (1, K)
    target    the explained cell, 0 … K − 1
    score     "probability" or "logit"; "log-odds" if it was traced against another cell
    size_hw   height and width in pixels of the tensor that the network saw
    """

    blocks: tuple[Stage, ...]
    stages: tuple[Stage, ...]
    features: Tensor
    logits: Tensor
    target: int
    score: str
    size_hw: tuple[int, int]

    def at(self, level: str) -> tuple[Stage, ...]:
        """`stages` for "stage", `blocks` for "block". Raises DataError for another level."""
        if level not in LEVELS:
            raise DataError(f"expected a level out of {LEVELS}, got {level!r}: choose one of these.")
        return self.stages if level == "stage" else self.blocks


def log_odds(logits: Tensor, target: int, against: int) -> Tensor:
    """How far one cell is ahead of another: log p_target − log p_against (N,) from the logits (N, K), in float64."""
    log_shares = torch.log_softmax(logits.double(), dim=-1)
    return log_shares[:, target] - log_shares[:, against]


def target_score(logits: Tensor, target: int, score: str) -> Tensor:
    """Score (N,) of one cell from the logits (N, K). Raises DataError for a score that is not in SCORES."""
    if score not in SCORES:
        raise DataError(f"expected a score out of {tuple(SCORES)}, got {score!r}: choose one of these.")
    return SCORES[score](logits)[:, target]


def trace(
    model: GeoModel,
    tensor: Tensor,
    target: int | None = None,
    score: str = "probability",
    *,
    against: int | None = None,
) -> Trace:
    """Run the network once, and once backwards from the score of one cell to every block.

    tensor   normalised image (1, 3, H, W)
    target   the cell to explain, 0 … K − 1; None is the most probable one
    score    "probability" (softmax, as in the authors' code of Combi-CAM) or "logit" (the field's standard)
    against  another cell: what is explained is then "log-odds", how far the first is ahead of it, whatever the score

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
        cell = checked_target(target, logits)
        if against is None:
            scored = target_score(logits, cell, score)
        else:
            score, scored = LOG_ODDS, log_odds(logits, cell, checked_other(against, cell, logits))
        gradients = torch.autograd.grad(scored.sum(), activations)
    pairs = [(a.detach()[0].float(), g[0].float()) for a, g in zip(activations, gradients, strict=True)]
    return Trace(
        blocks=tuple(Stage(a, g, "block", i) for i, (a, g) in enumerate(pairs, 1)),
        stages=tuple(Stage(*pairs[end - 1], "stage", i) for i, end in enumerate(stage_ends, 1)),
        features=features.detach().float(),
        logits=logits.detach().float(),
        target=cell,
        score=score,
        size_hw=(tensor.shape[2], tensor.shape[3]),
    )


def checked_target(target: int | None, logits: Tensor) -> int:
    """A cell as an index into the logits (1, K); None is the most probable. Raises DataError for any other."""
    cells = logits.shape[-1]
    if target is None:
        return int(logits.detach().argmax())
    try:
        cell = operator.index(target)
    except TypeError:
        cell = -1
    # A negative index would silently explain a cell counted from the end.
    if isinstance(target, bool) or not 0 <= cell < cells:
        raise DataError(f"expected a target cell from 0 to {cells - 1}, got {target!r}: choose a cell of this model.")
    return cell


def checked_other(against: int, target: int, logits: Tensor) -> int:
    """A cell to hold against the explained one, as an index. Raises DataError for no cell, or the explained one."""
    other = checked_target(against, logits)
    if other == target:
        raise DataError(f"expected two different cells to contrast, got cell {target} twice: choose another cell.")
    return other
