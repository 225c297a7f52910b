"""Batches of photos to train on, the same for any number of processes and threads and from any start."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import count

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from geoexplain.errors import DataError, ImageError
from geoexplain.images import Preprocess
from geoexplain.photos.collection import PhotoCollection
from geoexplain.training.photo_augmentation import Augmentation, evaluation_view, training_view

BATCHES_AHEAD = 2
"""Batches that are prepared while the network processes another one."""

_ORDER, _AUGMENT = 0, 1  # parts of seeds, so that order and augmentation get different random numbers

Values = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Batch:
    """Photos that go through the network together.

    images  float32 (b, 3, S, S), normalised; b may be 0
    rows    int64 (b,), their rows in the collection
    failed  (key, reason) of photos that could not be read and are missing from the batch
    """

    images: Tensor
    rows: NDArray[np.int64]
    failed: list[tuple[str, str]]


@dataclass(frozen=True)
class _Place:
    """A position in the order of all batches: the epoch, the position in the epoch, and the row of the photo."""

    epoch: int
    position: int
    row: int


@dataclass(frozen=True, eq=False)
class PhotoBatches:
    """Endless batches of the photos `rows` of a collection; every epoch has each photo once, in a new random order.

    Epochs follow one another without a gap: the batch in which an epoch ends is filled up from the next one. The order
    of an epoch depends only on (seed, epoch), the augmentation of a photo only on (seed, epoch, position).

    size_px  S, the side of the images
    batch    photos of a batch, all ranks together; a multiple of `world`
    seed     ≥ 0
    workers  threads that decode, up to BATCHES_AHEAD batches ahead; 0 decodes in the calling thread. Decoding and
             resizing release the GIL, so threads suffice: nothing is copied, and no process survives Ctrl-C
    start    batches to skip at the beginning, such as those already trained on
    rank, world
             this process gets slice `rank` of `world` equal slices of each batch
    preprocess  how the images are normalised; None: with the mean and deviation of ImageNet
    augment  how photos are augmented: True is Augmentation(), False uses `evaluation_view`

    Raises DataError if there is no photo or a number is out of its range.
    """

    collection: PhotoCollection
    rows: NDArray[np.int64]
    size_px: int = field(kw_only=True)
    batch: int = field(kw_only=True)
    seed: int = field(default=0, kw_only=True)
    workers: int = field(default=2, kw_only=True)
    start: int = field(default=0, kw_only=True)
    rank: int = field(default=0, kw_only=True)
    world: int = field(default=1, kw_only=True)
    augment: Augmentation | bool = field(default=True, kw_only=True)
    preprocess: Preprocess | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if not len(self.rows):
            raise DataError("expected photos to train on, got none: check how they were split.")
        if min(self.size_px, self.batch) < 1 or min(self.seed, self.workers, self.start) < 0:
            raise DataError(
                f"expected a size and a batch of at least 1, and a seed, workers and a start of at least 0, got "
                f"{self.size_px}, {self.batch}, {self.seed}, {self.workers} and {self.start}: correct them."
            )
        if not 0 <= self.rank < self.world or self.batch % self.world:
            raise DataError(
                f"expected a batch that {self.world} processes can share evenly and a rank among them, got "
                f"{self.batch} and {self.rank}: take a multiple."
            )

    def __iter__(self) -> Iterator[Batch]:
        preprocess = self.preprocess or Preprocess(self.size_px)
        return _batches(self.collection, self._lots(), self._view, preprocess, self.workers)

    def _lots(self) -> Iterator[list[_Place]]:
        share = self.batch // self.world
        epoch, order = -1, self.rows[:0]
        for number in count(self.start):
            first = number * self.batch + self.rank * share
            lot = []
            for place in range(first, first + share):
                if place // len(self.rows) != epoch:
                    epoch = place // len(self.rows)
                    order = self.order(epoch)
                position = place % len(self.rows)
                lot.append(_Place(epoch, position, int(order[position])))
            yield lot

    def order(self, epoch: int) -> NDArray[np.int64]:
        """Return the rows in the order of an epoch ≥ 0."""
        # Sort raw random numbers: NumPy's own shuffling may change between versions.
        raw = np.random.Philox(np.random.SeedSequence((self.seed, _ORDER, epoch))).random_raw(len(self.rows))
        return self.rows[np.argsort(raw, kind="stable")]

    def _view(self, place: _Place) -> Image.Image:
        if self.augment is False:
            return evaluation_view(self.collection.read(place.row), self.size_px)
        augment = Augmentation() if self.augment is True else self.augment
        image = self.collection.read(place.row, shorter_px=augment.shorter_px(self.size_px))
        seed = (self.seed, _AUGMENT, place.epoch, place.position)
        return training_view(image, self.size_px, augment, seed)


def evaluation_batches(
    collection: PhotoCollection,
    rows: NDArray[np.int64],
    *,
    size_px: int,
    batch: int,
    workers: int = 2,
    preprocess: Preprocess | None = None,
    rank: int = 0,
    world: int = 1,
) -> Iterator[Batch]:
    """Yield the photos `rows` once, in order and not augmented, in batches of at most `batch`; the last may be smaller.

    Each photo is decoded at full size and passed through `evaluation_view`. Of `world` processes, each gets every
    world-th photo.
    """
    own = rows[rank::world]
    lots = ([_Place(0, 0, row) for row in own[first : first + batch].tolist()] for first in range(0, len(own), batch))

    def view(place: _Place) -> Image.Image:
        return evaluation_view(collection.read(place.row), size_px)

    return _batches(collection, lots, view, preprocess or Preprocess(size_px), workers)


def _batches(
    collection: PhotoCollection,
    lots: Iterable[list[_Place]],
    view: Callable[[_Place], Image.Image],
    preprocess: Preprocess,
    workers: int,
) -> Iterator[Batch]:
    make = partial(_attempt, view, preprocess)
    together = partial(_together, collection, preprocess.size_px)
    if not workers:
        yield from (together(lot, [make(place) for place in lot]) for lot in lots)
        return
    # Two pools: a batch waits for its photos, and must not occupy a thread that decodes them.
    decoders = ThreadPoolExecutor(workers, thread_name_prefix="photo")
    gatherer = ThreadPoolExecutor(1, thread_name_prefix="batch")
    waiting: deque[Future[Batch]] = deque()

    def gather(lot: list[_Place], made: list[Future[Values | str]]) -> Batch:
        return together(lot, [future.result() for future in made])

    try:
        for lot in lots:
            waiting.append(gatherer.submit(gather, lot, [decoders.submit(make, place) for place in lot]))
            if len(waiting) > BATCHES_AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        # Batches first: one that waits for cancelled photos would wait forever.
        gatherer.shutdown(wait=False, cancel_futures=True)
        decoders.shutdown(cancel_futures=True)


def _attempt(view: Callable[[_Place], Image.Image], preprocess: Preprocess, place: _Place) -> Values | str:
    """Return the network's input for one photo (3, S, S), or the reason why it could not be read."""
    try:
        pixels = np.asarray(view(place))  # (S, S, 3) uint8
    except ImageError as error:
        return str(error)
    # Bit for bit the result of Preprocess.normalize, but in place and on one photo at a time, which fits in the cache.
    values = pixels.transpose(2, 0, 1).astype(np.float32, order="C")
    values /= 255
    values -= np.array(preprocess.mean, dtype=np.float32).reshape(3, 1, 1)
    values /= np.array(preprocess.std, dtype=np.float32).reshape(3, 1, 1)
    return values


def _together(collection: PhotoCollection, size_px: int, lot: list[_Place], made: list[Values | str]) -> Batch:
    images, rows = [], []
    failed: dict[str, str] = {}
    for place, values in zip(lot, made, strict=True):
        if isinstance(values, str):
            failed[collection.keys[place.row]] = values
        else:
            images.append(values)
            rows.append(place.row)
    stacked = np.stack(images) if images else np.zeros((0, 3, size_px, size_px), np.float32)
    return Batch(torch.from_numpy(stacked), np.array(rows, dtype=np.int64), list(failed.items()))
