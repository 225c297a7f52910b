"""How far a training run has come."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """One report: images seen and in all, running loss, images per second, seconds left, resolution in px."""

    seen: int
    total: int
    loss: float
    per_s: float
    left_s: float
    size_px: int
