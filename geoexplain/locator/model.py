"""GeoModel: a frozen network, the cells it chooses from, and how an image is prepared for it."""

import threading
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from geoexplain.errors import DataError
from geoexplain.geography.addresses.cell_places import place_trees
from geoexplain.geography.partition import Partition
from geoexplain.geography.placetree import PlaceTree
from geoexplain.images import Preprocess
from geoexplain.locator.backbone import Backbone, freeze
from geoexplain.locator.gate import Gate, channel_statistics
from geoexplain.locator.heads import Head, RetrievalEmbedding
from geoexplain.locator.serving import serving
from geoexplain.locator.tuned import StageWeights
from geoexplain.words import exact_km


@dataclass(frozen=True)
class LocalizableRule:
    """An image is localizable when its prediction density within `scale_km` of the top cell exceeds `threshold`.

    `scale_km` ≥ 0, `threshold` in [0, 1]. Panagiotopoulos et al., MMM 2022: 25 km and 0.2 for the published photo
    model. Raises DataError for values out of range.
    """

    scale_km: float = 25
    threshold: float = 0.2

    def __post_init__(self) -> None:
        if not (0 <= self.scale_km <= 20_100 and 0 <= self.threshold <= 1):  # also false for NaN
            raise DataError(
                "localizable: expected a scale from 0 to 20,100 km and a threshold from 0 to 1, "
                f"got {exact_km(self.scale_km)} and {self.threshold}."
            )


class Network(nn.Module):
    """Backbone and head in one: normalised images (N, 3, H, W) → cell logits (N, K)."""

    def __init__(self, backbone: Backbone, head: Head):
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, x: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) → cell logits (N, K)."""
        return self.head(self.backbone(x))


@dataclass(frozen=True, eq=False)
class Look:
    """What one forward pass says of N images, or crops.

    features    (N, D)
    statistics  float32 (N, F), what the model's gate reads; None without a gate
    """

    features: Tensor
    statistics: Tensor | None


class GeoModel:
    """A geolocator ready to be asked and explained.

    It never changes after construction: parameters are frozen, the network stays in evaluation mode, and calls share
    no state, so threads may use one model at the same time.

    name         identifier, as in the zoo
    title        what people read
    purpose      one line: what kind of image the model is for
    network      images → logits, as it was trained: what is saved, and what other programs may look into
    backbone     images → features, cut at every block: what answers and is explained; see `serving`
    partition    the K cells
    coarser      the partitions above it, next coarser first; `parents` of each point into the one after it
    embedder     features → embeddings for Search within Cell; None: the features themselves
    preprocess   image → tensor
    rule         when a prediction counts as localizable
    refine_km    the point is the mean of the cells within this distance of the top cell, weighted by probability;
                 None: the centre of the top cell
    sigma_km     how far the truth scatters around that mean along each of two axes, as validation found it; None: not
                 measured
    device       where the network lies; None takes the GPU when there is one
    tuned        the Combi-CAM that was tuned for this model, if one was
    untuned      why tuned weights that lie beside the model are not used; empty otherwise
    gate         tells images of the model's kind from others; None: not known
    ungated      why a gate that lies beside the model is not used; empty otherwise
    own_trees    the places that the model's files say its cells lie in; empty: `trees` finds them by the cells' areas
    """

    def __init__(
        self,
        backbone: Backbone,
        head: Head,
        partition: Partition,
        preprocess: Preprocess,
        *,
        name: str,
        coarser: tuple[Partition, ...] = (),
        embedder: RetrievalEmbedding | None = None,
        title: str = "",
        purpose: str = "",
        rule: LocalizableRule | None = None,
        refine_km: float | None = None,
        sigma_km: float | None = None,
        device: str | torch.device | None = None,
        tuned: StageWeights | None = None,
        untuned: str = "",
        gate: Gate | None = None,
        ungated: str = "",
        own_trees: tuple[PlaceTree, ...] = (),
    ):
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.network = Network(backbone, head)
        freeze(self.network).to(self.device)
        self.backbone = serving(backbone)
        self.embedder = None if embedder is None else freeze(embedder).to(self.device)
        self.partition, self.coarser, self.preprocess = partition, coarser, preprocess
        self.name, self.title, self.purpose = name, title or name, purpose
        self.rule, self.refine_km, self.sigma_km = rule or LocalizableRule(), refine_km, sigma_km
        self.tuned, self.untuned = tuned, untuned
        self.gate, self.ungated = gate, ungated
        for tree in own_trees:
            if len(tree.of_cell) != len(partition):
                raise DataError(
                    f"model {name}: expected places of its {len(partition)} cells, got those of {len(tree.of_cell)}: "
                    "are these of another model?"
                )
        self.own_trees, self._trees, self._finding_places = own_trees, own_trees, threading.Lock()

    @property
    def trees(self) -> tuple[PlaceTree, ...]:
        """The places that the cells lie in, a tree or several: the model's own, or the territorial one, found once."""
        with self._finding_places:  # the second of two threads waits for the first
            if not self._trees:
                self._trees = place_trees(self.partition)
            return self._trees

    @property
    def head(self) -> Head:
        """Features (N, D) → cell logits (N, K)."""
        return self.network.head

    def tensor(self, image: Image.Image) -> Tensor:
        """An RGB image as the network's input (1, 3, H, W) on the model's device."""
        return self.preprocess.tensor(image).to(self.device)

    def look(self, x: Tensor) -> Look:
        """Features and what the gate reads, of normalised images (N, 3, H, W), without a gradient."""
        with torch.inference_mode():
            if self.gate is None:
                return Look(self.backbone(x.to(self.device)), None)
            features, outputs = self.backbone.staged(x.to(self.device), self.gate.stages)
            return Look(features, channel_statistics(outputs))

    def features(self, x: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) → features (N, D), without a gradient."""
        with torch.inference_mode():
            return self.backbone(x.to(self.device))

    def logits(self, x: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) → cell logits (N, K), without a gradient."""
        with torch.inference_mode():
            return self.head(self.backbone(x.to(self.device)))

    def embedding(self, features: Tensor) -> Tensor:
        """Features (N, D) → unit vectors float32 (N, E) whose dot product says how alike two images are.

        A model without a retrieval embedding of its own compares its features.
        """
        with torch.inference_mode():
            features = features.to(self.device)
            return F.normalize(features.float(), dim=-1) if self.embedder is None else self.embedder(features)
