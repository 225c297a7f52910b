"""`geoexplain partition`: build, import and inspect partitionings, whose cells a model is trained on."""

import argparse
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoexplain.cli.addresses import follow
from geoexplain.cli.arguments import count
from geoexplain.cli.batch import progress_bar
from geoexplain.errors import DataError
from geoexplain.geography.address import Addresses
from geoexplain.geography.addresses.address_file import read_addresses
from geoexplain.geography.addresses.borders import border_of
from geoexplain.geography.addresses.natural import natural_addresses
from geoexplain.geography.addresses.offline import territory_addresses
from geoexplain.geography.coordinates import read_coordinates
from geoexplain.geography.kmeans_partitioning import build_kmeans
from geoexplain.geography.partition_files import DESCRIPTION, read_partitioning, write_partitioning
from geoexplain.geography.partitioning import Partitioning
from geoexplain.geography.published_partitioning import read_published
from geoexplain.geography.s2_partitioning import PUBLISHED, build_s2
from geoexplain.geography.semantic_partitioning import build_semantic
from geoexplain.view.partition_map import save_partition_map
from geoexplain.words import percent, printable

MAP = "map.html"
SEMANTIC_TAU = (100, 125, 250)
KMEANS_CELLS = (200, 2000)
OF_A_BUILD = re.compile(
    r"(cells(\.\d+)?\.csv|outlines(\.\d+)?\.geojson|places\.json|coordinates\.npz|locations\.json|map\.html)"
    r"(\.\d+\.part)?|partition\.json\.\d+\.part"
)
"""Files that an interrupted build leaves; partition.json is written last."""

LEVELS = {1: ("cells",), 2: ("coarse", "fine"), 3: ("coarse", "middle", "fine")}

BUILD_EPILOG = """\
FILE.csv has a header with columns such as latitude and longitude, and commas, semicolons or tabs.

DIR is created. It holds partition.json, and for every level, the finest first, a table (cells.csv, cells.1.csv, …) with
labels, centres, parents, keys and counts, and the outlines as GeoJSON. map.html shows the cells in a browser, without
internet. Ctrl-C leaves no partitioning behind."""

Progress = Callable[[int, int], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `geoexplain partition`."""
    parser.description = "Build the cells that a model is trained on, inspect them, or import published ones."
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    build = commands.add_parser("build", help="build a partitioning from coordinates")
    build.description = "Build a partitioning from coordinates."
    kinds = build.add_subparsers(metavar="KIND", required=True)
    limits = " ".join(f"{least}:{most}" for least, most in PUBLISHED)
    s2 = _kind(kinds, "s2", "S2 cells, divided into four while they hold too many coordinates", run_s2)
    s2.add_argument(
        "--tau",
        nargs="+",
        type=thresholds,
        default=PUBLISHED,
        metavar="MIN:MAX",
        help="minimum number of coordinates in a cell, and maximum before it is divided, coarse to fine "
        f"(default: {limits})",
    )
    semantic = _kind(kinds, "semantic", "cities, parks, countries: places that hold enough coordinates", run_semantic)
    semantic.add_argument(
        "--tau",
        nargs="+",
        type=count,
        default=SEMANTIC_TAU,
        metavar="N",
        help="minimum number of coordinates in a place, one number per level "
        f"(default: {' '.join(map(str, SEMANTIC_TAU))})",
    )
    source = semantic.add_mutually_exclusive_group()
    source.add_argument(
        "--addresses",
        type=Path,
        metavar="FILE.csv",
        help="a table from `geoexplain addresses`, instead of --coordinates (default: offline addresses)",
    )
    source.add_argument(
        "--naturalearth",
        type=Path,
        metavar="DIR",
        help="use deserts, ranges, seas from the Natural Earth files in this folder instead of countries",
    )
    kmeans = _kind(kinds, "kmeans", "one cell around each of N cluster centres", run_kmeans)
    kmeans.add_argument(
        "--cells",
        nargs="+",
        type=count,
        default=KMEANS_CELLS,
        metavar="N",
        help=f"number of cells of each level, coarse to fine (default: {' '.join(map(str, KMEANS_CELLS))})",
    )
    kmeans.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the sample (default: %(default)s)")
    show = commands.add_parser("show", help="print the contents of a partitioning")
    show.description = "Print how many cells and coordinates a partitioning has."
    show.add_argument("folder", type=Path, metavar="DIR", help="the partitioning")
    show.set_defaults(run=run_show)
    published = commands.add_parser("import", help="import published tables")
    published.description = "Convert the tables of TIB's geolocators to a partitioning."
    published.add_argument("files", nargs="+", type=Path, metavar="FILE.csv", help="one table per level, in any order")
    published.add_argument("--tree", type=Path, metavar="h_dict.json", help="hierarchy of the cells of semantic tables")
    _add_out(published)
    published.set_defaults(run=run_import)


def _kind(
    kinds: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    summary: str,
    run: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    parser = kinds.add_parser(name, help=summary)
    parser.description = f"Build a partitioning: {summary}."
    parser.epilog = BUILD_EPILOG
    parser.add_argument(
        "--coordinates", type=Path, required=name != "semantic", metavar="FILE.csv", help="where photos were taken"
    )
    _add_out(parser)
    parser.set_defaults(run=run)
    return parser


def _add_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder to write")
    parser.add_argument("--force", action="store_true", help="replace an existing partitioning")


def thresholds(text: str) -> tuple[int, int]:
    """Parse a value of `--tau` for S2, such as "50:1000"; raise ArgumentTypeError for any other text."""
    least, colon, most = text.partition(":")
    if not colon or not least.isdecimal() or not most.isdecimal() or not 1 <= int(least) <= int(most):
        raise argparse.ArgumentTypeError(f"expected two numbers such as 50:1000, got {text!r}")
    return int(least), int(most)


def run_s2(args: argparse.Namespace) -> int:
    """Build S2 cells; return 0."""
    points = _coordinates(args)
    with _step("building") as progress:
        built = build_s2(points, args.tau, name=_name(args.out), progress=progress)
    return _finish(built, args.out)


def run_kmeans(args: argparse.Namespace) -> int:
    """Build cells by k-means; return 0."""
    points = _coordinates(args)
    with _step("building") as progress:
        built = build_kmeans(points, args.cells, name=_name(args.out), seed=args.seed, progress=progress)
    return _finish(built, args.out)


def run_semantic(args: argparse.Namespace) -> int:
    """Build semantic cells; return 0."""
    if (args.coordinates is None) == (args.addresses is None):
        raise DataError("partition build semantic: expected either --coordinates or --addresses: give one of them.")
    if args.naturalearth is not None and args.coordinates is None:
        raise DataError("--naturalearth: expected --coordinates with it, got none: give the coordinates.")
    natural = args.naturalearth is not None
    addresses = _addresses(args)
    with _step("building") as progress:
        built = build_semantic(
            addresses,
            args.tau,
            name=_name(args.out),
            border_of=partial(border_of, naturalearth=args.naturalearth),
            # Only the shipped places can be looked up at other positions; else the nearest coordinate decides.
            address_of=None if natural or args.addresses is not None else territory_addresses,
            tree_name="nature" if natural else "territory",
            progress=progress,
        )
    return _finish(built, args.out)


def run_import(args: argparse.Namespace) -> int:
    """Import published tables; return 0."""
    _check_new(args)
    return _finish(read_published(args.files, args.tree, name=_name(args.out)), args.out)


def run_show(args: argparse.Namespace) -> int:
    """Print the contents of a partitioning; return 0."""
    describe(read_partitioning(args.folder), args.folder)
    return 0


def describe(partitioning: Partitioning, folder: Path) -> None:
    """Print how many cells and coordinates a partitioning has, level by level."""
    lost = int(partitioning.settings.get("in_no_cell", 0))
    total = int(partitioning.counts[0].sum()) + lost
    print(f"{folder}: {partitioning.kind}, {len(partitioning.levels)} level{'s' * (len(partitioning.levels) > 1)}")
    levels = len(partitioning.levels)
    names = LEVELS.get(levels, tuple(f"level {i + 1}" for i in range(levels)))
    for name, cells, counts in zip(names, partitioning.levels[::-1], partitioning.counts[::-1], strict=True):
        largest = printable(cells.labels[int(counts.argmax())])
        span = f"{counts.min():,}" if counts.min() == counts.max() else f"{counts.min():,} to {counts.max():,}"
        held = f", {span} coordinates each, the fullest: {largest}" if total else ""
        print(f"  {name:<11} {len(cells):>7,} cell{'s' * (len(cells) > 1)}{held}")
    known = f"{total:>7,}{f', {lost:,} ({percent(lost / total)}) of them in no cell' if lost else ''}"
    print(f"  coordinates {known if total else 'not known'}")
    for key, value in partitioning.settings.items():
        if key != "in_no_cell":
            words = " ".join(map(str, value)) if isinstance(value, list) else str(value)
            print(f"  {printable(key):<11} {printable(words)}")


def _coordinates(args: argparse.Namespace) -> NDArray[np.float64]:
    _check_new(args)
    with _step("reading") as progress:
        return read_coordinates(args.coordinates, progress=progress)


def _addresses(args: argparse.Namespace) -> Addresses:
    if args.addresses is not None:
        _check_new(args)
        with _step("reading") as progress:
            return read_addresses(args.addresses, progress=progress)
    points = _coordinates(args)
    with _step("addresses") as progress:
        if args.naturalearth is not None:
            return natural_addresses(points, args.naturalearth, progress=progress)
        return territory_addresses(points, progress=progress)


def _check_new(args: argparse.Namespace) -> None:
    """Raise DataError, before minutes of work, if --out holds files that must not be replaced."""
    out: Path = args.out
    if out.exists() and not out.is_dir():
        raise DataError(f"{out}: expected a folder to write, found a file: choose another name.")
    names = [file.name for file in out.iterdir()] if out.exists() else []
    if DESCRIPTION in names:
        what = "a partitioning: give --force to replace it, or choose another"
    elif all(OF_A_BUILD.fullmatch(name) for name in names):
        what = "what is left of an interrupted build: give --force to replace it, or choose another"
    else:
        what = "something else: choose another"
    if names and not (args.force and "--force" in what):
        raise DataError(f"{out}: expected a folder that is new or empty, found {what}.")


def _name(out: Path) -> str:
    return out.resolve().name


def _finish(partitioning: Partitioning, out: Path) -> int:
    with _step("writing") as progress:
        write_partitioning(partitioning, out)
        progress(1, 2)
        save_partition_map(out / MAP, partitioning)
        progress(2, 2)
    describe(partitioning, out)
    print(f"  map         {out / MAP}")
    return 0


@contextmanager
def _step(what: str) -> Iterator[Progress]:
    with progress_bar(0, "", desc=what, unit_scale=True, mininterval=0.1) as bar:
        yield follow(bar)
