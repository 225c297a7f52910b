"""One plain training loop for models of views of Earth from above."""

import math
import time
from collections.abc import Callable
from pathlib import Path

from geoexplain.training.interrupts import interrupts_held
from geoexplain.training.progress import Progress
from geoexplain.training.run import (
    GeolocatorNetwork,
    Validate,
    ViewRun,
    ViewSources,
    averaged_network,
    checkpoint_file,
    load_checkpoint,
)
from geoexplain.training.settings import ViewTraining


def train_views(
    sources: ViewSources,
    settings: ViewTraining,
    run_dir: Path,
    *,
    validate: Validate,
    resume: bool = False,
    start: Path | None = None,
    compile_network: bool = False,
    checkpoint_every_s: float = 180.0,
    validate_every_views: int = 30_000,
    report_every_s: float = 10.0,
    report: Callable[[Progress], None] | None = None,
) -> GeolocatorNetwork:
    """Train until every phase is done; return the averaged network with the best validation score.

    `validate(network, size_px)` scores the moving average of the weights, higher is better, every
    `validate_every_views` views and at the end; only scores at the largest resolution compete. A checkpoint is written
    to `run_dir` every `checkpoint_every_s` seconds, after every validation and on Ctrl-C, which waits for the step to
    end; with `resume` training goes on from it, and phases may then be longer or shorter than before. On a CPU the
    weights are the same for the same settings, sources and number of threads, interrupted or not.

    `start` is a file of weights to begin with, see `begin_with`; None begins with random ones. `compile_network`
    compiles the network, and the sampling of imagery, at the first step.

    Raises CheckpointError when there is nothing to resume, it was begun with other settings, or `start` does not fit.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    file = checkpoint_file(run_dir)
    saved = load_checkpoint(file, settings) if resume else None
    run = ViewRun(sources, settings, saved, start=start, compile_network=compile_network)
    last_checkpoint = last_report = time.monotonic()
    report_seen, running = run.seen, math.nan
    try:
        while not run.done or run.validation_due(validate_every_views):
            if run.validation_due(validate_every_views):
                run.validate(validate)
                run.save(file)
                last_checkpoint = last_report = time.monotonic()
                report_seen = run.seen
                continue
            with interrupts_held():
                loss, size_px = run.step()
            now = time.monotonic()
            if report is not None and now - last_report >= report_every_s:
                running = loss.item() if math.isnan(running) else 0.8 * running + 0.2 * loss.item()
                report(_progress(run, report_seen, now - last_report, running, size_px))
                last_report, report_seen = now, run.seen
            if now - last_checkpoint >= checkpoint_every_s:
                run.save(file)
                last_checkpoint = now
    except KeyboardInterrupt:
        run.save(file)
        raise
    return averaged_network(settings, run.centers_deg, run.best or run.average, sources.imagery.device)


def _progress(run: ViewRun, seen_before: int, elapsed_s: float, loss: float, size_px: int) -> Progress:
    work, total = run.settings.work, run.settings.total_views()
    speed = (work(run.seen) - work(seen_before)) / elapsed_s
    left_s = (work(total) - work(run.seen)) / max(speed, 1e-9)
    return Progress(run.seen, total, loss, (run.seen - seen_before) / elapsed_s, left_s, size_px)
