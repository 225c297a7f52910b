"""The state of one run on photos: network, optimiser, averages; one step; its checkpoint."""

import copy
import json
import math
from collections.abc import Callable, Iterator, Mapping
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
from geoexplain.training.depthwise import speed_up_depthwise
from geoexplain.training.distributed import Processes
from geoexplain.training.joint_norm import join_batch_norms
from geoexplain.training.optimisation import mixed_precision, parameter_groups, save_atomically, update_average
from geoexplain.training.photo_batches import Batch, PhotoBatches
from geoexplain.training.photo_checkpoint import FORMAT, check_resumable
from geoexplain.training.photo_heads import HEADS
from geoexplain.training.photo_set import PhotoSet, cells_fingerprint
from geoexplain.training.photo_settings import PhotoTraining, Schedule

Score = tuple[float, ...]
"""How good a network is in validation: compared element by element, higher is better."""


@dataclass(frozen=True)
class Step:
    """What one step did: mean loss over its photos (NaN for none), their number, those skipped, its size and rate.

    interrupted  whether Ctrl-C was pressed in some process while it lasted
    """

    loss: float
    photos: int
    failed: tuple[tuple[str, str], ...]
    size_px: int
    rate: float
    interrupted: bool


def photo_network(backbone: Backbone, head: str, partitioning: Partitioning) -> Network:
    """A backbone with an untrained head of that name over a partitioning."""
    return Network(backbone.requires_grad_(True), HEADS[head].build(backbone.feature_dim, partitioning))


class PhotoRun:
    """The state of one run: what a checkpoint holds, and the step that moves it on.

    step       steps done
    average    moving average of the weights
    best       the average with the best score at the largest resolution validated at; None before
    validated  `step` at the last validation

    `network` holds the weights to begin with. Raises CheckpointError for a checkpoint of other photos or settings.
    """

    def __init__(
        self,
        photos: PhotoSet,
        partitioning: Partitioning,
        settings: PhotoTraining,
        network: Network,
        processes: Processes,
        *,
        saved: Mapping[str, Any] | None = None,
        workers: int = 0,
    ):
        self.photos, self.settings, self.processes, self.workers = photos, settings, processes, workers
        self.schedule = Schedule(settings, len(photos.train))
        self.facts = {
            "format": FORMAT,
            "settings": json.dumps(asdict(settings)),
            "photos": photos.fingerprint(),
            "cells": cells_fingerprint(partitioning),
            "backbone": json.dumps(backbone_facts(network.backbone)),
        }
        self.network = network.to(processes.device).to(memory_format=torch.channels_last)
        if processes.device.type == "cpu" and settings.precision == "bf16":
            speed_up_depthwise(self.network)
        if processes.world > 1:
            join_batch_norms(self.network)
        self.optimiser = make_optimiser(self.network, settings)
        self.average = {key: value.detach().clone() for key, value in self.network.state_dict().items()}
        self.best: dict[str, Tensor] | None = None
        self.best_score: Score = ()
        self.best_size_px = self.step = self.validated = 0
        if saved is not None:
            self._restore(saved)
        self._batches: Iterator[Batch] = iter(())
        self._phase: int | None = None

    def _restore(self, saved: Mapping[str, Any]) -> None:
        check_resumable(saved, self.facts, self.settings)
        device = self.processes.device
        self.network.load_state_dict(saved["network"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.average = {key: value.to(device) for key, value in saved["average"].items()}
        self.best = saved["best"]
        self.best_score = tuple(saved["best_score"])
        self.best_size_px, self.step, self.validated = saved["best_size_px"], saved["step"], saved["validated"]

    def save(self, file: Path) -> None:
        """Write everything that it takes to go on."""
        state = {
            **self.facts,
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "average": self.average,
            "best": self.best,
            "best_score": list(self.best_score),
            "best_size_px": self.best_size_px,
            "step": self.step,
            "validated": self.validated,
        }
        save_atomically(state, file)

    @property
    def done(self) -> bool:
        """Whether every phase is over."""
        return self.step >= self.schedule.steps

    @property
    def size_px(self) -> int:
        """The resolution that was trained at last."""
        return self.settings.phases[self.schedule.phase_at(max(self.step - 1, 0))[0]].size_px

    def validation_due(self, every_photos: int) -> bool:
        """Whether it is time to validate: decided by the state alone, so that a resumed run validates when it would."""
        if self.done:
            return self.step > self.validated
        return self.schedule.seen(self.step) - self.schedule.seen(self.validated) >= every_photos

    def averaged(self) -> Network:
        """A copy of the network in evaluation mode that holds the averages."""
        return evaluated(self.network, self.average)

    def scored(self, score: Score) -> None:
        """Remember the averages if they are the best so far; scores at different resolutions do not compare."""
        if (self.size_px, score) > (self.best_size_px, self.best_score):
            self.best = {key: value.detach().clone() for key, value in self.average.items()}
            self.best_score, self.best_size_px = score, self.size_px
        self.validated = self.step

    def chosen(self) -> Network:
        """The network to go on with: the best in validation, the averages where there was none."""
        return evaluated(self.network, self.best or self.average)

    def advance(self, pressed: Callable[[], bool] = lambda: False) -> Step:
        """Train on the batches of the next step, together with the other processes; `pressed`: was Ctrl-C, here?

        Raises DataError when the loss is not finite any more; the weights then stay as they are.
        """
        settings = self.settings
        rate = self.schedule.rate_at(self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad(set_to_none=True)
        self.network.train()
        failed: list[tuple[str, str]] = []
        counts = torch.zeros(4, device=self.processes.device)  # photos, sum of their losses, failed ones, Ctrl-C
        for _ in range(settings.accumulate):
            batch = self._next()
            failed += batch.failed
            photos = torch.tensor([float(len(batch.rows))], device=self.processes.device)
            # One photo alone has no variance; where all but one could not be read, the batch is left out.
            if self.processes.total(photos).item() >= 2:
                counts[:1] += photos
                counts[1] += self._backward(batch)
        counts[2], counts[3] = len(failed), float(pressed())
        photos, loss, failures, presses = self.processes.sum_gradients(self.network.parameters(), counts).tolist()
        if photos and not math.isfinite(loss):
            raise DataError(
                f"training: expected a finite loss, got {loss} in step {self.step + 1:,}: begin again with a smaller "
                "--learning-rate and another --out."
            )
        if photos:
            self._move(photos)
        self.step += 1
        if failures:
            failed = self.processes.gathered(failed)
        size_px = self.size_px
        return Step(loss / photos if photos else float("nan"), int(photos), tuple(failed), size_px, rate, presses > 0)

    def _backward(self, batch: Batch) -> Tensor:
        device = self.processes.device
        images = batch.images.to(device, non_blocking=True).contiguous(memory_format=torch.channels_last)
        with mixed_precision(device) if self.settings.precision == "bf16" else nullcontext():
            features = self.network.backbone(images).float()
            truth = self.photos.truth(batch.rows, device)
            losses = HEADS[self.settings.head].losses(self.network.head, features, truth)
        # The sum, not the mean: how many photos it is divided by is known once all processes have counted theirs.
        loss = losses.sum()
        loss.backward()
        return loss.detach()

    def _move(self, photos: float) -> None:
        parameters = [p for p in self.network.parameters() if p.grad is not None]
        for parameter in parameters:
            assert parameter.grad is not None
            parameter.grad.div_(photos)
        if self.settings.gradient_clip is not None:
            nn.utils.clip_grad_norm_(parameters, self.settings.gradient_clip)
        self.optimiser.step()
        update_average(self.average, self.network.state_dict(), self.settings.average_decay, self.step + 1)

    def _next(self) -> Batch:
        number, before = self.schedule.phase_at(self.step)
        if number != self._phase:
            settings, phase = self.settings, self.settings.phases[number]
            batches = PhotoBatches(
                self.photos.collection,
                self.photos.train,
                size_px=phase.size_px,
                batch=phase.batch,
                seed=settings.seed + number,
                workers=self.workers,
                start=before * settings.accumulate,
                rank=self.processes.rank,
                world=self.processes.world,
                augment=settings.augmentation or False,
                preprocess=preprocess_for(self.network.backbone.architecture, phase.size_px),
            )
            self._batches, self._phase = iter(batches), number
        return next(self._batches)


def evaluated(network: Network, state: Mapping[str, Tensor]) -> Network:
    """A copy of a network in evaluation mode that holds the given state."""
    other = copy.deepcopy(network)
    other.load_state_dict(state)
    return other.eval()


def make_optimiser(network: nn.Module, settings: PhotoTraining) -> torch.optim.Optimizer:
    """The optimiser of the settings over all parameters of a network."""
    decay = settings.weight_decay
    groups: Any = parameter_groups(network, decay)
    if settings.decay_all:
        groups = [{"params": list(network.parameters()), "weight_decay": decay}]
    if settings.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=settings.learning_rate, momentum=settings.momentum)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings.optimiser]
    return kind(groups, lr=settings.learning_rate)


def backbone_facts(backbone: Backbone) -> dict[str, Any]:
    """What it takes to build a backbone like another."""
    return {
        "architecture": backbone.architecture,
        "bn_eps": backbone.bn_eps,
        "padding_for_px": backbone.padding_for_px,
    }


def restored_network(saved: Mapping[str, Any], partitioning: Partitioning) -> Network:
    """The network of a checkpoint that did best in validation, or its averages; in evaluation mode.

    Raises CheckpointError when the checkpoint is of another partitioning.
    """
    if saved["cells"] != cells_fingerprint(partitioning):
        raise CheckpointError("expected the partitioning that the run was trained with, got another: give that one.")
    facts = json.loads(saved["backbone"])
    backbone = create_backbone(facts.pop("architecture"), **facts)
    network = photo_network(backbone, json.loads(saved["settings"])["head"], partitioning)
    network.load_state_dict(saved["best"] or saved["average"])
    return network.eval()
