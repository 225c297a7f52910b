"""Compute the probability within any distance of a point from the probabilities of cells.

The probability of a cell is spread over the cell's area, since the model does not say where in the cell an image
belongs. So the result does not depend on the distances between centres, and is no finer than a cell.

By default the probability is spread evenly. If the point is the mean of neighbouring cells, the division of the
probability among these cells also says where within its cell an image belongs, and true positions scatter less around
the mean than over whole cells. Spread evenly, the circle with half of the probability would be too wide and contain the
true position of three views in four. A `Scatter` therefore weights the areas of the averaged cells by a normal
distribution around the mean. Every cell keeps its probability, as in the interpolation of Tobler (1979); only the
distribution within it changes. The likelihood of a true position is the probability of its cell times the density
within the cell. The temperature calibrates the first factor and σ the second, both on validation views.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geoexplain.errors import DataError
from geoexplain.geography.cell_areas import cell_areas
from geoexplain.geography.partition import Partition
from geoexplain.geography.sphere import EARTH_RADIUS_KM, great_circle_km, unit_vectors

FARTHEST_KM = EARTH_RADIUS_KM * np.pi
"""Distance to the opposite point of the Earth."""

LIKELY, POSSIBLE = 2e-3, 1e-4
"""A cell with a probability ≥ LIKELY is spread over all its sample points, ≥ POSSIBLE over a few. Any other is put at
its centre, which changes no share by more than about 0.001."""

NOTHING = 1e-9
"""Points with a smaller weight, relative to the largest, are dropped."""


@dataclass(frozen=True, eq=False)
class Scatter:
    """Distribution of true positions around the mean of neighbouring cells.

    lat_deg, lon_deg  the mean
    cells             bool (K,), the averaged cells
    sigma_km          > 0, standard deviation along each of two axes

    Raises DataError for another σ.
    """

    lat_deg: float
    lon_deg: float
    cells: NDArray[np.bool_] = field(repr=False)
    sigma_km: float

    def __post_init__(self) -> None:
        if not 0 < self.sigma_km < np.inf:
            raise DataError(
                f"scatter: expected a finite σ above 0 km, got {self.sigma_km}: check the model's sigma_km."
            )


@dataclass(frozen=True, eq=False)
class Spread:
    """Cumulative probability by distance from a point.

    km             float64 (N,), ascending distances from the point, from 0 to at most FARTHEST_KM
    shares         float64 (N,), the probability within each distance, ascending from 0 to 1; interpolated linearly in
                   the area of the circle
    cell_width_km  diameter of a circle of the most probable cell's area
    """

    km: NDArray[np.float64] = field(repr=False)
    shares: NDArray[np.float64] = field(repr=False)
    cell_width_km: float

    def within(self, radius_km: ArrayLike) -> NDArray[np.float64]:
        """Return the probability, in [0, 1], within distances ≥ 0 in km; arrays of any shape."""
        return np.asarray(
            np.interp(_circle_area(np.asarray(radius_km, np.float64)), _circle_area(self.km), self.shares)
        )

    def radius_km(self, share: ArrayLike) -> NDArray[np.float64]:
        """Return the distances in km that contain shares, in [0, 1], of the probability; arrays of any shape."""
        area = np.interp(np.asarray(share, np.float64), self.shares, _circle_area(self.km))
        return np.asarray(2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(area)))


def _circle_area(radius_km: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of the sphere within a distance as sin²(angle / 2), which stays precise to metres."""
    return np.asarray(np.sin(np.minimum(radius_km, FARTHEST_KM) / (2 * EARTH_RADIUS_KM)) ** 2)


def spread_probability(
    probabilities: NDArray[np.float64],
    partition: Partition,
    point_deg: ArrayLike,
    *,
    scatter: Scatter | None = None,
) -> Spread:
    """Spread the probabilities (K,) of cells over the cells' areas, by distance from a point (2,) in degrees.

    `scatter` weights the area of the averaged cells; None spreads every cell evenly. Raises DataError if the number of
    probabilities is not that of the cells, or if the point is not two finite numbers.
    """
    point = np.asarray(point_deg, dtype=np.float64)
    if probabilities.shape != (len(partition),):
        raise DataError(
            f"spread: expected {len(partition)} probabilities for partition {partition.name}, got "
            f"shape {probabilities.shape}: is the prediction from another model?"
        )
    if point.shape != (2,) or not np.isfinite(point).all():
        raise DataError(
            f"spread: expected a point (latitude, longitude) in degrees, got {point.tolist()}: pass two numbers."
        )
    areas = cell_areas(partition)
    width_km = float(areas.width_km[int(probabilities.argmax())])
    kinds = (probabilities >= LIKELY, (probabilities < LIKELY) & (probabilities >= POSSIBLE))
    parts = []
    for kind, fine in zip(kinds, (areas.points, areas.coarse), strict=True):
        cells = np.flatnonzero(kind)
        points = fine[cells].astype(np.float64)  # (k, n, 3)
        shares = probabilities[cells, None] * _within_cells(points, cells, scatter)
        parts.append((_distance_km(points, point).ravel(), shares.ravel()))
    rest = np.flatnonzero((probabilities < POSSIBLE) & (probabilities > 0))
    parts.append((great_circle_km(point, partition.centers_deg[rest]), probabilities[rest]))
    km, weights = (np.concatenate(column) for column in zip(*parts, strict=True))
    counts = weights > NOTHING * weights.max()
    km, weights = km[counts], weights[counts]
    order = np.argsort(km)
    km, weights = km[order], weights[order]
    # A sample point represents the area around it, half of which is nearer than the point itself.
    held = np.cumsum(weights) - weights / 2
    last = min(km[-1] + 0.5 * (km[-1] - km[-2]) if len(km) > 1 else km[-1], FARTHEST_KM)
    return Spread(np.concatenate([[0.0], km, [last]]), np.concatenate([[0.0], held / weights.sum(), [1.0]]), width_km)


def _within_cells(
    points: NDArray[np.float64], cells: NDArray[np.int64], scatter: Scatter | None
) -> NDArray[np.float64]:
    """Return the share of a cell's probability at each of its points (k, n, 3): (k, n), with sum 1 in each row."""
    shares = np.full(points.shape[:2], 1 / points.shape[1])
    if scatter is not None:
        near = scatter.cells[cells]
        distance_km = _distance_km(points[near], np.array([scatter.lat_deg, scatter.lon_deg]))
        exponent = -(distance_km**2) / (2 * scatter.sigma_km**2)
        weights = np.exp(exponent - exponent.max(axis=1, keepdims=True))
        shares[near] = weights / weights.sum(axis=1, keepdims=True)
    return shares


def _distance_km(points: NDArray[np.float64], point_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    # The chord stays precise for small angles, where the cosine does not.
    chord = np.linalg.norm(points - unit_vectors(point_deg), axis=-1)
    return np.asarray(2 * EARTH_RADIUS_KM * np.arcsin(np.clip(chord / 2, 0, 1)))
