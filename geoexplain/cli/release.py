"""`geoexplain train release`: the best network of a run → a calibrated model with its gate and figures."""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path

import torch

from geoexplain.cli.arguments import add_device, complain, count, number
from geoexplain.cli.evaluate_views import table
from geoexplain.cli.train_run import work_bar
from geoexplain.errors import DataError
from geoexplain.geography.partitioning import Partitioning
from geoexplain.imagery.discs import Disc, disc_files, load_disc
from geoexplain.imagery.earth import Imagery, imagery_files, load_clouds, load_imagery
from geoexplain.imagery.effects import Surroundings
from geoexplain.imagery.markings import load_markings
from geoexplain.imagery.others import other_files
from geoexplain.training.checkpoint import checkpoint_file, load_checkpoint
from geoexplain.training.distributed import default_device
from geoexplain.training.gate import AREA, OTHERS
from geoexplain.training.other_pictures import OtherPictures
from geoexplain.training.release import Release, release
from geoexplain.training.run import Run
from geoexplain.training.view_release import view_examples
from geoexplain.training.views import run_partitioning
from geoexplain.words import kilometres, percent


def add_release_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `geoexplain train release`."""
    parser.description = (
        "Calibrate the best network of a run on the validation imagery, fit its gate, and write it as a model."
    )
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="folder of the run")
    add_imagery(parser)
    add_surroundings(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for the model (default: RUN_DIR/release)")
    add_device(parser)
    add_release_views(parser)
    parser.set_defaults(run=run_release)


def add_imagery(parser: argparse.ArgumentParser) -> None:
    """Where the images lie, and which of them choose and calibrate."""
    parser.add_argument(
        "--imagery",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of equirectangular images, twice as wide as high, north up, 180° W at the left edge",
    )
    parser.add_argument(
        "--validation",
        default="200406",
        metavar="PATTERN",
        help="images that choose and calibrate (default: %(default)s)",
    )


def add_surroundings(parser: argparse.ArgumentParser) -> None:
    """What is laid over views, what else validates, and what is no view at all."""
    parser.add_argument(
        "--clouds",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="whole-earth maps of clouds, white on black (default: none)",
    )
    parser.add_argument(
        "--discs",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE|DIR",
        help="real pictures of the whole Earth, as `geoexplain evaluate views` takes them: they choose, too",
    )
    parser.add_argument(
        "--others",
        type=Path,
        metavar="DIR",
        help="pictures that are no views of Earth, besides generated ones: the network learns to place them nowhere, "
        "the gate to tell them apart",
    )


def add_release_views(parser: argparse.ArgumentParser) -> None:
    """How carefully the released model is calibrated."""
    parser.add_argument(
        "--release-views",
        type=count,
        default=4000,
        metavar="N",
        help="views of each kind to calibrate on, and half as many others for the gate and the figures "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--size",
        type=number(int, 32, 1024, "a side from 32 to 1024 px"),
        metavar="PX",
        help="side of the images that the model will look at (default: that of the last phase)",
    )


def run_release(args: argparse.Namespace) -> int:
    """Release the best network of a run, over or not."""
    _, validation = split_imagery(imagery_files(args.imagery), args.validation, ())
    saved = load_checkpoint(checkpoint_file(args.run_dir))
    partitioning = run_partitioning(saved)
    trained = set(json.loads(saved["source"])["imagery"])
    if seen := sorted(file.name for file in validation if file.name in trained):
        raise DataError(
            f"--validation: expected images that the run was not trained on, got {', '.join(seen)}: choose others."
        )
    device = args.device or default_device()
    discs = [load_disc(file) for file in disc_files(args.discs)]
    around, unseen = surroundings(args, device), load_imagery(validation, device)
    release_views(
        args.run_dir,
        args.out or args.run_dir / "release",
        args,
        partitioning,
        validation=unseen,
        discs=discs,
        around=around,
    )
    return 0


def surroundings(args: argparse.Namespace, device: torch.device) -> Surroundings:
    """The clouds that the options name, and markings."""
    return Surroundings(load_clouds(args.clouds, device) if args.clouds else None, load_markings(device))


def release_views(
    run: Run | Path,
    folder: Path,
    args: argparse.Namespace,
    partitioning: Partitioning,
    *,
    validation: Imagery,
    discs: Sequence[Disc],
    around: Surroundings,
) -> None:
    """Release a run on views, or that in a folder, and say how good it is.

    `args` says with which other pictures and how many views.
    """
    others = OtherPictures(other_files(args.others) if args.others else (), around.markings)
    examples = view_examples(partitioning, validation, discs, around, args.release_views)
    with work_bar("images") as working:
        done = release(
            run, examples, folder, others=others, size_px=args.size, device=validation.device, progress=working
        )
    for name, report in done.measured.items():
        print(f"{done.model.name} on {', '.join(validation.names)}, {name}: {report.views:,} views\n{table(report)}\n")
    print(f"temperature {done.facts['temperature']:.3f}")
    print(f"σ around the point {kilometres(done.model.sigma_km or math.nan)}")
    if done.model.gate is not None:
        print(f"gate: {gate_words(done.model.gate.figures)}")
    say_released(done)


def say_released(done: Release) -> None:
    """Say where a release is, and why it has no gate if it has none."""
    if done.ungated:
        complain(f"{done.model.name} gets no gate, which would tell when an image is of another kind. {done.ungated}")
    print(f"released {done.weights} and {done.card}")


def gate_words(figures: Mapping[str, float]) -> str:
    """How a gate does, in words; `figures` as `gate_figures` gives them."""
    shares = [f"{name} {percent(value)}" for name, value in figures.items() if name not in (AREA, OTHERS)]
    return f"{', '.join(shares)} of {figures[OTHERS]:,.0f}; {AREA} {figures[AREA]:.3f}"


def split_imagery(files: Sequence[Path], validation: str, held_out: Sequence[str]) -> tuple[list[Path], list[Path]]:
    """Files to train on and files to validate on; those that match `held_out` are in neither.

    Raises DataError when either is empty.
    """
    left = [file for file in files if not any(matches(file, pattern) for pattern in held_out)]
    chosen = [file for file in left if matches(file, validation)]
    others = [file for file in left if file not in chosen]
    if not chosen:
        raise DataError(
            f"--validation: expected images whose names match {validation!r}, found none among {len(left)}."
        )
    if not others:
        raise DataError("--imagery: expected images besides those for validation and those held out, found none.")
    return others, chosen


def matches(file: Path, pattern: str) -> bool:
    """Whether a file's name contains a pattern, which may be a glob."""
    return fnmatch(file.name, f"*{pattern}*")
