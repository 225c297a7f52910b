"""What decides the outcome of a training run."""

import math
from dataclasses import dataclass, field

from geoexplain.imagery.mixture import ViewMixture


@dataclass(frozen=True)
class Phase:
    """A stretch of training at one resolution: side of the views in px, views per step, views in all."""

    size_px: int
    batch: int
    views: int


@dataclass(frozen=True)
class ViewTraining:
    """Everything that decides the outcome, given the imagery and the network that training begins with.

    mixture        which views are drawn
    weights        (part of an image's name, how often it is drawn in comparison with others); 1 for those not named
    others         share of every batch that are no views of Earth, for which every cell is as likely as the next
    bandwidth_km   how far around the truth cells are wanted
    cooldown       share of the work, at the end, over which the learning rate falls
    average_decay  of the moving average that is validated and released
    """

    architecture: str = "tf_efficientnet_lite0"
    cells: int = 2000
    phases: tuple[Phase, ...] = (Phase(96, 96, 240_000), Phase(160, 64, 50_000), Phase(224, 64, 20_000))
    mixture: ViewMixture = field(default_factory=ViewMixture)
    weights: tuple[tuple[str, float], ...] = ()
    others: float = 0.1
    bandwidth_km: float = 150.0
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    warmup_views: int = 15_000
    cooldown: float = 0.3
    gradient_clip: float = 2.0
    average_decay: float = 0.998
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
        """Learning rate: linear warm-up, constant, then a cosine to 1 % over the last `cooldown` of the pixels.

        While the rate is constant, a run may still be made longer or shorter without a trace.
        """
        if seen < self.warmup_views:
            return self.learning_rate * (seen + 1) / self.warmup_views
        left = 1 - self.work(seen) / self.work(self.total_views())
        if left >= self.cooldown:
            return self.learning_rate
        return self.learning_rate * (0.01 + 0.99 * 0.5 * (1 - math.cos(math.pi * left / self.cooldown)))

    def weight_of(self, name: str) -> float:
        """How often an image is drawn in comparison with others."""
        return next((weight for part, weight in self.weights if part in name), 1.0)
