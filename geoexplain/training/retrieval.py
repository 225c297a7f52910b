"""Train a retrieval embedding on the features of a trained model, whose weights stay frozen.

Photos of one place get similar embeddings, photos of different places do not: residual retrieval module and contrastive
learning of Kordopatis-Zilos et al., ICMR 2021. Their released code has the module, but not its training. The loss here
is that of SimCLR (Chen et al., ICML 2020, eq. 1), with another photo of the same place in place of another crop.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import KDTree
from torch import Tensor, nn

from geoexplain.errors import DataError
from geoexplain.geography.sphere import EARTH_RADIUS_KM, unit_vectors
from geoexplain.locator.heads import RetrievalEmbedding
from geoexplain.words import exact_km


@dataclass(frozen=True)
class EmbeddingTraining:
    """The settings of the training of an embedding.

    near_km      photos within this distance show one place
    temperature  τ, by which similarities are divided
    pairs        pairs of photos of one place per step
    per_cell     most pairs per draw from one cell, so that the embedding learns to distinguish places within a cell
    """

    near_km: float = 0.1
    temperature: float = 0.07
    pairs: int = 128
    per_cell: int = 8
    steps: int = 2000
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    hidden_dim: int = 4096
    seed: int = 0

    def __post_init__(self) -> None:
        numbers = (self.near_km, self.temperature, self.per_cell, self.steps, self.learning_rate, self.hidden_dim)
        if min(numbers) <= 0 or self.pairs < 2:
            raise DataError(f"embedding: expected at least 2 pairs per step and numbers above 0, got {self}.")


def contrastive_losses(embeddings: Tensor, same: Tensor, partner: Tensor, temperature: float) -> Tensor:
    """Compute the loss (M,) of every photo of a batch, in nats.

    −log of exp(s_ip / τ) over exp(s_ip / τ) + Σ_n exp(s_in / τ), s the dot products of unit vectors (M, E), p the
    photo's partner and n all photos of other places (Chen et al. 2020, eq. 1). Other photos of the same place are left
    out, since they must not be pushed away.

    same     bool (M, M), whether two photos show one place; its diagonal is true
    partner  int64 (M,), the row of a photo of the same place for each
    """
    similarity = embeddings.float() @ embeddings.float().T / temperature
    rows = torch.arange(len(similarity), device=similarity.device)
    included = ~same
    included[rows, partner] = True
    denominator = similarity.masked_fill(~included, -torch.inf).logsumexp(dim=1)
    return denominator - similarity[rows, partner]


@dataclass(frozen=True, eq=False)
class Places:
    """The positions of N photos, and which of them have another photo of the same place.

    vectors  (N, 3), positions as unit vectors
    chord    largest distance of two vectors of one place
    anchors  int64 (A,), rows of photos with another of the same place
    by_cell  indices into `anchors`, for every cell
    """

    vectors: NDArray[np.float64]
    chord: float
    anchors: NDArray[np.int64]
    by_cell: tuple[NDArray[np.int64], ...]
    tree: KDTree

    def near(self, rows: NDArray[np.int64]) -> list[list[int]]:
        """Return the photos of the same place as each of some rows, itself included."""
        return list(self.tree.query_ball_point(self.vectors[rows], self.chord, return_sorted=True))

    def same(self, rows: NDArray[np.int64]) -> Tensor:
        """Return whether each two of M rows show one place, bool (M, M)."""
        distance = np.linalg.norm(self.vectors[rows][:, None] - self.vectors[rows], axis=-1)
        return torch.from_numpy(distance <= self.chord)


def places_of(positions_deg: NDArray[np.float64], cells: NDArray[np.int64], near_km: float) -> Places:
    """Return the Places of N photos at (N, 2) in degrees in cells (N,); photos within `near_km` show one place.

    Raises DataError if fewer than two photos have another within `near_km`.
    """
    vectors = unit_vectors(positions_deg)
    chord = float(2 * np.sin(min(near_km / EARTH_RADIUS_KM, np.pi) / 2))
    tree = KDTree(vectors)
    anchors = np.flatnonzero(tree.query_ball_point(vectors, chord, return_length=True) > 1)
    if len(anchors) < 2:
        raise DataError(
            f"embedding: expected photos within {exact_km(near_km)} of one another, got {len(anchors)}: "
            "give more photos, or a larger --near-km."
        )
    order = np.argsort(cells[anchors], kind="stable")
    _, starts = np.unique(cells[anchors][order], return_index=True)
    return Places(vectors, chord, anchors, tuple(np.split(order, starts[1:])), tree)


def draw(places: Places, settings: EmbeddingTraining, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw the rows (2, P) of a step's photos, anchors and partners, up to `per_cell` pairs from each drawn cell.

    Cells are drawn in proportion to their number of anchors.
    """
    sizes = np.array([len(cell) for cell in places.by_cell])
    chosen: list[int] = []
    while len(chosen) < settings.pairs:
        cell = places.by_cell[rng.choice(len(sizes), p=sizes / sizes.sum())]
        number = min(settings.per_cell, len(cell), settings.pairs - len(chosen))
        chosen += rng.choice(cell, number, replace=False).tolist()
    anchors = places.anchors[chosen]
    partners = []
    for anchor, near in zip(anchors, places.near(anchors), strict=True):
        others = [row for row in near if row != anchor]
        partners.append(others[rng.integers(len(others))])
    return np.stack([anchors, np.array(partners, dtype=np.int64)])


def train_embedding(
    features: NDArray[np.floating],
    positions_deg: NDArray[np.float64],
    cells: NDArray[np.int64],
    settings: EmbeddingTraining,
    device: torch.device,
    *,
    progress: Callable[[int, int, float], None] | None = None,
) -> RetrievalEmbedding:
    """Train an embedding on features (N, D) of photos at (N, 2) in degrees in cells (N,); return it in evaluation mode.

    The optimizer is AdamW, with a cosine schedule down to 0. On a CPU the same seed gives the same result. `progress`
    is called with (step, steps, mean loss). Raises DataError if too few photos show one place, see `places_of`.
    """
    places = places_of(positions_deg, cells, settings.near_km)
    rng = np.random.default_rng(settings.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        embedder = initialize_xavier(RetrievalEmbedding(features.shape[1], settings.hidden_dim)).to(device)
    optimizer = torch.optim.AdamW(embedder.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.steps)
    for step in range(settings.steps):
        rows = draw(places, settings, rng).reshape(-1)  # anchors, then their partners
        batch = torch.from_numpy(np.ascontiguousarray(features[rows])).float().to(device)
        partner = torch.arange(len(rows), device=device).roll(len(rows) // 2)
        same = places.same(rows).to(device)
        loss = contrastive_losses(embedder(batch), same, partner, settings.temperature).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        if progress is not None:
            progress(step + 1, settings.steps, loss.item())
    return embedder.eval()


@torch.no_grad()
def initialize_xavier(embedder: RetrievalEmbedding) -> RetrievalEmbedding:
    """Initialize matrices Xavier-uniform and biases with 0, as CERTH's released module does; return the embedding."""
    for module in embedder.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
    return embedder


def recall_at_1(embeddings: Tensor, positions_deg: NDArray[np.float64], near_km: float) -> float:
    """Return the share of photos with another of the same place whose most similar photo shows that place.

    Raises DataError if fewer than two photos have another of the same place.
    """
    places = places_of(positions_deg, np.zeros(len(positions_deg), dtype=np.int64), near_km)
    hits = []
    for row, near in zip(places.anchors, places.near(places.anchors), strict=True):
        similarity = embeddings @ embeddings[row]
        similarity[row] = -torch.inf
        hits.append(int(similarity.argmax()) in near)
    return float(np.mean(hits))
