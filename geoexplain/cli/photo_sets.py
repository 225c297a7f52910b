"""Photos for training: their options, the collection, its split, and the tables that list the photos of each part."""

import argparse
import csv
import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoexplain.cli.arguments import complain, count, number, numbers
from geoexplain.cli.batch import progress_bar
from geoexplain.errors import DataError
from geoexplain.photos import (
    PhotoCollection,
    duplicate_groups,
    fingerprints,
    giant_sets,
    open_collection,
    split_photos,
)
from geoexplain.training.distributed import Processes
from geoexplain.words import percent

FINGERPRINTS, SHARD_INDEX = "fingerprints.npz", "shards.npz"
"""Files in a run's folder that save reading every photo again."""

LEFT_OUT = "left-out.csv"

PARTS = ("train", "validation", "test")
SHARES = (0.9, 0.05, 0.05)

Rows = NDArray[np.int64]


def add_photo_source(parser: argparse.ArgumentParser) -> None:
    """Add the options for the source of the photos, their authors, and how they are split."""
    parser.add_argument(
        "source", type=Path, metavar="SOURCE", help="a folder of photos, or of shards (*.msg) such as those of MP-16"
    )
    parser.add_argument(
        "--manifest",
        type=Path,
        metavar="FILE.csv",
        help="table of the photos' positions (default: their EXIF headers, or the shards)",
    )
    parser.add_argument(
        "--authors",
        choices=("table", "exif", "folder"),
        default="table",
        help="source of a photo's author: the table or the shards, the EXIF header, or the folder of the photo "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--shares",
        default=",".join(map(str, SHARES)),
        metavar="T,V,E",
        help="shares of the photos for training, validation (with calibration) and the final test; all photos of an "
        "author and all copies of a photo go to the same part (default: %(default)s)",
    )
    parser.add_argument(
        "--no-duplicates-search",
        action="store_true",
        help="do not search all photos for copies, which would be kept in the same part",
    )
    cores = min(os.cpu_count() or 1, 16)
    parser.add_argument(
        "--workers", type=count, default=cores, metavar="N", help="threads that decode photos (default: %(default)s)"
    )
    seed = number(int, 0, 2**31 - 1, "a whole number of at least 0")
    parser.add_argument("--seed", type=seed, default=0, help="seed of all random numbers (default: %(default)s)")


def parse_shares(text: str) -> dict[str, float]:
    """Parse `0.9,0.05,0.05` as the shares of PARTS. Raises DataError for anything else."""
    shares = numbers(text, float, "--shares", "0.9,0.05,0.05")
    if len(shares) != len(PARTS) or min(shares) <= 0 or not math.isclose(sum(shares), 1, abs_tol=1e-6):
        raise DataError(f"--shares: expected three numbers above 0 that add up to 1, got {text!r}.")
    return dict(zip(PARTS, shares, strict=True))


def open_photos(args: argparse.Namespace, folder: Path, joined: Processes) -> PhotoCollection:
    """Open the photos of SOURCE. Process 0 opens them first and stores an index in `folder`, which the others use."""
    with joined.leader_first(), progress_bar(0, "files", desc="looking for photos", hidden=not joined.leads) as bar:

        def report(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        return open_collection(
            args.source,
            manifest=args.manifest,
            author_from=args.authors,
            index=folder / SHARD_INDEX,
            progress=report,
        )


def split(args: argparse.Namespace, collection: PhotoCollection, folder: Path, joined: Processes) -> dict[str, Rows]:
    """Split the rows of the collection by author and picture into PARTS; report groups too large to split well.

    Writes a table for each part and one of the photos that are left out.
    """
    groups: Sequence[str] = collection.keys
    if not args.no_duplicates_search:
        bar = progress_bar(len(collection), "photos", desc="looking for copies", hidden=not joined.leads)
        with joined.leader_first(), bar:
            prints = fingerprints(
                collection,
                cache=folder / FINGERPRINTS,
                workers=args.workers,
                progress=lambda done, _total: bar.update(done - bar.n) and None,
            )
        groups = duplicate_groups(prints)
    parts = split_photos(collection.authors, groups, parse_shares(args.shares), args.seed)
    if joined.leads:
        for giant in giant_sets(collection.authors, groups):
            complain(
                f"{percent(giant.photos / len(collection))} of the photos belong together ({giant.name[:80]}): "
                "the shares cannot be met around them."
            )
        for part, rows in parts.items():
            write_manifest(collection, rows, folder / f"{part}.csv")
        write_left_out(collection, folder / LEFT_OUT)
    for part in PARTS[:2]:
        if not len(parts[part]):
            raise DataError(f"--shares: expected photos for {part}, got none of {len(collection)}: give more photos.")
    return parts


def write_manifest(collection: PhotoCollection, rows: Rows, file: Path) -> None:
    """Write a table of the photos' positions that `geoexplain evaluate photos` can read."""
    with file.open("w", newline="", encoding="utf-8") as table:
        writer = csv.writer(table)
        writer.writerow(["id", "latitude", "longitude"])
        for row in rows.tolist():
            lat, lon = collection.positions_deg[row]
            writer.writerow([collection.keys[row], f"{lat:.7f}", f"{lon:.7f}"])


def write_left_out(collection: PhotoCollection, file: Path) -> None:
    """Write a table of the unusable photos of SOURCE with the reason, as far as the collection lists them."""
    # A file name may contain bytes that are not valid text.
    with file.open("w", newline="", encoding="utf-8", errors="backslashreplace") as table:
        csv.writer(table).writerows([("photo", "reason"), *collection.left_out.listed])
