"""Heads that can be trained: the construction of each for a partitioning, and its loss per image."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from geoexplain.errors import DataError
from geoexplain.geography.partition import hierarchy
from geoexplain.geography.partitioning import Partitioning
from geoexplain.locator.backbone import Backbone
from geoexplain.locator.heads import Head, MultiPartitionHead, VonMisesFisherHead
from geoexplain.locator.model import Network
from geoexplain.training.losses import geolocation_losses, mixture_bits, partition_losses


@dataclass(frozen=True, eq=False)
class Truth:
    """True cells of N images, int64 (N, L), coarse to fine, and their positions as unit vectors, float32 (N, 3)."""

    classes: Tensor
    positions: Tensor


@dataclass(frozen=True)
class HeadKind:
    """One kind of head.

    summary  one line for the help text
    build    features and partitioning → an untrained head
    losses   head, logits (N, K_l) of every level, truth, and the bandwidth of soft targets in km → loss (N,) of every
             image
    """

    summary: str
    build: Callable[[int, Partitioning], Head]
    losses: Callable[[Head, Sequence[Tensor], Truth, float], Tensor]


def _linear(feature_dim: int, partitioning: Partitioning) -> Head:
    cells = len(partitioning.levels[0])
    return MultiPartitionHead(feature_dim, [cells], torch.arange(cells)[:, None], product=False)


def _multi(feature_dim: int, partitioning: Partitioning) -> Head:
    if len(partitioning.levels) < 2:
        raise DataError(
            f"--head multi: expected a partitioning of several levels, got one ({partitioning.name}): "
            "use --head linear, or build one with several."
        )
    table = torch.from_numpy(hierarchy(partitioning.levels[0], partitioning.levels[1:]))
    sizes = [len(level) for level in reversed(partitioning.levels)]
    return MultiPartitionHead(feature_dim, sizes, table, product=True)


def _mixture(feature_dim: int, partitioning: Partitioning) -> Head:
    return VonMisesFisherHead(feature_dim, torch.from_numpy(partitioning.levels[0].centers_deg))


def _cross_entropies(_head: Head, levels: Sequence[Tensor], truth: Truth, _bandwidth_km: float) -> Tensor:
    return partition_losses(levels, truth.classes[:, -len(levels) :])


def _bits(head: Head, levels: Sequence[Tensor], truth: Truth, _bandwidth_km: float) -> Tensor:
    assert isinstance(head, VonMisesFisherHead)
    return mixture_bits(head, levels[-1], truth.positions)


def _soft(head: Head, levels: Sequence[Tensor], truth: Truth, bandwidth_km: float) -> Tensor:
    assert isinstance(head, VonMisesFisherHead)
    return geolocation_losses(head, levels[-1], truth.positions, bandwidth_km=bandwidth_km)


HEADS: dict[str, HeadKind] = {
    "linear": HeadKind("one linear layer over the finest cells, cross-entropy", _linear, _cross_entropies),
    "multi": HeadKind("one linear layer per level, sum of the cross-entropies", _multi, _cross_entropies),
    "mvmf": HeadKind("mixture of von Mises–Fisher over the finest cells, CERTH's loss", _mixture, _bits),
    "mvmf-soft": HeadKind("the same mixture, its likelihood and soft targets around the truth", _mixture, _soft),
}
"""Every head that can be trained, by name."""


def build_network(backbone: Backbone, head: str, partitioning: Partitioning) -> Network:
    """Return a backbone with an untrained head of HEADS for a partitioning. Raises DataError if they do not fit."""
    return Network(backbone.requires_grad_(True), HEADS[head].build(backbone.feature_dim, partitioning))
