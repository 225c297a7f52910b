"""GeoModel: a frozen network, the cells it chooses from, and how an image is prepared for it."""

from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor, nn

from geoexplain.geography.partition import Partition
from geoexplain.images import Preprocess
from geoexplain.locator.backbone import Backbone, freeze


@dataclass(frozen=True)
class LocalizableRule:
    """An image is localizable when its prediction density within `scale_km` of the top cell exceeds `threshold`.

    `scale_km` ≥ 0, `threshold` in [0, 1]. Panagiotopoulos et al., MMM 2022: 25 km and 0.2 for the published photo
    model.
    """

    scale_km: int = 25
    threshold: float = 0.2


class Network(nn.Module):
    """Backbone and head in one: normalised images (N, 3, H, W) → cell logits (N, K)."""

    def __init__(self, backbone: Backbone, head: nn.Module):
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, x: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) → cell logits (N, K)."""
        return self.head(self.backbone(x))


class GeoModel:
    """A geolocator ready to be asked and explained.

    It never changes after construction: parameters are frozen, the network stays in evaluation mode, and calls share
    no state, so threads may use one model at the same time.

    name         identifier, as in the zoo
    title        what people read
    purpose      one line: what kind of image the model is for
    network      images → logits; `backbone` and `head` are its parts
    partition    the K cells
    preprocess   image → tensor
    rule         when a prediction counts as localizable
    refine_km    the point is the mean of the cells within this distance of the top cell, weighted by probability;
                 None: the centre of the top cell
    device       where the network lies; None takes the GPU when there is one
    """

    def __init__(
        self,
        backbone: Backbone,
        head: nn.Module,
        partition: Partition,
        preprocess: Preprocess,
        *,
        name: str,
        title: str = "",
        purpose: str = "",
        rule: LocalizableRule | None = None,
        refine_km: float | None = None,
        device: str | torch.device | None = None,
    ):
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.network = Network(backbone, head)
        freeze(self.network).to(self.device)
        self.partition, self.preprocess = partition, preprocess
        self.name, self.title, self.purpose = name, title or name, purpose
        self.rule, self.refine_km = rule or LocalizableRule(), refine_km

    @property
    def backbone(self) -> Backbone:
        """Images → features, cut at every block."""
        return self.network.backbone

    @property
    def head(self) -> nn.Module:
        """Features (N, D) → cell logits (N, K)."""
        return self.network.head

    def tensor(self, image: Image.Image) -> Tensor:
        """An RGB image as the network's input (1, 3, H, W) on the model's device."""
        return self.preprocess.tensor(image).to(self.device)

    def features(self, x: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) → features (N, D), without a gradient."""
        with torch.inference_mode():
            return self.backbone(x.to(self.device))

    def logits(self, x: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) → cell logits (N, K), without a gradient."""
        with torch.inference_mode():
            return self.network(x.to(self.device))
