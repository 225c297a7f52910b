"""Find copies of photos by the digests of their files and by a perceptual hash of their pixels.

The perceptual hash is the difference hash: the photo is reduced to 9 × 8 grey pixels, and each of 64 bits says whether
a pixel is darker than its right neighbour. A resized or recompressed copy differs in one or two bits.

The hash of a *plain* photo is ignored, and only the digest of its file is compared: the sea, a wall and the night sky
have nearly the same hash and would form one group of thousands. A photo is plain if fewer than PLAIN_STEPS of its 64
differences exceed PLAIN_LEVELS of 255, or if fewer than PLAIN_CHANGES of those change sign from one row to the next (a
sky that brightens towards the sun, a single trunk).
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from geoexplain.errors import DataError, GeoExplainError, ImageError
from geoexplain.files.archives import read_arrays, write_arrays
from geoexplain.images import open_image
from geoexplain.photos.collection import PhotoCollection

PLAIN_STEPS = 32
PLAIN_LEVELS = 2
PLAIN_CHANGES = 6
"""With these limits, no two of 40,000 random images have near hashes if their amplitudes fall as 1/f, as in photos, or
as f^-1.5. Of images as smooth as f^-2, 7 of 800 million pairs have near hashes (2,318 without the limits)."""

DECODED_PX = 64
"""Photos are decoded at two to four times this size at most, since the hash needs only 9 px."""


class FingerprintsCancelledError(GeoExplainError):
    """The caller cancelled the computation of fingerprints."""


@dataclass(frozen=True, eq=False)
class Fingerprints:
    """File digests and perceptual hashes of N photos.

    digests  uint8 (N, 32): SHA-256 of the file, or of the key if the file cannot be read
    hashes   uint64 (N,): difference hash of the pixels, 0 where it does not count
    counts   bool (N,): whether the hash counts; false for plain photos and for those that cannot be decoded
    """

    digests: NDArray[np.uint8]
    hashes: NDArray[np.uint64]
    counts: NDArray[np.bool_]


def difference_hash(image: Image.Image) -> tuple[int, bool]:
    """Return an RGB image's 64-bit difference hash, first pixel in the highest bit, and whether it counts.

    See the module's docstring for the hash and for plain photos, whose hashes do not count.
    """
    grey = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BOX), dtype=np.int16)  # (8, 9)
    steps = np.diff(grey, axis=1)  # (8, 8)
    bits = steps > 0
    clear = np.sign(steps) * (np.abs(steps) > PLAIN_LEVELS)  # (8, 8) −1, 0 or 1
    structured = np.count_nonzero(clear) >= PLAIN_STEPS
    varied = np.count_nonzero(clear[1:] * clear[:-1] < 0) >= PLAIN_CHANGES
    return int.from_bytes(np.packbits(bits).tobytes(), "big"), bool(structured and varied)


def fingerprints(
    collection: PhotoCollection,
    *,
    cache: Path | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Fingerprints:
    """Compute the fingerprints of all photos of a collection with `workers` ≥ 1 threads.

    `cache` is a file that stores them: a photo with the same key, size and modification time is not read again. It is
    written at the end, also after an interruption. `progress` is called with (photos done, total).

    Raises FingerprintsCancelledError once `cancelled` returns true, and DataError if the cache cannot be written.
    """
    total = len(collection)
    prints = Fingerprints(np.zeros((total, 32), np.uint8), np.zeros(total, np.uint64), np.zeros(total, dtype=np.bool_))
    done = np.zeros(total, dtype=np.bool_)
    stamps = np.array([collection.stamp(row) for row in range(total)], dtype=np.int64).reshape(-1, 2)
    if cache is not None:
        done |= _read_cache(cache, collection.keys, stamps, prints)
    missing = np.flatnonzero(~done)
    try:
        for count, (row, (digest, bits, counts)) in enumerate(_in_threads(collection, missing, max(1, workers)), 1):
            prints.digests[row] = np.frombuffer(digest, np.uint8)
            prints.hashes[row], prints.counts[row] = bits if counts else 0, counts
            done[row] = True
            if progress is not None:
                progress(total - len(missing) + count, total)
            if cancelled is not None and cancelled():
                raise FingerprintsCancelledError("Comparing the photos was cancelled: start it again.")
    finally:
        if cache is not None and len(missing):
            _write_cache(cache, collection.keys, stamps, prints, np.flatnonzero(done))
    return prints


def duplicate_groups(prints: Fingerprints, distance: int = 2) -> tuple[str, ...]:
    """Return the name of each photo's group of copies; photos with equal names show the same picture.

    A group connects files with equal bytes, and photos whose hashes count and differ in at most `distance` ≤ 3 of 64
    bits, directly or through others. Its name is the smallest digest in it, in hexadecimal, so it depends neither on
    the order nor on the number of other photos. Raises DataError for another distance.
    """
    if not 0 <= distance <= 3:
        raise DataError(f"expected copies to differ in 0 to 3 bits of their hashes, got {distance}: take 2.")
    files, of_file = np.unique(prints.digests, axis=0, return_inverse=True)
    of_file = of_file.reshape(-1)
    hashes, of_hash = np.unique(prints.hashes[prints.counts], return_inverse=True)
    pairs = near_pairs(hashes, distance)
    # A graph of files and hashes: each photo connects its file and its hash, and near hashes are connected.
    ends_a = np.concatenate([of_file[prints.counts], len(files) + pairs[:, 0]])
    ends_b = np.concatenate([len(files) + of_hash, len(files) + pairs[:, 1]])
    nodes = len(files) + len(hashes)
    graph = coo_array((np.ones(len(ends_a), dtype=np.int8), (ends_a, ends_b)), shape=(nodes, nodes))
    _, component = connected_components(graph, directed=False)
    _, first = np.unique(component[: len(files)], return_index=True)  # files are sorted: the first is the smallest
    least = np.zeros(component.max(initial=-1) + 1, dtype=np.int64)
    least[component[first]] = first
    names = [files[row].tobytes().hex() for row in first.tolist()]
    name_of = dict(zip(first.tolist(), names, strict=True))
    return tuple(name_of[row] for row in least[component[of_file]].tolist())


def near_pairs(hashes: NDArray[np.uint64], distance: int) -> NDArray[np.int64]:
    """Return all pairs (P, 2) of rows of distinct hashes (N,) that differ in 1 to `distance` bits.

    The 64 bits are divided into distance + 1 bands. Two hashes that differ in at most `distance` bits agree in at least
    one band, so only hashes that agree in a band are compared. Bits are interleaved over the bands, since neighbouring
    bits of an image are correlated.
    """
    bands = distance + 1
    blocks = []
    for band in range(bands if distance else 0):
        mask = np.uint64(sum(1 << bit for bit in range(band, 64, bands)))
        order = np.argsort(hashes & mask, kind="stable")
        keys, sorted_hashes = (hashes & mask)[order], hashes[order]
        left, step = np.arange(len(hashes)), 1
        while len(left):
            left = left[left + step < len(hashes)]
            left = left[keys[left] == keys[left + step]]
            near = left[np.bitwise_count(sorted_hashes[left] ^ sorted_hashes[left + step]) <= distance]
            blocks.append(np.stack([order[near], order[near + step]], axis=1))
            step += 1
    return np.concatenate(blocks) if blocks else np.zeros((0, 2), dtype=np.int64)


def _fingerprint(collection: PhotoCollection, row: int) -> tuple[bytes, int, bool]:
    try:
        data = collection.encoded(row)
    except ImageError:
        return hashlib.sha256(b"unreadable\0" + collection.keys[row].encode(errors="replace")).digest(), 0, False
    digest = hashlib.sha256(data).digest()
    try:
        return digest, *difference_hash(open_image(data, shorter_px=DECODED_PX))
    except ImageError:
        return digest, 0, False


def _in_threads(
    collection: PhotoCollection, rows: NDArray[np.int64], workers: int
) -> Iterator[tuple[int, tuple[bytes, int, bool]]]:
    waiting: deque[tuple[int, Future[tuple[bytes, int, bool]]]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="fingerprint")
    try:
        for row in rows.tolist():
            waiting.append((row, pool.submit(_fingerprint, collection, row)))
            if len(waiting) > 4 * workers:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _read_cache(
    cache: Path, keys: tuple[str, ...], stamps: NDArray[np.int64], prints: Fingerprints
) -> NDArray[np.bool_]:
    """Copy cached fingerprints into `prints`; return a mask (N,) of the photos found in the cache."""
    known = np.zeros(len(keys), dtype=np.bool_)
    layout: dict[str, tuple[type[np.generic], int]] = {
        "keys": (np.uint8, 1),
        "stamps": (np.int64, 2),
        "digests": (np.uint8, 2),
        "hashes": (np.uint64, 1),
        "counts": (np.bool_, 1),
    }
    if not cache.is_file():
        return known
    try:
        packed, cached_stamps, digests, hashes, counts = read_arrays(cache, layout)
        cached_rows = {key: row for row, key in enumerate(packed.tobytes().decode().split("\0")[:-1])}
    except (DataError, ValueError):
        return known  # a damaged cache is ignored and rewritten
    if {len(cached_stamps), len(digests), len(hashes), len(counts)} != {len(cached_rows)} or digests.shape[1:] != (32,):
        return known
    for row, key in enumerate(keys):
        there = cached_rows.get(key)
        if there is not None and stamps[row, 0] >= 0 and (cached_stamps[there] == stamps[row]).all():
            prints.digests[row], prints.hashes[row], prints.counts[row] = digests[there], hashes[there], counts[there]
            known[row] = True
    return known


def _write_cache(
    cache: Path, keys: tuple[str, ...], stamps: NDArray[np.int64], prints: Fingerprints, rows: NDArray[np.int64]
) -> None:
    names = "\0".join([*(keys[row] for row in rows.tolist()), ""])
    write_arrays(
        cache,
        {
            "keys": np.frombuffer(names.encode(errors="replace"), np.uint8),
            "stamps": stamps[rows],
            "digests": prints.digests[rows],
            "hashes": prints.hashes[rows],
            "counts": prints.counts[rows],
        },
    )
