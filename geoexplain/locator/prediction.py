"""Logits → where, how sure, and whether the image can be placed at all."""

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geoexplain.errors import DataError
from geoexplain.geography.cell_areas import cell_areas
from geoexplain.geography.partition import Partition
from geoexplain.geography.sphere import great_circle_km, spherical_mean
from geoexplain.locator.model import GeoModel, LocalizableRule
from geoexplain.locator.retrieval import Neighbours, SearchWithinCell
from geoexplain.locator.spread import Scatter, Spread, spread_probability

RADII_KM = (1, 25, 200, 750, 2500)
"""Street, city, region, country, continent: the radii of every published geolocation table."""

SIGMA_OF_WIDTH = 0.25
"""σ of the truth around a mean of neighbouring cells, in widths of a cell, for a model that does not say it: what the
views of the validation month gave for the first bundled model."""

CROP_RULES = ("max", "mean")
"""How the probabilities of several crops become one: their maximum, as in the released code of Theiner et al. (WACV
2022), or their mean, as in its paper."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model says of one image.

    cell              index of the most probable cell, the first of equal ones
    probabilities     float64 (K,), summing to 1
    lat_deg, lon_deg  the predicted point, in degrees
    density_by_km     the published prediction density, in [0, 1], at each of RADII_KM: by cell centres, around that of
                      the top cell, see `prediction_density`
    rule              when the image counts as localizable
    density           the published prediction density, in [0, 1], at the rule's scale
    localizable       whether that exceeds the rule's threshold, and the gate, if there is one, knows the kind of image
    source            how the point was found: "cell centre", "mean of neighbouring cells" or "search within cell"
    in_domain         whether the image is of the kind that the model is for; None where the model has no gate, or was
                      not given what that reads
    domain_score      how sure the gate is of that, in [0, 1]; None likewise
    neighbours        what Search within Cell found; None without a search, or when the cell holds no photo
    spread            how much of the probability lies within any distance of the predicted point, every cell's spread
                      over its area; None where nobody computed it, and `predict` does

    Raises DataError when what follows from `spread` is asked for and there is none.
    """

    cell: int
    probabilities: NDArray[np.float64] = field(repr=False)
    lat_deg: float
    lon_deg: float
    density_by_km: dict[int, float]
    rule: LocalizableRule
    density: float
    localizable: bool
    source: str
    neighbours: Neighbours | None = field(default=None, repr=False)
    in_domain: bool | None = None
    domain_score: float | None = None
    spread: Spread | None = field(default=None, repr=False)

    @property
    def density_by_area(self) -> dict[int, float]:
        """Probability, in [0, 1], within each of RADII_KM of the predicted point, spread over the cells' areas."""
        spread = self._known_spread()
        return {radius: float(spread.within(radius)) for radius in RADII_KM}

    @property
    def half_radius_km(self) -> float:
        """The radius in km around the predicted point within which half of the probability lies, likewise."""
        return float(self._known_spread().radius_km(0.5))

    @property
    def radius_90_km(self) -> float:
        """The radius in km around the predicted point within which 90 % of the probability lies, likewise."""
        return float(self._known_spread().radius_km(0.9))

    @property
    def cell_width_km(self) -> float:
        """How wide the top cell is, in km: the diameter of a circle of its area. Nothing narrower can be said."""
        return self._known_spread().cell_width_km

    def _known_spread(self) -> Spread:
        if self.spread is None:
            raise DataError("prediction: expected its probability spread over areas, got none: ask `predict` for it.")
        return self.spread

    def top(self, k: int = 5) -> list[int]:
        """Indices of the k most probable cells, most probable first; equal ones in the order of the partition."""
        return np.argsort(-self.probabilities, kind="stable")[:k].tolist()


def predict(
    model: GeoModel,
    logits: Tensor,
    *,
    features: Tensor | None = None,
    statistics: Tensor | None = None,
    search: SearchWithinCell | None = None,
    rule: LocalizableRule | None = None,
) -> Prediction:
    """Cell logits (K,) or (1, K) of one image as a Prediction.

    search      looks for the point among the photos of the top cell; needs the image's `features` (D,) or (1, D)
    statistics  what the model's gate reads, (F,), or (n, F) of n crops; None leaves its verdict open, and nothing is
                localizable before it
    rule        when the image counts as localizable; None is the model's own

    Raises DataError when the logits are not K finite numbers, or a search is asked for without features.
    """
    row = _checked_row(model, logits)
    exponentials = np.exp(row - row.max())
    probabilities = exponentials / exponentials.sum()
    cell = int(row.argmax())
    mean = point = _point(model, probabilities, cell)
    source, neighbours = "cell centre", None
    if model.refine_km is not None:
        source = "mean of neighbouring cells"
    if search is not None:
        if features is None:
            raise DataError("Search within Cell: expected the image's features, got none: pass features= as well.")
        neighbours = search(model, cell, features)
    if neighbours is not None:
        point, source = (neighbours.lat_deg, neighbours.lon_deg), "search within cell"
    distance_km = great_circle_km(model.partition.centers_deg[cell], model.partition.centers_deg)
    rule = rule or model.rule
    density = _within(probabilities, distance_km, rule.scale_km)
    score = None if model.gate is None or statistics is None else model.gate.score(statistics)
    in_domain = None if model.gate is None or score is None else model.gate.accepts(score)
    scatter = None
    if model.refine_km is not None:
        scatter = Scatter(*mean, distance_km <= model.refine_km, model.sigma_km or usual_sigma_km(model.partition))
    return Prediction(
        cell=cell,
        probabilities=probabilities,
        lat_deg=float(point[0]),
        lon_deg=float(point[1]),
        density_by_km={radius: _within(probabilities, distance_km, radius) for radius in RADII_KM},
        rule=rule,
        density=density,
        localizable=density > rule.threshold and (model.gate is None or in_domain is True),
        source=source,
        neighbours=neighbours,
        in_domain=in_domain,
        domain_score=score,
        spread=spread_probability(probabilities, model.partition, point, scatter=scatter),
    )


def crop_logits(model: GeoModel, features: Tensor, how: str = "max") -> Tensor:
    """Features (n, D) of n crops of one image → float64 (K,), which `predict` takes as logits.

    Per crop and partitioning a softmax; per class the maximum ("max") or mean ("mean") over the crops; with a hierarchy
    the product of a cell's and its parents' shares. The result is its logarithm, so that for one crop the prediction
    is that of `model.logits`. Theiner et al., WACV 2022, sect. 3.1 and its released code.

    Raises DataError for another way than CROP_RULES.
    """
    if how not in CROP_RULES:
        raise DataError(f"expected crops put together by {' or '.join(CROP_RULES)}, got {how!r}: choose one of these.")
    with torch.inference_mode():
        levels = [torch.log_softmax(level.double(), dim=-1) for level in model.head.levels(features)]
        if how == "max":
            levels = [level.amax(dim=0, keepdim=True) for level in levels]
        else:
            levels = [level.logsumexp(dim=0, keepdim=True) - math.log(len(features)) for level in levels]
        return model.head.along_hierarchy(levels)[0]


def _checked_row(model: GeoModel, logits: Tensor) -> NDArray[np.float64]:
    row = logits.detach().cpu().double().numpy()
    cells = len(model.partition)
    if row.shape not in {(cells,), (1, cells)} or not np.isfinite(row).all():
        raise DataError(
            f"model {model.name}: expected {cells} finite logits, got shape {row.shape} with "
            f"{int(np.isfinite(row).sum())} finite ones; the weights may be damaged."
        )
    return row.reshape(cells)


def _point(model: GeoModel, probabilities: NDArray[np.float64], cell: int) -> tuple[float, float]:
    if model.refine_km is not None:
        return neighbourhood_mean(probabilities, model.partition, cell, model.refine_km)
    lat, lon = model.partition.centers_deg[cell]
    return float(lat), float(lon)


def _within(probabilities: NDArray[np.float64], distance_km: NDArray[np.float64], radius_km: float) -> float:
    return float(min(probabilities[distance_km <= radius_km].sum(), 1.0))


def prediction_density(probabilities: NDArray[np.float64], partition: Partition, cell: int, radius_km: float) -> float:
    """The published definition: how much of the probabilities (K,) is in cells centred within `radius_km` of a cell's.

    Panagiotopoulos et al., MMM 2022: great-circle distance, R = 6371 km, bound included. Below a cell's width it says
    how near centres lie to one another, and nothing of the image; `Prediction.spread` has what lies within a distance.
    """
    return _within(probabilities, great_circle_km(partition.centers_deg[cell], partition.centers_deg), radius_km)


def usual_sigma_km(partition: Partition) -> float:
    """σ in km of the truth around a mean of neighbouring cells of a partition, for a model that does not say it."""
    return SIGMA_OF_WIDTH * float(np.median(cell_areas(partition).width_km))


def neighbourhood_mean(
    probabilities: NDArray[np.float64], partition: Partition, cell: int, radius_km: float
) -> tuple[float, float]:
    """Spherical mean, in degrees, of the cells within `radius_km` of a cell, weighted by their probabilities (K,).

    A cell is a few hundred km wide; a view between two of them shares its probability, and the mean lies between.
    """
    near = great_circle_km(partition.centers_deg[cell], partition.centers_deg) <= radius_km
    lat, lon = spherical_mean(partition.centers_deg[near], probabilities[near])
    return float(lat), float(lon)
