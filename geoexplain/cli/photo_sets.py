"""What photos a training is on: options, the collection, its splits, and the tables that say which photo is where."""

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
"""What a run keeps so as not to look at every photo again."""

LEFT_OUT = "left-out.csv"

PARTS = ("train", "validation", "test")
SHARES = (0.9, 0.05, 0.05)

Rows = NDArray[np.int64]


def add_photo_source(parser: argparse.ArgumentParser) -> None:
    """Where the photos are, whose they are, and how they are split."""
    parser.add_argument(
        "source", type=Path, metavar="SOURCE", help="a folder of photos, or of shards (*.msg) as those of MP-16"
    )
    parser.add_argument(
        "--manifest",
        type=Path,
        metavar="FILE.csv",
        help="where the photos were taken (default: their EXIF headers, or the shards)",
    )
    parser.add_argument(
        "--authors",
        choices=("table", "exif", "folder"),
        default="table",
        help="who took a photo is said by the table or the shards, the EXIF header, or the folder it lies in "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--shares",
        default=",".join(map(str, SHARES)),
        metavar="T,V,E",
        help="shares of the photos to train on, to choose and calibrate with, and to test on at the end; all photos "
        "of an author and all copies of a photo are in one (default: %(default)s)",
    )
    parser.add_argument(
        "--no-duplicates-search",
        action="store_true",
        help="do not look at every photo beforehand to keep copies of it in one share",
    )
    cores = min(os.cpu_count() or 1, 16)
    parser.add_argument(
        "--workers", type=count, default=cores, metavar="N", help="threads that decode (default: %(default)s)"
    )
    seed = number(int, 0, 2**31 - 1, "a whole number of at least 0")
    parser.add_argument("--seed", type=seed, default=0, help="of everything random (default: %(default)s)")


def parse_shares(text: str) -> dict[str, float]:
    """`0.9,0.05,0.05` as the shares of PARTS. Raises DataError for anything else."""
    shares = numbers(text, float, "--shares", "0.9,0.05,0.05")
    if len(shares) != len(PARTS) or min(shares) <= 0 or not math.isclose(sum(shares), 1, abs_tol=1e-6):
        raise DataError(f"--shares: expected three numbers above 0 that add up to 1, got {text!r}.")
    return dict(zip(PARTS, shares, strict=True))


def open_photos(args: argparse.Namespace, folder: Path, joined: Processes) -> PhotoCollection:
    """The photos of SOURCE; process 0 looks first, and what it keeps in `folder` saves the others the work."""
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
    """Rows of the collection in every part, by author and picture; says what ties too many photos together."""
    groups: Sequence[str] = collection.keys
    if not args.no_duplicates_search:
        bar = progress_bar(len(collection), "photos", desc="looking for copies", hidden=not joined.leads)
        with joined.leader_first(), bar:
            found = fingerprints(
                collection,
                cache=folder / FINGERPRINTS,
                workers=args.workers,
                progress=lambda done, _total: bar.update(done - bar.n) and None,
            )
        groups = duplicate_groups(found)
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
    """Which photos were taken where: a table as `geoexplain evaluate photos` reads it."""
    with file.open("w", newline="", encoding="utf-8") as table:
        writer = csv.writer(table)
        writer.writerow(["id", "latitude", "longitude"])
        for row in rows.tolist():
            lat, lon = collection.positions_deg[row]
            writer.writerow([collection.keys[row], f"{lat:.7f}", f"{lon:.7f}"])


def write_left_out(collection: PhotoCollection, file: Path) -> None:
    """What of SOURCE cannot be used, and why, as far as the collection lists it."""
    # A file's name may hold bytes that are no text.
    with file.open("w", newline="", encoding="utf-8", errors="backslashreplace") as table:
        csv.writer(table).writerows([("photo", "reason"), *collection.left_out.listed])
