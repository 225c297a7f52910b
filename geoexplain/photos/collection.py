"""Collections of photos of known position: separate files in a folder, or shards."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geoexplain.errors import DataError, ImageError
from geoexplain.files.reading import read_bytes
from geoexplain.images import open_image
from geoexplain.photos.exif import MAX_BYTES, exif_artist, geotagged_photos
from geoexplain.photos.manifest import read_manifest
from geoexplain.photos.photo import LeftOut, Manifest, Photo, Tally, existing_folder
from geoexplain.photos.shard_index import is_shard
from geoexplain.photos.shards import open_shards
from geoexplain.words import printable

AuthorFrom = Literal["table", "exif", "folder"]


class PhotoCollection(Protocol):
    """N photos of known position, read one at a time; several threads may read at once."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The unique name of each photo."""
        ...

    @property
    def positions_deg(self) -> NDArray[np.float64]:
        """Latitude and longitude, (N, 2)."""
        ...

    @property
    def authors(self) -> tuple[str, ...]:
        """The author of each photo, "" if unknown."""
        ...

    @property
    def left_out(self) -> LeftOut:
        """Photos that cannot be used, with the reasons."""
        ...

    def __len__(self) -> int: ...

    def read(self, i: int, *, shorter_px: int | None = None) -> Image.Image:
        """Read photo i with `open_image`: upright, RGB; arguments and errors are those of `open_image`."""
        ...

    def encoded(self, i: int) -> bytes:
        """Return the encoded bytes of photo i; raise ImageError if they cannot be read."""
        ...

    def stamp(self, i: int) -> tuple[int, int]:
        """Return the size of photo i in bytes and its modification time in ns; (-1, -1) if there is no file."""
        ...


@dataclass(frozen=True, eq=False)
class FileCollection:
    """Photos in separate files; see PhotoCollection."""

    files: tuple[Path, ...]
    keys: tuple[str, ...]
    positions_deg: NDArray[np.float64]
    authors: tuple[str, ...]
    left_out: LeftOut

    def __len__(self) -> int:
        return len(self.files)

    def read(self, i: int, *, shorter_px: int | None = None) -> Image.Image:
        """Read photo i, upright, RGB; see open_image."""
        return open_image(self.files[i], shorter_px=shorter_px)

    def encoded(self, i: int) -> bytes:
        """Return the bytes of photo i's file; raise ImageError if it cannot be read or is larger than MAX_BYTES."""
        try:
            return read_bytes(self.files[i], MAX_BYTES)
        except DataError as error:
            raise ImageError(str(error)) from None

    def stamp(self, i: int) -> tuple[int, int]:
        """Return the size of photo i's file in bytes and its modification time in ns."""
        try:
            facts = self.files[i].stat()
        except OSError:
            return -1, -1
        return facts.st_size, facts.st_mtime_ns


def open_collection(
    source: Path,
    *,
    manifest: Path | None = None,
    author_from: AuthorFrom = "table",
    index: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PhotoCollection:
    """Open the photos of known position in a folder.

    A folder with files `*.msg` holds shards (see `open_shards`), unless these are Outlook messages. Otherwise the
    photos are those that `manifest` names (see `read_manifest`) or, without a manifest, those with a position in their
    EXIF header. Files whose names are not UTF-8 are left out.

    Args:
        source: the folder.
        manifest: a table of positions and, optionally, authors.
        author_from: source of the authors: "table" (the table or the shards' records), "exif" (Artist in the EXIF
            header), or "folder" (the outermost folder in `source` that holds the photo).
        index: for shards only: a file that caches the result of reading their headers.
        progress: called with (photos or shards done, total).

    Raises:
        DataError: there is no photo of known position, or the table or `author_from` is invalid.
    """
    existing_folder(source)
    if author_from not in get_args(AuthorFrom):
        raise DataError(
            f"expected authors from {' or '.join(get_args(AuthorFrom))}, got {printable(author_from)!r}: choose one."
        )
    if any(is_shard(file) for file in source.glob("*.msg")):
        if author_from != "table":
            raise DataError(
                "expected the authors of photos in shards in their records or a table, "
                f"got {author_from!r}: leave this option out."
            )
        return open_shards(source, manifest=manifest, index=index, progress=progress)
    photos = geotagged_photos(source, progress) if manifest is None else read_manifest(manifest, source)
    collection = _collection(
        photos, "no such file" if manifest else "its header states no position", author_from, source
    )
    if not collection.files:
        raise DataError(
            f"{printable(source.name)}: expected photos of known position, got none: give a table that says where they "
            "were taken, or photos with GPS in their EXIF headers."
        )
    return collection


def _collection(manifest: Manifest, why_missing: str, author_from: AuthorFrom, source: Path) -> FileCollection:
    left_out = Tally()
    photos = []
    for photo in manifest.photos:
        if _is_text(photo.id):
            photos.append(photo)
        else:
            left_out.add(printable(photo.id), "its name is not in UTF-8, as the tables of a run are: rename it")
    for name in manifest.missing:
        left_out.add(name, why_missing)
    for name in manifest.unknown:
        left_out.add(name, "its position is not in the table")
    return FileCollection(
        tuple(photo.file for photo in photos),
        tuple(photo.id for photo in photos),
        np.array([(photo.lat_deg, photo.lon_deg) for photo in photos], dtype=np.float64).reshape(-1, 2),
        tuple(_author(photo, author_from, source) for photo in photos),
        left_out.result(),
    )


def _is_text(name: str) -> bool:
    """Return whether a file's name is valid Unicode; Python decodes bytes that are not UTF-8 to surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _author(photo: Photo, author_from: AuthorFrom, source: Path) -> str:
    if author_from == "exif":
        return exif_artist(photo.file)
    if author_from == "folder":
        folders = photo.file.relative_to(source).parts[:-1]
        return folders[0] if folders else ""
    return photo.author
