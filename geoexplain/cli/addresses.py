"""`geoexplain addresses`: write a table of the places that contain each of many coordinates, fine to coarse."""

import argparse
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from geoexplain.cli.arguments import number
from geoexplain.cli.batch import progress_bar
from geoexplain.errors import DataError
from geoexplain.geography.address import Addresses
from geoexplain.geography.addresses.address_file import locations_file, write_addresses
from geoexplain.geography.addresses.emp16 import COLUMNS, read_emp16
from geoexplain.geography.addresses.natural import natural_addresses
from geoexplain.geography.addresses.nominatim import nominatim_addresses
from geoexplain.geography.addresses.offline import territory_addresses
from geoexplain.geography.coordinates import read_coordinates

EPILOG = """\
Without --naturalearth and --nominatim addresses are made offline, from the data that geoexplain ships: city, region,
country, part of the continent, continent; or the sea.

OUT.csv has one row per coordinate, in the order of the input: latitude, longitude, and the address as the keys of its
locations, separated by " < ". OUT.locations.csv, next to it, lists their names. A semantic partitioning is built from
both files.

--nominatim sends every coordinate to that server. Answers are stored in --cache as they arrive: after Ctrl-C, a crash
or an error the same command continues where it stopped, and requests nothing twice. nominatim.openstreetmap.org allows
one request per second and no bulk work: use a server of your own for more than a few thousand coordinates."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `geoexplain addresses`."""
    parser.description = "List the places that contain each of many coordinates, fine to coarse."
    parser.epilog = EPILOG
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--coordinates", type=Path, metavar="FILE.csv", help="a table with latitude and longitude")
    source.add_argument("--emp16", type=Path, metavar="FILE", help="published addresses: EMP-16's .jsonl or .jsonl.bz2")
    parser.add_argument("--out", type=Path, required=True, metavar="OUT.csv", help="the table to write")
    parser.add_argument(
        "--naturalearth",
        type=Path,
        metavar="DIR",
        help="use deserts, ranges, lakes, … from the Natural Earth files in this folder",
    )
    server = parser.add_argument_group("Nominatim")
    server.add_argument("--nominatim", metavar="HOST", help="server to query, such as http://localhost:8080")
    server.add_argument(
        "--user-agent", metavar="TEXT", help="identifies you to the server, such as 'my-survey (me@example.org)'"
    )
    server.add_argument(
        "--rate",
        type=number(float, 1e-3, 1e4, "a number from 0.001 to 10000"),
        default=1.0,
        metavar="N",
        help="maximum number of requests per second (default: %(default)g)",
    )
    server.add_argument(
        "--timeout",
        type=number(float, 0.1, 600, "seconds from 0.1 to 600"),
        default=10.0,
        metavar="S",
        help="seconds to wait for an answer (default: %(default)g)",
    )
    server.add_argument("--language", default="en", metavar="CODE", help="language of the names (default: %(default)s)")
    server.add_argument(
        "--cache", type=Path, metavar="FILE", help="file for the answers received (default: OUT.answers.sqlite)"
    )
    emp16 = parser.add_argument_group("EMP-16")
    emp16.add_argument(
        "--column", choices=COLUMNS, default=COLUMNS[0], help="use filtered or raw addresses (default: %(default)s)"
    )
    emp16.add_argument("--names", type=Path, metavar="FILE.feather", help="EMP-16's table of locations (needs pyarrow)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the addresses; return 0."""
    _check(args)
    with progress_bar(0, "", unit_scale=True, mininterval=0.1) as bar:
        addresses = _addresses(args, follow(bar))
    write_addresses(addresses, args.out)
    without = int((addresses.paths < 0).all(axis=1).sum())
    remark = f", {without:,} without an address" if without else ""
    places = f"{len(addresses.locations):,} places"
    print(f"{args.out}: {len(addresses):,} coordinates in {places}{remark}; their names in {locations_file(args.out)}")
    return 0


def _check(args: argparse.Namespace) -> None:
    """Raise DataError for options that exclude one another, before any work is done."""
    if args.naturalearth is not None and args.nominatim is not None:
        raise DataError("--nominatim: expected it alone, got --naturalearth too: run the command once for each.")
    if args.emp16 is not None and (args.naturalearth is not None or args.nominatim is not None):
        raise DataError("--emp16: expected it alone, got another source of addresses too: leave one of them out.")
    if args.nominatim is not None and args.user_agent is None:
        raise DataError("--nominatim: expected --user-agent, which identifies you to the server, got none: add it.")
    if args.out.is_dir():
        raise DataError(f"{args.out}: expected a file to write, found a folder: choose another name.")
    given = [file for file in (args.coordinates, args.emp16, args.names, args.cache) if file is not None]
    written = [args.out, locations_file(args.out)]
    for file in given:
        if any(file.exists() and out.exists() and file.samefile(out) for out in written):
            raise DataError(f"{args.out}: expected another file than {file}, which is read: choose another name.")
    if not args.out.parent.is_dir():
        raise DataError(f"{args.out}: expected a folder to write into, found none: create {args.out.parent}.")


def _addresses(args: argparse.Namespace, progress: Callable[[int, int], None]) -> Addresses:
    if args.emp16 is not None:
        return read_emp16(args.emp16, column=args.column, names=args.names, progress=progress)
    points = read_coordinates(args.coordinates, progress=progress)
    if args.naturalearth is not None:
        return natural_addresses(points, args.naturalearth, progress=progress)
    if args.nominatim is None:
        return territory_addresses(points, progress=progress)
    return nominatim_addresses(
        points,
        host=args.nominatim,
        user_agent=args.user_agent,
        cache=args.cache or args.out.with_name(f"{args.out.stem}.answers.sqlite"),
        rate_limit_s=1 / args.rate,
        timeout_s=args.timeout,
        language=args.language,
        progress=progress,
    )


def follow(bar: tqdm) -> Callable[[int, int], None]:
    """Return a `progress` callback that moves the bar, and resets it whenever the total changes."""

    def move(done: int, total: int) -> None:
        if bar.total != total:
            bar.reset(total)
        bar.update(done - bar.n)

    return move
