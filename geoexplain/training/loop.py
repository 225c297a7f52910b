"""One plain training loop for models of views of Earth from above."""

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from geoexplain.errors import CheckpointError, DataError
from geoexplain.geography.partition import spherical_kmeans
from geoexplain.geography.sphere import unit_vectors
from geoexplain.images import IMAGENET_MEAN, IMAGENET_STD
from geoexplain.locator.backbone import create_backbone
from geoexplain.locator.heads import VonMisesFisherHead
from geoexplain.training.augmentation import augment
from geoexplain.training.losses import geolocation_loss
from geoexplain.training.views import Imagery, render, sample_centers, sample_view_points


@dataclass(frozen=True)
class Phase:
    """A stretch of training at one resolution: side of the views in px, views per step, views in all."""

    size_px: int
    batch: int
    views: int


@dataclass(frozen=True)
class ViewTraining:
    """Everything that decides the outcome, given the imagery. Footprints in km, bandwidth in km, rotation in degrees."""

    architecture: str = "efficientnet_b0"
    cells: int = 2000
    phases: tuple[Phase, ...] = (Phase(96, 96, 240_000), Phase(160, 64, 50_000), Phase(224, 64, 20_000))
    footprint_km: tuple[float, float] = (400.0, 2500.0)
    rotation_deg: float = 30.0
    bandwidth_km: float = 150.0
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    warmup_views: int = 15_000
    gradient_clip: float = 2.0
    average_decay: float = 0.999
    seed: int = 0

    def total_views(self) -> int:
        """Views of all phases together."""
        return sum(phase.views for phase in self.phases)

    def phase_at(self, seen: int) -> Phase:
        """The phase in which the next view after `seen` ones falls."""
        for phase in self.phases:
            if seen < phase.views:
                return phase
            seen -= phase.views
        return self.phases[-1]

    def work(self, seen: int) -> float:
        """Pixels processed after `seen` views: what the learning rate and the time left are reckoned by."""
        done = 0.0
        for phase in self.phases:
            here = min(seen, phase.views)
            done += here * phase.size_px**2
            seen -= here
        return done

    def rate_at(self, seen: int) -> float:
        """Learning rate: linear warm-up, then a cosine over the pixels processed, down to 1 %."""
        if seen < self.warmup_views:
            return self.learning_rate * (seen + 1) / self.warmup_views
        done = self.work(seen) / self.work(self.total_views())
        return self.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


class GeolocatorNetwork(nn.Module):
    """Backbone and head as one trainable module: normalised images (N, 3, H, W) → cell logits (N, K)."""

    def __init__(self, architecture: str, centers_deg: np.ndarray):
        super().__init__()
        self.backbone = create_backbone(architecture)
        self.head = VonMisesFisherHead(self.backbone.feature_dim, torch.from_numpy(centers_deg))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.backbone(x).float())


def normalise(rgb: Tensor) -> Tensor:
    """RGB (N, 3, H, W) in [0, 1] → zero mean and unit variance by ImageNet's figures."""
    mean = torch.tensor(IMAGENET_MEAN, device=rgb.device).view(3, 1, 1)
    std = torch.tensor(IMAGENET_STD, device=rgb.device).view(3, 1, 1)
    return (rgb - mean) / std


def view_batches(
    imagery: Imagery, settings: ViewTraining, seen: int, points: torch.Generator, noise: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches (images (B, 3, S, S) normalised, positions (B, 3) unit vectors) from `seen` views on."""
    while seen < settings.total_views():
        phase = settings.phase_at(seen)
        view_points = sample_view_points(
            phase.batch,
            len(imagery),
            points,
            footprint_km=settings.footprint_km,
            rotation_deg=settings.rotation_deg,
        )
        images = normalise(augment(render(imagery, view_points, phase.size_px), noise))
        positions = torch.from_numpy(unit_vectors(view_points.centers_deg.numpy())).float().to(imagery.device)
        yield images.contiguous(memory_format=torch.channels_last), positions
        seen += phase.batch


@dataclass(frozen=True)
class Progress:
    """One report: views seen and in all, running loss, views per second, seconds left, resolution in px."""

    seen: int
    total: int
    loss: float
    views_per_s: float
    left_s: float
    size_px: int


Validate = Callable[[GeolocatorNetwork, int], float]


def train_views(
    imagery: Imagery,
    settings: ViewTraining,
    run_dir: Path,
    *,
    validate: Validate,
    resume: bool = False,
    compile_network: bool = False,
    checkpoint_every_s: float = 180.0,
    validate_every_views: int = 30_000,
    report: Callable[[Progress], None] | None = None,
) -> GeolocatorNetwork:
    """Train until every phase is done; return the averaged network with the best validation score.

    `validate(network, size_px)` scores the moving average of the weights, higher is better; the final weights are
    always scored. A checkpoint is written to `run_dir` every `checkpoint_every_s` seconds, on every validation and
    on Ctrl-C; with `resume` training goes on from it, and phases may then be longer or shorter than before.
    On a CPU the weights are the same for the same settings, imagery and number of threads.
    """
    device = imagery.device
    run_dir.mkdir(parents=True, exist_ok=True)
    checkpoint_file = run_dir / "checkpoint.pt"
    torch.manual_seed(settings.seed)
    points = torch.Generator().manual_seed(settings.seed)
    noise = torch.Generator(device=device).manual_seed(settings.seed + 1)
    saved = load_checkpoint(checkpoint_file, settings) if resume else None
    centers = _cell_centers(settings) if saved is None else saved["centers_deg"].numpy()
    network = GeolocatorNetwork(settings.architecture, centers).to(device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(_parameter_groups(network, settings.weight_decay), lr=settings.learning_rate)
    average = {key: value.detach().clone() for key, value in network.state_dict().items()}
    best, best_score, seen = average, -math.inf, 0
    if saved is not None:
        network.load_state_dict(saved["network"])
        optimizer.load_state_dict(saved["optimizer"])
        average, best = saved["average"], saved["best"]
        best_score, seen = saved["best_score"], saved["seen"]
        points.set_state(saved["points"])
        noise.set_state(saved["noise"].cpu())

    def checkpoint() -> None:
        state = {
            "settings": json.dumps(asdict(settings)),
            "centers_deg": torch.from_numpy(centers),
            "network": network.state_dict(),
            "optimizer": optimizer.state_dict(),
            "average": average,
            "best": best,
            "best_score": best_score,
            "seen": seen,
            "points": points.get_state(),
            "noise": noise.get_state(),
        }
        partial = checkpoint_file.with_suffix(".partial")  # a kill while writing must not cost the last good one
        torch.save(state, partial)
        partial.replace(checkpoint_file)

    run: Callable[[Tensor], Tensor] = torch.compile(network, dynamic=False) if compile_network else network
    last_checkpoint = last_report = time.monotonic()
    report_seen, running = seen, None
    next_validation = seen + validate_every_views
    size_px = settings.phase_at(seen).size_px
    try:
        for images, positions in view_batches(imagery, settings, seen, points, noise):
            size_px = images.shape[-1]
            for group in optimizer.param_groups:
                group["lr"] = settings.rate_at(seen)
            network.train()
            with _mixed_precision(device):
                logits = run(images)
            loss = geolocation_loss(network.head, logits.float(), positions, bandwidth_km=settings.bandwidth_km)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), settings.gradient_clip)
            optimizer.step()
            seen += len(images)
            _update_average(average, network.state_dict(), settings.average_decay, seen // len(images))

            now = time.monotonic()
            if now - last_report > 10:
                value = loss.item()
                running = value if running is None else 0.8 * running + 0.2 * value
                speed = (settings.work(seen) - settings.work(report_seen)) / (now - last_report)
                left = (settings.work(settings.total_views()) - settings.work(seen)) / max(speed, 1e-9)
                if report is not None:
                    rate = (seen - report_seen) / (now - last_report)
                    report(Progress(seen, settings.total_views(), running, rate, left, size_px))
                last_report, report_seen = now, seen
            if seen >= next_validation or seen >= settings.total_views():
                next_validation = seen + validate_every_views
                score = validate(averaged_network(settings, centers, average, device), size_px)
                if score > best_score or seen >= settings.total_views():
                    best, best_score = {key: value.clone() for key, value in average.items()}, score
                checkpoint()
                last_checkpoint = last_report = time.monotonic()
            elif now - last_checkpoint > checkpoint_every_s:
                checkpoint()
                last_checkpoint = now
    except KeyboardInterrupt:
        checkpoint()
        raise
    return averaged_network(settings, centers, best, device)


def load_checkpoint(file: Path, settings: ViewTraining) -> dict[str, Any]:
    """Read a training checkpoint; raises CheckpointError when it is missing, damaged or of another architecture."""
    try:
        saved = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"--resume: expected a checkpoint at {file}, found none; start without --resume.") from None
    except Exception as error:
        raise CheckpointError(f"{file}: expected a training checkpoint, could not read it ({error}).") from error
    before = json.loads(saved["settings"])
    for name in ("architecture", "cells", "seed"):
        if before[name] != getattr(settings, name):
            raise CheckpointError(
                f"{file}: expected {name} {getattr(settings, name)!r}, got {before[name]!r}; "
                "resume with the settings it was started with."
            )
    return dict(saved)


def averaged_network(
    settings: ViewTraining, centers_deg: np.ndarray, state: dict[str, Tensor], device: torch.device
) -> GeolocatorNetwork:
    """A network in evaluation mode that holds the given state."""
    network = GeolocatorNetwork(settings.architecture, centers_deg)
    network.load_state_dict(state)
    return network.to(device).to(memory_format=torch.channels_last).eval()


def _cell_centers(settings: ViewTraining) -> np.ndarray:
    if settings.cells < 4:
        raise DataError(f"expected at least 4 cells, got {settings.cells}.")
    generator = torch.Generator().manual_seed(settings.seed)
    samples = sample_centers(max(100 * settings.cells, 10_000), generator)
    return spherical_kmeans(samples, settings.cells, seed=settings.seed)


def _parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay for matrices and filters only: biases, norms and concentrations have no reason to be near zero."""
    parameters = list(network.parameters())
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]


@torch.no_grad()
def _update_average(average: dict[str, Tensor], state: dict[str, Tensor], decay: float, step: int) -> None:
    decay = min(decay, (1 + step) / (10 + step))  # early weights are forgotten faster than they are outgrown
    for key, value in state.items():
        if value.is_floating_point():
            average[key].lerp_(value.to(average[key].device), 1 - decay)
        else:
            average[key].copy_(value)


def _mixed_precision(device: torch.device) -> AbstractContextManager[Any]:
    if device.type in {"cpu", "cuda"}:
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()
