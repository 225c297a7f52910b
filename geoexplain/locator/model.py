"""GeoModel: a frozen network with its partition and preprocessing."""

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
from geoexplain.locator.serving import serving_backbone
from geoexplain.locator.tuned import StageWeights
from geoexplain.words import exact_km


@dataclass(frozen=True)
class LocalizableRule:
    """An image is localizable if its prediction density within `scale_km` of the top cell exceeds `threshold`.

    `scale_km` is from 0 to 20,100, `threshold` in [0, 1]. Panagiotopoulos et al. (MMM 2022) use 25 km and 0.2 for the
    published photo model. Raises DataError for values out of range.
    """

    scale_km: float = 25
    threshold: float = 0.2

    def __post_init__(self) -> None:
        if not (0 <= self.scale_km <= 20_100 and 0 <= self.threshold <= 1):  # also false for NaN
            raise DataError(
                "localizable: expected a scale from 0 to 20,100 km and a threshold from 0 to 1, "
                f"got {exact_km(self.scale_km)} and {self.threshold}: choose values in these ranges."
            )


class Network(nn.Module):
    """Backbone and head: normalized images (N, 3, H, W) → cell logits (N, K)."""

    def __init__(self, backbone: Backbone, head: Head):
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, x: Tensor) -> Tensor:
        """Compute cell logits (N, K) of normalized images (N, 3, H, W)."""
        return self.head(self.backbone(x))


@dataclass(frozen=True, eq=False)
class Encoding:
    """Result of one forward pass of the backbone over N images or crops.

    features    (N, D)
    statistics  float32 (N, F), input of the model's gate; None without a gate
    """

    features: Tensor
    statistics: Tensor | None


class GeoModel:
    """A geolocation model, ready to predict and to be explained.

    A model does not change after construction: parameters are frozen, the network stays in evaluation mode, and calls
    share no state, so several threads may use one model at the same time.

    name         identifier, as in the zoo
    title        name for people
    purpose      one line: the kind of image that the model is for
    network      images → logits, as trained; this is what is saved and what other programs may use
    backbone     images → features, split into blocks and optimised for inference (see `serving_backbone`); this is what
                 predicts and is explained
    partition    the K cells
    coarser      coarser partitions, next coarser first; the `parents` of each are cells of the one after it
    embedder     features → embeddings for Search within Cell; None uses the features
    preprocess   image → tensor
    rule         when a prediction is localizable
    refine_km    the predicted point is the mean of the cells within this distance of the top cell, weighted by
                 probability; None: the centre of the top cell
    sigma_km     standard deviation of true positions around that mean along each of two axes, measured in validation;
                 None: not measured
    device       device of the network; None takes the GPU if there is one
    tuned        the Combi-CAM weights that were tuned for this model; None: there are none
    untuned      why tuned weights next to the model's file are not used; empty otherwise
    gate         decides whether an image is of the kind that the model knows; None: there is none
    ungated      why a gate next to the model's file is not used; empty otherwise
    own_trees    the places of the cells from the model's files; empty: `trees` computes them from the cells' areas

    Raises DataError if `own_trees` belong to another number of cells.
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
        self.backbone = serving_backbone(backbone)
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
                    "do they belong to another model?"
                )
        self.own_trees, self._trees, self._finding_places = own_trees, own_trees, threading.Lock()

    @property
    def trees(self) -> tuple[PlaceTree, ...]:
        """The trees of places of the cells: the model's own, or one of territories that is computed on first use."""
        with self._finding_places:  # a second thread waits for the first instead of computing the same
            if not self._trees:
                self._trees = place_trees(self.partition)
            return self._trees

    @property
    def head(self) -> Head:
        """The layers from features (N, D) to cell logits (N, K)."""
        return self.network.head

    def tensor(self, image: Image.Image) -> Tensor:
        """Convert an RGB image to the network's input (1, 3, H, W) on the model's device."""
        return self.preprocess.tensor(image).to(self.device)

    def encode(self, x: Tensor) -> Encoding:
        """Compute the features of normalized images (N, 3, H, W) and the input of the gate, without gradients."""
        with torch.inference_mode():
            if self.gate is None:
                return Encoding(self.backbone(x.to(self.device)), None)
            features, outputs = self.backbone.forward_stages(x.to(self.device), self.gate.stages)
            return Encoding(features, channel_statistics(outputs))

    def features(self, x: Tensor) -> Tensor:
        """Compute features (N, D) of normalized images (N, 3, H, W), without gradients."""
        with torch.inference_mode():
            return self.backbone(x.to(self.device))

    def logits(self, x: Tensor) -> Tensor:
        """Compute cell logits (N, K) of normalized images (N, 3, H, W), without gradients."""
        with torch.inference_mode():
            return self.head(self.backbone(x.to(self.device)))

    def embedding(self, features: Tensor) -> Tensor:
        """Compute unit vectors, float32 (N, E), from features (N, D); their dot products are similarities of images.

        A model without a retrieval embedding uses its normalized features.
        """
        with torch.inference_mode():
            features = features.to(self.device)
            return F.normalize(features.float(), dim=-1) if self.embedder is None else self.embedder(features)
