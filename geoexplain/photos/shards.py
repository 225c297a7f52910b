"""Read and write shards of photos: files of MessagePack records, each with one encoded photo, as used for MP-16.

The layout is that of GeoEstimation (Müller-Budack et al. 2018) and of Theiner et al. 2022: `shard_0.msg` … hold one
record after the other, {"image": bytes of a JPEG, "id": text}; keys and ids are text or bytes. Positions are in a table
by id, or in the records.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geoexplain.errors import DataError, ImageError
from geoexplain.geography.coordinates import LATITUDES, LONGITUDES
from geoexplain.images import open_image
from geoexplain.photos.photo import LeftOut, Tally
from geoexplain.photos.shard_index import ShardFile, ShardIndex, read_index, shard_files, write_index
from geoexplain.photos.shard_record import Blob, Extension, RecordError, Value, pack_record, read_record
from geoexplain.photos.table import AUTHORS, IDS, table_rows
from geoexplain.words import printable

IMAGES = ("image", "img", "jpg", "jpeg")
MAX_IMAGE_BYTES = 64 * 2**20


@dataclass(frozen=True, eq=False)
class ShardCollection:
    """Photos in shards; see PhotoCollection. No shard is kept open, so threads and processes may read in parallel."""

    files: tuple[Path, ...]
    modified_ns: tuple[int, ...]
    places: NDArray[np.int64]
    keys: tuple[str, ...]
    positions_deg: NDArray[np.float64]
    authors: tuple[str, ...]
    left_out: LeftOut

    def __len__(self) -> int:
        return len(self.keys)

    def encoded(self, i: int) -> bytes:
        """Return the encoded bytes of photo i; raise ImageError if they cannot be read."""
        shard, offset, length = (int(number) for number in self.places[i])
        try:
            with self.files[shard].open("rb", buffering=0) as file:
                file.seek(offset)
                data = file.read(length)
        except OSError as error:
            raise ImageError(
                f"{self.files[shard].name}: expected a readable shard, got '{error.strerror}': check the file."
            ) from None
        if len(data) != length:
            raise ImageError(
                f"{self.files[shard].name}: expected a photo of {length:,} bytes at byte {offset:,}, got {len(data):,} "
                "bytes: get the file again."
            )
        return data

    def read(self, i: int, *, shorter_px: int | None = None) -> Image.Image:
        """Read photo i, upright, RGB; see open_image."""
        return open_image(self.encoded(i), shorter_px=shorter_px)

    def stamp(self, i: int) -> tuple[int, int]:
        """Return the size of photo i in bytes and the modification time of its shard in ns."""
        return int(self.places[i, 2]), self.modified_ns[int(self.places[i, 0])]


def open_shards(
    folder: Path,
    *,
    manifest: Path | None = None,
    index: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ShardCollection:
    """Open the photos in the shards `*.msg` of a folder by reading the headers of their records.

    `index` is a file that caches the headers; it is used as long as no shard has changed in size or modification time.
    `manifest` is a table of positions and, optionally, authors by id, with or without the suffix `.jpg`; it takes
    precedence over the records. `progress` is called with (shards done, total).

    A record is left out if it has no id, no image of at most MAX_IMAGE_BYTES, or no known position, if it holds an
    extension type, or if its id occurred before. After a damaged or incomplete record, the rest of its shard is left
    out.

    Raises DataError if there is no shard or no photo of known position, or if the table is invalid (see
    `read_manifest`).
    """
    files = shard_files(folder)
    records = None if index is None else read_index(index, files)
    if records is None:
        records = _walk(files, progress)
        if index is not None:
            write_index(index, records)
    positions, authors = records.positions_deg, records.authors
    if manifest is not None:
        positions, authors = _from_table(manifest, records)
    known = ~np.isnan(positions[:, 0])
    left_out = Tally(records.left_out)
    for row in np.flatnonzero(~known).tolist():
        left_out.add(records.keys[row], "no position known")
    if not known.any():
        first = "".join(f" ({printable(which)}: {printable(why)})" for which, why in left_out.listed[:1])
        raise DataError(
            f"{printable(folder.name)}: expected shards with photos of known position, got {len(records.keys):,} "
            f"photos and no position{first}: give a table of positions with the ids of the records."
        )
    rows = np.flatnonzero(known)
    return ShardCollection(
        files,
        tuple(shard.modified_ns for shard in records.shards),
        records.places[rows],
        tuple(records.keys[row] for row in rows.tolist()),
        positions[rows],
        tuple(authors[row] for row in rows.tolist()),
        left_out.result(),
    )


def write_shards(photos: Iterable[tuple[str, bytes, float, float, str]], folder: Path, per_shard: int = 4096) -> int:
    """Write photos (id, encoded image, latitude, longitude, author or "") as shards; return their number.

    `folder` is created if it does not exist. Raises DataError if it holds shards already, or if per_shard is below 1.
    """
    if per_shard < 1:
        raise DataError(f"expected at least 1 photo in a shard, got {per_shard}: take 4096.")
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.glob("*.msg")):
        raise DataError(f"{printable(folder.name)}: expected a folder without shards, found some: choose another.")
    done, shard = 0, None
    try:
        for key, image, lat_deg, lon_deg, author in photos:
            if done % per_shard == 0:
                if shard is not None:
                    shard.close()
                shard = (folder / f"shard_{done // per_shard}.msg").open("wb")
            assert shard is not None
            shard.write(pack_record(key, image, lat_deg, lon_deg, author))
            done += 1
    finally:
        if shard is not None:
            shard.close()
    return done


def _walk(files: tuple[Path, ...], progress: Callable[[int, int], None] | None) -> ShardIndex:
    places: list[tuple[int, int, int]] = []
    positions: list[tuple[float, float]] = []
    rows: dict[str, int] = {}
    authors: list[str] = []
    left_out = Tally()
    shards = []
    for number, path in enumerate(files):
        count = 0
        try:
            with path.open("rb") as file:
                facts = os.fstat(file.fileno())
                shards.append(ShardFile(path.name, facts.st_size, facts.st_mtime_ns))
                while True:
                    start, count = file.tell(), count + 1
                    try:
                        record = read_record(file)
                    except RecordError as error:
                        reason = f"{error}, and the {facts.st_size - start:,} bytes from there on are left out"
                        left_out.add(f"{path.name}, record {count:,} at byte {start:,}", reason)
                        break
                    if record is None:
                        break
                    entry = _entry(record)
                    if isinstance(entry, _Entry) and rows.setdefault(entry.key, len(rows)) == len(places):
                        places.append((number, entry.offset, entry.length))
                        positions.append(entry.position_deg)
                        authors.append(entry.author)
                    else:
                        reason = entry if isinstance(entry, str) else f"the id {printable(entry.key)!r} came before"
                        left_out.add(f"{path.name}, record {count:,} at byte {start:,}", reason)
        except OSError as error:
            raise DataError(
                f"{printable(path.name)}: expected a readable shard, got '{error.strerror}': check the file."
            ) from None
        if progress is not None:
            progress(number + 1, len(files))
    return ShardIndex(
        tuple(shards),
        np.array(places, dtype=np.int64).reshape(-1, 3),
        np.array(positions, dtype=np.float64).reshape(-1, 2),
        tuple(rows),
        tuple(authors),
        left_out.result(),
    )


@dataclass(frozen=True)
class _Entry:
    key: str
    offset: int
    length: int
    position_deg: tuple[float, float]
    author: str


def _entry(record: dict[str, Value]) -> _Entry | str:
    """Return the content of a record, or the reason why it is left out."""
    fields = {name.strip().lower(): value for name, value in record.items()}

    def field(names: tuple[str, ...]) -> Value:
        return next((fields[name] for name in names if name in fields), None)

    if any(isinstance(value, Extension) for value in fields.values()):
        return "it holds an extension type, which is not read"
    key, image = _word(field(IDS)), field(IMAGES)
    if not key:
        return "it has no id"
    if not isinstance(image, Blob) or not image.length:
        return "it has no image"
    if image.length > MAX_IMAGE_BYTES:
        return f"its image has {image.length:,} bytes, more than {MAX_IMAGE_BYTES:,}"
    position_deg = _position(field(LATITUDES), field(LONGITUDES))
    return _Entry(key, image.offset, image.length, position_deg, _word(field(AUTHORS)))


def _word(value: Value) -> str:
    """Return a short text or an integer as text; "" for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, Blob) or value.data is None:
        return ""
    try:
        text = value.data.decode().strip()
    except UnicodeDecodeError:
        return ""
    return "" if "\0" in text else text


def _position(lat: Value, lon: Value) -> tuple[float, float]:
    if isinstance(lat, int | float) and isinstance(lon, int | float) and abs(lat) <= 90 and abs(lon) <= 180:
        return float(lat), float(lon)
    return np.nan, np.nan


def _from_table(manifest: Path, records: ShardIndex) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    rows = {key.removesuffix(".jpg"): row for row, key in enumerate(records.keys)}
    positions, authors = records.positions_deg.copy(), list(records.authors)
    seen: set[int] = set()
    for key, line in table_rows(manifest):
        row = rows.get(key.removesuffix(".jpg"))
        if row is None:
            continue
        if row in seen:
            raise DataError(f"{line.where}: expected each photo once, got {printable(key)!r} again: remove one line.")
        seen.add(row)
        positions[row] = line.lat_deg, line.lon_deg
        authors[row] = line.author or authors[row]
    return positions, tuple(authors)
