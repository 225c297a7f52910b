"""`geoexplain train release`: the best network of a run → a calibrated model with its gate and figures."""

import argparse
import math
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import torch

from geoexplain.cli.arguments import add_device, complain, count, number
from geoexplain.cli.batch import progress_bar
from geoexplain.cli.evaluate_views import table
from geoexplain.errors import DataError
from geoexplain.imagery.conditions import CONDITIONS, ViewSet, views_under
from geoexplain.imagery.discs import Disc, disc_files, disc_views, load_disc
from geoexplain.imagery.earth import Imagery, imagery_files, load_clouds, load_imagery
from geoexplain.imagery.effects import Surroundings
from geoexplain.imagery.markings import load_markings
from geoexplain.imagery.others import other_files
from geoexplain.training.gate import AREA, OTHERS
from geoexplain.training.other_pictures import OtherPictures
from geoexplain.training.run import checkpoint_file, load_checkpoint
from geoexplain.training.view_release import ReleaseViews, release_run
from geoexplain.training.view_validation import FOOTPRINT_KM, ROTATION_DEG
from geoexplain.words import kilometres, percent

EVALUATION_SEED, VALIDATION_SEED, CALIBRATION_SEED, GATE_SEED, GATE_TEST_SEED = 0, 1, 2, 3, 4
"""Different sets of views: calibrating on those that figures are given for would flatter the figures."""


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
    trained = set(load_checkpoint(checkpoint_file(args.run_dir)).get("imagery", []))
    if seen := sorted(file.name for file in validation if file.name in trained):
        raise DataError(
            f"--validation: expected images that the run was not trained on, got {', '.join(seen)}: choose others."
        )
    device = args.device or default_device()
    discs = [load_disc(file) for file in disc_files(args.discs)]
    around = surroundings(args, device)
    release(args.run_dir, args.out, args, validation=load_imagery(validation, device), discs=discs, around=around)
    return 0


def surroundings(args: argparse.Namespace, device: torch.device) -> Surroundings:
    """The clouds that the options name, and markings."""
    return Surroundings(load_clouds(args.clouds, device) if args.clouds else None, load_markings(device))


def release(
    run_dir: Path,
    folder: Path | None,
    args: argparse.Namespace,
    *,
    validation: Imagery,
    discs: Sequence[Disc],
    around: Surroundings,
) -> None:
    """Calibrate, fit the gate, write, read back and measure the best network of a run.

    `folder` None is RUN_DIR/release; `args` says with which other pictures and how many views.
    """
    others = OtherPictures(other_files(args.others) if args.others else (), around.markings)
    with progress_bar(1, "images") as bar:

        def progress(what: str, done: int, total: int) -> None:
            bar.set_description(what, refresh=False)
            bar.total, bar.n = total, done
            bar.refresh()

        views = release_views(validation, discs, around, args.release_views)
        done = release_run(
            run_dir,
            views,
            others,
            folder or run_dir / "release",
            size_px=args.size,
            device=validation.device,
            progress=progress,
        )
    for name, report in done.reports.items():
        print(f"{done.model.name} on {', '.join(validation.names)}, {name}: {report.views:,} views\n{table(report)}\n")
    print(f"temperature {done.temperature:.3f}")
    print(f"σ around the point {kilometres(done.model.sigma_km or math.nan)}")
    if done.model.gate is not None:
        print(f"gate: {gate_words(done.model.gate.figures)}")
    else:
        complain(f"{done.model.name} gets no gate, which would tell when an image is of another kind. {done.ungated}")
    print(f"released {done.weights} and {done.card}")


def release_views(validation: Imagery, discs: Sequence[Disc], around: Surroundings, count: int) -> ReleaseViews:
    """Plain views, views under all that training does (where there are clouds), and views of discs."""
    names = ("plain", "mixture") if around.clouds is not None else ("plain",)

    def sets(seed: int, views: int, *, with_discs: bool) -> dict[str, ViewSet]:
        sampling: dict[str, Any] = {"footprint_km": FOOTPRINT_KM, "rotation_deg": ROTATION_DEG, "seed": seed}
        found = {
            name: views_under(CONDITIONS[name], validation, views=views, around=around, **sampling) for name in names
        }
        if discs and with_discs:
            found["discs"] = disc_views(discs, views=views, **sampling)
        return found

    half = max(count // 2, 1)
    drawn = {"seed": EVALUATION_SEED, "footprint_km": FOOTPRINT_KM, "rotation_deg": ROTATION_DEG}
    sampling = {name: {"seed": EVALUATION_SEED} if name == "mixture" else drawn for name in (*names, "discs")}
    return ReleaseViews(
        calibration=sets(CALIBRATION_SEED, count, with_discs=False),
        gate=sets(GATE_SEED, half, with_discs=True),
        gate_test=sets(GATE_TEST_SEED, half, with_discs=True),
        figures=sets(EVALUATION_SEED, half, with_discs=True),
        sampling=sampling,
    )


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


def default_device() -> torch.device:
    """The GPU when there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
