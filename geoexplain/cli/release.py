"""`geoexplain train release`: turn the best network of a run into a calibrated model with its gate and figures."""

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
    """Add the options of `geoexplain train release`."""
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
    """Add the folder of the images, and the pattern of those for validation."""
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
        help="images for validation and calibration (default: %(default)s)",
    )


def add_surroundings(parser: argparse.ArgumentParser) -> None:
    """Add the clouds that are laid over views, discs for validation, and pictures that are not views."""
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
        help="photographs of the whole Earth, as for `geoexplain evaluate views`; also used in validation",
    )
    parser.add_argument(
        "--others",
        type=Path,
        metavar="DIR",
        help="pictures that are not views of Earth, in addition to generated ones: the network learns to place them "
        "nowhere, the gate to reject them",
    )


def add_release_views(parser: argparse.ArgumentParser) -> None:
    """Add the number of views for calibration, and the size of the released model's input."""
    parser.add_argument(
        "--release-views",
        type=count,
        default=4000,
        metavar="N",
        help="number of views of each kind for calibration; the gate and the figures use half as many different ones "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--size",
        type=number(int, 32, 1024, "a side from 32 to 1024 px"),
        metavar="PX",
        help="side of the model's input (default: that of the last phase)",
    )


def run_release(args: argparse.Namespace) -> int:
    """Release the best network of a run, finished or not; return 0."""
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
    """Load the clouds that the options name, and the markings."""
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
    """Release a run on views, given as such or as its folder, and print its figures.

    `args` gives the folder of other pictures, the number of views and the input size.
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
    """Print where a release is, and why it has no gate if it has none."""
    if done.ungated:
        complain(f"{done.model.name} gets no gate, which would recognise images of another kind. {done.ungated}")
    print(f"released {done.weights} and {done.card}")


def gate_words(figures: Mapping[str, float]) -> str:
    """Describe the accuracy of a gate; `figures` as `gate_figures` returns them."""
    shares = [f"{name} {percent(value)}" for name, value in figures.items() if name not in (AREA, OTHERS)]
    return f"{', '.join(shares)} of {figures[OTHERS]:,.0f}; {AREA} {figures[AREA]:.3f}"


def split_imagery(files: Sequence[Path], validation: str, held_out: Sequence[str]) -> tuple[list[Path], list[Path]]:
    """Return files to train on and files to validate on; those that match `held_out` are in neither.

    Raises DataError when either list is empty.
    """
    left = [file for file in files if not any(matches(file, pattern) for pattern in held_out)]
    chosen = [file for file in left if matches(file, validation)]
    others = [file for file in left if file not in chosen]
    if not chosen:
        raise DataError(
            f"--validation: expected images whose names match {validation!r}, found none among {len(left)}."
        )
    if not others:
        raise DataError("--imagery: expected images to train on besides validation and held-out ones, found none.")
    return others, chosen


def matches(file: Path, pattern: str) -> bool:
    """Return whether a file's name contains a pattern, which may be a glob."""
    return fnmatch(file.name, f"*{pattern}*")
