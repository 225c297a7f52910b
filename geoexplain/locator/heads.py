"""Heads: layers that map features to cell logits, and some of them to densities on the sphere."""

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

    `centers_deg` (K, 2) are the directions; all components start at the same `log_kappa`. At 7.5 (κ ≈ 1800), half of a
    component's probability lies within 176 km of its centre.
    """

    mus: Tensor

    def __init__(self, centers_deg: Tensor, log_kappa: float = 7.5):
        super().__init__()
        self.register_buffer("mus", centers_deg.double().T.contiguous())
        self.kappas = nn.Parameter(torch.full((len(centers_deg),), log_kappa - LOG_KAPPA_SHIFT))

    def directions(self) -> Tensor:
        """Return the cell centres as unit vectors, float32 (K, 3)."""
        lat, lon = torch.deg2rad(self.mus)
        return torch.stack([lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin()], dim=-1).float()

    def log_density(self, directions: Tensor) -> Tensor:
        """Compute the log density (N, K) per steradian, float32, of every component at unit vectors (N, 3).

        log κ + κ (μ·y − 1) − log 2π − log(1 − e^(−2κ)): the density on the sphere S² in a form that does not overflow
        (Izbicki, Papalexakis, Tsotras 2019).
        """
        log_kappa = self.kappas.float() + LOG_KAPPA_SHIFT
        kappa = log_kappa.exp()
        cosine = directions.float() @ self.directions().T  # (N, K)
        return log_kappa + kappa * (cosine - 1) - math.log(2 * math.pi) - torch.log(-torch.expm1(-2 * kappa))


class Head(nn.Module):
    """Features (N, D) → cell logits (N, K), over one partitioning or several.

    `levels` returns the logits of every partitioning, coarse to fine; `along_hierarchy` combines log shares of all
    levels to scores of the finest cells. The base class implements the case of one partitioning.
    """

    def levels(self, features: Tensor) -> list[Tensor]:
        """Compute the logits (N, K_l) of every partitioning, coarse to fine, from features (N, D)."""
        return [self(features)]

    def along_hierarchy(self, log_shares: Sequence[Tensor]) -> Tensor:
        """Combine log shares (N, K_l) of every partitioning, coarse to fine, to scores (N, K) of the finest cells."""
        return log_shares[-1]


class VonMisesFisherHead(Head):
    """Mixture of von Mises–Fisher distributions (Kordopatis-Zilos et al., ICMR 2021): one component per cell.

    A linear layer computes the logits of the mixture weights; the probability of a cell is its softmax weight.
    """

    def __init__(self, feature_dim: int, centers_deg: Tensor):
        super().__init__()
        self.mvmf = VonMisesFisherComponents(centers_deg)
        self.mixture_weights = nn.Linear(feature_dim, len(centers_deg))

    def forward(self, features: Tensor) -> Tensor:
        """Compute cell logits (N, K) from features (N, D)."""
        return self.mixture_weights(features)

    def log_density(self, logits: Tensor, directions: Tensor) -> Tensor:
        """Compute the log density (N,) per steradian of mixtures with logits (N, K), each at one unit vector (N, 3)."""
        return torch.logsumexp(F.log_softmax(logits.float(), dim=-1) + self.mvmf.log_density(directions), dim=-1)


class MultiPartitionHead(Head):
    """One linear layer per partitioning, coarse to fine (Müller-Budack et al., ECCV 2018; Theiner et al., WACV 2022).

    sizes      number of cells of every partitioning, coarse to fine; the last is K
    hierarchy  int64 (K, L), for each finest cell its parent in every partitioning; its last column is 0 … K − 1
    product    whether a cell's share is multiplied by those of its parents (f*) or used alone (f)
    """

    hierarchy: Tensor

    def __init__(self, feature_dim: int, sizes: Sequence[int], hierarchy: Tensor, *, product: bool):
        super().__init__()
        self.classifier = nn.ModuleList(nn.Linear(feature_dim, size) for size in sizes)
        self.register_buffer("hierarchy", hierarchy.long())
        self.product = product

    def levels(self, features: Tensor) -> list[Tensor]:
        """Compute the logits (N, K_l) of every partitioning, coarse to fine, from features (N, D)."""
        return [layer(features) for layer in self.classifier]

    def along_hierarchy(self, log_shares: Sequence[Tensor]) -> Tensor:
        """Sum log shares (N, K_l) of every partitioning along the hierarchy to (N, K), or return the finest alone."""
        if not self.product:
            return log_shares[-1]
        return torch.stack(
            [shares[:, column] for shares, column in zip(log_shares, self.hierarchy.T, strict=True)]
        ).sum(0)

    def forward(self, features: Tensor) -> Tensor:
        """Compute logits (N, K) from features (N, D): those of the finest cells, or the log of the product f*."""
        if not self.product:
            return self.classifier[-1](features)
        return self.along_hierarchy([F.log_softmax(level.float(), dim=-1) for level in self.levels(features)])


class Residual(nn.Module):
    """The residual block LN(fc2(relu(fc1(x))) + x) of the retrieval embedding."""

    def __init__(self, feature_dim: int, hidden_dim: int):
        super().__init__()
        self.norm = nn.LayerNorm(feature_dim)
        self.fc1 = nn.Linear(feature_dim, hidden_dim)
        self.fc2 = nn.Linear(hidden_dim, feature_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, D) to (N, D)."""
        return self.norm(self.fc2(F.relu(self.fc1(x))) + x)


class RetrievalEmbedding(nn.Module):
    """Features (N, D) → unit vectors (N, D) whose dot product is the similarity of two photos.

    A residual block between two layer norms, then L2 normalization (Kordopatis-Zilos et al., ICMR 2021).
    """

    def __init__(self, feature_dim: int, hidden_dim: int = 4096):
        super().__init__()
        self.hidden_dim = hidden_dim
        self.norm = nn.LayerNorm(feature_dim)
        self.res = Residual(feature_dim, hidden_dim)

    def forward(self, features: Tensor) -> Tensor:
        """Compute embeddings (N, D) of length 1 from features (N, D)."""
        return F.normalize(self.res(self.norm(features)), dim=-1)
