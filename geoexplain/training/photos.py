"""Photos to train and validate on, with their cells and positions, and the errors of a network's answers."""

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
"""Ways of answering: a cell's probability alone, or times those of its parents (Theiner et al., WACV 2022)."""

VALIDATION_RADII_KM = (1, 25, 200, 750, 2500)
"""Street, city, region, country, continent (Weyand et al., ECCV 2016)."""

VALIDATION_PHOTOS = 5000

DEFAULT_AUGMENTATION = Augmentation()


@dataclass(frozen=True, eq=False)
class PhotoSet:
    """A source of photos to train on, and photos that validation chooses the best weights with.

    collection    the collection that photos are read from
    partitioning  the cells that the network learns
    train         int64 (N,), rows of the collection; each photo lies in a cell
    validation    int64 (V,), other rows; these photos may lie in no cell
    classes       int64 (M, L), the cells of every row, coarse to fine; −1 for a photo in no cell
    positions     float32 (M, 3), unit vectors of every row
    in_no_cell    the number of photos that are not trained on because they lie in no cell
    augmentation  how a training photo is changed each time it is used; None: not at all
    validated     most photos per validation, evenly spaced
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
        """The number of training photos."""
        return len(self.train)

    def facts(self) -> dict[str, Any]:
        """Return the augmentation and the numbers of photos."""
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
        """Yield endless batches; see `Source.batches` and PhotoBatches."""
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
        """Return accuracy by way of answering, and the score of the better way, see `way_score`."""
        rows = evenly(self.validation, self.validated)
        step = step_of(progress, "validating")
        errors = validation_errors(network, self, size_px, rows=rows, workers=workers, progress=step)
        if not errors:
            return {}, (0.0, 0.0)
        accuracy = {way: accuracy_by_km(km, VALIDATION_RADII_KM) for way, km in errors.items()}
        return accuracy, max(way_score(accuracy[way], errors[way]) for way in accuracy)

    def truth(self, rows: NDArray[np.int64]) -> Truth:
        """Return the cells and positions of the photos of some rows (n,)."""
        return Truth(torch.from_numpy(self.classes[rows]), torch.from_numpy(self.positions[rows]))

    def fingerprint(self) -> str:
        """Return a digest of the training and validation photos and of all positions."""
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
    """Return a PhotoSet of a collection for a partitioning; `train` and `validation` are rows of the collection.

    Raises DataError if fewer than two training photos lie in a cell.
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
    """Return at most `most` of the rows (n,), evenly spaced, since the first rows may all be of the first folders."""
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
    """Yield, per batch, the rows that could be read and their logits (n, K_l) on every level, coarse to fine.

    The network has to be in evaluation mode. Each photo is used once, in order, not augmented, at `size_px`.
    `progress` is called with (done, photos).
    """
    device = next(network.parameters()).device
    done = 0
    preprocess = preprocess_for(network.backbone.architecture, size_px)
    for part in evaluation_batches(
        photos.collection, rows, size_px=size_px, preprocess=preprocess, batch=batch, workers=workers
    ):
        if len(part.rows):
            with torch.inference_mode():
                images = part.images.to(device).contiguous(memory_format=torch.channels_last)
                levels = [logits.float() for logits in network.head.levels(network.backbone(images).float())]
            yield part.rows, levels
        done += len(part.rows) + len(part.failed)
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
    """Compute the great-circle distances (n,) in km from photos to the centres of their top cells, by way of answering.

    `rows` None means all validation photos. The ways are ALONE and, for a head over several levels, PRODUCT. Photos
    that cannot be read are left out.
    """
    rows = photos.validation if rows is None else rows
    centers_deg = photos.partitioning.levels[0].centers_deg
    errors: dict[str, list[NDArray[np.float64]]] = {}
    for read, levels in level_logits(network, photos, rows, size_px, workers=workers, progress=progress):
        truth = photos.collection.positions_deg[read]
        for way, scores in answers(network, levels).items():
            cells = scores.argmax(dim=1).cpu().numpy()
            errors.setdefault(way, []).append(great_circle_km(centers_deg[cells], truth))
    return {way: np.concatenate(parts) for way, parts in errors.items()}


def answers(network: Network, levels: list[Tensor]) -> dict[str, Tensor]:
    """Return scores (N, K) of the finest cells by way of answering, from a head's logits on every level."""
    head = network.head
    scores = {ALONE: levels[-1]}
    if isinstance(head, MultiPartitionHead) and len(levels) > 1:
        shares = [F.log_softmax(level, dim=-1) for level in levels]
        scores[PRODUCT] = torch.stack([s[:, column] for s, column in zip(shares, head.hierarchy.T, strict=True)]).sum(0)
    return scores


def way_score(accuracy: dict[int, float], error_km: NDArray[np.float64]) -> Score:
    """Return the score of a way of answering: the sum of its accuracies, then its negative median error."""
    return sum(accuracy.values()), -float(np.median(error_km))
