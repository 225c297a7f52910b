"""Batches of photos to train on, the same whoever makes them: any number of ranks and threads, from any start."""

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
"""Batches that are made or wait while the network is busy with another one."""

_ORDER, _CHANGE = 0, 1  # what chance is for, so that an order and a change never share theirs

Values = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Batch:
    """Photos that go through the network together.

    images  float32 (b, 3, S, S), normalised; b may be 0
    rows    int64 (b,), which photos of the collection they are
    failed  (key, reason) of those that could not be read, and that the batch therefore does not have
    """

    images: Tensor
    rows: NDArray[np.int64]
    failed: list[tuple[str, str]]


@dataclass(frozen=True)
class _Place:
    """A place in the order of all batches: in which epoch, which of it, and the row of the photo that stands there."""

    epoch: int
    position: int
    row: int


@dataclass(frozen=True, eq=False)
class PhotoBatches:
    """Endless batches of the photos `rows` of a collection; every epoch has each of them once, in an order of its own.

    Positions count on without end: the batch in which an epoch ends is filled up from the next one. The order of an
    epoch depends on (seed, epoch), how a photo is changed on (seed, epoch, position), and neither on anything else.

    size_px  S, the side of the images
    batch    photos of a batch, all ranks together; a multiple of `world`
    seed     ≥ 0
    workers  threads that decode, with BATCHES_AHEAD; 0 decodes where the batch is asked for. Threads, since decoding
             and resizing release Python's lock: nothing is copied, nothing is left behind after Ctrl-C
    start    batches that are left out at the beginning, such as those trained on before
    rank, world
             this process takes the rank-th of `world` equal slices of each batch
    preprocess  how the images are normalised; None: with the mean and deviation of ImageNet
    augment  what is changed in the photos: True is Augmentation(), False shows them as `evaluation_view` does

    Raises DataError when there is no photo, or a number is not as described.
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
        """The rows in the order in which an epoch ≥ 0 has them."""
        # Sorting raw numbers, not NumPy's own shuffling, which another version may do differently.
        raw = np.random.Philox(np.random.SeedSequence((self.seed, _ORDER, epoch))).random_raw(len(self.rows))
        return self.rows[np.argsort(raw, kind="stable")]

    def _view(self, place: _Place) -> Image.Image:
        if self.augment is False:
            return evaluation_view(self.collection.read(place.row), self.size_px)
        augment = Augmentation() if self.augment is True else self.augment
        image = self.collection.read(place.row, shorter_px=augment.shorter_px(self.size_px))
        seed = (self.seed, _CHANGE, place.epoch, place.position)
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
    """The photos `rows` once, in their order and unchanged, in batches of at most `batch`; the last may be smaller.

    Each photo is seen as `evaluation_view` has it, decoded whole. Of several processes each takes every world-th photo.
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
    # Two pools: a batch waits for its photos, and must not take a thread from them.
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
        # Batches first: one that waits for photos that will not be made any more would wait for ever.
        gatherer.shutdown(wait=False, cancel_futures=True)
        decoders.shutdown(cancel_futures=True)


def _attempt(view: Callable[[_Place], Image.Image], preprocess: Preprocess, place: _Place) -> Values | str:
    """The network's input for one photo (3, S, S), or why there is none."""
    try:
        pixels = np.asarray(view(place))  # (S, S, 3) uint8
    except ImageError as error:
        return str(error)
    # The numbers of Preprocess.normalize bit by bit, but in place, and a photo at a time it stays in the cache.
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
