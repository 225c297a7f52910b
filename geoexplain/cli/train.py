"""`geoexplain train`: train and release models. This module trains models of views on whole-earth images."""

import argparse
from pathlib import Path

import torch

from geoexplain.cli.arguments import count, number
from geoexplain.cli.release import (
    add_imagery,
    add_release_arguments,
    add_release_views,
    add_surroundings,
    release_views,
    split_imagery,
    surroundings,
)
from geoexplain.cli.train_embedding import add_embedding_arguments
from geoexplain.cli.train_photos import add_photo_arguments
from geoexplain.cli.train_run import (
    add_run_options,
    add_settings_options,
    check_batches,
    describe_processes,
    replaced,
    say_interrupted,
    train_in_sight,
)
from geoexplain.errors import DataError
from geoexplain.imagery.discs import disc_files, load_disc
from geoexplain.imagery.earth import imagery_files, load_imagery
from geoexplain.imagery.others import load_others, other_files
from geoexplain.imagery.views import texels_at
from geoexplain.training.checkpoint import check_folder, check_settings, checkpoint_file, load_checkpoint
from geoexplain.training.distributed import Processes, processes
from geoexplain.training.other_pictures import fitting_files
from geoexplain.training.settings import VIEW_TRAINING
from geoexplain.training.start import begin
from geoexplain.training.view_release import VALIDATION_SEED
from geoexplain.training.views import ViewSource, run_partitioning, validation_sets, view_partitioning

CELLS = 2000

EPILOG = """\
Images that match --held-out are never opened; those that match --validation are never trained on. A pattern is a part
of a file's name, or a glob such as *2004?6*.

Several GPUs or processes: torchrun --nproc-per-node N -m geoexplain train views …; the same --phases give the same
losses up to rounding, since the views of a batch are distributed over the processes in blocks of 32.

Ctrl-C saves the run; run the same command with --resume to continue, also after a kill. On a CPU the same seed,
settings and number of threads (OMP_NUM_THREADS) give the same weights, interrupted or not. After training, the weights
with the best validation are calibrated on the validation imagery and released: NAME.safetensors (fp16), NAME.cells.csv,
NAME.gate.json, which distinguishes views from other pictures (if there are enough views to fit it), and NAME.card.json
with the settings and figures. The imagery of Blue Marble Next Generation is NASA's:
https://visibleearth.nasa.gov/collection/1484/blue-marble"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options and kinds of `geoexplain train`."""
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
    add_run_options(views, "views", 30_000)
    phases = ",".join(f"{phase.size_px}:{phase.batch}:{phase.images}" for phase in VIEW_TRAINING.phases)
    add_settings_options(views, "views", phases, epochs=False)
    views.add_argument(
        "--start",
        type=Path,
        metavar="FILE",
        help="initial weights, from ImageNet or a network for the same cells, with the parameter names of timm or of "
        "the package efficientnet_pytorch (default: random weights)",
    )
    views.add_argument(
        "--weights",
        type=parse_weights,
        default=(),
        metavar="PART=W,…",
        help="how often images with PART in their name are drawn, relative to 1 for the others",
    )
    cells = number(int, 4, 100_000, "a whole number from 4 to 100000")
    views.add_argument("--cells", type=cells, default=CELLS, help="number of cells (default: %(default)s)")
    seed = number(int, 0, 2**63 - 2, "a whole number of at least 0")
    views.add_argument("--seed", type=seed, default=0, help="seed of all random numbers (default: %(default)s)")
    views.add_argument(
        "--validation-views",
        type=count,
        default=1024,
        metavar="N",
        help="number of views per validation (default: %(default)s)",
    )
    add_release_views(views)
    views.set_defaults(run=run_views)
    add_release_arguments(kinds.add_parser("release", help="release a model of views from a run, finished or not"))
    add_photo_arguments(kinds.add_parser("photos", help="train a model of your own on geotagged photos"))
    add_embedding_arguments(kinds.add_parser("embedding", help="give a model an embedding for Search within Cell"))


def parse_weights(text: str) -> tuple[tuple[str, float], ...]:
    """Parse `etopo1=2,natural_earth_3=5` as pairs; raise ArgumentTypeError for anything else."""
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
    """Train or resume, then release; return 130 when interrupted."""
    with processes(args.device) as joined:
        return _run_views(args, joined)


def _run_views(args: argparse.Namespace, joined: Processes) -> int:
    check_folder(args.out, resume=args.resume)
    training, validation = split_imagery(imagery_files(args.imagery), args.validation, args.held_out)
    for part, _ in args.weights:
        if not any(part in file.name for file in training):
            raise DataError(f"--weights: expected a part of the name of a training image, got {part!r}: correct it.")
    settings = replaced(VIEW_TRAINING, args)
    check_batches(settings, joined)
    discs = [load_disc(file) for file in disc_files(args.discs)]
    if args.resume:  # refuse an unsuitable run before the imagery is loaded
        saved = load_checkpoint(checkpoint_file(args.out))
        partitioning = run_partitioning(saved, args.cells)
        check_settings(saved, settings)
    else:
        partitioning = view_partitioning(args.cells, args.seed)
    around, unseen = surroundings(args, joined.device), load_imagery(validation, joined.device)
    source = ViewSource(
        load_imagery(training, joined.device),
        around,
        partitioning,
        load_others(fitting_files(other_files(args.others))) if args.others else [],
        validation_sets(unseen, discs, around, args.validation_views, VALIDATION_SEED),
        weights=args.weights,
        sample=torch.compile(texels_at, dynamic=True) if args.compile else texels_at,
    )
    network, settings = begin(settings, partitioning, weights=None if args.resume else args.start, with_head=True)
    if joined.leads:
        names = ", ".join(unseen.names)
        print(
            f"training on {len(source.imagery)} images, validating on {names}; {describe_processes(joined)}", flush=True
        )
    try:
        trained = train_in_sight(args, source, settings, network, joined)
    except KeyboardInterrupt:
        return say_interrupted(args.out, [args.out], joined)
    if joined.leads:
        del source
        folder = args.release or args.out / "release"
        release_views(trained, folder, args, partitioning, validation=unseen, discs=discs, around=around)
    return 0
