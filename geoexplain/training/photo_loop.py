"""One plain training loop for models of photos, in one process or several."""

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from geoexplain.geography.partitioning import Partitioning
from geoexplain.locator.model import Network
from geoexplain.training.distributed import Processes
from geoexplain.training.interrupts import interrupts_noted
from geoexplain.training.photo_checkpoint import checkpoint_file, load_photo_checkpoint
from geoexplain.training.photo_log import PhotoLog
from geoexplain.training.photo_run import PhotoRun, Score
from geoexplain.training.photo_set import PhotoSet
from geoexplain.training.photo_settings import PhotoTraining
from geoexplain.training.progress import Progress

Accuracy = Mapping[str, Mapping[int, float]]
"""Way of answering → radius in km → share of validation photos within it, in [0, 1]."""

Validate = Callable[[Network, int], tuple[Accuracy, Score]]
"""Scores a network in evaluation mode at a resolution in px."""


def train_photos(
    photos: PhotoSet,
    partitioning: Partitioning,
    settings: PhotoTraining,
    network: Network,
    run_dir: Path,
    *,
    processes: Processes,
    validate: Validate,
    resume: bool = False,
    workers: int = 0,
    tensorboard: bool = False,
    checkpoint_every_s: float = 180.0,
    validate_every_photos: int = 100_000,
    report_every_s: float = 10.0,
    report: Callable[[Progress, int], None] | None = None,
) -> PhotoRun:
    """Train until every phase is done; return the run, whose `chosen` network did best in validation.

    `network` holds the weights to begin with. `validate` scores the moving average of the weights every
    `validate_every_photos` photos and at the end; only scores at the largest resolution compete. A checkpoint is
    written to `run_dir` every `checkpoint_every_s` seconds, after every validation and on Ctrl-C, which waits for the
    step to end; with `resume` training goes on from it. On a CPU the weights are the same for the same settings,
    photos and number of threads, interrupted, killed or not. `report` hears of the progress and of how many photos
    were skipped. Process 0 alone writes, validates and reports; all of them end together.

    Raises CheckpointError when there is nothing to resume or it was begun with others, DataError when another process
    has ended.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    saved = load_photo_checkpoint(checkpoint_file(run_dir)) if resume else None
    run = PhotoRun(photos, partitioning, settings, network, processes, saved=saved, workers=workers)
    log = PhotoLog(run_dir, run.step, run.validated, tensorboard=tensorboard) if processes.leads else None
    clock = _Clock(run, checkpoint_every_s, report_every_s)
    with interrupts_noted() as pressed:
        try:
            while not run.done or run.validation_due(validate_every_photos):
                if run.validation_due(validate_every_photos):
                    _save(run, log, run_dir)
                    with pressed.heard():
                        _validate(run, log, validate)
                    _save(run, log, run_dir)
                    clock.restart(run)
                    continue
                step = run.advance(lambda: pressed.count > 0)
                if log is not None:
                    log.stepped(run.step - 1, step)
                if step.interrupted:
                    raise KeyboardInterrupt  # noqa: TRY301 - heard by every process after the same step
                if clock.checkpoint_due():
                    _save(run, log, run_dir)
                if report is not None and log is not None and clock.report_due(step.loss):
                    report(clock.progress(run), log.skipped)
        except KeyboardInterrupt:
            _save(run, log, run_dir)
            raise
        finally:
            if log is not None:
                log.close()
    return run


def _validate(run: PhotoRun, log: PhotoLog | None, validate: Validate) -> None:
    if log is None:
        run.validated = run.step  # process 0 does it, and keeps what is best
        return
    accuracy, score = validate(run.averaged(), run.size_px)
    log.validated(run.step, run.schedule.seen(run.step), accuracy)
    run.scored(score)


def _save(run: PhotoRun, log: PhotoLog | None, run_dir: Path) -> None:
    if log is not None:
        log.flush()
        run.save(checkpoint_file(run_dir))


class _Clock:
    """When the next checkpoint and the next report are due, and how fast the run has been since the last one."""

    def __init__(self, run: PhotoRun, checkpoint_every_s: float, report_every_s: float):
        self.checkpoint_every_s, self.report_every_s = checkpoint_every_s, report_every_s
        self.loss = math.nan
        self.restart(run)

    def restart(self, run: PhotoRun) -> None:
        self.last_checkpoint = self.last_report = time.monotonic()
        self.reported_step = run.step

    def checkpoint_due(self) -> bool:
        if time.monotonic() - self.last_checkpoint < self.checkpoint_every_s:
            return False
        self.last_checkpoint = time.monotonic()
        return True

    def report_due(self, loss: float) -> bool:
        if not math.isnan(loss):
            self.loss = loss if math.isnan(self.loss) else 0.98 * self.loss + 0.02 * loss
        return time.monotonic() - self.last_report >= self.report_every_s

    def progress(self, run: PhotoRun) -> Progress:
        now, schedule = time.monotonic(), run.schedule
        elapsed_s = max(now - self.last_report, 1e-9)
        seen, total = schedule.seen(run.step), schedule.seen(schedule.steps)
        speed = (schedule.work(run.step) - schedule.work(self.reported_step)) / elapsed_s
        left_s = (schedule.work(schedule.steps) - schedule.work(run.step)) / max(speed, 1e-9)
        per_s = (seen - schedule.seen(self.reported_step)) / elapsed_s
        self.last_report, self.reported_step = now, run.step
        return Progress(seen, total, self.loss, per_s, left_s, run.size_px)
