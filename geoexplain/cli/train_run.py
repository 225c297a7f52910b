"""Options, progress bars and messages that `geoexplain train views` and `train photos` share."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from geoexplain.cli.arguments import add_device, complain, count, number
from geoexplain.cli.batch import progress_bar
from geoexplain.errors import DataError
from geoexplain.locator.model import Network
from geoexplain.training.checkpoint import checkpoint_file
from geoexplain.training.distributed import Processes
from geoexplain.training.loop import Progress, train
from geoexplain.training.run import Run
from geoexplain.training.settings import PRECISIONS, Phase, Training
from geoexplain.training.source import Accuracy, Source, Working
from geoexplain.words import exact_km, percent

EXIT_INTERRUPTED = 130
LOG_EVERY_S = 60.0


def add_run_options(parser: argparse.ArgumentParser, unit: str, validate_every: int | None) -> None:
    """Add the options for the run's folder, its device, and how often it is saved and validated."""
    parser.add_argument("--out", type=Path, required=True, metavar="RUN_DIR", help="folder of the run and checkpoint")
    parser.add_argument("--release", type=Path, metavar="DIR", help="folder for the model (default: RUN_DIR/release)")
    parser.add_argument("--resume", action="store_true", help="continue from the checkpoint in RUN_DIR")
    add_device(parser)
    parser.add_argument("--compile", action="store_true", help="compile the network first: slow to start, then faster")
    parser.add_argument("--tensorboard", action="store_true", help="also write RUN_DIR/tensorboard")
    seconds = number(float, 0, 1e6, "a number of seconds")
    parser.add_argument(
        "--checkpoint-every",
        type=seconds,
        default=180.0,
        metavar="S",
        help="seconds between checkpoints (default: %(default)g)",
    )
    default = "a tenth of all" if validate_every is None else f"{validate_every}"
    parser.add_argument(
        "--validate-every",
        type=count,
        default=validate_every,
        metavar="N",
        help=f"{unit} between validations (default: {default})",
    )


def add_settings_options(parser: argparse.ArgumentParser, unit: str, defaults: str, *, epochs: bool) -> None:
    """Add the options that override training settings; `defaults` describes the default of --phases."""
    length = f"{unit}, or epochs such as 2.5e" if epochs else unit
    parser.add_argument(
        "--phases",
        type=partial(parse_phases, unit=unit, epochs=epochs),
        metavar=f"PX:BATCH:{'LENGTH' if epochs else unit.upper()},…",
        help=f"size, {unit} per batch over all processes, and length of each phase in {length} (default: {defaults})",
    )
    parser.add_argument("--accumulate", type=count, metavar="N", help="batches per optimizer step")
    rate = number(float, 1e-9, 10, "a number above 0")
    parser.add_argument("--learning-rate", type=rate, metavar="RATE", help="peak learning rate")
    parser.add_argument(
        "--average",
        type=number(float, 0, 0.99999, "a number from 0 to below 1"),
        metavar="DECAY",
        help="decay of the moving average of the weights, which is validated and released; 0: no average",
    )
    parser.add_argument("--precision", choices=PRECISIONS, help="bf16 inside the network, or float32 throughout")


def parse_phases(text: str, *, unit: str, epochs: bool) -> tuple[Phase, ...]:
    """Parse `96:64:16000,224:32:2.5e` as phases, with lengths in images or epochs.

    Raises ArgumentTypeError for anything else.
    """
    phases = []
    try:
        for part in text.split(","):
            size, batch, length = part.split(":")
            times = float(length[:-1]) if epochs and length.endswith("e") else None
            phases.append(Phase(int(size), int(batch), times, int(length) if times is None else None))
    except (ValueError, DataError):
        kind, last = ("LENGTH", "224:32:2.5e") if epochs else (unit.upper(), "224:64:20000")
        raise argparse.ArgumentTypeError(
            f"expected PX:BATCH:{kind} for each phase, such as 96:64:16000,{last}, with 32 to 1024 px and at least 2 "
            f"{unit} per batch, got {text!r}"
        ) from None
    return tuple(phases)


def replaced(settings: Training, args: argparse.Namespace, **more: Any) -> Training:
    """Return the settings overridden by the options that are not None."""
    given = {
        "phases": args.phases,
        "accumulate": args.accumulate,
        "learning_rate": args.learning_rate,
        "average_decay": args.average,
        "precision": args.precision,
        "seed": args.seed,
        **more,
    }
    return replace(settings, **{key: value for key, value in given.items() if value is not None})


def check_batches(settings: Training, joined: Processes) -> None:
    """Raise DataError for batches that the processes cannot share evenly."""
    for phase in settings.phases:
        if phase.batch % joined.world:
            raise DataError(
                f"--phases: expected batches that {joined.world} processes can share evenly, got {phase.batch}."
            )


def describe_processes(joined: Processes) -> str:
    """Describe the number of processes and the device."""
    return f"{joined.world} process{'es' * (joined.world > 1)} on {joined.device}"


def train_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of `train` that come from the command's options."""
    return {
        "tensorboard": args.tensorboard,
        "compile_network": args.compile,
        "checkpoint_every_s": args.checkpoint_every,
        "validate_every": args.validate_every,
        "validated": say_validation,
    }


@contextmanager
def training_bar(unit: str, joined: Processes) -> Iterator[Callable[[Progress], None]]:
    """Show the progress of a training as a bar, or as lines where the bar is hidden."""
    form = f"{{percentage:3.0f}}%|{{bar}}| {{n_fmt}}/{{total_fmt}} {unit}{{postfix}}"
    with progress_bar(0, unit, bar_format=form, hidden=not joined.leads) as bar:
        logged = -LOG_EVERY_S

        def report(progress: Progress) -> None:
            nonlocal logged
            text = describe_progress(progress, unit)
            bar.total, bar.n = progress.total, progress.seen
            bar.set_postfix_str(text)
            if bar.disable and time.monotonic() - logged >= LOG_EVERY_S:
                logged = time.monotonic()
                print(f"{progress.seen:,} of {progress.total:,} {unit}, {text}", file=sys.stderr)

        yield report


def train_in_sight(
    args: argparse.Namespace,
    source: Source,
    settings: Training,
    network: Network,
    joined: Processes,
    *,
    workers: int = 0,
) -> Run:
    """Train with the settings and options, and show a progress bar."""
    with training_bar(source.unit, joined) as report, work_bar(source.unit) as working:
        return train(
            source,
            settings,
            args.out,
            network=network,
            processes=joined,
            resume=checkpoint_file(args.out).exists(),
            workers=workers,
            report=report,
            working=working,
            **train_options(args),
        )


@contextmanager
def work_bar(unit: str) -> Iterator[Working]:
    """Yield a callback that shows a progress bar for one task after another."""
    bar: tqdm | None = None
    shown = ""

    def working(what: str, done: int, total: int) -> None:
        nonlocal bar, shown
        if bar is not None and shown != what:
            bar.close()
            bar = None
        if bar is None:
            bar, shown = progress_bar(total, unit, desc=what), what
        bar.update(done - bar.n)
        if done >= total:
            bar.close()
            bar = None

    try:
        yield working
    finally:
        if bar is not None:
            bar.close()


def say_validation(size_px: int, accuracy: Accuracy) -> None:
    """Print the accuracy in a validation."""
    with tqdm.external_write_mode(file=sys.stdout):
        for way, shares in accuracy.items():
            print(f"validation at {size_px} px, {way:<2}: {describe_accuracy(shares)}", flush=True)


def say_interrupted(out: Path, folders: Sequence[Path], joined: Processes) -> int:
    """Report whether the run in `out` is saved, in a checkpoint in one of `folders`; return the exit code."""
    if joined.leads:
        complain(
            f"interrupted; the run is saved in {out}: run the same command with --resume to continue."
            if any(checkpoint_file(folder).exists() for folder in folders)
            else "interrupted before the first step: nothing is saved; run the same command to start again."
        )
    return EXIT_INTERRUPTED


def describe_progress(progress: Progress, unit: str) -> str:
    """Describe resolution, loss, speed, time left and the number of skipped images."""
    hours, minutes = divmod(round(progress.left_s / 60), 60)
    left = f"{hours} h {minutes} min" if hours else f"{minutes} min"
    skipped = f", {progress.skipped:,} skipped" if progress.skipped else ""
    return f"{progress.size_px} px, loss {progress.loss:.3f}, {progress.per_s:.0f} {unit}/s, {left} left{skipped}"


def describe_accuracy(shares: Mapping[int, float]) -> str:
    """Describe accuracies: "45.0 % within 200 km, …"."""
    return ", ".join(f"{percent(share)} within {exact_km(radius)}" for radius, share in shares.items())
