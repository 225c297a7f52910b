"""The target of an explanation: a cell, or several cells as one; its score; one cell against another."""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from geoexplain.errors import DataError
from geoexplain.words import extremes

SCORES: dict[str, Callable[[Tensor], Tensor]] = {
    # float64, since in float32 the gradient p (1 − p) of a confident prediction rounds to 0 and every map is flat.
    "probability": lambda logits: torch.softmax(logits.double(), dim=-1),
    "logit": lambda logits: logits,
}
"""Scores that can be explained: name → function from logits (N, K) to the score of each cell (N, K)."""

LOG_ODDS = "log-odds"
"""The score of a contrast of two cells. It is not in SCORES, since it is undefined for a single cell."""


@dataclass(frozen=True)
class CellGroup:
    """Cells that are explained as one, such as those of a country.

    label  name of the group
    cells  indices of its cells, at least one, each once; sorted on creation

    Raises DataError for no cells, or duplicates.
    """

    label: str
    cells: tuple[int, ...] = field(repr=False)

    def __post_init__(self) -> None:
        if not self.cells or len(set(self.cells)) < len(self.cells):
            raise DataError(
                f"{self.label}: expected at least one cell, each once, got "
                f"{len(self.cells)}, {len(set(self.cells))} of them different: choose another place."
            )
        object.__setattr__(self, "cells", tuple(sorted(self.cells)))


Explained = int | CellGroup
"""A target: one cell, or several together."""


def log_odds(logits: Tensor, target: int, against: int) -> Tensor:
    """Compute log p_target − log p_against (N,), float64, from the logits (N, K)."""
    log_shares = torch.log_softmax(logits.double(), dim=-1)
    return log_shares[:, target] - log_shares[:, against]


def target_score(logits: Tensor, target: Explained, score: str) -> Tensor:
    """Compute the score (N,) of one cell, or of several together, from the logits (N, K).

    The probability of several cells is the sum of their probabilities. Their logit is log Σ exp of their logits: the
    logit with which a single class in their place would have that probability.
    Raises DataError for a score that is not in SCORES.
    """
    if score not in SCORES:
        raise DataError(f"expected a score out of {tuple(SCORES)}, got {score!r}: choose one of these.")
    if isinstance(target, int):
        return SCORES[score](logits)[:, target]
    own = SCORES[score](logits)[:, list(target.cells)]  # (N, n)
    return own.sum(dim=1) if score == "probability" else own.logsumexp(dim=1)


def resolve_target(target: Explained | None, logits: Tensor) -> Explained:
    """Return a valid target for logits (1, K); None becomes the most probable cell. Raises DataError for any other."""
    return int(logits.detach().argmax()) if target is None else validate_target(target, logits.shape[-1])


def validate_target(target: Explained, cells: int) -> Explained:
    """Return a cell as an index from 0 to `cells` − 1, or a group of such cells. Raises DataError for any other."""
    if isinstance(target, CellGroup):
        if not 0 <= target.cells[0] <= target.cells[-1] < cells:
            raise DataError(
                f"{target.label}: expected cells from 0 to {cells - 1}, got {extremes(target.cells)}: "
                "is this a place of another model?"
            )
        return target
    try:
        cell = operator.index(target)
    except TypeError:
        cell = -1
    # A negative index would silently explain a cell counted from the end.
    if isinstance(target, bool) or not 0 <= cell < cells:
        raise DataError(f"expected a target cell from 0 to {cells - 1}, got {target!r}: choose a cell of this model.")
    return cell


def most_probable_cell(target: Explained, logits: Tensor) -> int:
    """Return a target's cell, or its most probable cell by the logits (1, K); of equal ones the first."""
    if isinstance(target, int):
        return target
    return target.cells[int(logits.detach()[0, list(target.cells)].argmax())]


def target_text(target: Explained, labels: Sequence[str] = ()) -> str:
    """Name a target: "cell 12" or, with the K cells' labels, "cell 12 (near Lyon, France)"; of a group its label."""
    if isinstance(target, CellGroup):
        return target.label
    return f"cell {target} ({labels[target]})" if labels else f"cell {target}"


def validate_other(against: int, target: int, logits: Tensor) -> int:
    """Return the other cell of a contrast as an index. Raises DataError for no cell, or the explained one."""
    other = validate_target(against, logits.shape[-1])
    if isinstance(other, CellGroup) or other == target:
        raise DataError(f"expected two different cells to contrast, got cell {target} twice: choose another cell.")
    return other
