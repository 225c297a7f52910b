"""A source of images to train on: what photos and views have in common."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from geoexplain.geography.partitioning import Partitioning
from geoexplain.images import Preprocess
from geoexplain.locator.model import Network
from geoexplain.training.heads import Truth
from geoexplain.training.settings import Phase

Accuracy = Mapping[str, Mapping[int, float]]
"""Way of answering, or kind of views → radius in km → share of validation images within it, in [0, 1]."""

Score = tuple[float, ...]
"""How good a network is in validation: compared element by element, higher is better."""

Working = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and all of it."""


@dataclass(frozen=True, eq=False)
class TrainingBatch:
    """Images that go through the network together.

    images   float32 (b, 3, S, S), normalised; those that show a place come first
    truth    where the first n ≤ b of them are
    nowhere  weight of each of the other b − n, which show no place, in comparison with one that does
    failed   (key, reason) of images that could not be read, and that the batch therefore does not have
    """

    images: Tensor
    truth: Truth
    nowhere: float = 0.0
    failed: Sequence[tuple[str, str]] = ()


class Source(Protocol):
    """Images to train on and images to validate on, with their cells."""

    @property
    def unit(self) -> str:
        """What the images are called: "photos" or "views"."""
        ...

    @property
    def partitioning(self) -> Partitioning:
        """The cells that are learned."""
        ...

    @property
    def epoch_images(self) -> int | None:
        """Images of an epoch; None where images are made without end."""
        ...

    def facts(self) -> dict[str, Any]:
        """What decides the outcome beside the settings, and what the card of a model says of it, as plain data."""
        ...

    def fingerprint(self) -> str:
        """A digest of which images are trained on."""
        ...

    def batches(
        self,
        phase: Phase,
        preprocess: Preprocess,
        *,
        seed: tuple[int, int],
        start: int,
        rank: int,
        world: int,
        workers: int,
    ) -> Iterator[TrainingBatch]:
        """Endless batches of a phase from the `start`-th on, of which this process takes the rank-th of `world` shares.

        A batch depends on `seed`, the run's and the number of the phase, and on its own number, and on nothing else:
        however many processes and threads there are, and wherever a run goes on, all of them see the same images.
        """
        ...

    def validate(
        self, network: Network, size_px: int, *, workers: int = 0, progress: Working | None = None
    ) -> tuple[Accuracy, Score]:
        """Score a network in evaluation mode at a resolution in px, on images that are not trained on."""
        ...


def cells_fingerprint(partitioning: Partitioning) -> str:
    """A digest of a partitioning's cells: their keys and centres on every level."""
    digest = hashlib.sha256()
    for level, keys in zip(partitioning.levels, partitioning.keys, strict=True):
        digest.update("\0".join(keys).encode() + np.round(level.centers_deg, 6).tobytes())
    return digest.hexdigest()


def step_of(progress: Working | None, what: str) -> Callable[[int, int], None] | None:
    """A callback that is told how much of `what` is done, and all of it."""
    return None if progress is None else lambda done, total: progress(what, done, total)
