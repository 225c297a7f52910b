"""The retrieval embedding, learned on the features of a trained model whose own weights stay as they are.

Two photos of one place shall be alike, photos of different places not: residual retrieval module and contrastive
learning of Kordopatis-Zilos et al., ICMR 2021. Their released code has the module, not its training; the loss here is
that of SimCLR (Chen et al., ICML 2020, eq. 1) with a photo of the same place where that has another crop of the photo.
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
    """What decides the outcome, given features and places.

    near_km      photos within this distance are of one place
    temperature  τ, by which similarities are divided
    pairs        pairs of photos of one place per step
    per_cell     pairs of a step that are drawn from one cell, so that places within a cell are told apart
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
    """Loss (M,) of every photo of a batch, in nats.

    −log of exp(s_ip / τ) over exp(s_ip / τ) + Σ_n exp(s_in / τ), s the dot products of unit vectors (M, E), p the
    photo's partner and n all photos of other places (Chen et al. 2020, eq. 1). Further photos of the same place are
    neither: pushing them away would be wrong.

    same     bool (M, M), whether two photos are of one place; its diagonal is true
    partner  int64 (M,), a photo of the same place for each
    """
    similarity = embeddings.float() @ embeddings.float().T / temperature
    rows = torch.arange(len(similarity), device=similarity.device)
    kept = ~same
    kept[rows, partner] = True
    denominator = similarity.masked_fill(~kept, -torch.inf).logsumexp(dim=1)
    return denominator - similarity[rows, partner]


@dataclass(frozen=True, eq=False)
class Places:
    """N photos and where they were taken: which of them have another one of the same place.

    anchors  int64 (A,), rows of those that have
    by_cell  positions in `anchors` of those of every cell
    """

    vectors: NDArray[np.float64]
    chord: float
    anchors: NDArray[np.int64]
    by_cell: tuple[NDArray[np.int64], ...]
    tree: KDTree

    def near(self, rows: NDArray[np.int64]) -> list[list[int]]:
        """The photos of the same place as each of some rows, itself included."""
        return list(self.tree.query_ball_point(self.vectors[rows], self.chord, return_sorted=True))

    def same(self, rows: NDArray[np.int64]) -> Tensor:
        """Whether each two of M rows are of one place, bool (M, M)."""
        distance = np.linalg.norm(self.vectors[rows][:, None] - self.vectors[rows], axis=-1)
        return torch.from_numpy(distance <= self.chord)


def places_of(positions_deg: NDArray[np.float64], cells: NDArray[np.int64], near_km: float) -> Places:
    """Which of N photos at (N, 2) in degrees, in cells (N,), lie within `near_km` of another.

    Raises DataError when fewer than two do.
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
    """Rows (2, P) of a step's photos: anchors and their partners, up to `per_cell` from every cell that is drawn.

    A cell is drawn as often as it has anchors.
    """
    sizes = np.array([len(cell) for cell in places.by_cell])
    chosen: list[int] = []
    while len(chosen) < settings.pairs:
        cell = places.by_cell[rng.choice(len(sizes), p=sizes / sizes.sum())]
        wanted = min(settings.per_cell, len(cell), settings.pairs - len(chosen))
        chosen += rng.choice(cell, wanted, replace=False).tolist()
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
    """Train an embedding on features (N, D) of photos at (N, 2) in degrees in cells (N,); return it, to be evaluated.

    AdamW, its rate falling along a cosine to nothing. The same for the same seed on a CPU. `progress` hears
    (step, steps, mean loss). Raises DataError where too few photos are of one place, see `places_of`.
    """
    places = places_of(positions_deg, cells, settings.near_km)
    rng = np.random.default_rng(settings.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        embedder = initialised(RetrievalEmbedding(features.shape[1], settings.hidden_dim)).to(device)
    optimiser = torch.optim.AdamW(embedder.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.steps)
    for step in range(settings.steps):
        rows = draw(places, settings, rng).reshape(-1)  # anchors, then their partners
        batch = torch.from_numpy(np.ascontiguousarray(features[rows])).float().to(device)
        partner = torch.arange(len(rows), device=device).roll(len(rows) // 2)
        same = places.same(rows).to(device)
        loss = contrastive_losses(embedder(batch), same, partner, settings.temperature).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        if progress is not None:
            progress(step + 1, settings.steps, loss.item())
    return embedder.eval()


@torch.no_grad()
def initialised(embedder: RetrievalEmbedding) -> RetrievalEmbedding:
    """Xavier-uniform matrices and no biases, as in CERTH's released module; returns the embedding."""
    for module in embedder.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
    return embedder


def recall_at_1(embeddings: Tensor, positions_deg: NDArray[np.float64], near_km: float) -> float:
    """Share of photos with another of the same place whose most similar photo is one. DataError for none."""
    places = places_of(positions_deg, np.zeros(len(positions_deg), dtype=np.int64), near_km)
    hits = []
    for row, near in zip(places.anchors, places.near(places.anchors), strict=True):
        similarity = embeddings @ embeddings[row]
        similarity[row] = -torch.inf
        hits.append(int(similarity.argmax()) in near)
    return float(np.mean(hits))
