"""Losses for geolocators: logits (N, K) and positions as unit vectors (N, 3) give a loss per image (N,)."""

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
    """Compute target probabilities (N, K) ∝ exp(−(d / bandwidth)²), d the chord from position to cell centre in km.

    `positions` (N, 3) and the cells' `directions` (K, 3) are unit vectors, `bandwidth_km` > 0. Targets differ from zero
    only within a few hundred km, where chord and arc differ by less than 0.1 %.
    """
    squared_km = EARTH_RADIUS_KM**2 * (2 - 2 * positions @ directions.T).clamp_min(0)
    return torch.softmax(-squared_km / bandwidth_km**2, dim=-1)


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Compute the cross-entropy (N,) of softmax(logits) (N, K) against target probabilities (N, K), in nats."""
    return -(targets * F.log_softmax(logits.float(), dim=-1)).sum(dim=-1)


def uniform_cross_entropy(logits: Tensor) -> Tensor:
    """Compute the cross-entropy (N,) of logits (N, K) against the uniform distribution, minus log K, in nats.

    For pictures that show no place: Hendrycks, Mazeika, Dietterich, Deep Anomaly Detection with Outlier Exposure,
    ICLR 2019, sect. 3.
    """
    return -F.log_softmax(logits.float(), dim=-1).mean(dim=-1) - math.log(logits.shape[-1])


def mixture_negative_log_likelihood(head: VonMisesFisherHead, logits: Tensor, positions: Tensor) -> Tensor:
    """Compute −log of the von Mises–Fisher mixture's density per steradian at the true positions (N, 3): (N,), in nats.

    Izbicki, Papalexakis, Tsotras 2019; also the loss of CERTH's training, with log₂.
    """
    return -head.log_density(logits, positions)


def geolocation_losses(
    head: VonMisesFisherHead, logits: Tensor, positions: Tensor, *, bandwidth_km: float = 150.0, auxiliary: float = 1.0
) -> Tensor:
    """Compute the mixture's negative log-likelihood plus `auxiliary` × soft cross-entropy over cells: (N,), in nats.

    The likelihood alone does not determine how neighbouring cells share the mass. With soft targets, the mixture
    weights can be read as probabilities of cells.
    """
    targets = soft_cell_targets(positions, head.mvmf.directions(), bandwidth_km)
    return mixture_negative_log_likelihood(head, logits, positions) + auxiliary * soft_cross_entropy(logits, targets)


def partition_losses(levels: Sequence[Tensor], classes: Tensor) -> Tensor:
    """Compute the sum over levels of the cross-entropies: (N,), in nats.

    levels  logits (N, K_l) of every partitioning; classes int64 (N, L), the true cell in each, in the same order.
    Müller-Budack et al., ECCV 2018; Theiner et al., WACV 2022.
    """
    pairs = zip(levels, classes.unbind(dim=1), strict=True)
    return torch.stack([F.cross_entropy(logits.float(), truth, reduction="none") for logits, truth in pairs]).sum(0)


def mixture_bits(head: VonMisesFisherHead, logits: Tensor, positions: Tensor) -> Tensor:
    """Compute −log₂(p + 1e-9), p the mixture's density per steradian at the true positions (N, 3): (N,), in bits.

    This is the loss of CERTH's released code (Kordopatis-Zilos et al., ICMR 2021). The constant bounds the loss of a
    photo far from every component at 29.9 bits, and with it the influence of outliers.
    """
    density = head.log_density(logits, positions)
    return -torch.logaddexp(density, torch.full_like(density, math.log(SMALLEST_DENSITY))) / math.log(2)
