"""The state of one training run: network, optimizer, averages, random generators; one step; its checkpoint."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from geoexplain.errors import CheckpointError, DataError
from geoexplain.geography.partition import spherical_kmeans
from geoexplain.geography.sphere import unit_vectors
from geoexplain.imagery.earth import Imagery
from geoexplain.imagery.effects import Surroundings, photograph, photograph_other
from geoexplain.imagery.mixture import ViewMixture, sample_mixture
from geoexplain.imagery.others import sample_others
from geoexplain.imagery.scene import Sampler, mixed_scene
from geoexplain.imagery.views import sample_centers, texels_at
from geoexplain.locator.backbone import create_backbone, preprocess_for
from geoexplain.locator.heads import VonMisesFisherHead
from geoexplain.training.depthwise import speed_up_depthwise
from geoexplain.training.losses import geolocation_loss, uniform_cross_entropy
from geoexplain.training.optimisation import mixed_precision, parameter_groups, save_atomically, update_average
from geoexplain.training.settings import Phase, ViewTraining
from geoexplain.training.start import begin_with

OTHERS_WEIGHT = 0.5
"""Weight of the loss of pictures that are no views: that of outliers in Hendrycks et al., ICLR 2019."""


class GeolocatorNetwork(nn.Module):
    """Backbone and head as one trainable module: normalised images (N, 3, H, W) → cell logits (N, K)."""

    def __init__(self, architecture: str, centers_deg: np.ndarray):
        super().__init__()
        self.backbone = create_backbone(architecture)
        self.head = VonMisesFisherHead(self.backbone.feature_dim, torch.from_numpy(centers_deg))

    def forward(self, x: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) → cell logits (N, K), float32 after the backbone."""
        return self.head(self.backbone(x).float())


@dataclass(frozen=True, eq=False)
class ViewSources:
    """What batches of views are made of.

    imagery  whole-earth images
    around   clouds and markings
    others   uint8 (3, H, W) each, pictures that are no views of Earth; may be none
    """

    imagery: Imagery
    around: Surroundings
    others: Sequence[Tensor] = ()


def view_batches(
    sources: ViewSources,
    settings: ViewTraining,
    seen: int,
    *,
    points: torch.Generator,
    noise: torch.Generator,
    sample: Sampler = texels_at,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches (images (B, 3, S, S) normalised, positions (b, 3) unit vectors) from `seen` views on to the last.

    The first b images are views at these positions; the others show no place. `points` lies on the CPU, `noise` on the
    imagery's device.
    """
    imagery = sources.imagery
    weights = torch.tensor([settings.weight_of(name) for name in imagery.names])
    while seen < settings.total_views():
        phase = settings.phase_at(seen)
        preprocess = preprocess_for(settings.architecture, phase.size_px)
        no_views = round(phase.batch * settings.others)
        drawn = sample_mixture(phase.batch - no_views, weights, points, settings.mixture)
        images = photograph(mixed_scene(imagery, drawn, phase.size_px, sample), sources.around, noise)
        if no_views:
            other = sample_others(no_views, phase.size_px, sources.others, sources.around.markings, points)
            other = photograph_other(other, sources.around, points).to(images.device)
            images = torch.cat([images, other])
        positions = torch.from_numpy(unit_vectors(drawn.centers_deg.numpy())).float().to(imagery.device)
        yield preprocess.normalise(images).contiguous(memory_format=torch.channels_last), positions
        seen += phase.batch


Validate = Callable[[GeolocatorNetwork, int], float]
"""Scores a network at a resolution in px; higher is better."""


class ViewRun:
    """The state of one training run: what a checkpoint holds, and the step that moves it on.

    seen           views trained on
    average        moving average of the weights
    best           the average with the best validation score at the largest resolution validated at; None before
    validated      `seen` at the last validation
    """

    def __init__(
        self,
        sources: ViewSources,
        settings: ViewTraining,
        saved: Mapping[str, Any] | None = None,
        *,
        start: Path | None = None,
        compile_network: bool = False,
    ):
        imagery = sources.imagery
        device = imagery.device
        torch.manual_seed(settings.seed)
        self.imagery, self.settings = imagery, settings
        self.points = torch.Generator().manual_seed(settings.seed)
        self.noise = torch.Generator(device=device).manual_seed(settings.seed + 1)
        self.centers_deg = _cell_centers(settings) if saved is None else saved["centers_deg"].numpy()
        network = GeolocatorNetwork(settings.architecture, self.centers_deg)
        if start is not None and saved is None:
            begin_with(network.backbone, network.head, start)
        self.network = network.to(device).to(memory_format=torch.channels_last)
        if device.type == "cpu":
            speed_up_depthwise(self.network)
        parameters = parameter_groups(self.network, settings.weight_decay)
        self.optimizer = torch.optim.AdamW(parameters, lr=settings.learning_rate)
        self.average = {key: value.detach().clone() for key, value in self.network.state_dict().items()}
        self.best: dict[str, Tensor] | None = None
        self.best_score, self.best_size_px = -math.inf, 0
        self.seen = self.validated = 0
        if saved is not None:
            self._restore(saved)
        self.run: Callable[[Tensor], Tensor] = self.network
        sample: Sampler = texels_at
        if compile_network:
            self.run, sample = torch.compile(self.network, dynamic=False), torch.compile(texels_at, dynamic=True)
        self.batches = view_batches(sources, settings, self.seen, points=self.points, noise=self.noise, sample=sample)

    def _restore(self, saved: Mapping[str, Any]) -> None:
        device = self.imagery.device
        self.network.load_state_dict(saved["network"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.average = {key: value.to(device) for key, value in saved["average"].items()}
        self.seen = saved["seen"]
        self.validated = saved.get("validated", self.seen)
        self.best, self.best_score = saved_best(saved), saved["best_score"]
        self.best_size_px = saved.get("best_size_px", 0)
        self.points.set_state(saved["points"])
        if saved["noise"].shape == self.noise.get_state().shape:
            self.noise.set_state(saved["noise"])
        else:  # begun on another kind of device, whose generator cannot go on here
            self.noise.manual_seed(self.settings.seed + 1 + self.seen)

    def save(self, file: Path) -> None:
        """Write everything that it takes to go on."""
        state = {
            "settings": json.dumps(asdict(self.settings)),
            "imagery": list(self.imagery.names),
            "centers_deg": torch.from_numpy(self.centers_deg),
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average,
            "best": self.best,
            "best_score": self.best_score,
            "best_size_px": self.best_size_px,
            "seen": self.seen,
            "validated": self.validated,
            "points": self.points.get_state(),
            "noise": self.noise.get_state(),
        }
        save_atomically(state, file)

    @property
    def done(self) -> bool:
        """Whether every phase is over."""
        return self.seen >= self.settings.total_views()

    def validation_due(self, every_views: int) -> bool:
        """Whether it is time to validate: decided by the state alone, so that a resumed run validates when it would."""
        return self.seen > self.validated if self.done else self.seen - self.validated >= every_views

    def validate(self, validate: Validate) -> None:
        """Score the average. Scores at different resolutions do not compare: the first one at a larger size wins."""
        size_px = self.settings.phase_at(self.seen).size_px
        score = validate(averaged_network(self.settings, self.centers_deg, self.average, self.imagery.device), size_px)
        if size_px > self.best_size_px or score > self.best_score:
            self.best = {key: value.clone() for key, value in self.average.items()}
            self.best_score, self.best_size_px = score, size_px
        self.validated = self.seen

    def step(self) -> tuple[Tensor, int]:
        """Train on the next batch; return its loss (a scalar tensor) and resolution in px."""
        images, positions = next(self.batches)
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.rate_at(self.seen)
        self.network.train()
        with mixed_precision(images.device):
            logits = self.run(images)
        views, others = logits.float().split([len(positions), len(logits) - len(positions)])
        loss = geolocation_loss(self.network.head, views, positions, bandwidth_km=self.settings.bandwidth_km)
        total = loss + OTHERS_WEIGHT * uniform_cross_entropy(others) if len(others) else loss
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.gradient_clip)
        self.optimizer.step()
        self.seen += len(images)
        update_average(self.average, self.network.state_dict(), self.settings.average_decay, self.seen // len(images))
        return loss.detach(), images.shape[-1]


def checkpoint_file(run_dir: Path) -> Path:
    """Where a run keeps its checkpoint."""
    return run_dir / "checkpoint.pt"


def load_checkpoint(file: Path, settings: ViewTraining | None = None) -> dict[str, Any]:
    """Read a training checkpoint.

    Raises CheckpointError when it is missing, damaged, or was begun with another architecture, seed or number of cells
    than `settings` has.
    """
    try:
        saved = torch.load(file, map_location="cpu", weights_only=True)
        before = json.loads(saved["settings"])
    except FileNotFoundError:
        raise CheckpointError(
            f"expected a training checkpoint at {file}, found none: check the folder, or start without --resume."
        ) from None
    except Exception as error:
        raise CheckpointError(f"{file}: expected a training checkpoint, could not read it ({error}).") from error
    for name in ("architecture", "cells", "seed") if settings is not None else ():
        if before[name] != getattr(settings, name):
            raise CheckpointError(
                f"{file}: expected {name} {getattr(settings, name)!r}, got {before[name]!r}; "
                "resume with the settings it was started with."
            )
    return dict(saved)


def saved_settings(saved: Mapping[str, Any]) -> ViewTraining:
    """The settings that a checkpoint was last trained with.

    Raises CheckpointError for a checkpoint of a version whose settings were others.
    """
    fields: dict[str, Any] = json.loads(saved["settings"])
    try:
        fields["phases"] = tuple(Phase(**phase) for phase in fields["phases"])
        mixture = {key: tuple(value) if isinstance(value, list) else value for key, value in fields["mixture"].items()}
        fields["mixture"] = ViewMixture(**mixture)  # type: ignore[arg-type]
        fields["weights"] = tuple((part, weight) for part, weight in fields["weights"])
        return ViewTraining(**fields)
    except (AttributeError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"expected a checkpoint of this version, got one with other settings ({error}): train anew, or release it "
            "with the version that it was begun with."
        ) from None


def saved_best(saved: Mapping[str, Any]) -> dict[str, Tensor] | None:
    """The weights of a checkpoint that did best in validation; None if it was never validated."""
    # Runs that were never validated once stored the average in its place.
    return None if saved["best_score"] == -math.inf else saved["best"]


def saved_network(saved: Mapping[str, Any], device: torch.device) -> GeolocatorNetwork:
    """The network to release from a checkpoint: the best one in validation, the latest average before that."""
    state = saved_best(saved) or saved["average"]
    return averaged_network(saved_settings(saved), saved["centers_deg"].numpy(), state, device)


def averaged_network(
    settings: ViewTraining, centers_deg: np.ndarray, state: dict[str, Tensor], device: torch.device
) -> GeolocatorNetwork:
    """A network in evaluation mode that holds the given state."""
    network = GeolocatorNetwork(settings.architecture, centers_deg)
    network.load_state_dict(state)
    return network.to(device).to(memory_format=torch.channels_last).eval()


def _cell_centers(settings: ViewTraining) -> np.ndarray:
    if settings.cells < 4:
        raise DataError(f"expected at least 4 cells, got {settings.cells}: ask for more.")
    generator = torch.Generator().manual_seed(settings.seed)
    samples = sample_centers(max(100 * settings.cells, 10_000), generator)
    return spherical_kmeans(samples, settings.cells, seed=settings.seed)
