"""Heads: features → cell logits (and densities on the sphere)."""

import math
from collections.abc import Sequence

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


class Head(nn.Module):
    """Features (N, D) → cell logits (N, K), over one partitioning or several.

    A head gives the logits of every partitioning in `levels`, coarse to fine; `along_hierarchy` makes those of the
    finest cells out of log shares per level. The base class is the case of one partitioning.
    """

    def levels(self, features: Tensor) -> list[Tensor]:
        """Features (N, D) → logits (N, K_l) of every partitioning, coarse to fine."""
        return [self(features)]

    def along_hierarchy(self, log_shares: Sequence[Tensor]) -> Tensor:
        """Log shares (N, K_l) of every partitioning, coarse to fine → scores (N, K) of the finest cells."""
        return log_shares[-1]


class VonMisesFisherHead(Head):
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


class MultiPartitionHead(Head):
    """One linear layer per partitioning, coarse to fine (Müller-Budack et al., ECCV 2018; Theiner et al., WACV 2022).

    sizes      number of cells of every partitioning, coarse to fine; the last is K
    hierarchy  int64 (K, L), the cell of every partitioning that holds each finest cell; its last column is 0 … K − 1
    product    whether a cell's share is multiplied with those of the cells that hold it (f*) or stands alone (f)
    """

    hierarchy: Tensor

    def __init__(self, feature_dim: int, sizes: Sequence[int], hierarchy: Tensor, *, product: bool):
        super().__init__()
        self.classifier = nn.ModuleList(nn.Linear(feature_dim, size) for size in sizes)
        self.register_buffer("hierarchy", hierarchy.long())
        self.product = product

    def levels(self, features: Tensor) -> list[Tensor]:
        """Features (N, D) → logits (N, K_l) of every partitioning, coarse to fine."""
        return [layer(features) for layer in self.classifier]

    def along_hierarchy(self, log_shares: Sequence[Tensor]) -> Tensor:
        """Log shares (N, K_l) of every partitioning → their sum along the hierarchy (N, K), or the finest alone."""
        if not self.product:
            return log_shares[-1]
        return torch.stack(
            [shares[:, column] for shares, column in zip(log_shares, self.hierarchy.T, strict=True)]
        ).sum(0)

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, D) → logits (N, K): those of the finest cells, or the log of the product f*."""
        if not self.product:
            return self.classifier[-1](features)
        return self.along_hierarchy([F.log_softmax(level.float(), dim=-1) for level in self.levels(features)])


class Residual(nn.Module):
    """LN(fc2(relu(fc1(x))) + x), the inner part of the retrieval embedding."""

    def __init__(self, feature_dim: int, hidden_dim: int):
        super().__init__()
        self.norm = nn.LayerNorm(feature_dim)
        self.fc1 = nn.Linear(feature_dim, hidden_dim)
        self.fc2 = nn.Linear(hidden_dim, feature_dim)

    def forward(self, x: Tensor) -> Tensor:
        """(N, D) → (N, D)."""
        return self.norm(self.fc2(F.relu(self.fc1(x))) + x)


class RetrievalEmbedding(nn.Module):
    """Features (N, D) → unit vectors (N, D) whose dot product says how alike two photos are.

    L2-normalised residual block between two layer norms (Kordopatis-Zilos et al., ICMR 2021).
    """

    def __init__(self, feature_dim: int, hidden_dim: int = 4096):
        super().__init__()
        self.hidden_dim = hidden_dim
        self.norm = nn.LayerNorm(feature_dim)
        self.res = Residual(feature_dim, hidden_dim)

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, D) → embeddings (N, D) of length 1."""
        return F.normalize(self.res(self.norm(features)), dim=-1)
