"""Where each photo lies in shards, and the file that keeps it from one run to the next."""

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
"""What a message saved by Outlook begins with, a compound file ([MS-CFB], sect. 2.2); no MessagePack map does."""


@dataclass(frozen=True)
class ShardFile:
    """A shard's name, its size in bytes and when it was last changed, in ns."""

    name: str
    bytes: int
    modified_ns: int


@dataclass(frozen=True, eq=False)
class ShardIndex:
    """What one pass over the shards found.

    places         int64 (N, 3): shard, first byte and number of bytes of the photo
    positions_deg  float64 (N, 2), NaN where the record states none
    """

    shards: tuple[ShardFile, ...]
    places: NDArray[np.int64]
    positions_deg: NDArray[np.float64]
    keys: tuple[str, ...]
    authors: tuple[str, ...]
    left_out: LeftOut


def is_shard(file: Path) -> bool:
    """Whether a file ending in .msg is meant as a shard: not, if it begins as Outlook's messages do."""
    if not file.is_file():
        return False
    try:
        with file.open("rb") as opened:
            return opened.read(len(OUTLOOK)) != OUTLOOK
    except OSError:
        return True  # what cannot be read is told when it is to be


def shard_files(folder: Path) -> tuple[Path, ...]:
    """The shards of a folder, those with a number by their number; DataError when there is none."""
    files = [file for file in folder.glob("*.msg") if is_shard(file)]
    if not files:
        raise DataError(f"{printable(folder.name)}: expected shards (*.msg), found none: give the folder they are in.")
    return tuple(sorted(files, key=_by_number))


def _by_number(file: Path) -> tuple[int, str]:
    digits = re.search(r"\d{1,15}", file.name)
    return (int(digits[0]) if digits else -1, file.name)


def read_index(file: Path, files: tuple[Path, ...]) -> ShardIndex | None:
    """What `write_index` kept; None when there is none, it is damaged, or a shard is not as it was."""
    wanted: dict[str, tuple[type[np.generic], int]] = {
        "facts": (np.uint8, 1),
        "places": (np.int64, 2),
        "positions": (np.float64, 2),
        "keys": (np.uint8, 1),
        "authors": (np.uint8, 1),
    }
    if not file.is_file():
        return None
    try:
        text, places, positions, keys, authors = read_arrays(file, wanted)
        facts = json.loads(text.tobytes())
        shards = tuple(ShardFile(**shard) for shard in facts["shards"])
        left_out = LeftOut(int(facts["left_out"]["count"]), tuple((a, b) for a, b in facts["left_out"]["listed"]))
        found = ShardIndex(shards, places, positions, _words(keys), _words(authors), left_out)
    except (DataError, ValueError, KeyError, TypeError, RecursionError):
        return None
    same = shards == tuple(_facts(path) for path in files) and facts.get("format") == FORMAT
    return found if same and _fits(found) else None


def _fits(found: ShardIndex) -> bool:
    rows, places = len(found.keys), found.places
    if places.shape != (rows, 3) or found.positions_deg.shape != (rows, 2) or len(found.authors) != rows:
        return False
    sizes = np.array([shard.bytes for shard in found.shards])
    if rows and not (places.min() >= 0 and places[:, 0].max() < len(sizes)):
        return False
    return bool((places[:, 2] <= sizes[places[:, 0]] - places[:, 1]).all())


def write_index(file: Path, found: ShardIndex) -> None:
    """Keep what a pass over the shards found; DataError when the file cannot be written."""
    facts = {"format": FORMAT, "shards": [asdict(shard) for shard in found.shards], "left_out": asdict(found.left_out)}
    write_arrays(
        file,
        {
            "facts": np.frombuffer(json.dumps(facts).encode(), np.uint8),
            "places": found.places,
            "positions": found.positions_deg,
            "keys": np.frombuffer("\0".join([*found.keys, ""]).encode(), np.uint8),
            "authors": np.frombuffer("\0".join([*found.authors, ""]).encode(), np.uint8),
        },
    )


def _words(packed: NDArray[np.uint8]) -> tuple[str, ...]:
    return tuple(packed.tobytes().decode().split("\0")[:-1])


def _facts(path: Path) -> ShardFile:
    facts = path.stat()
    return ShardFile(path.name, facts.st_size, facts.st_mtime_ns)
