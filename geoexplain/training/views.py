"""Views of Earth from above to train and validate on, mixed with pictures that are not views."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import count
from typing import Any

import numpy as np
import torch
from torch import Tensor

from geoexplain.errors import CheckpointError, DataError
from geoexplain.evaluation.accuracy import accuracy_by_km
from geoexplain.evaluation.views import VIEW_RADII_KM, view_logits
from geoexplain.geography.addresses.cell_names import unnamed
from geoexplain.geography.partition import hierarchy, spherical_kmeans
from geoexplain.geography.partitioning import Partitioning
from geoexplain.geography.sphere import great_circle_km, unit_vectors
from geoexplain.imagery.conditions import BLOCK, CONDITIONS, ViewSet, views_under
from geoexplain.imagery.discs import Disc, disc_views
from geoexplain.imagery.earth import Imagery
from geoexplain.imagery.effects import Surroundings, photograph, photograph_other
from geoexplain.imagery.mixture import ViewMixture, sample_mixture
from geoexplain.imagery.others import sample_others
from geoexplain.imagery.scene import Sampler, mixed_scene
from geoexplain.imagery.views import sample_centers, texels_at
from geoexplain.images import Preprocess
from geoexplain.locator.backbone import preprocess_for
from geoexplain.locator.model import Network
from geoexplain.training.heads import Truth
from geoexplain.training.settings import Phase
from geoexplain.training.source import Accuracy, Score, TrainingBatch, Working, step_of

OTHERS_WEIGHT = 0.5
"""Weight of the loss of pictures that are not views: that of outliers in Hendrycks et al., ICLR 2019."""

FOOTPRINT_KM, ROTATION_DEG = (500.0, 2000.0), 30.0
"""Widths and largest rotation of views that validate and measure: the defaults of `geoexplain evaluate views`."""

CLEAR = 0.3
"""Largest share of cloud in validation views of discs: under more cloud the place cannot be recognized."""


@dataclass(frozen=True, eq=False)
class ViewSource:
    """A source of views, rendered on demand on the device of the imagery.

    imagery       whole-earth images
    around        clouds and markings
    partitioning  the cells that the network learns; a view belongs to the cell with the nearest centre
    others        uint8 (3, H, W) each, pictures that are not views of Earth; may be empty
    validation    name of a set → views outside the training set
    mixture       the distribution of the views
    weights       (part of an image's name, its relative frequency); other images have 1
    others_share  share in [0, 1) of every batch that are not views of Earth; their target is the same probability for
                  every cell
    sample        `texels_at`, or a function that computes the same

    Raises DataError for a share out of range.
    """

    imagery: Imagery
    around: Surroundings
    partitioning: Partitioning
    others: Sequence[Tensor] = ()
    validation: Mapping[str, ViewSet] = field(default_factory=dict)
    mixture: ViewMixture = field(default_factory=ViewMixture)
    weights: tuple[tuple[str, float], ...] = ()
    others_share: float = 0.1
    sample: Sampler = texels_at

    unit = "views"
    epoch_images = None

    def __post_init__(self) -> None:
        if not 0 <= self.others_share < 1:
            raise DataError(f"others: expected a share of at least 0 and below 1, got {self.others_share}: correct it.")

    def facts(self) -> dict[str, Any]:
        """Return the distribution of the views, the names of the imagery and the number of cells."""
        return {
            "cells": len(self.partitioning.levels[0]),
            "mixture": asdict(self.mixture),
            "weights": self.weights,
            "others": self.others_share,
            "imagery": list(self.imagery.names),
        }

    def fingerprint(self) -> str:
        """Return a digest of the names and sizes of the imagery, the clouds and the other pictures."""
        clouds = () if self.around.clouds is None else (self.around.clouds.names, self.around.clouds.heights.tolist())
        others = [tuple(picture.shape) for picture in self.others]
        parts = repr((self.imagery.names, self.imagery.heights.tolist(), clouds, others))
        return hashlib.sha256(parts.encode()).hexdigest()

    def weight_of(self, name: str) -> float:
        """Return the relative frequency of an image."""
        return next((weight for part, weight in self.weights if part in name), 1.0)

    def batches(
        self,
        phase: Phase,
        preprocess: Preprocess,
        *,
        seed: tuple[int, int],
        start: int,
        rank: int,
        world: int,
        workers: int,  # noqa: ARG002 - views are rendered where the network computes
    ) -> Iterator[TrainingBatch]:
        """Yield endless batches; see `Source.batches`.

        A batch consists of blocks of at most BLOCK views, then of blocks of at most BLOCK other pictures. Every block
        has its own seed, and the blocks are distributed among the processes.
        """
        weights = torch.tensor([self.weight_of(name) for name in self.imagery.names])
        table = hierarchy(self.partitioning.levels[0], self.partitioning.levels[1:])
        nowhere = round(phase.batch * self.others_share)
        views = phase.batch - nowhere
        blocks = [(True, n) for n in block_sizes(views)] + [(False, n) for n in block_sizes(nowhere)]
        for number in count(start):
            images = [torch.zeros(0, 3, phase.size_px, phase.size_px, device=self.imagery.device)]
            centers = [np.zeros((0, 2))]
            for block, (of_earth, size) in list(enumerate(blocks))[rank::world]:
                points, noise = self._generators((*seed, number, block))
                if of_earth:
                    drawn = sample_mixture(size, weights, points, self.mixture)
                    scene = mixed_scene(self.imagery, drawn, phase.size_px, self.sample)
                    images.append(photograph(scene, self.around, noise))
                    centers.append(drawn.centers_deg.numpy())
                else:
                    other = sample_others(size, phase.size_px, self.others, self.around.markings, points)
                    images.append(photograph_other(other, self.around, points).to(self.imagery.device))
            centers_deg = np.concatenate(centers)
            cells = self.partitioning.levels[0].nearest_many(centers_deg)
            positions = torch.from_numpy(unit_vectors(centers_deg)).float()
            yield TrainingBatch(
                preprocess.normalize(torch.cat(images)),
                Truth(torch.from_numpy(table[cells]), positions),
                # The loss is the mean over views plus OTHERS_WEIGHT times the mean over others, for any number of each.
                nowhere=OTHERS_WEIGHT * views / nowhere if nowhere else 0.0,
            )

    def _generators(self, seed: tuple[int, ...]) -> tuple[torch.Generator, torch.Generator]:
        """Return the generators of places, on the CPU, and of effects, on the imagery's device."""
        # Hash all numbers: torch's generators use 32 bits of a seed, and similar seeds must not give similar views.
        points, noise = (int(state) >> 1 for state in np.random.SeedSequence(seed).generate_state(2, np.uint64))
        device = self.imagery.device
        return torch.Generator().manual_seed(points), torch.Generator(device=device).manual_seed(noise)

    def validate(
        self,
        network: Network,
        size_px: int,
        *,
        workers: int = 0,  # noqa: ARG002 - views are rendered where the network computes
        progress: Working | None = None,
    ) -> tuple[Accuracy, Score]:
        """Return the accuracy of the top cell's centre by set of views; the score is the mean over sets and radii."""
        accuracy = {
            name: top_cell_accuracy(network, views, self.partitioning.levels[0].centers_deg, size_px, progress=progress)
            for name, views in self.validation.items()
        }
        shares = [share for by_km in accuracy.values() for share in by_km.values()]
        return accuracy, (float(np.mean(shares)) if shares else 0.0,)


def block_sizes(images: int) -> list[int]:
    """Split a number of images into blocks of at most BLOCK; return their sizes."""
    return [min(BLOCK, images - start) for start in range(0, images, BLOCK)]


def view_partitioning(cells: int, seed: int = 0) -> Partitioning:
    """Build `cells` cells of about the same area over land and the water near it, by spherical k-means.

    Raises DataError for fewer than 4.
    """
    if cells < 4:
        raise DataError(f"expected at least 4 cells, got {cells}: ask for more.")
    samples = sample_centers(max(100 * cells, 10_000), torch.Generator().manual_seed(seed))
    return centers_partitioning(spherical_kmeans(samples, cells, seed=seed))


def centers_partitioning(centers_deg: np.ndarray) -> Partitioning:
    """Return a partitioning of cells around centres (K, 2) in degrees; a point belongs to the nearest centre."""
    finest = unnamed("earth-views", centers_deg)
    return Partitioning(
        name="earth-views",
        kind="kmeans",
        levels=(finest,),
        keys=(finest.labels,),
        counts=(np.zeros(len(finest), dtype=np.int64),),
        borders=((None,) * len(finest),),
        assign=finest.nearest_many,
    )


def run_partitioning(saved: Mapping[str, Any], cells: int | None = None) -> Partitioning:
    """Read the cells of a run on views from its checkpoint; k-means on another machine may give slightly other centres.

    Raises CheckpointError for a run with a number of cells other than `cells`, and for a run on photos.
    """
    if saved["unit"] != "views":
        raise CheckpointError(f"expected a run on views, got one on {saved['unit']}: choose its folder.")
    centers_deg = saved["network"]["head.mvmf.mus"].T.contiguous().numpy()
    if cells is not None and len(centers_deg) != cells:
        raise CheckpointError(
            f"--resume: expected cells {len(centers_deg)}, as the run was begun with, got {cells}: give the same "
            "options as then, or choose another --out."
        )
    return centers_partitioning(centers_deg)


def validation_sets(
    validation: Imagery, discs: Sequence[Disc], around: Surroundings, views: int, seed: int
) -> dict[str, ViewSet]:
    """Draw sets of `views` views: plain, as in training (if there are clouds), and of discs (if there are any)."""
    names = ("plain", "mixture") if around.clouds is not None else ("plain",)
    sampling: dict[str, Any] = {"footprint_km": FOOTPRINT_KM, "rotation_deg": ROTATION_DEG, "seed": seed}
    sets = {name: views_under(CONDITIONS[name], validation, views=views, around=around, **sampling) for name in names}
    if discs:
        sets["discs"] = disc_views(discs, views=views, cloud_below=CLEAR, **sampling)
    return sets


def top_cell_accuracy(
    network: Network, views: ViewSet, centers_deg: np.ndarray, size_px: int, *, progress: Working | None = None
) -> dict[int, float]:
    """Return radius in km → share of views whose top cell's centre, of (K, 2) in degrees, is within it of the truth."""
    preprocess = preprocess_for(network.backbone.architecture, size_px)
    device, step = next(network.parameters()).device, step_of(progress, "validating")
    logits = view_logits(network, views, preprocess, device=device, batch=4 * BLOCK, progress=step)
    error_km = great_circle_km(centers_deg[logits.argmax(dim=1).numpy()], views.truth_deg.numpy())
    return accuracy_by_km(error_km, VIEW_RADII_KM)
