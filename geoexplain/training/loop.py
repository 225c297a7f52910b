"""The training loop for photos and views, in one process or several."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from geoexplain.errors import GeoExplainError
from geoexplain.locator.model import Network
from geoexplain.training.checkpoint import check_folder, checkpoint_file, load_checkpoint
from geoexplain.training.distributed import Processes, alone, default_device
from geoexplain.training.interrupts import interrupts_noted
from geoexplain.training.log import Log
from geoexplain.training.run import Run, Step
from geoexplain.training.settings import Training
from geoexplain.training.source import Accuracy, Score, Source, Working
from geoexplain.training.start import begin

VALIDATIONS = 10
"""Validations per run by default."""

Validate = Callable[[Network, int], tuple[Accuracy, Score]]
"""Called with a network in evaluation mode and a resolution in px; returns accuracy and score."""


class TrainingCancelledError(GeoExplainError):
    """The program cancelled a running training. The run is saved and can be resumed."""


@dataclass(frozen=True)
class Progress:
    """A progress report on training.

    seen     images seen so far, of `total`
    loss     exponential moving average of the loss
    per_s    images per second since the last report
    left_s   estimated seconds until the end
    size_px  resolution in px
    skipped  the number of different images that could not be read
    """

    seen: int
    total: int
    loss: float
    per_s: float
    left_s: float
    size_px: int
    skipped: int = 0


def train(
    source: Source,
    settings: Training,
    run_dir: Path | str,
    *,
    network: Network | None = None,
    processes: Processes | None = None,
    validate: Validate | None = None,
    resume: bool = False,
    workers: int = 0,
    tensorboard: bool = False,
    compile_network: bool = False,
    checkpoint_every_s: float = 180.0,
    validate_every: int | None = None,
    report_every_s: float = 10.0,
    report: Callable[[Progress], None] | None = None,
    validated: Callable[[int, Accuracy], None] | None = None,
    working: Working | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Run:
    """Train on a PhotoSet or a ViewSource until every phase is done; return the run, to be passed to `release`.

    network    holds the weights to begin with; None: random ones
    processes  those that train together, see `distributed.processes`; None: this one, on the GPU if there is one
    validate   scores the moving average of the weights every `validate_every` images (None: a tenth of all) and at the
               end; only scores at the largest resolution are compared. None: `source.validate`
    resume     continue from the checkpoint in `run_dir`
    workers    threads that decode photos
    tensorboard, compile_network
               also write `run_dir`/tensorboard; compile the network at the first step
    report     called with the progress every `report_every_s` seconds
    validated  called with the resolution in px and the accuracy after every validation
    working    called with the progress of a validation
    cancelled  called after every step; True saves the run and ends it

    A checkpoint is written to `run_dir` every `checkpoint_every_s` seconds, after every validation and on Ctrl-C, which
    waits for the step to end. On a CPU the same settings, images and number of threads give the same weights, even if
    the run was interrupted or killed and resumed. Only process 0 writes, validates and reports; all processes end
    together.

    Raises CheckpointError if there is no checkpoint to resume or it was begun with other settings, DataError if
    `run_dir` holds a run and `resume` is False or another process has ended, TrainingCancelledError when cancelled.
    """
    run_dir = Path(run_dir)
    processes = processes or alone(default_device())
    check_folder(run_dir, resume=resume)
    run_dir.mkdir(parents=True, exist_ok=True)
    saved = load_checkpoint(checkpoint_file(run_dir)) if resume else None
    if network is None:
        network, settings = begin(settings, source.partitioning)
    run = Run(source, settings, network, processes, saved=saved, workers=workers, compile_network=compile_network)
    every = validate_every or -(-run.schedule.images // VALIDATIONS)
    log = Log(run_dir, source.unit, run.step, run.validated, tensorboard=tensorboard) if processes.leads else None
    clock = _Clock(run, checkpoint_every_s, report_every_s)
    score = validate or partial(source.validate, workers=workers, progress=working)
    with interrupts_noted() as pressed:
        try:
            while not run.done or run.validation_due(every):
                if run.validation_due(every):
                    _save(run, log, run_dir)
                    with pressed.heard():
                        _validate(run, log, score, validated)
                    _save(run, log, run_dir)
                    clock.restart(run)
                else:
                    step = run.advance(lambda: pressed.count > 0 or (cancelled is not None and cancelled()))
                    if log is not None:
                        _note(run, step, log, clock, report)
                    if step.interrupted:  # in every process after the same step
                        _end(by_hand=pressed.count > 0 or cancelled is None)
                    if clock.checkpoint_due():
                        _save(run, log, run_dir)
        except (KeyboardInterrupt, TrainingCancelledError):
            _save(run, log, run_dir)
            raise
        finally:
            if log is not None:
                log.close()
    return run


def _note(run: Run, step: Step, log: Log, clock: "_Clock", report: Callable[[Progress], None] | None) -> None:
    log.stepped(run.step - 1, step)
    if report is not None and clock.report_due(step.loss):
        report(clock.progress(run, log.skipped))


def _end(*, by_hand: bool) -> None:
    if by_hand:
        raise KeyboardInterrupt
    raise TrainingCancelledError("Training was cancelled and the run is saved: resume it.")


def _validate(run: Run, log: Log | None, score: Validate, validated: Callable[[int, Accuracy], None] | None) -> None:
    if log is None:
        run.validated = run.step  # process 0 validates, and keeps the best weights
        return
    accuracy, result = score(run.averaged(), run.size_px)
    log.validated(run.step, run.schedule.seen(run.step), accuracy)
    run.scored(result)
    if validated is not None:
        validated(run.size_px, accuracy)


def _save(run: Run, log: Log | None, run_dir: Path) -> None:
    if log is not None:
        log.flush()
        run.save(checkpoint_file(run_dir))


class _Clock:
    """Decide when the next checkpoint and report are due, and measure the speed since the last report."""

    def __init__(self, run: Run, checkpoint_every_s: float, report_every_s: float):
        self.checkpoint_every_s, self.report_every_s = checkpoint_every_s, report_every_s
        self.loss = math.nan
        self.restart(run)

    def restart(self, run: Run) -> None:
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

    def progress(self, run: Run, skipped: int) -> Progress:
        now, schedule = time.monotonic(), run.schedule
        elapsed_s = max(now - self.last_report, 1e-9)
        seen, total = schedule.seen(run.step), schedule.images
        speed = (schedule.work(run.step) - schedule.work(self.reported_step)) / elapsed_s
        left_s = (schedule.work(schedule.steps) - schedule.work(run.step)) / max(speed, 1e-9)
        per_s = (seen - schedule.seen(self.reported_step)) / elapsed_s
        self.last_report, self.reported_step = now, run.step
        return Progress(seen, total, self.loss, per_s, left_s, run.size_px, skipped)
