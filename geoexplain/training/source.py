"""The protocol of a source of images to train on, which photos and views implement."""

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
"""Way of answering (photos) or name of a set (views) → radius in km → share of images within it, in [0, 1]."""

Score = tuple[float, ...]
"""A network's score in validation: compared element by element, higher is better."""

Working = Callable[[str, int, int], None]
"""Called with a task, the steps of it that are done, and all its steps."""


@dataclass(frozen=True, eq=False)
class TrainingBatch:
    """Images that go through the network together.

    images   float32 (b, 3, S, S), normalised; those that show a place come first
    truth    cells and positions of the first n ≤ b images
    nowhere  weight in the loss of each of the other b − n images, which show no place; an image of a place has weight 1
    failed   (key, reason) of images that could not be read and are missing from the batch
    """

    images: Tensor
    truth: Truth
    nowhere: float = 0.0
    failed: Sequence[tuple[str, str]] = ()


class Source(Protocol):
    """Images to train and validate on, with their cells."""

    @property
    def unit(self) -> str:
        """The word for the images: "photos" or "views"."""
        ...

    @property
    def partitioning(self) -> Partitioning:
        """The cells that the network learns."""
        ...

    @property
    def epoch_images(self) -> int | None:
        """The number of images per epoch; None if images are rendered endlessly."""
        ...

    def facts(self) -> dict[str, Any]:
        """Return what affects the result apart from the settings, as plain data for the checkpoint and the card."""
        ...

    def fingerprint(self) -> str:
        """Return a digest of the training images."""
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
        """Yield endless batches of a phase from number `start` on; this process gets share `rank` of `world`.

        A batch depends only on `seed` (that of the run, and the number of the phase) and on its own number. The images
        are therefore the same for any number of processes and threads, and after the run is resumed.
        """
        ...

    def validate(
        self, network: Network, size_px: int, *, workers: int = 0, progress: Working | None = None
    ) -> tuple[Accuracy, Score]:
        """Score a network in evaluation mode at `size_px`, on images outside the training set."""
        ...


def cells_fingerprint(partitioning: Partitioning) -> str:
    """Return a digest of a partitioning's cells: their keys and centres on every level."""
    digest = hashlib.sha256()
    for level, keys in zip(partitioning.levels, partitioning.keys, strict=True):
        digest.update("\0".join(keys).encode() + np.round(level.centers_deg, 6).tobytes())
    return digest.hexdigest()


def step_of(progress: Working | None, what: str) -> Callable[[int, int], None] | None:
    """Return a callback for the steps done and all steps of the task `what`; None without `progress`."""
    return None if progress is None else lambda done, total: progress(what, done, total)
