"""What tells a photo's copies: the digest of its file, and a hash of its picture that small changes leave nearly alone.

The hash is the difference hash: the picture in grey at 9 × 8 px, and for each of 64 neighbours side by side whether it
gets brighter. A resized or recompressed copy differs in a bit or two.

Hashes of pictures with little in them do not count, only the digests of their files do: the sea, a wall and the night
sky all hash to nearly the same, and would become one group of thousands. Such a picture is *plain*: of its 64
differences fewer than PLAIN_STEPS are more than PLAIN_LEVELS of 255, or of those fewer than PLAIN_CHANGES turn into
their opposite from one row to the next (a sky that brightens towards the sun, a single trunk).
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
"""Of 40,000 random pictures whose amplitudes fall as 1/f, as photos' do, or as f^-1.5, no two then have near hashes; of
pictures as smooth as f^-2 seven of 800 million pairs do, 2,318 if all of them count."""

DECODED_PX = 64
"""Photos are decoded no finer than twice to four times that: the hash needs 9 px."""


class FingerprintsCancelledError(GeoExplainError):
    """Whoever waited for the fingerprints does not any more."""


@dataclass(frozen=True, eq=False)
class Fingerprints:
    """What tells the copies of N photos.

    digests  uint8 (N, 32): SHA-256 of the file; of one that cannot be read, of its key
    hashes   uint64 (N,): difference hash of the picture, 0 where it does not count
    counts   bool (N,): whether the hash counts; not for plain pictures, nor for what cannot be decoded
    """

    digests: NDArray[np.uint8]
    hashes: NDArray[np.uint64]
    counts: NDArray[np.bool_]


def difference_hash(image: Image.Image) -> tuple[int, bool]:
    """The 64-bit difference hash of an RGB image, first pixel in the highest bit, and whether it counts (see above)."""
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
    """Fingerprints of all photos of a collection, made by `workers` ≥ 1 threads.

    `cache` is a file that keeps them: a photo whose key, size and time are in it is not read again; it is written at
    the end, and when the work is broken off. `progress` hears (photos done, all).

    Raises FingerprintsCancelledError when `cancelled` says so, DataError when the cache cannot be written.
    """
    total = len(collection)
    found = Fingerprints(np.zeros((total, 32), np.uint8), np.zeros(total, np.uint64), np.zeros(total, dtype=np.bool_))
    done = np.zeros(total, dtype=np.bool_)
    stamps = np.array([collection.stamp(row) for row in range(total)], dtype=np.int64).reshape(-1, 2)
    if cache is not None:
        done |= _recall(cache, collection.keys, stamps, found)
    missing = np.flatnonzero(~done)
    try:
        for count, (row, (digest, bits, counts)) in enumerate(_in_threads(collection, missing, max(1, workers)), 1):
            found.digests[row] = np.frombuffer(digest, np.uint8)
            found.hashes[row], found.counts[row] = bits if counts else 0, counts
            done[row] = True
            if progress is not None:
                progress(total - len(missing) + count, total)
            if cancelled is not None and cancelled():
                raise FingerprintsCancelledError("Comparing the photos was cancelled: start it again.")
    finally:
        if cache is not None and len(missing):
            _keep(cache, collection.keys, stamps, found, np.flatnonzero(done))
    return found


def duplicate_groups(found: Fingerprints, distance: int = 2) -> tuple[str, ...]:
    """The group of copies that each photo belongs to, by name: photos with equal names are one picture.

    In a group are files of equal bytes, and pictures whose hashes count and differ in at most `distance` ≤ 3 of 64
    bits, directly or through others. A group is named after the least digest in it, in hexadecimal, so that its name
    depends neither on the order nor on the number of other photos.
    """
    if not 0 <= distance <= 3:
        raise DataError(f"expected copies to differ in 0 to 3 bits of their hashes, got {distance}: take 2.")
    files, of_file = np.unique(found.digests, axis=0, return_inverse=True)
    of_file = of_file.reshape(-1)
    hashes, of_hash = np.unique(found.hashes[found.counts], return_inverse=True)
    pairs = near_pairs(hashes, distance)
    # A graph of files and hashes: a photo ties its file to its hash, closeness ties hashes.
    ends_a = np.concatenate([of_file[found.counts], len(files) + pairs[:, 0]])
    ends_b = np.concatenate([len(files) + of_hash, len(files) + pairs[:, 1]])
    nodes = len(files) + len(hashes)
    graph = coo_array((np.ones(len(ends_a), dtype=np.int8), (ends_a, ends_b)), shape=(nodes, nodes))
    _, component = connected_components(graph, directed=False)
    _, first = np.unique(component[: len(files)], return_index=True)  # files are sorted: the first is the least
    least = np.zeros(component.max(initial=-1) + 1, dtype=np.int64)
    least[component[first]] = first
    names = [files[row].tobytes().hex() for row in first.tolist()]
    name_of = dict(zip(first.tolist(), names, strict=True))
    return tuple(name_of[row] for row in least[component[of_file]].tolist())


def near_pairs(hashes: NDArray[np.uint64], distance: int) -> NDArray[np.int64]:
    """All pairs (P, 2) of rows of distinct hashes (N,) that differ in 1 to `distance` bits.

    The bits are dealt out to distance + 1 bands, every so manieth bit to one, since neighbouring bits of a picture are
    alike: two hashes that differ in `distance` bits agree in one band at least, and only those are compared.
    """
    bands = distance + 1
    found = []
    for band in range(bands if distance else 0):
        mask = np.uint64(sum(1 << bit for bit in range(band, 64, bands)))
        order = np.argsort(hashes & mask, kind="stable")
        keys, sorted_hashes = (hashes & mask)[order], hashes[order]
        left, step = np.arange(len(hashes)), 1
        while len(left):
            left = left[left + step < len(hashes)]
            left = left[keys[left] == keys[left + step]]
            near = left[np.bitwise_count(sorted_hashes[left] ^ sorted_hashes[left + step]) <= distance]
            found.append(np.stack([order[near], order[near + step]], axis=1))
            step += 1
    return np.concatenate(found) if found else np.zeros((0, 2), dtype=np.int64)


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


def _recall(cache: Path, keys: tuple[str, ...], stamps: NDArray[np.int64], found: Fingerprints) -> NDArray[np.bool_]:
    """Fill in what the cache knows; return for which photos that was (N,)."""
    known = np.zeros(len(keys), dtype=np.bool_)
    wanted: dict[str, tuple[type[np.generic], int]] = {
        "keys": (np.uint8, 1),
        "stamps": (np.int64, 2),
        "digests": (np.uint8, 2),
        "hashes": (np.uint64, 1),
        "counts": (np.bool_, 1),
    }
    if not cache.is_file():
        return known
    try:
        packed, kept_stamps, digests, hashes, counts = read_arrays(cache, wanted)
        kept = {key: row for row, key in enumerate(packed.tobytes().decode().split("\0")[:-1])}
    except (DataError, ValueError):
        return known  # as if there were none: it is made anew
    if {len(kept_stamps), len(digests), len(hashes), len(counts)} != {len(kept)} or digests.shape[1:] != (32,):
        return known
    for row, key in enumerate(keys):
        there = kept.get(key)
        if there is not None and stamps[row, 0] >= 0 and (kept_stamps[there] == stamps[row]).all():
            found.digests[row], found.hashes[row], found.counts[row] = digests[there], hashes[there], counts[there]
            known[row] = True
    return known


def _keep(
    cache: Path, keys: tuple[str, ...], stamps: NDArray[np.int64], found: Fingerprints, rows: NDArray[np.int64]
) -> None:
    names = "\0".join([*(keys[row] for row in rows.tolist()), ""])
    write_arrays(
        cache,
        {
            "keys": np.frombuffer(names.encode(errors="replace"), np.uint8),
            "stamps": stamps[rows],
            "digests": found.digests[rows],
            "hashes": found.hashes[rows],
            "counts": found.counts[rows],
        },
    )
