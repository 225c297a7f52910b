"""`geoexplain train photos`: geotagged photos and a partitioning → a trained model, calibrated and released."""

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

from geoexplain.cli.arguments import add_device, complain, count, number
from geoexplain.cli.batch import progress_bar
from geoexplain.cli.photo_release import release
from geoexplain.cli.photo_sets import LEFT_OUT, add_photo_source, open_photos, parse_shares, split
from geoexplain.cli.photo_start import Trainer, begin, pretrained_on_countries
from geoexplain.cli.photo_validation import validator
from geoexplain.cli.train_embedding import add_embedding_options, embed
from geoexplain.cli.train_progress import describe_progress
from geoexplain.errors import DataError
from geoexplain.geography.partition_files import read_partitioning
from geoexplain.geography.partitioning import Partitioning
from geoexplain.imagery.others import other_files
from geoexplain.locator.model import Network
from geoexplain.training.distributed import Processes, processes
from geoexplain.training.photo_checkpoint import checkpoint_file, load_photo_checkpoint
from geoexplain.training.photo_heads import HEADS
from geoexplain.training.photo_log import summary_writer
from geoexplain.training.photo_loop import train_photos
from geoexplain.training.photo_release import check_name
from geoexplain.training.photo_run import PhotoRun
from geoexplain.training.photo_set import PhotoSet, photo_set
from geoexplain.training.photo_settings import PRECISIONS, PRESETS, PhotoPhase, PhotoTraining, Schedule
from geoexplain.training.progress import Progress

EXIT_INTERRUPTED = 130
LOG_EVERY_S = 60.0
VALIDATIONS = 10
"""So often a run validates unless told otherwise."""

COUNTRIES = "countries"
"""The folder in a run's for the training on countries that comes before it."""

EPILOG = """\
SOURCE is a folder of photos whose EXIF headers say where they were taken, one of photos that --manifest places, or
one of msgpack shards. What has no position or no file is left out, and listed in RUN_DIR/left-out.csv; photos that
cannot be read are skipped, and listed in skipped.csv; those in no cell of the partitioning are not trained on.
train.csv, validation.csv and test.csv say which photo is on which side.

Presets: theiner-2022 (SGD at 0.01 halved nine times in 20 epochs, EfficientNet-B4 at 300 px), certh-2021 (the same
network and size, mixture of von Mises–Fisher), quick-cpu (a few minutes on two cores). Every option overrides them.

Several GPUs, or processes: torchrun --nproc-per-node N -m geoexplain train photos …; the same --phases give the same
losses, since a batch is shared out among the processes: but for rounding, which is coarse with --precision bf16.

Ctrl-C saves the run; give the same command with --resume to go on, also after a kill. On a CPU the same seed,
settings and number of threads (OMP_NUM_THREADS) give the same weights, interrupted or not. Once training is over, the
weights that did best in validation are calibrated and released: NAME.safetensors, its tables of cells, their borders
and places, and NAME.card.json with the settings and figures."""


def add_photo_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `geoexplain train photos`."""
    parser.description = "Train a geolocator of your own on geotagged photos, and release it."
    parser.epilog = EPILOG
    add_photo_source(parser)
    parser.add_argument(
        "--partition", type=Path, required=True, metavar="DIR", help="the cells, by `geoexplain partition build`"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="RUN_DIR", help="folder of the run")
    parser.add_argument("--release", type=Path, metavar="DIR", help="folder for the model (default: RUN_DIR/release)")
    parser.add_argument("--name", help="of the model and its files (default: the name of RUN_DIR)")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in RUN_DIR")
    parser.add_argument("--preset", choices=PRESETS, default="quick-cpu", help="settings (default: %(default)s)")
    heads = "; ".join(f"{name}: {kind.summary}" for name, kind in HEADS.items())
    parser.add_argument("--head", choices=HEADS, help=f"{heads} (default: the preset's)")
    parser.add_argument(
        "--phases",
        type=parse_phases,
        metavar="PX:BATCH:LENGTH,…",
        help="size, photos per batch over all processes, and length of each phase: photos, or epochs such as 2.5e",
    )
    parser.add_argument("--accumulate", type=count, metavar="N", help="batches per step of the optimiser")
    rate = number(float, 1e-9, 10, "a number above 0")
    parser.add_argument("--learning-rate", type=rate, metavar="RATE", help="at its highest")
    parser.add_argument(
        "--average",
        type=number(float, 0, 0.99999, "a number from 0 to below 1"),
        metavar="DECAY",
        help="of the moving average of the weights that is validated and released; 0: none",
    )
    parser.add_argument(
        "--precision", choices=PRECISIONS, help="bf16 where the network computes, or float32 throughout"
    )
    parser.add_argument("--architecture", metavar="NAME", help="a timm EfficientNet, or resnet18 … resnet152")
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--backbone", type=Path, metavar="FILE", help="begin with timm's ImageNet weights in this file")
    start.add_argument("--from", dest="model", metavar="NAME|PATH", help="begin with this geoexplain model")
    epochs = number(float, 1e-3, 1e4, "a number of epochs above 0")
    parser.add_argument(
        "--pretrain-countries", type=epochs, metavar="EPOCHS", help="first learn which country a photo is of"
    )
    parser.add_argument(
        "--others",
        type=Path,
        metavar="DIR",
        help="pictures unlike your photos, for the gate that tells when an image is of another kind; generated ones "
        "are used in any case",
    )
    add_device(parser)
    parser.add_argument("--tensorboard", action="store_true", help="also write RUN_DIR/tensorboard")
    seconds = number(float, 0, 1e6, "a number of seconds")
    parser.add_argument(
        "--checkpoint-every", type=seconds, default=180.0, metavar="S", help="seconds (default: %(default)g)"
    )
    parser.add_argument(
        "--validate-every", type=count, metavar="N", help="photos between validations (default: a tenth of all)"
    )
    parser.add_argument(
        "--validation-photos",
        type=count,
        default=5000,
        metavar="N",
        help="photos per validation, at most (default: %(default)s)",
    )
    parser.add_argument(
        "--embedding", action="store_true", help="afterwards learn an embedding for Search within Cell, too"
    )
    add_embedding_options(parser)
    parser.set_defaults(run=run)


def parse_phases(text: str) -> tuple[PhotoPhase, ...]:
    """`96:64:16000,224:32:2.5e` as phases, a length in photos or epochs; ArgumentTypeError for anything else."""
    phases = []
    try:
        for part in text.split(","):
            size, batch, length = part.split(":")
            epochs = float(length[:-1]) if length.endswith("e") else None
            phases.append(PhotoPhase(int(size), int(batch), epochs, int(length) if epochs is None else None))
    except (ValueError, DataError):
        raise argparse.ArgumentTypeError(
            "expected PX:BATCH:LENGTH for each phase, such as 96:64:16000,224:32:2.5e, with 32 to 1024 px and at "
            f"least 2 photos per batch, got {text!r}"
        ) from None
    return tuple(phases)


def settings_of(args: argparse.Namespace) -> PhotoTraining:
    """The preset with what the options say otherwise."""
    given = {
        "architecture": args.architecture,
        "head": args.head,
        "phases": args.phases,
        "accumulate": args.accumulate,
        "learning_rate": args.learning_rate,
        "average_decay": args.average,
        "precision": args.precision,
        "seed": args.seed,
    }
    settings = replace(PRESETS[args.preset], **{key: value for key, value in given.items() if value is not None})
    # The padding belongs to the preset's own network.
    return replace(settings, padding_for_px=None) if args.architecture else settings


def run(args: argparse.Namespace) -> int:
    """Train, or go on training, then release; 130 when interrupted."""
    with processes(args.device) as joined:
        return _run(args, joined)


def _run(args: argparse.Namespace, joined: Processes) -> int:
    settings = settings_of(args)
    name = check_name(args.name or args.out.resolve().name.lower())
    parse_shares(args.shares)
    partitioning = read_partitioning(args.partition)
    check(args, settings, partitioning, joined)
    network, settings = begin(args.backbone, args.model, settings, partitioning)
    others = other_files(args.others) if args.others else []  # a slip shows before hours of training
    args.out.mkdir(parents=True, exist_ok=True)
    try:
        collection = open_photos(args, args.out, joined)
        parts = split(args, collection, args.out, joined)
        photos = photo_set(collection, parts["train"], parts["validation"], partitioning)
        if args.pretrain_countries is not None and not checkpoint_file(args.out).exists():
            network = pretrained_on_countries(
                photos,
                settings,
                network,
                partitioning,
                epochs=args.pretrain_countries,
                run_dir=args.out / COUNTRIES,
                train=_trainer(args, args.out / COUNTRIES, joined),
                joined=joined,
            )
        if joined.leads:
            print(describe_photos(photos, partitioning, joined))
        trained = _trainer(args, args.out, joined)(photos, partitioning, settings, network)
        if not joined.leads:
            return 0
        folder = args.release or args.out / "release"
        weights = release(
            trained,
            photos,
            partitioning,
            folder,
            name=name,
            test=parts["test"],
            others=others,
            workers=args.workers,
        )
        if args.embedding:
            embed(args, weights, collection, parts, joined.device)
    except KeyboardInterrupt:
        if joined.leads:
            saved = any(checkpoint_file(folder).exists() for folder in (args.out, args.out / COUNTRIES))
            complain(
                f"interrupted; the run is saved in {args.out}: give the same command with --resume to go on."
                if saved
                else "interrupted before the first step: nothing is saved, give the same command to begin again."
            )
        return EXIT_INTERRUPTED
    return 0


def check(args: argparse.Namespace, settings: PhotoTraining, partitioning: Partitioning, joined: Processes) -> None:
    """Raise DataError for what would only be found out after a long wait."""
    files = [checkpoint_file(folder) for folder in (args.out, args.out / COUNTRIES)]
    if any(file.exists() for file in files) and not args.resume:
        raise DataError(
            f"{args.out}: expected a folder without a run, found one: add --resume, or choose another --out."
        )
    if args.resume and not any(file.exists() for file in files):
        load_photo_checkpoint(files[0])  # says that there is none
    for phase in settings.phases:
        if phase.batch % joined.world:
            raise DataError(
                f"--phases: expected batches that {joined.world} processes can share evenly, got {phase.batch}."
            )
    HEADS[settings.head].build(1, partitioning)
    if args.tensorboard:
        summary_writer()


def describe_photos(photos: PhotoSet, partitioning: Partitioning, joined: Processes) -> str:
    """One line on what is trained on."""
    levels = " in ".join(f"{len(level):,}" for level in partitioning.levels)
    left = photos.collection.left_out
    without = f", {photos.in_no_cell:,} in no cell" if photos.in_no_cell else ""
    unusable = f", {left.count:,} left out (see {LEFT_OUT})" if left.count else ""
    return (
        f"training on {len(photos.train):,} photos{without}{unusable}, validating on {len(photos.validation):,}; "
        f"{levels} cells; {joined.world} process{'es' * (joined.world > 1)} on {joined.device}"
    )


def _trainer(args: argparse.Namespace, run_dir: Path, joined: Processes) -> Trainer:
    """Trains into a folder as the options say, with a bar, or lines where none shows."""

    def train(photos: PhotoSet, partitioning: Partitioning, settings: PhotoTraining, network: Network) -> PhotoRun:
        schedule = Schedule(settings, len(photos.train))
        total = schedule.seen(schedule.steps)
        form = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} photos{postfix}"
        with progress_bar(total, "photos", bar_format=form, hidden=not joined.leads) as bar:
            logged = -LOG_EVERY_S

            def report(progress: Progress, skipped: int) -> None:
                nonlocal logged
                said = describe_progress(progress, "photos") + (f", {skipped:,} skipped" if skipped else "")
                bar.n = progress.seen
                bar.set_postfix_str(said)
                if bar.disable and time.monotonic() - logged >= LOG_EVERY_S:
                    logged = time.monotonic()
                    print(f"{progress.seen:,} of {progress.total:,} photos, {said}", file=sys.stderr)

            return train_photos(
                photos,
                partitioning,
                settings,
                network,
                run_dir,
                processes=joined,
                validate=validator(photos, partitioning, args.validation_photos, args.workers),
                resume=checkpoint_file(run_dir).exists(),
                workers=args.workers,
                tensorboard=args.tensorboard,
                checkpoint_every_s=args.checkpoint_every,
                validate_every_photos=args.validate_every or -(-total // VALIDATIONS),
                report=report,
            )

    return train
