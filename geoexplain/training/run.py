"""One training run: its state (network, optimizer, averages), a training step, and its checkpoint."""

import copy
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from geoexplain.errors import CheckpointError, DataError
from geoexplain.geography.partitioning import Partitioning
from geoexplain.locator.backbone import Backbone, create_backbone, preprocess_for
from geoexplain.locator.model import Network
from geoexplain.training.checkpoint import FORMAT, check_resumable, checkpoint_file, load_checkpoint, save_atomically
from geoexplain.training.depthwise import speed_up_depthwise
from geoexplain.training.distributed import Processes
from geoexplain.training.heads import HEADS, Truth, build_network
from geoexplain.training.joint_norm import join_batch_norms
from geoexplain.training.losses import uniform_cross_entropy
from geoexplain.training.optimizer import make_optimizer, mixed_precision, update_average
from geoexplain.training.settings import Schedule, Training, from_plain
from geoexplain.training.source import Score, Source, TrainingBatch, cells_fingerprint


@dataclass(frozen=True)
class Step:
    """The result of one step.

    loss         mean over the images that show a place; NaN without any
    images       the number of these images
    failed       (key, reason) of the skipped images
    interrupted  whether a process was asked to stop during the step
    """

    loss: float
    images: int
    failed: tuple[tuple[str, str], ...]
    size_px: int
    rate: float
    interrupted: bool


class Run:
    """The state of one run, as saved in a checkpoint, and the training step that advances it.

    step       steps done
    average    moving average of the weights
    best       the average with the best score at the largest resolution validated so far; None before validation
    validated  `step` at the last validation

    `network` holds the weights to begin with. `compile_network` compiles it at the first step. Raises CheckpointError
    for a checkpoint of other images or settings.
    """

    def __init__(
        self,
        source: Source,
        settings: Training,
        network: Network,
        processes: Processes,
        *,
        saved: Mapping[str, Any] | None = None,
        workers: int = 0,
        compile_network: bool = False,
    ):
        self.source, self.settings, self.processes, self.workers = source, settings, processes, workers
        self.schedule = Schedule(settings, source.epoch_images)
        self.facts = {
            "format": FORMAT,
            "unit": source.unit,
            "settings": json.dumps(asdict(settings)),
            "source": json.dumps(source.facts()),
            "images": source.fingerprint(),
            "cells": cells_fingerprint(source.partitioning),
            "backbone": json.dumps(_backbone_facts(network.backbone)),
        }
        self.network = network.to(processes.device).to(memory_format=torch.channels_last)
        if processes.device.type == "cpu" and settings.precision == "bf16":
            speed_up_depthwise(self.network)
        if processes.world > 1:
            join_batch_norms(self.network)
        self.optimizer = make_optimizer(self.network, settings)
        self.average = {key: value.detach().clone() for key, value in self.network.state_dict().items()}
        self.best: dict[str, Tensor] | None = None
        self.best_score: Score = ()
        self.best_size_px = self.step = self.validated = 0
        if saved is not None:
            self._restore(saved)
        self._levels: Callable[[Tensor], list[Tensor]] = (
            torch.compile(self._forward, dynamic=False) if compile_network else self._forward
        )
        self._batches: Iterator[TrainingBatch] = iter(())
        self._phase: int | None = None

    def _restore(self, saved: Mapping[str, Any]) -> None:
        check_resumable(saved, self.facts, self.settings)
        device = self.processes.device
        self.network.load_state_dict(saved["network"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.average = {key: value.to(device) for key, value in saved["average"].items()}
        self.best = saved["best"]
        self.best_score = tuple(saved["best_score"])
        self.best_size_px, self.step, self.validated = saved["best_size_px"], saved["step"], saved["validated"]

    def state(self) -> dict[str, Any]:
        """Return everything that resuming the run needs."""
        return {
            **self.facts,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average,
            "best": self.best,
            "best_score": list(self.best_score),
            "best_size_px": self.best_size_px,
            "step": self.step,
            "validated": self.validated,
            "seen": self.schedule.seen(self.step),
            "processes": self.processes.world,
        }

    def save(self, file: Path) -> None:
        """Write the checkpoint."""
        save_atomically(self.state(), file)

    @property
    def done(self) -> bool:
        """Whether every phase is complete."""
        return self.step >= self.schedule.steps

    @property
    def size_px(self) -> int:
        """The resolution of the last step."""
        return self.settings.phases[self.schedule.phase_at(max(self.step - 1, 0))[0]].size_px

    def validation_due(self, every_images: int) -> bool:
        """Return whether to validate now. Only the state decides, so that a resumed run validates at the same steps."""
        if self.done:
            return self.step > self.validated
        return self.schedule.seen(self.step) - self.schedule.seen(self.validated) >= every_images

    def averaged(self) -> Network:
        """Return a copy of the network with the averaged weights, in evaluation mode."""
        other = copy.deepcopy(self.network)
        other.load_state_dict(self.average)
        return other.eval()

    def scored(self, score: Score) -> None:
        """Keep the averages if they are the best so far; a larger resolution always beats a smaller one."""
        if (self.size_px, score) > (self.best_size_px, self.best_score):
            self.best = {key: value.detach().clone() for key, value in self.average.items()}
            self.best_score, self.best_size_px = score, self.size_px
        self.validated = self.step

    def advance(self, stopped: Callable[[], bool] = lambda: False) -> Step:
        """Do the next step, together with the other processes; `stopped` returns whether this process has to stop.

        Raises DataError if the loss is not finite; the weights then stay as they are.
        """
        settings = self.settings
        rate = self.schedule.rate_at(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        self.network.train()
        failed: list[tuple[str, str]] = []
        # Images that show a place, the sum of their losses, that of the other images, failed images, stopped processes.
        counts = torch.zeros(5, device=self.processes.device)
        for _ in range(settings.accumulate):
            batch = self._next()
            failed += batch.failed
            images = torch.tensor([float(len(batch.images))], device=self.processes.device)
            # Batch normalisation needs two images. If fewer could be read, skip the batch.
            if self.processes.total(images).item() >= 2:
                counts[0] += len(batch.truth.positions)
                counts[1:3] += self._backward(batch)
        counts[3], counts[4] = len(failed), float(stopped())
        summed = self.processes.sum_gradients(self.network.parameters(), counts).tolist()
        placed, loss, nowhere, failures, stops = summed
        if placed and not math.isfinite(loss + nowhere):
            raise DataError(
                f"training: expected a finite loss, got {loss + nowhere} in step {self.step + 1:,}: begin again with a "
                "smaller --learning-rate and another --out."
            )
        if placed:
            self._move(placed)
        self.step += 1
        if failures:
            failed = self.processes.gathered(failed)
        mean = loss / placed if placed else float("nan")
        return Step(mean, int(placed), tuple(failed), self.size_px, rate, stops > 0)

    def _forward(self, images: Tensor) -> list[Tensor]:
        return self.network.head.levels(self.network.backbone(images).float())

    def _backward(self, batch: TrainingBatch) -> Tensor:
        """Add a batch's gradients; return the summed losses (2,) of images that show a place and of the others."""
        device = self.processes.device
        images = batch.images.to(device, non_blocking=True).contiguous(memory_format=torch.channels_last)
        truth = Truth(batch.truth.classes.to(device), batch.truth.positions.to(device))
        with mixed_precision(device) if self.settings.precision == "bf16" else nullcontext():
            levels = self._levels(images)
        # Outside mixed precision: in bf16 the cosine of an angle would be off by several degrees.
        placed, nowhere = zip(*(_split(level.float(), len(truth.positions)) for level in levels), strict=True)
        kind, bandwidth_km = HEADS[self.settings.head], self.settings.bandwidth_km
        # Sums, not means: the number of images to divide by is known only after all processes have counted theirs.
        losses = kind.losses(self.network.head, placed, truth, bandwidth_km).sum()
        other = batch.nowhere * torch.stack([uniform_cross_entropy(level).sum() for level in nowhere]).sum()
        (losses + other).backward()
        return torch.stack([losses.detach(), other.detach()])

    def _move(self, images: float) -> None:
        parameters = [p for p in self.network.parameters() if p.grad is not None]
        for parameter in parameters:
            assert parameter.grad is not None
            parameter.grad.div_(images)
        if self.settings.gradient_clip is not None:
            nn.utils.clip_grad_norm_(parameters, self.settings.gradient_clip)
        self.optimizer.step()
        update_average(self.average, self.network.state_dict(), self.settings.average_decay, self.step + 1)

    def _next(self) -> TrainingBatch:
        number, before = self.schedule.phase_at(self.step)
        if number != self._phase:
            phase = self.settings.phases[number]
            self._batches = self.source.batches(
                phase,
                preprocess_for(self.network.backbone.architecture, phase.size_px),
                seed=(self.settings.seed, number),
                start=before * self.settings.accumulate,
                rank=self.processes.rank,
                world=self.processes.world,
                workers=self.workers,
            )
            self._phase = number
        return next(self._batches)


def _split(logits: Tensor, placed: int) -> Sequence[Tensor]:
    return logits.split([placed, len(logits) - placed])


def _backbone_facts(backbone: Backbone) -> dict[str, Any]:
    return {
        "architecture": backbone.architecture,
        "bn_eps": backbone.bn_eps,
        "padding_for_px": backbone.padding_for_px,
    }


@dataclass(frozen=True, eq=False)
class Trained:
    """The result of a run.

    network    with the best weights in validation, or the averages without validation; in evaluation mode
    settings   the settings of the training
    facts      `facts` of the source
    seen       the number of images seen
    processes  the number of processes
    unit       "photos" or "views"
    """

    network: Network
    settings: Training
    facts: Mapping[str, Any]
    seen: int
    processes: int
    unit: str


def read_run(run: Run | Path, partitioning: Partitioning) -> Trained:
    """Return the result of a run, given as a Run or its folder, for the partitioning that it was trained with.

    Raises CheckpointError if the run cannot be read or has another partitioning.
    """
    saved = run.state() if isinstance(run, Run) else load_checkpoint(checkpoint_file(run))
    if saved["cells"] != cells_fingerprint(partitioning):
        raise CheckpointError("expected the partitioning that the run was trained with, got another: give that one.")
    settings = from_plain(json.loads(saved["settings"]))
    facts = json.loads(saved["backbone"])
    backbone = create_backbone(facts.pop("architecture"), **facts)
    network = build_network(backbone, settings.head, partitioning)
    network.load_state_dict(saved["best"] or saved["average"])
    return Trained(
        network.to(memory_format=torch.channels_last).eval(),
        settings,
        json.loads(saved["source"]),
        saved["seen"],
        saved["processes"],
        saved["unit"],
    )
