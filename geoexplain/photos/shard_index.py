"""Index of the photos in shards, and the file that caches it."""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoexplain.errors import DataError
from geoexplain.files.archives import read_arrays, write_arrays
from geoexplain.photos.photo import LeftOut
from geoexplain.words import printable

FORMAT = "geoexplain-shard-index/1"

OUTLOOK = bytes.fromhex("d0cf11e0a1b11ae1")
"""First bytes of an Outlook message, a compound file ([MS-CFB], sect. 2.2); no MessagePack map begins with them."""


@dataclass(frozen=True)
class ShardFile:
    """Name, size in bytes and modification time in ns of a shard."""

    name: str
    bytes: int
    modified_ns: int


@dataclass(frozen=True, eq=False)
class ShardIndex:
    """Byte ranges, positions, keys and authors of all N photos in the shards.

    places         int64 (N, 3): shard, first byte and number of bytes of the photo
    positions_deg  float64 (N, 2), NaN where the record has no position
    """

    shards: tuple[ShardFile, ...]
    places: NDArray[np.int64]
    positions_deg: NDArray[np.float64]
    keys: tuple[str, ...]
    authors: tuple[str, ...]
    left_out: LeftOut


def is_shard(file: Path) -> bool:
    """Return whether a file `*.msg` is a shard and not an Outlook message."""
    if not file.is_file():
        return False
    try:
        with file.open("rb") as opened:
            return opened.read(len(OUTLOOK)) != OUTLOOK
    except OSError:
        return True  # reading it later raises an error with the reason


def shard_files(folder: Path) -> tuple[Path, ...]:
    """Return the shards of a folder, sorted by the number in their names; raise DataError if there is none."""
    files = [file for file in folder.glob("*.msg") if is_shard(file)]
    if not files:
        raise DataError(f"{printable(folder.name)}: expected shards (*.msg), found none: give the folder they are in.")
    return tuple(sorted(files, key=_by_number))


def _by_number(file: Path) -> tuple[int, str]:
    digits = re.search(r"\d{1,15}", file.name)
    return (int(digits[0]) if digits else -1, file.name)


def read_index(file: Path, files: tuple[Path, ...]) -> ShardIndex | None:
    """Read an index that `write_index` wrote; None if it is missing or damaged, or if a shard has changed since."""
    layout: dict[str, tuple[type[np.generic], int]] = {
        "facts": (np.uint8, 1),
        "places": (np.int64, 2),
        "positions": (np.float64, 2),
        "keys": (np.uint8, 1),
        "authors": (np.uint8, 1),
    }
    if not file.is_file():
        return None
    try:
        text, places, positions, keys, authors = read_arrays(file, layout)
        facts = json.loads(text.tobytes())
        shards = tuple(ShardFile(**shard) for shard in facts["shards"])
        left_out = LeftOut(int(facts["left_out"]["count"]), tuple((a, b) for a, b in facts["left_out"]["listed"]))
        index = ShardIndex(shards, places, positions, _split_texts(keys), _split_texts(authors), left_out)
    except (DataError, ValueError, KeyError, TypeError, RecursionError):
        return None
    same = shards == tuple(_facts(path) for path in files) and facts.get("format") == FORMAT
    return index if same and _is_consistent(index) else None


def _is_consistent(index: ShardIndex) -> bool:
    rows, places = len(index.keys), index.places
    if places.shape != (rows, 3) or index.positions_deg.shape != (rows, 2) or len(index.authors) != rows:
        return False
    sizes = np.array([shard.bytes for shard in index.shards])
    if rows and not (places.min() >= 0 and places[:, 0].max() < len(sizes)):
        return False
    return bool((places[:, 2] <= sizes[places[:, 0]] - places[:, 1]).all())


def write_index(file: Path, index: ShardIndex) -> None:
    """Write an index to a file; raise DataError if it cannot be written."""
    facts = {"format": FORMAT, "shards": [asdict(shard) for shard in index.shards], "left_out": asdict(index.left_out)}
    write_arrays(
        file,
        {
            "facts": np.frombuffer(json.dumps(facts).encode(), np.uint8),
            "places": index.places,
            "positions": index.positions_deg,
            "keys": np.frombuffer("\0".join([*index.keys, ""]).encode(), np.uint8),
            "authors": np.frombuffer("\0".join([*index.authors, ""]).encode(), np.uint8),
        },
    )


def _split_texts(packed: NDArray[np.uint8]) -> tuple[str, ...]:
    return tuple(packed.tobytes().decode().split("\0")[:-1])


def _facts(path: Path) -> ShardFile:
    facts = path.stat()
    return ShardFile(path.name, facts.st_size, facts.st_mtime_ns)
