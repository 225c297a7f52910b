"""Read a manifest (a table or an original pickle of positions) and match its rows with the files of a folder."""

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from geoexplain.errors import DataError
from geoexplain.files import read_metadata
from geoexplain.photos.photo import SUFFIXES, Manifest, Photo, existing_folder, is_inside, photo_files
from geoexplain.photos.table import read_rows
from geoexplain.words import printable


def read_manifest(manifest: Path, images: Path) -> Manifest:
    """Read the positions of photos, and find their files in the folder `images`.

    A table (CSV in UTF-8 with commas, semicolons or tabs) has a header with one of PATHS or IDS, one of LATITUDES, one
    of LONGITUDES and optionally one of AUTHORS. A path is relative to `images` and must stay inside it. An id is such a
    path too, or else is matched with file names like the ids of pickles.

    An original metadata pickle (`.pkl`, or detected from its content) has ids with or without `.jpg`. A file belongs to
    the id that equals its name without suffix, or else to the first id among the parts of the name between underscores:
    `bafg_34_12345.jpg` belongs to `12345` (the rule of visloc-estimation). If several files match one id, an exact name
    comes first, then the first by name; the others are `unknown`.

    Raises DataError, with the line, for an invalid table, a repeated id, a position out of range, or a path that leaves
    `images`.
    """
    root = existing_folder(images)
    if _is_pickle(manifest):
        return _from_metadata(read_metadata(manifest), images, printable(manifest.name))
    return _from_table(manifest, images, root)


def match_files(names: Collection[str], ids: Collection[str]) -> dict[str, str]:
    """Match ids with file names by the rule of `read_manifest`; return id → name for ids with a file.

    `names` are file names, optionally with their folders; of two equally good matches the first is used.
    """
    by_stem = {_without_suffix(key): key for key in reversed(list(ids))}
    matches: dict[str, tuple[bool, str]] = {}
    for name in names:
        stem = _without_suffix(name.rpartition("/")[2])
        match = next((by_stem[part] for part in _parts(stem) if part in by_stem), None)
        if match is not None:
            exact = by_stem.get(stem) == match
            if match not in matches or (exact and not matches[match][0]):
                matches[match] = exact, name
    return {key: name for key, (_, name) in matches.items()}


def _parts(stem: str) -> Iterator[str]:
    """Yield the parts of a file's name that may be an id: the whole, then parts cut at underscores."""
    yield stem
    while "_" in stem:
        first, _, stem = stem.partition("_")
        yield first
        yield stem


def _without_suffix(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and f".{suffix.lower()}" in SUFFIXES else name


def _is_pickle(manifest: Path) -> bool:
    if manifest.suffix.lower() in (".pkl", ".pickle"):
        return True
    if not manifest.is_file():
        return False
    try:
        with manifest.open("rb") as file:
            return file.read(1) == b"\x80"  # no UTF-8 text begins with this byte
    except (OSError, ValueError):
        return False


def _from_metadata(positions: Mapping[str, tuple[float, float]], images: Path, name: str) -> Manifest:
    alike: dict[str, str] = {}
    for key in positions:
        first = alike.setdefault(_without_suffix(key), key)
        if first != key:
            raise DataError(
                f"{name}: expected each image once, got {printable(first)!r} and {printable(key)!r}: remove one."
            )
    files = photo_files(images)
    found = match_files(files, positions)
    photos = tuple(Photo(key, files[found[key]], *positions[key]) for key in positions if key in found)
    missing = tuple(key for key in positions if key not in found)
    return Manifest(photos, missing, tuple(sorted(files.keys() - set(found.values()))))


def _from_table(manifest: Path, images: Path, root: Path) -> Manifest:
    rows = read_rows(manifest)
    by_id = any(row.path is None for row in rows.values())
    files = {key: _file(row.path or key, images, root, row.where) for key, row in rows.items()}
    if by_id and None in files.values():
        all_files = photo_files(images)
        found = {key: all_files[name] for key, name in match_files(all_files, rows).items()}
        files = {key: file or found.get(key) for key, file in files.items()}
    owners: dict[Path, str] = {}
    photos, missing = [], []
    for key, row in rows.items():
        file = files[key]
        if file is None:
            missing.append(key)
            continue
        if owners.setdefault(file, key) != key:
            raise DataError(
                f"{row.where}: expected a photo of its own for {printable(key)!r}, got that of "
                f"{printable(owners[file])!r}: remove one of the lines."
            )
        photos.append(Photo(key, file, row.lat_deg, row.lon_deg, row.author))
    return Manifest(tuple(photos), tuple(missing))


def _file(path: str, images: Path, root: Path, where: str) -> Path | None:
    """Return the file of a table's path in the folder of images, or None if it does not exist."""
    parts = re.split(r"[\\/]", path)
    if not parts[0] or ".." in parts or not is_inside(root, images / path):
        raise DataError(
            f"{where}: expected a path inside the folder of images, got {printable(path)!r}: write it relative to "
            "that folder."
        )
    try:
        return images / path if (images / path).is_file() else None
    except OSError:  # a name that is too long for the file system
        return None
