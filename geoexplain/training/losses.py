"""Losses for geolocators. Logits (N, K), positions as unit vectors (N, 3), a loss for each: (N,)."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from geoexplain.geography.sphere import EARTH_RADIUS_KM
from geoexplain.locator.heads import VonMisesFisherHead

SMALLEST_DENSITY = 1e-9
"""Per steradian; added to the mixture's density before its logarithm is taken."""


def soft_cell_targets(positions: Tensor, directions: Tensor, bandwidth_km: float) -> Tensor:
    """Target probabilities (N, K) ∝ exp(−(d / bandwidth)²), d the chord from position to cell centre in km.

    `positions` (N, 3) and the cells' `directions` (K, 3) are unit vectors, `bandwidth_km` > 0. At the few hundred km
    where a target is not zero the chord and the arc differ by less than 0.1 %.
    """
    squared_km = EARTH_RADIUS_KM**2 * (2 - 2 * positions @ directions.T).clamp_min(0)
    return torch.softmax(-squared_km / bandwidth_km**2, dim=-1)


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy (N,) of softmax(logits) (N, K) against target probabilities (N, K), in nats."""
    return -(targets * F.log_softmax(logits.float(), dim=-1)).sum(dim=-1)


def uniform_cross_entropy(logits: Tensor) -> Tensor:
    """Cross-entropy (N,) of softmax(logits) (N, K) against equal shares for all cells, in nats, less its minimum log K.

    For pictures that show no place: Hendrycks, Mazeika, Dietterich, Deep Anomaly Detection with Outlier Exposure,
    ICLR 2019, sect. 3.
    """
    return -F.log_softmax(logits.float(), dim=-1).mean(dim=-1) - math.log(logits.shape[-1])


def mixture_negative_log_likelihood(head: VonMisesFisherHead, logits: Tensor, positions: Tensor) -> Tensor:
    """−log of the von Mises–Fisher mixture's density per steradian at the true positions (N, 3): (N,), in nats.

    Izbicki, Papalexakis, Tsotras 2019, as in CERTH's training (which takes log₂).
    """
    return -head.log_density(logits, positions)


def geolocation_losses(
    head: VonMisesFisherHead, logits: Tensor, positions: Tensor, *, bandwidth_km: float = 150.0, auxiliary: float = 1.0
) -> Tensor:
    """The mixture's negative log-likelihood plus `auxiliary` × soft cross-entropy over cells.

    The likelihood alone leaves neighbouring cells free to share the mass as they like; the soft targets make the
    weights readable as probabilities of cells.
    """
    targets = soft_cell_targets(positions, head.mvmf.directions(), bandwidth_km)
    return mixture_negative_log_likelihood(head, logits, positions) + auxiliary * soft_cross_entropy(logits, targets)


def partition_losses(levels: Sequence[Tensor], classes: Tensor) -> Tensor:
    """Sum over the levels of the cross-entropies (N,) of every photo, in nats.

    levels  logits (N, K_l) of every partitioning; classes int64 (N, L), the true cell in each, in the same order.
    Müller-Budack et al., ECCV 2018; Theiner et al., WACV 2022.
    """
    pairs = zip(levels, classes.unbind(dim=1), strict=True)
    return torch.stack([F.cross_entropy(logits.float(), truth, reduction="none") for logits, truth in pairs]).sum(0)


def mixture_bits(head: VonMisesFisherHead, logits: Tensor, positions: Tensor) -> Tensor:
    """−log₂(p + 1e-9) of the mixture's density p per steradian at the true positions (N, 3): (N,), in bits.

    The loss of CERTH's released code (Kordopatis-Zilos et al., ICMR 2021): the constant bounds what a photo far from
    every component costs, at 29.9 bits, and with it what an outlier moves.
    """
    density = head.log_density(logits, positions)
    return -torch.logaddexp(density, torch.full_like(density, math.log(SMALLEST_DENSITY))) / math.log(2)
