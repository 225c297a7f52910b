"""What a set of photos of known position is, and which files of a folder are photos."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from geoexplain.errors import DataError
from geoexplain.words import printable

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
"""A file with one of these endings, in any case, is taken for a photo."""


LISTED = 1000


@dataclass(frozen=True)
class Photo:
    """A photo and where it was taken: latitude in [-90, 90] and longitude in [-180, 180], in degrees.

    `author` tells photos of one person from those of others; "" is unknown.
    """

    id: str
    file: Path
    lat_deg: float
    lon_deg: float
    author: str = ""


@dataclass(frozen=True)
class Manifest:
    """Photos of known position, and what was left out of them.

    photos   no two with the same id, nor of the same file
    missing  ids without a file; from a folder of geotagged photos: files without a position
    unknown  files of the folder that belong to no id, or to one that has its file already; from pickles only
    """

    photos: tuple[Photo, ...]
    missing: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class LeftOut:
    """What of a set of photos cannot be used: how many, and (which, why) of the first LISTED of them."""

    count: int = 0
    listed: tuple[tuple[str, str], ...] = ()


class Tally:
    """Counts what is left out, and lists as much of it as anybody reads."""

    def __init__(self, before: LeftOut = LeftOut()):
        self.count, self.listed = before.count, list(before.listed)

    def add(self, which: str, why: str) -> None:
        """One more."""
        self.count += 1
        if len(self.listed) < LISTED:
            self.listed.append((which, why))

    def result(self) -> LeftOut:
        """What was counted so far."""
        return LeftOut(self.count, tuple(self.listed))


def photo_files(folder: Path) -> dict[str, Path]:
    """All photos in a folder and the folders in it: path relative to `folder`, with "/" → file; sorted.

    Links to folders are not followed, and a link to a file outside `folder` is not a photo of it. Raises DataError
    when `folder` is none, or one in it may not be read.
    """
    root = existing_folder(folder)
    files = {}
    for place, _, names in os.walk(root, onerror=_refuse):
        for name in names:
            file = Path(place, name)
            if file.suffix.lower() in SUFFIXES and (not file.is_symlink() or inside(root, file)) and file.is_file():
                files[file.relative_to(root).as_posix()] = folder / file.relative_to(root)
    return dict(sorted(files.items()))


def _refuse(error: OSError) -> NoReturn:
    raise DataError(
        f"{printable(Path(error.filename).name)}: expected a folder that may be read, got '{error.strerror}': "
        "check who owns it."
    ) from None


def existing_folder(folder: Path) -> Path:
    """The folder, as an absolute path without links; DataError when there is none."""
    if not folder.is_dir():
        raise DataError(f"expected a folder of photos at {printable(str(folder), 300)}, found none: check the path.")
    return folder.resolve()


def inside(root: Path, file: Path) -> bool:
    """Whether a file, all its links followed, lies in `root`, an absolute path without links."""
    try:
        return file.resolve().is_relative_to(root)
    except (OSError, RuntimeError, ValueError):  # links that lead to each other; a path that no system accepts
        return False
