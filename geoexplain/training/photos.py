"""Photos to train on: which are trained on, which choose, where each was taken, and how far answers are from there."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from geoexplain.errors import DataError
from geoexplain.evaluation.accuracy import accuracy_by_km
from geoexplain.geography.partitioning import Partitioning
from geoexplain.geography.sphere import great_circle_km, unit_vectors
from geoexplain.images import Preprocess
from geoexplain.locator.backbone import preprocess_for
from geoexplain.locator.heads import MultiPartitionHead
from geoexplain.locator.model import Network
from geoexplain.photos.collection import PhotoCollection
from geoexplain.training.heads import Truth
from geoexplain.training.photo_augmentation import Augmentation
from geoexplain.training.photo_batches import PhotoBatches, evaluation_batches
from geoexplain.training.settings import Phase
from geoexplain.training.source import Accuracy, Score, TrainingBatch, Working, step_of

ALONE, PRODUCT = "f", "f*"
"""A cell's share taken alone, and multiplied with those of the cells that hold it (Theiner et al., WACV 2022)."""

VALIDATION_RADII_KM = (1, 25, 200, 750, 2500)
"""Street, city, region, country, continent (Weyand et al., ECCV 2016)."""

VALIDATION_PHOTOS = 5000

DEFAULT_AUGMENTATION = Augmentation()


@dataclass(frozen=True, eq=False)
class PhotoSet:
    """A source of photos: those that are trained on and those that choose among weights, with their cells.

    collection    where they are read from
    partitioning  the cells that are learned
    train         int64 (N,), rows of the collection; each lies in a cell
    validation    int64 (V,), other rows; they need not lie in one
    classes       int64 (M, L) of every row, coarse to fine; −1 for a photo in no cell
    positions     float32 (M, 3), unit vectors of every row
    in_no_cell    how many photos are not trained on for that reason
    augmentation  what is changed in a photo each time it is trained on; None: nothing
    validated     photos per validation at most, evenly spaced
    """

    collection: PhotoCollection
    partitioning: Partitioning
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    classes: NDArray[np.int64]
    positions: NDArray[np.float32]
    in_no_cell: int
    augmentation: Augmentation | None = DEFAULT_AUGMENTATION
    validated: int = VALIDATION_PHOTOS

    unit = "photos"

    @property
    def epoch_images(self) -> int:
        """Photos that are trained on."""
        return len(self.train)

    def facts(self) -> dict[str, Any]:
        """How photos are changed, and how many there are."""
        return {
            "augmentation": None if self.augmentation is None else asdict(self.augmentation),
            "photos": len(self.train),
            "photos_in_no_cell": self.in_no_cell,
        }

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
        """Endless batches; see `Source.batches` and PhotoBatches."""
        batches = PhotoBatches(
            self.collection,
            self.train,
            size_px=phase.size_px,
            batch=phase.batch,
            seed=sum(seed),
            workers=workers,
            start=start,
            rank=rank,
            world=world,
            augment=self.augmentation or False,
            preprocess=preprocess,
        )
        for batch in batches:
            yield TrainingBatch(batch.images, self.truth(batch.rows), failed=batch.failed)

    def validate(
        self, network: Network, size_px: int, *, workers: int = 0, progress: Working | None = None
    ) -> tuple[Accuracy, Score]:
        """Accuracy by way of answering; the score is the sum of that of the better way, then the median error."""
        rows = evenly(self.validation, self.validated)
        step = step_of(progress, "validating")
        errors = validation_errors(network, self, size_px, rows=rows, workers=workers, progress=step)
        if not errors:
            return {}, (0.0, 0.0)
        found = {way: accuracy_by_km(km, VALIDATION_RADII_KM) for way, km in errors.items()}
        return found, max(way_score(found[way], errors[way]) for way in found)

    def truth(self, rows: NDArray[np.int64]) -> Truth:
        """Where the photos of some rows (n,) were taken."""
        return Truth(torch.from_numpy(self.classes[rows]), torch.from_numpy(self.positions[rows]))

    def fingerprint(self) -> str:
        """A digest of which photos are trained on, and where they were taken."""
        digest = hashlib.sha256()
        for rows in (self.train, self.validation):
            digest.update(rows.tobytes())
        digest.update(np.ascontiguousarray(self.collection.positions_deg).tobytes())
        for key in self.collection.keys:
            digest.update(key.encode() + b"\0")
        return digest.hexdigest()


def photo_set(
    collection: PhotoCollection,
    train: NDArray[np.int64],
    validation: NDArray[np.int64],
    partitioning: Partitioning,
    *,
    augmentation: Augmentation | None = DEFAULT_AUGMENTATION,
    validated: int = VALIDATION_PHOTOS,
) -> PhotoSet:
    """The photos of a collection that a partitioning's cells are learned from, `train` and `validation` being rows.

    Raises DataError when fewer than two of those to train on lie in a cell.
    """
    classes = partitioning.classes(collection.positions_deg)
    held = train[classes[train, -1] >= 0]
    if len(held) < 2:
        raise DataError(
            f"expected photos to train on that lie in the cells of {partitioning.name}, got {len(held)} of "
            f"{len(train)}: is this the partitioning of other photos?"
        )
    positions = unit_vectors(collection.positions_deg).astype(np.float32)
    return PhotoSet(
        collection,
        partitioning,
        held,
        validation,
        classes,
        positions,
        len(train) - len(held),
        augmentation=augmentation,
        validated=validated,
    )


def evenly(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """At most `most` of the rows (n,), evenly spaced: the first ones would be those of the first folders."""
    return rows if len(rows) <= most else rows[np.arange(most) * len(rows) // most]


def level_logits(
    network: Network,
    photos: PhotoSet,
    rows: NDArray[np.int64],
    size_px: int,
    *,
    batch: int = 64,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[NDArray[np.int64], list[Tensor]]]:
    """Rows that could be read and their logits (n, K_l) on every level, coarse to fine, batch after batch.

    The network is in evaluation mode, the photos are seen once, in order and unchanged, at `size_px`.
    `progress` hears (done, photos).
    """
    device = next(network.parameters()).device
    done = 0
    preprocess = preprocess_for(network.backbone.architecture, size_px)
    for found in evaluation_batches(
        photos.collection, rows, size_px=size_px, preprocess=preprocess, batch=batch, workers=workers
    ):
        if len(found.rows):
            with torch.inference_mode():
                images = found.images.to(device).contiguous(memory_format=torch.channels_last)
                levels = [logits.float() for logits in network.head.levels(network.backbone(images).float())]
            yield found.rows, levels
        done += len(found.rows) + len(found.failed)
        if progress is not None:
            progress(done, len(rows))


def validation_errors(
    network: Network,
    photos: PhotoSet,
    size_px: int,
    *,
    rows: NDArray[np.int64] | None = None,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Great-circle distance in km from every validation photo, or those at `rows`, to the centre of its top cell, (n,).

    By ALONE and, for a head over several levels, by PRODUCT. Photos that cannot be read are left out.
    """
    asked = photos.validation if rows is None else rows
    centers_deg = photos.partitioning.levels[0].centers_deg
    errors: dict[str, list[NDArray[np.float64]]] = {}
    for read, levels in level_logits(network, photos, asked, size_px, workers=workers, progress=progress):
        truth = photos.collection.positions_deg[read]
        for way, scores in answers(network, levels).items():
            cells = scores.argmax(dim=1).cpu().numpy()
            errors.setdefault(way, []).append(great_circle_km(centers_deg[cells], truth))
    return {way: np.concatenate(parts) for way, parts in errors.items()}


def answers(network: Network, levels: list[Tensor]) -> dict[str, Tensor]:
    """Scores (N, K) of the finest cells by every way that a head knows of, from its logits on every level."""
    head = network.head
    found = {ALONE: levels[-1]}
    if isinstance(head, MultiPartitionHead) and len(levels) > 1:
        shares = [F.log_softmax(level, dim=-1) for level in levels]
        found[PRODUCT] = torch.stack([s[:, column] for s, column in zip(shares, head.hierarchy.T, strict=True)]).sum(0)
    return found


def way_score(accuracy: dict[int, float], error_km: NDArray[np.float64]) -> Score:
    """How good a way of answering is: the sum of its accuracies, then the smaller median error."""
    return sum(accuracy.values()), -float(np.median(error_km))
