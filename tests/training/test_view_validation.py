"""What chooses among the states of a network: accuracies by hand, and which views there are."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from geoexplain.imagery.conditions import ViewSet
from geoexplain.imagery.discs import Disc, cloud_share
from geoexplain.imagery.earth import pack
from geoexplain.locator.heads import VonMisesFisherHead
from geoexplain.locator.model import Network
from geoexplain.training.views import CLEAR, ViewSource, centers_partitioning, top_cell_accuracy, validation_sets
from tests.imagery.discs import DISTANCE_KM, coloured, disc_pixels
from tests.imagery.scenes import generator, made_surroundings

CENTERS = np.array([(0.0, 0.0), (0.0, 10.0), (60.0, 100.0)])


class Told(nn.Module):
    """Views (N, 3, S, S) → features (N, 1): their mean."""

    architecture = "tf_efficientnet_lite0"

    def __init__(self) -> None:
        super().__init__()
        self.nothing = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(1, 2, 3)).unsqueeze(1)


def network() -> Network:
    """Black views are in the first cell, white ones in the second: normalised they are −1 and 1."""
    made = Network(Told(), VonMisesFisherHead(1, torch.from_numpy(CENTERS)))  # type: ignore[arg-type]
    made.head.mixture_weights.weight.data = torch.tensor([[-5.0], [5.0], [0.0]])
    made.head.mixture_weights.bias.data.zero_()
    return made.eval()


def views(shades: list[float], truth: list[tuple[float, float]]) -> ViewSet:
    rgb = torch.tensor(shades).view(-1, 1, 1, 1).expand(-1, 3, 8, 8)
    return ViewSet("shades", torch.tensor(truth, dtype=torch.float64), lambda start, stop, _size: rgb[start:stop])


def test_accuracy_and_score_by_hand() -> None:
    # answers are 0° E, 10° E, 10° E; the truth is 0, 334 and 8,900 km away
    first = views([0.0, 1.0, 1.0], [(0.0, 0.0), (0.0, 13.0), (0.0, 90.0)])
    shares = {200: 1 / 3, 750: 2 / 3, 2500: 2 / 3}
    assert top_cell_accuracy(network(), first, CENTERS, 8) == pytest.approx(shares)
    second = views([0.0], [(0.0, 0.0)])
    texels = torch.zeros(1, 32, 64, 4, dtype=torch.uint8)
    source = ViewSource(
        pack(texels, ("earth",)),
        made_surroundings(),
        centers_partitioning(CENTERS),
        validation={"first": first, "second": second},
    )
    accuracy, score = source.validate(network(), 8)
    assert accuracy == {"first": pytest.approx(shares), "second": {200: 1.0, 750: 1.0, 2500: 1.0}}
    assert score == (pytest.approx((sum(shares.values()) + 3) / 6),)


def test_the_views_are_those_that_there_are_sources_for() -> None:
    texels = torch.randint(256, (1, 32, 64, 4), generator=generator(), dtype=torch.uint8)
    imagery = pack(texels, ("earth",))
    bare, cloudy = made_surroundings(clouds=False), made_surroundings()
    pixels = torch.from_numpy(coloured(*disc_pixels())).permute(2, 0, 1).float() / 255
    disc = Disc("disc", pixels, 20.0, 170.0, DISTANCE_KM, (351.0, 348.5), 300.0)
    assert list(validation_sets(imagery, [], bare, 3, 1)) == ["plain"]
    assert list(validation_sets(imagery, [], cloudy, 3, 1)) == ["plain", "mixture"]
    sets = validation_sets(imagery, [disc], cloudy, 3, 1)
    assert {name: len(some) for name, some in sets.items()} == {"plain": 3, "mixture": 3, "discs": 3}
    # a disc that is white in the north is asked for in its south only
    disc.rgb[:, :348] = 0.9
    clear = validation_sets(imagery, [disc], bare, 20, 1)["discs"]
    assert cloud_share(clear.render(0, 20, 64)).max() < CLEAR + 0.01
