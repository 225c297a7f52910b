"""Heads: features → cell logits (and densities on the sphere)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LOG_KAPPA_SHIFT = 16.0
"""Concentrations are stored as log κ − 16, as in the published CERTH checkpoints."""


class VonMisesFisherComponents(nn.Module):
    """Fixed directions and learned concentrations of K von Mises–Fisher distributions on the sphere.

    mus     buffer float64 (2, K): latitude and longitude of each cell centre in degrees
    kappas  parameter (K,): log κ − 16

    Built from `centers_deg` (K, 2), every component starting at the same `log_kappa`; at 7.5, κ ≈ 1800, half of a
    component lies within 176 km of its centre.
    """

    mus: Tensor

    def __init__(self, centers_deg: Tensor, log_kappa: float = 7.5):
        super().__init__()
        self.register_buffer("mus", centers_deg.double().T.contiguous())
        self.kappas = nn.Parameter(torch.full((len(centers_deg),), log_kappa - LOG_KAPPA_SHIFT))

    def directions(self) -> Tensor:
        """Cell centres as unit vectors float32 (K, 3)."""
        lat, lon = torch.deg2rad(self.mus)
        return torch.stack([lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin()], dim=-1).float()

    def log_density(self, directions: Tensor) -> Tensor:
        """Log density (N, K) per steradian of every component at unit vectors (N, 3).

        log κ + κ (μ·y − 1) − log 2π − log(1 − e^(−2κ)): the density on the sphere S² in the form that does not
        overflow (Izbicki, Papalexakis, Tsotras 2019). float32.
        """
        log_kappa = self.kappas.float() + LOG_KAPPA_SHIFT
        kappa = log_kappa.exp()
        cosine = directions.float() @ self.directions().T  # (N, K)
        return log_kappa + kappa * (cosine - 1) - math.log(2 * math.pi) - torch.log(-torch.expm1(-2 * kappa))


class VonMisesFisherHead(nn.Module):
    """Mixture of von Mises–Fisher distributions (Kordopatis-Zilos et al., ICMR 2021): one component per cell.

    A linear layer gives the mixture weights; a cell's probability is its softmax weight.
    """

    def __init__(self, feature_dim: int, centers_deg: Tensor):
        super().__init__()
        self.mvmf = VonMisesFisherComponents(centers_deg)
        self.mixture_weights = nn.Linear(feature_dim, len(centers_deg))

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, D) → cell logits (N, K)."""
        return self.mixture_weights(features)

    def log_density(self, logits: Tensor, directions: Tensor) -> Tensor:
        """Log of the mixture's density (N,) per steradian at one unit vector (N, 3) per row of logits (N, K)."""
        return torch.logsumexp(F.log_softmax(logits.float(), dim=-1) + self.mvmf.log_density(directions), dim=-1)
