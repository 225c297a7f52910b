"""`geoexplain train photos`: train a model on geotagged photos and a partitioning, calibrate and release it."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from geoexplain.cli.arguments import count, number
from geoexplain.cli.photo_sets import LEFT_OUT, add_photo_source, open_photos, parse_shares, split
from geoexplain.cli.release import say_released
from geoexplain.cli.train_embedding import add_embedding_options, embed
from geoexplain.cli.train_run import (
    add_run_options,
    add_settings_options,
    check_batches,
    describe_accuracy,
    describe_processes,
    replaced,
    say_interrupted,
    train_in_sight,
    train_options,
    training_bar,
    work_bar,
)
from geoexplain.evaluation.accuracy import accuracy_by_km
from geoexplain.geography.partition_files import read_partitioning
from geoexplain.geography.partitioning import Partitioning
from geoexplain.imagery.markings import load_markings
from geoexplain.imagery.others import other_files
from geoexplain.training.checkpoint import check_folder, checkpoint_file, load_checkpoint
from geoexplain.training.countries import pretrain_on_countries
from geoexplain.training.distributed import Processes, processes
from geoexplain.training.heads import HEADS
from geoexplain.training.log import summary_writer
from geoexplain.training.other_pictures import OtherPictures
from geoexplain.training.photo_release import PhotoExamples
from geoexplain.training.photos import VALIDATION_PHOTOS, VALIDATION_RADII_KM, PhotoSet, photo_set
from geoexplain.training.release import check_name, release
from geoexplain.training.run import Run
from geoexplain.training.settings import PRESETS, Training
from geoexplain.training.start import begin
from geoexplain.words import kilometres

COUNTRIES = "countries"
"""Folder within a run's, for the training on countries that precedes it."""

EPILOG = """\
SOURCE is a folder of photos with positions in their EXIF headers, of photos whose positions are in --manifest, or of
msgpack shards. Photos without a position or file are left out, and listed in RUN_DIR/left-out.csv; photos that cannot
be read are skipped, and listed in skipped.csv; those in no cell of the partitioning are not trained on. train.csv,
validation.csv and test.csv list the photos of each part.

Presets: theiner-2022 (SGD at 0.01 halved nine times in 20 epochs, EfficientNet-B4 at 300 px), certh-2021 (the same
network and size, mixture of von Mises–Fisher), quick-cpu (a few minutes on two cores). Options override the preset.

Several GPUs or processes: torchrun --nproc-per-node N -m geoexplain train photos …; a batch is distributed over the
processes, so that the same --phases give the same losses up to rounding, which is coarse with --precision bf16.

Ctrl-C saves the run; run the same command with --resume to continue, also after a kill. On a CPU the same seed,
settings and number of threads (OMP_NUM_THREADS) give the same weights, interrupted or not. After training, the weights
with the best validation are calibrated and released: NAME.safetensors, its tables of cells, their borders and places,
and NAME.card.json with the settings and figures."""


def add_photo_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `geoexplain train photos`."""
    parser.description = "Train a model of your own on geotagged photos, and release it."
    parser.epilog = EPILOG
    add_photo_source(parser)
    parser.add_argument(
        "--partition",
        type=Path,
        required=True,
        metavar="DIR",
        help="the partitioning, from `geoexplain partition build`",
    )
    add_run_options(parser, "photos", None)
    parser.add_argument("--name", help="name of the model and its files (default: the name of RUN_DIR)")
    parser.add_argument("--preset", choices=PRESETS, default="quick-cpu", help="settings (default: %(default)s)")
    heads = "; ".join(f"{name}: {kind.summary}" for name, kind in HEADS.items())
    parser.add_argument("--head", choices=HEADS, help=f"{heads} (default: the preset's)")
    add_settings_options(parser, "photos", "the preset's", epochs=True)
    parser.add_argument("--architecture", metavar="NAME", help="a timm EfficientNet, or resnet18 … resnet152")
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--backbone", type=Path, metavar="FILE", help="start from timm's ImageNet weights in this file")
    start.add_argument("--from", dest="model", metavar="NAME|PATH", help="start from this geoexplain model")
    epochs = number(float, 1e-3, 1e4, "a number of epochs above 0")
    parser.add_argument(
        "--pretrain-countries", type=epochs, metavar="EPOCHS", help="first train to predict the country of a photo"
    )
    parser.add_argument(
        "--others",
        type=Path,
        metavar="DIR",
        help="pictures unlike your photos, for the gate, which recognises images of another kind; generated ones are "
        "always used",
    )
    parser.add_argument(
        "--validation-photos",
        type=count,
        default=VALIDATION_PHOTOS,
        metavar="N",
        help="maximum number of photos per validation (default: %(default)s)",
    )
    parser.add_argument("--embedding", action="store_true", help="then also learn an embedding for Search within Cell")
    add_embedding_options(parser)
    parser.set_defaults(run=run)


def settings_of(args: argparse.Namespace) -> Training:
    """Return the settings of the preset, overridden by the options."""
    settings = replaced(PRESETS[args.preset], args, architecture=args.architecture, head=args.head)
    # The padding is that of the preset's own network.
    return replace(settings, padding_for_px=None) if args.architecture else settings


def run(args: argparse.Namespace) -> int:
    """Train or resume, then release; return 130 when interrupted."""
    with processes(args.device) as joined:
        return _run(args, joined)


def _run(args: argparse.Namespace, joined: Processes) -> int:
    settings = settings_of(args)
    name = check_name(args.name or args.out.resolve().name.lower())
    parse_shares(args.shares)
    partitioning = read_partitioning(args.partition)
    check(args, settings, partitioning, joined)
    network, settings = begin(settings, partitioning, weights=args.backbone, model=args.model)
    others = other_files(args.others) if args.others else []  # report a wrong folder before hours of training
    args.out.mkdir(parents=True, exist_ok=True)
    try:
        collection = open_photos(args, args.out, joined)
        parts = split(args, collection, args.out, joined)
        photos = photo_set(
            collection, parts["train"], parts["validation"], partitioning, validated=args.validation_photos
        )
        if args.pretrain_countries is not None and not checkpoint_file(args.out).exists():
            with training_bar(photos.unit, joined) as report, work_bar(photos.unit) as working:
                network = pretrain_on_countries(
                    photos,
                    settings,
                    network,
                    args.out / COUNTRIES,
                    epochs=args.pretrain_countries,
                    processes=joined,
                    workers=args.workers,
                    report=report,
                    working=working,
                    **train_options(args),
                )
        if joined.leads:
            print(describe_photos(photos, joined), flush=True)
        trained = train_in_sight(args, photos, settings, network, joined, workers=args.workers)
        if joined.leads:
            examples = PhotoExamples(photos, name, parts["test"], workers=args.workers)
            weights = release_photos(trained, examples, others, args.release or args.out / "release")
            if args.embedding:
                embed(args, weights, collection, parts, joined.device)
    except KeyboardInterrupt:
        return say_interrupted(args.out, [args.out, args.out / COUNTRIES], joined)
    return 0


def release_photos(trained: Run, examples: PhotoExamples, others: Sequence[Path], folder: Path) -> Path:
    """Release a run on photos, print its figures, and return its weights file."""
    pictures = OtherPictures(others, load_markings())
    with work_bar(examples.photos.unit) as working:
        done = release(trained, examples, folder, others=pictures, device=trained.processes.device, progress=working)
    for what, rows in (("validation", examples.photos.validation), ("test", examples.test)):
        if done.measured[what]:
            print(f"{examples.name} on {len(rows):,} {what} photos, their centre squares:")
        for way, km in done.measured[what].items():
            shares = describe_accuracy(accuracy_by_km(km, VALIDATION_RADII_KM))
            print(f"  {way:<2}  {shares}, median {kilometres(float(np.median(km)))}")
    temperatures = ", ".join(f"{t:.3f}" for t in done.facts["temperatures"])
    print(f"  temperatures {temperatures}; answers with {done.facts['answers']}")
    say_released(done)
    return done.weights


def check(args: argparse.Namespace, settings: Training, partitioning: Partitioning, joined: Processes) -> None:
    """Raise DataError early for problems that would otherwise only appear after a long wait."""
    folders = (args.out, args.out / COUNTRIES)
    for folder in folders:
        check_folder(folder, resume=args.resume)
    if args.resume and not any(checkpoint_file(folder).exists() for folder in folders):
        load_checkpoint(checkpoint_file(args.out))  # raises, since there is none
    check_batches(settings, joined)
    HEADS[settings.head].build(1, partitioning)
    if args.tensorboard:
        summary_writer()


def describe_photos(photos: PhotoSet, joined: Processes) -> str:
    """Describe the training photos, cells and processes in one line."""
    levels = " in ".join(f"{len(level):,}" for level in photos.partitioning.levels)
    left = photos.collection.left_out
    without = f", {photos.in_no_cell:,} in no cell" if photos.in_no_cell else ""
    unusable = f", {left.count:,} left out (see {LEFT_OUT})" if left.count else ""
    return (
        f"training on {len(photos.train):,} photos{without}{unusable}, validating on {len(photos.validation):,}; "
        f"{levels} cells; {describe_processes(joined)}"
    )
