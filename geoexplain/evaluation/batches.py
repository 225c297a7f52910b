"""Photo files → batches of network inputs of equal shape, decoded by threads while the network is busy."""

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from geoexplain.errors import ImageError
from geoexplain.images import Preprocess, open_image

BATCHES_HELD = 8
"""Batches' worth of images that wait for others of their shape, at most."""

BATCHES_AHEAD = 2
"""Batches' worth of images that are being decoded or wait for it, at most."""

Shape = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Sample:
    """One photo on its way to the network.

    index   its place in the manifest
    shape   height and width in px of what the network is given; None when the photo cannot be read
    pixels  uint8 (1, H, W, 3), or normalised crops float32 (5, 3, H, W); None when unreadable, or evaluated before
    reason  why it cannot be read
    """

    index: int
    shape: Shape | None
    pixels: Tensor | None = field(default=None, repr=False)
    reason: str = ""


def read_sample(index: int, file: Path, preprocess: Preprocess, crops: int) -> Sample:
    """Decode and resize one photo for `crops` 1 or 5. Never raises ImageError: the Sample says what was wrong."""
    try:
        image = open_image(file)
    except ImageError as error:
        return Sample(index, None, reason=str(error))
    if crops == 5:
        pixels = preprocess.five_crops(image)  # (5, 3, S, S) float32
        return Sample(index, (pixels.shape[2], pixels.shape[3]), pixels)
    # Bytes take a quarter of the memory of floats, and a whole batch is normalised in less time than its images.
    pixels = torch.from_numpy(np.array(preprocess.view(image))).unsqueeze(0)  # (1, H, W, 3) uint8
    return Sample(index, (pixels.shape[1], pixels.shape[2]), pixels)


def read_ahead(
    files: Sequence[Path],
    preprocess: Preprocess,
    *,
    crops: int,
    workers: int,
    ahead: int,
    known: dict[int, Shape | None],
) -> Generator[Sample, None, None]:
    """Samples in the order of `files`, up to `ahead` of them decoded in advance by `workers` threads.

    `known` holds the shapes of those evaluated before, by index: they come without pixels, and no file is opened.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    waiting: deque[Sample | Future[Sample]] = deque()
    try:
        for index, file in enumerate(files):
            if index in known:
                waiting.append(Sample(index, known[index]))
            else:
                waiting.append(pool.submit(read_sample, index, file, preprocess, crops))
            if len(waiting) > ahead:
                yield _result_of(waiting.popleft())
        while waiting:
            yield _result_of(waiting.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def by_shape(samples: Iterable[Sample], size: int, held: int) -> Iterator[list[Sample]]:
    """Batches of at most `size` samples of one shape; no more than `held` samples wait for others of theirs.

    What a batch holds depends on the shapes and their order alone, never on which thread was faster, so that a resumed
    run forms the same batches. Beyond `held`, the shape whose first sample has waited longest goes as it is.
    """
    waiting: dict[Shape | None, list[Sample]] = {}  # in the order of their first samples
    count = 0
    for sample in samples:
        waiting.setdefault(sample.shape, []).append(sample)
        count += 1
        full = len(waiting[sample.shape]) == size
        if full or count > held:
            batch = waiting.pop(sample.shape if full else next(iter(waiting)))
            count -= len(batch)
            yield batch
    yield from waiting.values()


def network_input(pixels: Sequence[Tensor], preprocess: Preprocess, device: torch.device) -> Tensor:
    """What samples of one shape hold, as one normalised batch (N, 3, H, W) or (5 N, 3, H, W), channels last.

    For whole images the values are those of `Preprocess.tensor`, bit by bit.
    """
    batch = torch.cat(list(pixels)).to(device)
    if batch.dtype == torch.uint8:
        batch = preprocess.normalize(batch.permute(0, 3, 1, 2).to(torch.float32).div_(255))
    return batch.contiguous(memory_format=torch.channels_last)


def _result_of(sample: Sample | Future[Sample]) -> Sample:
    return sample if isinstance(sample, Sample) else sample.result()
