"""Logits → where, how sure, and whether the image can be placed at all."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from geoexplain.errors import DataError
from geoexplain.geography.partition import Partition
from geoexplain.geography.sphere import great_circle_km, spherical_mean
from geoexplain.locator.model import GeoModel

RADII_KM = (1, 25, 200, 750, 2500)
"""Street, city, region, country, continent: the radii of every published geolocation table."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model says of one image.

    cell              index of the most probable cell, the first of equal ones
    probabilities     float64 (K,), summing to 1
    lat_deg, lon_deg  the predicted point, in degrees
    density_by_km     prediction density, in [0, 1], at each of RADII_KM
    localizable       whether the density at the model's scale exceeds its threshold
    source            how the point was found: "cell centre" or "mean of neighbouring cells"
    """

    cell: int
    probabilities: NDArray[np.float64] = field(repr=False)
    lat_deg: float
    lon_deg: float
    density_by_km: dict[int, float]
    localizable: bool
    source: str

    def top(self, k: int = 5) -> list[int]:
        """Indices of the k most probable cells, most probable first; equal ones in the order of the partition."""
        return np.argsort(-self.probabilities, kind="stable")[:k].tolist()


def predict(model: GeoModel, logits: Tensor) -> Prediction:
    """Cell logits (K,) or (1, K) of one image as a Prediction. Raises DataError when they are not finite or not K."""
    row = logits.detach().cpu().double().numpy()
    cells = len(model.partition)
    if row.shape not in {(cells,), (1, cells)} or not np.isfinite(row).all():
        raise DataError(
            f"model {model.name}: expected {cells} finite logits, got shape {row.shape} with "
            f"{int(np.isfinite(row).sum())} finite ones; the weights may be damaged."
        )
    row = row.reshape(cells)
    exponentials = np.exp(row - row.max())
    probabilities = exponentials / exponentials.sum()
    cell = int(row.argmax())
    lat, lon = model.partition.centers_deg[cell]
    source = "cell centre"
    if model.refine_km is not None:
        lat, lon = neighbourhood_mean(probabilities, model.partition, cell, model.refine_km)
        source = "mean of neighbouring cells"
    density = {radius: prediction_density(probabilities, model.partition, cell, radius) for radius in RADII_KM}
    reached = prediction_density(probabilities, model.partition, cell, model.rule.scale_km)
    return Prediction(
        cell=cell,
        probabilities=probabilities,
        lat_deg=float(lat),
        lon_deg=float(lon),
        density_by_km=density,
        localizable=reached > model.rule.threshold,
        source=source,
    )


def prediction_density(probabilities: NDArray[np.float64], partition: Partition, cell: int, radius_km: float) -> float:
    """Sum of the probabilities (K,) of all cells whose centre lies within `radius_km` of the given cell's centre.

    Panagiotopoulos et al., MMM 2022: great-circle distance, R = 6371 km, bound included.
    """
    near = great_circle_km(partition.centers_deg[cell], partition.centers_deg) <= radius_km
    return float(min(probabilities[near].sum(), 1.0))


def neighbourhood_mean(
    probabilities: NDArray[np.float64], partition: Partition, cell: int, radius_km: float
) -> tuple[float, float]:
    """Spherical mean, in degrees, of the cells within `radius_km` of a cell, weighted by their probabilities (K,).

    A cell is a few hundred km wide; a view between two of them shares its probability, and the mean lies between.
    """
    near = great_circle_km(partition.centers_deg[cell], partition.centers_deg) <= radius_km
    lat, lon = spherical_mean(partition.centers_deg[near], probabilities[near])
    return float(lat), float(lon)
