"""Types for sets of photos of known position, and the search for photo files in a folder."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from geoexplain.errors import DataError
from geoexplain.words import printable

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
"""Suffixes of photo files, in upper or lower case."""

LISTED = 1000
"""Maximum number of left-out photos that are listed with their reasons."""


@dataclass(frozen=True)
class Photo:
    """A photo with its position: latitude in [-90, 90] and longitude in [-180, 180], in degrees.

    `author` identifies the person who took it; "" is unknown.
    """

    id: str
    file: Path
    lat_deg: float
    lon_deg: float
    author: str = ""


@dataclass(frozen=True)
class Manifest:
    """Photos of known position, and the ids and files that were left out.

    photos   unique ids and unique files
    missing  ids without a file; for a folder of geotagged photos: files without a position
    unknown  for pickles only: files that match no id, or an id that has another file
    """

    photos: tuple[Photo, ...]
    missing: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class LeftOut:
    """Photos that cannot be used: their number, and (name, reason) of the first LISTED of them."""

    count: int = 0
    listed: tuple[tuple[str, str], ...] = ()


class Tally:
    """Counter of left-out photos that lists the first LISTED of them."""

    def __init__(self, before: LeftOut = LeftOut()):
        self.count, self.listed = before.count, list(before.listed)

    def add(self, which: str, why: str) -> None:
        """Count one photo and the reason why it is left out."""
        self.count += 1
        if len(self.listed) < LISTED:
            self.listed.append((which, why))

    def result(self) -> LeftOut:
        """Return the photos counted so far."""
        return LeftOut(self.count, tuple(self.listed))


def photo_files(folder: Path) -> dict[str, Path]:
    """Find all photos in a folder and its subfolders; return path relative to `folder`, with "/" → file, sorted.

    Links to folders are not followed, and links to files outside `folder` are skipped. Raises DataError if `folder`
    does not exist, or a subfolder cannot be read.
    """
    root = existing_folder(folder)
    files = {}
    for place, _, names in os.walk(root, onerror=_refuse):
        for name in names:
            file = Path(place, name)
            if file.suffix.lower() in SUFFIXES and (not file.is_symlink() or is_inside(root, file)) and file.is_file():
                files[file.relative_to(root).as_posix()] = folder / file.relative_to(root)
    return dict(sorted(files.items()))


def _refuse(error: OSError) -> NoReturn:
    raise DataError(
        f"{printable(Path(error.filename).name)}: expected a readable folder, got '{error.strerror}': "
        "check its permissions."
    ) from None


def existing_folder(folder: Path) -> Path:
    """Return the folder as an absolute path without links; raise DataError if it does not exist."""
    if not folder.is_dir():
        raise DataError(f"expected a folder of photos at {printable(str(folder), 300)}, found none: check the path.")
    return folder.resolve()


def is_inside(root: Path, file: Path) -> bool:
    """Return whether a file, with all links resolved, lies in `root`, an absolute path without links."""
    try:
        return file.resolve().is_relative_to(root)
    except (OSError, RuntimeError, ValueError):  # circular links, or an invalid path
        return False
