"""What chooses among the states of a network: plain views, views under all that training does, and real discs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from geoexplain.evaluation.accuracy import accuracy_by_km
from geoexplain.evaluation.views import VIEW_RADII_KM, view_logits
from geoexplain.geography.sphere import great_circle_km
from geoexplain.imagery.conditions import BLOCK, CONDITIONS, ViewSet, views_under
from geoexplain.imagery.discs import Disc, disc_views
from geoexplain.imagery.earth import Imagery
from geoexplain.imagery.effects import Surroundings
from geoexplain.locator.backbone import preprocess_for
from geoexplain.training.run import GeolocatorNetwork
from geoexplain.words import exact_km, percent, series

FOOTPRINT_KM, ROTATION_DEG = (500.0, 2000.0), 30.0
"""The views that figures are given for: those that `geoexplain evaluate views` draws unless told otherwise."""

CLEAR = 0.3
"""Views of discs are asked for that are under less cloud than this: under more, nobody could tell."""


@dataclass(frozen=True, eq=False)
class Validation:
    """The views that choose: plain ones and those under all that training does, of the validation imagery, and discs.

    sets  what to call them → the views
    """

    sets: dict[str, ViewSet]

    def score(self, network: GeolocatorNetwork, size_px: int) -> tuple[float, str]:
        """Mean accuracy over all sets and radii, and the accuracies in words."""
        shares = {name: top_cell_accuracy(network, views, size_px) for name, views in self.sets.items()}
        words = "; ".join(f"{name}: {describe_accuracy(share)}" for name, share in shares.items())
        return float(np.mean([value for share in shares.values() for value in share.values()])), words


def validation_sets(
    validation: Imagery, discs: Sequence[Disc], around: Surroundings, views: int, seed: int
) -> dict[str, ViewSet]:
    """`views` plain ones, as many under all that training does (where there are clouds), and as many of discs."""
    names = ("plain", "mixture") if around.clouds is not None else ("plain",)
    sampling: dict[str, Any] = {"footprint_km": FOOTPRINT_KM, "rotation_deg": ROTATION_DEG, "seed": seed}
    sets = {name: views_under(CONDITIONS[name], validation, views=views, around=around, **sampling) for name in names}
    if discs:
        sets["discs"] = disc_views(discs, views=views, cloud_below=CLEAR, **sampling)
    return sets


def top_cell_accuracy(network: GeolocatorNetwork, views: ViewSet, size_px: int) -> dict[int, float]:
    """Share of views whose top cell's centre lies within each radius of the truth."""
    preprocess = preprocess_for(network.backbone.architecture, size_px)
    logits = view_logits(network, views, preprocess, device=next(network.parameters()).device, batch=4 * BLOCK)
    centers_deg = network.head.mvmf.mus.T.cpu().numpy()[logits.argmax(dim=1).numpy()]
    return accuracy_by_km(great_circle_km(centers_deg, views.truth_deg.numpy()), VIEW_RADII_KM)


def describe_accuracy(shares: dict[int, float]) -> str:
    """Accuracies in words: "45.0 / 60.1 / 70.0 % within 200 / 750 / 2,500 km"."""
    return f"{series([percent(s) for s in shares.values()])} within {series([exact_km(r) for r in shares])}"
