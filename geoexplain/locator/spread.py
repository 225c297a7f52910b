"""Probabilities of cells → how much of the probability lies within any distance of a point.

A cell's probability says nothing of where in the cell: it is spread over the cell's area. How near the centres of two
cells lie to one another then measures nothing, and no figure is finer than a cell.

Evenly is right for a point that knows no more than its cell. A point that is the mean of neighbouring cells knows more:
which neighbours share the probability tells where in its cell an image belongs, and the truth scatters more narrowly
around the mean than over whole cells. Spread evenly, the half-probability circle of such a point is too wide: it would
hold the truth for three views out of four. So a `Scatter` weighs the area of the cells that the mean was taken over by
a normal distribution around the mean. Every cell keeps its probability, as in the interpolation of Tobler (1979); only
its share within the cell moves. The likelihood of a true position is then that of its cell times that within the
cell: the temperature calibrates the first, the scatter's σ the second, both on validation views.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geoexplain.errors import DataError
from geoexplain.geography.cell_areas import cell_areas
from geoexplain.geography.partition import Partition
from geoexplain.geography.sphere import EARTH_RADIUS_KM, great_circle_km, unit_vectors

FARTHEST_KM = EARTH_RADIUS_KM * np.pi
"""To the other side of the Earth."""

LIKELY, POSSIBLE = 2e-3, 1e-4
"""A cell of at least the first probability is spread over all its points, of the second over a few; any other lies at
its centre, which moves no share by more than about a thousandth."""

NOTHING = 1e-9


@dataclass(frozen=True, eq=False)
class Scatter:
    """How the true position scatters around the mean of neighbouring cells.

    lat_deg, lon_deg  the mean
    cells             bool (K,), the cells that it was taken over
    sigma_km          > 0, the standard deviation along each of two axes
    """

    lat_deg: float
    lon_deg: float
    cells: NDArray[np.bool_] = field(repr=False)
    sigma_km: float

    def __post_init__(self) -> None:
        if not 0 < self.sigma_km < np.inf:
            raise DataError(f"scatter: expected a σ above 0 km, got {self.sigma_km}.")


@dataclass(frozen=True, eq=False)
class Spread:
    """How much of the probability lies within any distance of a point, every cell's spread over its area.

    km             float64 (N,), distances from the point, rising from 0 to at most the other side of the Earth
    shares         float64 (N,), the probability within each, rising from 0 to 1; between two it rises with the area
                   of the circle
    cell_width_km  how wide a circle of the most probable cell's area is
    """

    km: NDArray[np.float64] = field(repr=False)
    shares: NDArray[np.float64] = field(repr=False)
    cell_width_km: float

    def within(self, radius_km: ArrayLike) -> NDArray[np.float64]:
        """The probability, in [0, 1], within distances of any shape in km, ≥ 0."""
        return np.asarray(
            np.interp(_circle_area(np.asarray(radius_km, np.float64)), _circle_area(self.km), self.shares)
        )

    def radius_km(self, share: ArrayLike) -> NDArray[np.float64]:
        """The distances in km within which shares of any shape, in [0, 1], of the probability lie."""
        area = np.interp(np.asarray(share, np.float64), self.shares, _circle_area(self.km))
        return np.asarray(2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(area)))


def _circle_area(radius_km: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of the sphere that lies within a distance: sin²(half the angle), which keeps the digits of metres."""
    return np.asarray(np.sin(np.minimum(radius_km, FARTHEST_KM) / (2 * EARTH_RADIUS_KM)) ** 2)


def spread_probability(
    probabilities: NDArray[np.float64],
    partition: Partition,
    point_deg: ArrayLike,
    *,
    scatter: Scatter | None = None,
) -> Spread:
    """Spread the probabilities (K,) of cells over the cells' areas, as seen from a point (2,) in degrees.

    `scatter` says how the cells around the mean that it names are weighed; None spreads every cell evenly. Raises
    DataError for probabilities of another number of cells, or a point that is none.
    """
    point = np.asarray(point_deg, dtype=np.float64)
    if probabilities.shape != (len(partition),):
        raise DataError(
            f"spread: expected {len(partition)} probabilities for partition {partition.name}, got "
            f"{probabilities.shape}; is the prediction from another model?"
        )
    if point.shape != (2,) or not np.isfinite(point).all():
        raise DataError(
            f"spread: expected a point (latitude, longitude) in degrees, got {point.tolist()}: pass two numbers."
        )
    areas = cell_areas(partition)
    width_km = float(areas.width_km[int(probabilities.argmax())])
    kinds = (probabilities >= LIKELY, (probabilities < LIKELY) & (probabilities >= POSSIBLE))
    found = []
    for kind, fine in zip(kinds, (areas.points, areas.coarse), strict=True):
        cells = np.flatnonzero(kind)
        points = fine[cells].astype(np.float64)  # (k, n, 3)
        shares = probabilities[cells, None] * _within_cells(points, cells, scatter)
        found.append((_distance_km(points, point).ravel(), shares.ravel()))
    rest = np.flatnonzero((probabilities < POSSIBLE) & (probabilities > 0))
    found.append((great_circle_km(point, partition.centers_deg[rest]), probabilities[rest]))
    km, weights = (np.concatenate(column) for column in zip(*found, strict=True))
    counts = weights > NOTHING * weights.max()
    km, weights = km[counts], weights[counts]
    order = np.argsort(km)
    km, weights = km[order], weights[order]
    # A point stands for the ground around it, half of which is nearer than the point itself.
    held = np.cumsum(weights) - weights / 2
    last = min(km[-1] + 0.5 * (km[-1] - km[-2]) if len(km) > 1 else km[-1], FARTHEST_KM)
    return Spread(np.concatenate([[0.0], km, [last]]), np.concatenate([[0.0], held / weights.sum(), [1.0]]), width_km)


def _within_cells(
    points: NDArray[np.float64], cells: NDArray[np.int64], scatter: Scatter | None
) -> NDArray[np.float64]:
    """How a cell's probability is shared out to its points (k, n, 3): (k, n), 1 in each row."""
    shares = np.full(points.shape[:2], 1 / points.shape[1])
    if scatter is not None:
        near = scatter.cells[cells]
        distance_km = _distance_km(points[near], np.array([scatter.lat_deg, scatter.lon_deg]))
        exponent = -(distance_km**2) / (2 * scatter.sigma_km**2)
        weights = np.exp(exponent - exponent.max(axis=1, keepdims=True))
        shares[near] = weights / weights.sum(axis=1, keepdims=True)
    return shares


def _distance_km(points: NDArray[np.float64], point_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    # By the chord, which keeps its digits where the cosine of a small angle loses them.
    chord = np.linalg.norm(points - unit_vectors(point_deg), axis=-1)
    return np.asarray(2 * EARTH_RADIUS_KM * np.arcsin(np.clip(chord / 2, 0, 1)))
