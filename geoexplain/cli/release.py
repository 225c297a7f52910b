"""`geoexplain train release`: the best network of a run → a calibrated model with its figures."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import torch

from geoexplain.cli.arguments import add_device, count
from geoexplain.cli.batch import progress_bar
from geoexplain.cli.evaluate_views import table
from geoexplain.errors import DataError
from geoexplain.evaluation.views import evaluate_views, view_logits
from geoexplain.geography.sphere import great_circle_km
from geoexplain.imagery.earth import Imagery, imagery_files, load_imagery
from geoexplain.locator.backbone import preprocess_for
from geoexplain.locator.zoo import load_model
from geoexplain.training.release import fit_sigma, fit_temperature, view_model, write_card, write_release
from geoexplain.training.run import checkpoint_file, load_checkpoint, saved_network, saved_settings

FOOTPRINT_KM, ROTATION_DEG = (500.0, 2000.0), 30.0
"""The views that figures are given for: those that `geoexplain evaluate views` draws unless told otherwise."""

EVALUATION_SEED, VALIDATION_SEED, CALIBRATION_SEED = 0, 1, 2
"""Three different sets of views: calibrating on those that figures are given for would flatter the figures."""


def add_release_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `geoexplain train release`."""
    parser.description = "Calibrate the best network of a run on the validation imagery, and write it as a model."
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="folder of the run")
    add_imagery(parser)
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


def add_release_views(parser: argparse.ArgumentParser) -> None:
    """How carefully the released model is calibrated."""
    parser.add_argument(
        "--release-views",
        type=count,
        default=4000,
        metavar="N",
        help="validation views to calibrate on, and half as many others for the figures (default: %(default)s)",
    )


def run_release(args: argparse.Namespace) -> int:
    """Release the best network of a run, over or not."""
    _, validation = split_imagery(imagery_files(args.imagery), args.validation, ())
    release(
        args.run_dir,
        load_imagery(validation, args.device or default_device()),
        args.out or args.run_dir / "release",
        args.release_views,
    )
    return 0


def release(run_dir: Path, validation: Imagery, folder: Path, views: int) -> None:
    """Calibrate a run's best network on `views` views of the validation imagery, write it, read it back, measure it."""
    saved = load_checkpoint(checkpoint_file(run_dir))
    settings = saved_settings(saved)
    network = saved_network(saved, validation.device)
    size_px = settings.phases[-1].size_px
    with progress_bar(views, "views", desc="calibrating") as bar:
        logits, truth_deg = view_logits(
            network,
            validation,
            preprocess_for(settings.architecture, size_px),
            views=views,
            footprint_km=FOOTPRINT_KM,
            rotation_deg=ROTATION_DEG,
            seed=CALIBRATION_SEED,
            progress=lambda done, _total: bar.update(done - bar.n) and None,
        )
    centers_deg = saved["centers_deg"].numpy()
    nearest = great_circle_km(truth_deg[:, None], centers_deg).argmin(axis=1)
    temperature = fit_temperature(logits, nearest)
    sigma_km = fit_sigma(logits / temperature, truth_deg, centers_deg)
    calibrated = view_model(network, size_px=size_px, temperature=temperature, sigma_km=sigma_km)
    weights = write_release(calibrated, folder)
    # What is measured is what is shipped: fp16 weights, and cells rounded as in their table.
    model = load_model(weights, validation.device)
    with progress_bar(views // 2, "views", desc="measuring") as bar:
        report = evaluate_views(
            model,
            validation,
            views=max(views // 2, 1),
            footprint_km=FOOTPRINT_KM,
            rotation_deg=ROTATION_DEG,
            seed=EVALUATION_SEED,
            progress=lambda done, _total: bar.update(done - bar.n) and None,
        )
    sampling = {"footprint_km": FOOTPRINT_KM, "rotation_deg": ROTATION_DEG, "seed": EVALUATION_SEED}
    facts: dict[str, Any] = {
        "training": {
            **asdict(settings),
            "views_seen": saved["seen"],
            "imagery": saved.get("imagery", []),
        },
        "temperature": temperature,
        "sigma_km": sigma_km,
        "calibration_views": views,
        "validation": {**report.as_dict(), **sampling},
    }
    card = write_card(model, weights, facts)
    print(f"{model.name} on {', '.join(report.imagery)}, the validation imagery: {report.views:,} views")
    print(f"{table(report)}\n  temperature                 {temperature:>11.3f}")
    print(f"  σ around the point          {sigma_km:>8,.0f} km\nreleased {weights} and {card}")


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
