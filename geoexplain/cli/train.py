"""`geoexplain train`: whole-earth images → a trained model, calibrated and released."""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from tqdm import tqdm

from geoexplain.cli.arguments import add_device, complain, count, number
from geoexplain.cli.batch import progress_bar
from geoexplain.cli.release import (
    VALIDATION_SEED,
    add_imagery,
    add_release_arguments,
    add_release_views,
    add_surroundings,
    default_device,
    release,
    split_imagery,
    surroundings,
)
from geoexplain.cli.train_embedding import add_embedding_arguments
from geoexplain.cli.train_photos import add_photo_arguments
from geoexplain.cli.train_progress import describe_progress
from geoexplain.errors import DataError
from geoexplain.imagery.discs import disc_files, load_disc
from geoexplain.imagery.earth import imagery_files, load_imagery
from geoexplain.imagery.effects import Surroundings
from geoexplain.imagery.others import load_others, other_files
from geoexplain.training.loop import train_views
from geoexplain.training.other_pictures import fitting_files
from geoexplain.training.progress import Progress
from geoexplain.training.run import GeolocatorNetwork, ViewSources, checkpoint_file, load_checkpoint
from geoexplain.training.settings import Phase, ViewTraining
from geoexplain.training.view_validation import Validation, validation_sets

DEFAULTS = ViewTraining()
EXIT_INTERRUPTED = 130
LOG_EVERY_S = 60.0

EPILOG = """\
Images that match --held-out are never opened, those that match --validation are never trained on. A pattern is a part
of a file's name, or a glob such as *2004?6*.

Ctrl-C saves the run; give the same command with --resume to go on. On a CPU the same seed, settings and number of
threads (OMP_NUM_THREADS) give the same weights, interrupted or not. Once training is over, the weights that did best
in validation are calibrated on the validation imagery and released: NAME.safetensors (fp16), NAME.cells.csv,
NAME.gate.json, which tells views from other pictures (where there are enough views to fit it on), and NAME.card.json,
with the settings and figures. The imagery of Blue Marble Next Generation is NASA's:
https://visibleearth.nasa.gov/collection/1484/blue-marble"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `geoexplain train`."""
    parser.description = "Train a model, or release a trained one."
    kinds = parser.add_subparsers(metavar="KIND", required=True)
    views = kinds.add_parser("views", help="train a model of views of Earth from above")
    views.description = "Train a model of views of Earth from above on whole-earth images, and release it."
    views.epilog = EPILOG
    add_imagery(views)
    add_surroundings(views)
    views.add_argument(
        "--held-out",
        nargs="*",
        default=["200403", "200409"],
        metavar="PATTERN",
        help="images kept for the final test (default: 200403 200409)",
    )
    views.add_argument("--out", type=Path, required=True, metavar="RUN_DIR", help="folder of the run: its checkpoint")
    views.add_argument(
        "--start",
        type=Path,
        metavar="FILE",
        help="weights to begin with, of ImageNet or of a network for the same cells, under the names of timm or of the "
        "package efficientnet_pytorch (default: random ones)",
    )
    views.add_argument(
        "--weights",
        type=parse_weights,
        default=(),
        metavar="PART=W,…",
        help="how often images whose names have this part are drawn, in comparison with 1 for the others",
    )
    views.add_argument(
        "--learning-rate",
        type=number(float, 1e-6, 1, "a number from 0.000001 to 1"),
        default=DEFAULTS.learning_rate,
        metavar="RATE",
        help="the highest one (default: %(default)g)",
    )
    views.add_argument("--release", type=Path, metavar="DIR", help="folder for the model (default: RUN_DIR/release)")
    views.add_argument("--resume", action="store_true", help="go on from the checkpoint in RUN_DIR")
    views.add_argument(
        "--phases",
        type=parse_phases,
        default=DEFAULTS.phases,
        metavar="PX:BATCH:VIEWS,…",
        help="resolution, views per step and views of each phase "
        f"(default: {','.join(f'{p.size_px}:{p.batch}:{p.views}' for p in DEFAULTS.phases)})",
    )
    cells = number(int, 4, 100_000, "a whole number from 4 to 100000")
    views.add_argument("--cells", type=cells, default=DEFAULTS.cells, help="number of cells (default: %(default)s)")
    seed = number(int, 0, 2**63 - 2, "a whole number of at least 0")
    views.add_argument("--seed", type=seed, default=DEFAULTS.seed, help="of everything random (default: %(default)s)")
    add_device(views)
    views.add_argument("--compile", action="store_true", help="compile the network first: slow to start, then faster")
    seconds = number(float, 0, 1e6, "a number of seconds")
    views.add_argument(
        "--checkpoint-every", type=seconds, default=180.0, metavar="S", help="seconds (default: %(default)g)"
    )
    views.add_argument(
        "--validate-every",
        type=count,
        default=30_000,
        metavar="N",
        help="views between validations (default: %(default)s)",
    )
    views.add_argument(
        "--validation-views", type=count, default=1024, metavar="N", help="views per validation (default: %(default)s)"
    )
    add_release_views(views)
    views.set_defaults(run=run_views)
    add_release_arguments(kinds.add_parser("release", help="release a model of views, from a run over or not"))
    add_photo_arguments(kinds.add_parser("photos", help="train a model of your own on geotagged photos"))
    add_embedding_arguments(kinds.add_parser("embedding", help="give a model an embedding for Search within Cell"))


def parse_phases(text: str) -> tuple[Phase, ...]:
    """`96:96:240000,224:64:20000` as phases; ArgumentTypeError for anything else."""
    try:
        phases = tuple(Phase(*(int(part) for part in phase.split(":"))) for phase in text.split(","))
    except (TypeError, ValueError):
        phases = ()
    # Batch normalisation has nothing to normalise by in a batch of one.
    if not phases or any(not 32 <= p.size_px <= 1024 or p.batch < 2 or p.views < 1 for p in phases):
        raise argparse.ArgumentTypeError(
            "expected PX:BATCH:VIEWS for each phase, such as 96:96:240000,224:64:20000, "
            f"with 32 to 1024 px and at least 2 views per step, got {text!r}"
        )
    return phases


def parse_weights(text: str) -> tuple[tuple[str, float], ...]:
    """`etopo1=2,natural_earth_3=5` as pairs; ArgumentTypeError for anything else."""
    try:
        pairs = tuple((part, float(weight)) for part, _, weight in (one.partition("=") for one in text.split(",")))
    except ValueError:
        pairs = ()
    if not pairs or any(not part or not 0 <= weight <= 1000 for part, weight in pairs):
        raise argparse.ArgumentTypeError(
            f"expected parts of names with weights from 0 to 1000, such as etopo1=2,natural_earth_3=5, got {text!r}"
        )
    return pairs


def run_views(args: argparse.Namespace) -> int:
    """Train, or go on training, then release; 130 when interrupted."""
    if checkpoint_file(args.out).exists() and not args.resume:
        raise DataError(
            f"{args.out}: expected a folder without a run, found one: add --resume, or choose another --out."
        )
    training, validation = split_imagery(imagery_files(args.imagery), args.validation, args.held_out)
    for part, _ in args.weights:
        if not any(part in file.name for file in training):
            raise DataError(f"--weights: expected parts of the names of images to train on, got {part!r}: none has it.")
    settings = replace(
        DEFAULTS,
        phases=args.phases,
        cells=args.cells,
        seed=args.seed,
        weights=args.weights,
        learning_rate=args.learning_rate,
    )
    device = args.device or default_device()
    discs = [load_disc(file) for file in disc_files(args.discs)]
    if args.resume:  # what cannot be resumed should not wait for the imagery
        load_checkpoint(checkpoint_file(args.out), settings)
    around = surroundings(args, device)
    sources, unseen = view_sources(args, training, around, device), load_imagery(validation, device)
    print(f"training on {len(sources.imagery)} images, validating on {', '.join(unseen.names)}, on {device}")
    chosen_by = Validation(validation_sets(unseen, discs, around, args.validation_views, VALIDATION_SEED))
    bar = progress_bar(
        settings.total_views(), "views", bar_format="{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} views{postfix}"
    )
    logged = -LOG_EVERY_S

    def report(progress: Progress) -> None:
        nonlocal logged
        bar.n = progress.seen
        bar.set_postfix_str(describe_progress(progress))
        if bar.disable and time.monotonic() - logged >= LOG_EVERY_S:
            logged = time.monotonic()
            print(f"{progress.seen:,} of {progress.total:,} views, {describe_progress(progress)}", file=sys.stderr)

    def validate(network: GeolocatorNetwork, size_px: int) -> float:
        score, words = chosen_by.score(network, size_px)
        with tqdm.external_write_mode(file=sys.stdout):
            print(f"validation at {size_px} px: {words}", flush=True)
        return score

    try:
        train_views(
            sources,
            settings,
            args.out,
            validate=validate,
            resume=args.resume,
            start=args.start,
            compile_network=args.compile,
            checkpoint_every_s=args.checkpoint_every,
            validate_every_views=args.validate_every,
            report=report,
        )
    except KeyboardInterrupt:
        bar.close()
        if checkpoint_file(args.out).exists():
            complain(f"interrupted; the run is saved in {args.out}: give the same command with --resume to go on.")
        else:
            complain("interrupted before the first step: nothing is saved, give the same command to begin again.")
        return EXIT_INTERRUPTED
    bar.close()
    del sources
    release(args.out, args.release, args, validation=unseen, discs=discs, around=around)
    return 0


def view_sources(
    args: argparse.Namespace, training: Sequence[Path], around: Surroundings, device: torch.device
) -> ViewSources:
    """Everything that views are made of, read from the files that the options name."""
    others = load_others(fitting_files(other_files(args.others))) if args.others else []
    return ViewSources(load_imagery(training, device), around, others)
