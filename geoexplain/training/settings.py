"""What decides the outcome of a training run."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Phase:
    """A stretch of training at one resolution: side of the views in px, views per step, views in all."""

    size_px: int
    batch: int
    views: int


@dataclass(frozen=True)
class ViewTraining:
    """Everything that decides the outcome, given the imagery. Footprints and bandwidth in km, rotation in degrees."""

    architecture: str = "efficientnet_b0"
    cells: int = 2000
    phases: tuple[Phase, ...] = (Phase(96, 96, 240_000), Phase(160, 64, 50_000), Phase(224, 64, 20_000))
    footprint_km: tuple[float, float] = (400.0, 2500.0)
    rotation_deg: float = 30.0
    bandwidth_km: float = 150.0
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    warmup_views: int = 15_000
    gradient_clip: float = 2.0
    average_decay: float = 0.99
    seed: int = 0

    def total_views(self) -> int:
        """Views of all phases together."""
        return sum(phase.views for phase in self.phases)

    def phase_at(self, seen: int) -> Phase:
        """The phase in which the next view after `seen` ones falls."""
        for phase in self.phases:
            if seen < phase.views:
                return phase
            seen -= phase.views
        return self.phases[-1]

    def work(self, seen: int) -> float:
        """Pixels processed after `seen` views: what the learning rate and the time left are reckoned by."""
        done = 0.0
        for phase in self.phases:
            here = min(seen, phase.views)
            done += here * phase.size_px**2
            seen -= here
        return done

    def rate_at(self, seen: int) -> float:
        """Learning rate: linear warm-up, then a cosine over the pixels processed, down to 1 %."""
        if seen < self.warmup_views:
            return self.learning_rate * (seen + 1) / self.warmup_views
        done = self.work(seen) / self.work(self.total_views())
        return self.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))
