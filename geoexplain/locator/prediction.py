"""Compute predictions from logits: probabilities of cells, the predicted point, and whether it is localizable."""

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
"""Default standard deviation of true positions around a mean of neighbouring cells, in widths of a cell, for models
without a measured one. Measured for the first bundled model on views of the validation month."""

CROP_RULES = ("max", "mean")
"""Ways of combining the probabilities of several crops: the maximum, as in the released code of Theiner et al. (WACV
2022), or the mean, as in their paper."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """The prediction of a model for one image.

    cell              index of the most probable cell, the first of equally probable ones
    probabilities     float64 (K,), with sum 1
    lat_deg, lon_deg  the predicted point, in degrees
    density_by_km     the published prediction density, in [0, 1], at each of RADII_KM, by the distances of cell centres
                      from that of the top cell; see `prediction_density`
    rule              when the image is localizable
    density           the published prediction density, in [0, 1], at the rule's scale
    localizable       whether `density` exceeds the rule's threshold and the gate, if there is one, accepts the image
    source            source of the point: "cell centre", "mean of neighbouring cells" or "search within cell"
    in_domain         whether the gate accepts the image; None without a gate or without its input
    domain_score      the gate's score, in [0, 1], higher for accepted images; None likewise
    neighbours        the result of Search within Cell; None without a search, or if the cell has no photos
    spread            the probability within any distance of the predicted point, with that of each cell spread over its
                      area; `predict` computes it; None: not computed

    The properties derived from `spread` raise DataError if it is None.
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
        """Probability, in [0, 1], within each of RADII_KM of the predicted point, by `spread`."""
        spread = self._known_spread()
        return {radius: float(spread.within(radius)) for radius in RADII_KM}

    @property
    def half_radius_km(self) -> float:
        """Radius in km around the predicted point that holds half of the probability, by `spread`."""
        return float(self._known_spread().radius_km(0.5))

    @property
    def radius_90_km(self) -> float:
        """Radius in km around the predicted point that holds 90 % of the probability, by `spread`."""
        return float(self._known_spread().radius_km(0.9))

    @property
    def cell_width_km(self) -> float:
        """Width of the top cell in km: the diameter of a circle of its area. No prediction is more precise."""
        return self._known_spread().cell_width_km

    def _known_spread(self) -> Spread:
        if self.spread is None:
            raise DataError(
                "prediction: expected its probability spread over areas, got none: use `predict` to get it."
            )
        return self.spread

    def top(self, k: int = 5) -> list[int]:
        """Return the indices of the k most probable cells, most probable first, ties in the partition's order."""
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
    """Compute the Prediction from the cell logits (K,) or (1, K) of one image.

    features    features of the image, (D,) or (1, D); required for `search`
    statistics  input of the model's gate, (F,), or (n, F) for n crops; None skips the gate, and if the model has one,
                the image is then not localizable
    search      finds the point among the photos of the top cell; None: no search
    rule        when the image is localizable; None is the model's own

    Raises DataError if the logits are not K finite numbers, or if `search` is given without features.
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
    """Combine the features (n, D) of n crops of one image to logits for `predict`, float64 (K,).

    A softmax is computed for each crop and partitioning, then for each class the maximum ("max") or mean ("mean") over
    the crops, and with a hierarchy the product of the shares of a cell and its parents. The result is the logarithm, so
    that for one crop the prediction is that of `model.logits`. Theiner et al., WACV 2022, sect. 3.1 and their released
    code.

    Raises DataError if `how` is not one of CROP_RULES.
    """
    if how not in CROP_RULES:
        raise DataError(f"expected crops combined by {' or '.join(CROP_RULES)}, got {how!r}: choose one of these.")
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
            f"{int(np.isfinite(row).sum())} finite ones; the weights may be damaged: get the model again."
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
    """Sum the probabilities (K,) of the cells whose centres are within `radius_km` of the centre of `cell`.

    This is the published definition (Panagiotopoulos et al., MMM 2022), with great-circle distances, R = 6371 km, and
    the radius included. For radii below the width of a cell it depends on the distances between centres rather than on
    the image; use `Prediction.spread` for the probability within a distance.
    """
    return _within(probabilities, great_circle_km(partition.centers_deg[cell], partition.centers_deg), radius_km)


def usual_sigma_km(partition: Partition) -> float:
    """Return the default σ in km of true positions around a mean of neighbouring cells; see SIGMA_OF_WIDTH."""
    return SIGMA_OF_WIDTH * float(np.median(cell_areas(partition).width_km))


def neighbourhood_mean(
    probabilities: NDArray[np.float64], partition: Partition, cell: int, radius_km: float
) -> tuple[float, float]:
    """Compute the mean position of the cells within `radius_km` of a cell, weighted by their probabilities (K,).

    The result is the spherical mean, (latitude, longitude) in degrees. Cells are a few hundred km wide; the probability
    of a view between two cells is divided between them, and the mean lies between their centres.
    """
    near = great_circle_km(partition.centers_deg[cell], partition.centers_deg) <= radius_km
    lat, lon = spherical_mean(partition.centers_deg[near], probabilities[near])
    return float(lat), float(lon)
