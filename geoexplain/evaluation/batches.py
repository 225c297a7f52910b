"""Decode photo files in threads, and collect network inputs of equal shape in batches."""

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
"""Most images that wait for others of their shape, in batches."""

BATCHES_AHEAD = 2
"""Most images that are decoded ahead, in batches."""

Shape = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Sample:
    """One decoded photo.

    index   its index in the manifest
    shape   height and width in px of the network input; None if the photo cannot be read
    pixels  uint8 (1, H, W, 3), or normalised crops float32 (5, 3, H, W); None if unreadable or already evaluated
    reason  the reason why it cannot be read
    """

    index: int
    shape: Shape | None
    pixels: Tensor | None = field(default=None, repr=False)
    reason: str = ""


def read_sample(index: int, file: Path, preprocess: Preprocess, crops: int) -> Sample:
    """Decode and resize one photo for `crops` 1 or 5. In place of an ImageError, the Sample has a reason."""
    try:
        image = open_image(file)
    except ImageError as error:
        return Sample(index, None, reason=str(error))
    if crops == 5:
        pixels = preprocess.five_crops(image)  # (5, 3, S, S) float32
        return Sample(index, (pixels.shape[2], pixels.shape[3]), pixels)
    # Bytes take a quarter of the memory of floats, and normalising a whole batch is faster than its images one by one.
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
    """Yield samples in the order of `files`, up to `ahead` of them decoded in advance by `workers` threads.

    `known` holds the shapes of photos that are already evaluated, by index: they come without pixels, and their files
    are not opened.
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
    """Yield batches of at most `size` samples of one shape; at most `held` samples wait for others of their shape.

    Batches depend only on the shapes and their order, never on the speed of threads, so that a resumed evaluation forms
    the same batches. Beyond `held`, the samples of the shape that has waited longest form a smaller batch.
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
    """Join the pixels of samples of one shape to a normalised batch (N, 3, H, W) or (5 N, 3, H, W), channels last.

    For whole images the values equal those of `Preprocess.tensor`, bit for bit.
    """
    batch = torch.cat(list(pixels)).to(device)
    if batch.dtype == torch.uint8:
        batch = preprocess.normalize(batch.permute(0, 3, 1, 2).to(torch.float32).div_(255))
    return batch.contiguous(memory_format=torch.channels_last)


def _result_of(sample: Sample | Future[Sample]) -> Sample:
    return sample if isinstance(sample, Sample) else sample.result()
