"""Probability spread over areas, against formulas, hand-worked cases, and positions from a known distribution."""

import numpy as np
import pytest
import shapely
import torch
from scipy.spatial import KDTree

from geoexplain.errors import DataError
from geoexplain.geography.cell_areas import cell_areas
from geoexplain.geography.partition import Partition
from geoexplain.geography.sphere import degrees, destination, great_circle_km, unit_vectors
from geoexplain.locator.prediction import neighbourhood_mean
from geoexplain.locator.spread import Scatter, Spread, spread_probability
from geoexplain.training.calibration import fit_sigma
from tests.geography.scattered import fibonacci

EARTH_KM = 6371.0
DEGREE_KM = EARTH_KM * np.pi / 180
FARTHEST_KM = EARTH_KM * np.pi
POINTS = [(0.0, 0.0), (90.0, 0.0), (-90.0, 12.0), (12.3, 180.0), (-17.0, -179.9), (48.9, 2.3)]


def partition_of(centers: object, borders: tuple | None = None) -> Partition:
    centers = np.asarray(centers, float)
    return Partition("test", tuple(map(str, range(len(centers)))), centers, borders=borders)


SPHERE = partition_of(fibonacci(500))


def uniform() -> np.ndarray:
    km2 = cell_areas(SPHERE).km2
    return km2 / km2.sum()


def random_shares(seed: int, cells: int = 500, sharpness: float = 2.0) -> np.ndarray:
    shares = np.exp(sharpness * np.random.default_rng(seed).normal(size=cells))
    return shares / shares.sum()


@pytest.mark.parametrize("point", POINTS)
def test_uniform_over_the_sphere_a_circle_holds_its_share_of_the_area(point: tuple[float, float]) -> None:
    spread = spread_probability(uniform(), SPHERE, point)
    radii = np.linspace(200, 20_000, 40)
    np.testing.assert_allclose(spread.within(radii), (1 - np.cos(radii / EARTH_KM)) / 2, atol=0.006)
    assert spread.radius_km(0.5) == pytest.approx(FARTHEST_KM / 2, rel=0.005)


@pytest.mark.parametrize("point", POINTS)
def test_a_single_cell_is_the_earth(point: tuple[float, float]) -> None:
    spread = spread_probability(np.ones(1), partition_of([[30, 40]]), point)
    radii = np.array([1000.0, 5000.0, 10_000.0, 19_000.0])
    np.testing.assert_allclose(spread.within(radii), (1 - np.cos(radii / EARTH_KM)) / 2, atol=0.006)


def round_cell(lat: float, lon: float, radius_km: float) -> Partition:
    """Return a round cell with a border, and one far away."""
    ring = destination(np.array([lat, lon]), np.arange(0, 360, 2.0), radius_km)
    ring[:, 1] = lon + (ring[:, 1] - lon + 180) % 360 - 180
    return partition_of([[lat, lon], [-lat, 0.0]], (shapely.Polygon(ring[:, ::-1]), None))


@pytest.mark.parametrize(("lat", "lon"), [(47.0, 8.0), (-20.0, 180.0), (75.0, -100.0)])
def test_a_round_cell_by_hand(lat: float, lon: float) -> None:
    partition = round_cell(lat, lon, 100.0)
    spread = spread_probability(np.array([1.0, 0.0]), partition, (lat, lon))
    assert spread.cell_width_km == pytest.approx(200, rel=0.005)
    for radius, share in ((25, 1 / 16), (50, 0.25), (75, 9 / 16), (100, 1.0)):
        assert spread.within(radius) == pytest.approx(share, abs=0.015)
    assert spread.radius_km(0.5) == pytest.approx(100 / np.sqrt(2), rel=0.02)
    assert spread.radius_km(0.9) == pytest.approx(100 * np.sqrt(0.9), rel=0.02)
    # From its edge, a circle as large as the cell cuts out a lens: 2π/3 − √3/2 of π.
    edge = destination(np.array([lat, lon]), 30.0, 100.0)
    lens = (2 * np.pi / 3 - np.sqrt(3) / 2) / np.pi
    assert spread_probability(np.array([1.0, 0.0]), partition, edge).within(100) == pytest.approx(lens, abs=0.015)


def test_a_square_cell_by_hand() -> None:
    north, east = np.mgrid[-2:3, -2:3]
    partition = partition_of(np.stack([north.ravel(), east.ravel()], axis=1))
    shares = np.zeros(25)
    shares[12] = 1
    spread = spread_probability(shares, partition, (0, 0))
    half_side = DEGREE_KM / 2
    assert spread.within(half_side) == pytest.approx(np.pi / 4, abs=0.02)  # its inner circle
    assert spread.within(half_side * np.sqrt(2)) == pytest.approx(1, abs=0.01)
    corner = spread_probability(shares, partition, (0.5, 0.5))
    assert corner.within(2 * half_side) == pytest.approx(np.pi / 4, abs=0.02)  # a quarter of a circle around a corner


def test_distances_between_centres_do_not_matter() -> None:
    # All probability is in one cell of 111 km: by centres all of it is within 1 km, by area almost nothing.
    north, east = np.mgrid[-2:3, -2:3]
    partition = partition_of(np.stack([north.ravel(), east.ravel()], axis=1))
    shares = np.full(25, 1e-12)
    shares[12] = 1 - 24e-12
    spread = spread_probability(shares, partition, (0, 0))
    for radius in (1, 10, 25):
        assert spread.within(radius) == pytest.approx(np.pi * radius**2 / DEGREE_KM**2, abs=0.004)


@pytest.mark.parametrize("seed", range(8))
def test_shares_rise_from_nothing_to_all_and_radii_are_their_inverse(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shares, point = random_shares(seed, sharpness=4.0 * rng.random()), degrees(rng.normal(size=3))
    near = great_circle_km(point, SPHERE.centers_deg) < 3000
    scatter = Scatter(*point.tolist(), near, 700.0) if seed % 2 else None
    spread = spread_probability(shares, SPHERE, point, scatter=scatter)
    within = spread.within(np.linspace(0, FARTHEST_KM, 500))
    assert within[0] == 0
    assert within[-1] == 1
    assert (np.diff(within) >= 0).all()
    levels = np.linspace(0.001, 0.999, 200)
    # But for points that are equally far to the last bit: there the share steps.
    np.testing.assert_allclose(spread.within(spread.radius_km(levels)), levels, atol=5e-4)
    radii = np.linspace(500, 19_000, 50)
    np.testing.assert_allclose(spread.radius_km(spread.within(radii)), radii, rtol=1e-3)


def test_it_is_the_same_wherever_on_earth() -> None:
    # Turned about the axis, so that other cells cross the antimeridian, and about the equator, over the poles.
    shares, point = random_shares(3), np.array([20.0, 30.0])
    expected = spread_probability(shares, SPHERE, point)
    radii = np.linspace(300, 19_000, 60)
    for axis, angle in ((2, 147.0), (2, -170.0), (0, 90.0), (1, 61.0)):
        turn = np.eye(3)
        i, j = [k for k in range(3) if k != axis]
        cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        turn[i, i], turn[i, j], turn[j, i], turn[j, j] = cos, -sin, sin, cos
        turned = partition_of(degrees(unit_vectors(SPHERE.centers_deg) @ turn.T))
        found = spread_probability(shares, turned, degrees(turn @ unit_vectors(point)))
        np.testing.assert_allclose(found.within(radii), expected.within(radii), atol=0.004)


@pytest.mark.parametrize("sharpness", [0.0, 3.0])
def test_unlikely_cells_may_lie_at_their_centres(sharpness: float, monkeypatch: pytest.MonkeyPatch) -> None:
    partition, shares = partition_of(fibonacci(8000)), random_shares(4, 8000, sharpness)
    quick = spread_probability(shares, partition, (10, 20))
    for limit in ("LIKELY", "POSSIBLE"):
        monkeypatch.setattr(f"geoexplain.locator.spread.{limit}", 0.0)
    exact = spread_probability(shares, partition, (10, 20))
    assert len(quick.km) < len(exact.km) / 3
    radii = np.linspace(0, FARTHEST_KM, 400)
    np.testing.assert_allclose(quick.within(radii), exact.within(radii), atol=0.001)


def test_the_scatter_moves_nothing_from_cell_to_cell() -> None:
    shares, here = np.zeros(500), SPHERE.centers_deg[250]
    shares[250], shares[10] = 0.7, 0.3
    far_km = great_circle_km(here, SPHERE.centers_deg[10])
    width_km = cell_areas(SPHERE).width_km[250]
    near = great_circle_km(here, SPHERE.centers_deg) < 2 * width_km
    even = spread_probability(shares, SPHERE, here)
    for sigma in (200.0, 600.0, 1e6):
        spread = spread_probability(shares, SPHERE, here, scatter=Scatter(*here.tolist(), near, sigma))
        assert spread.within(width_km) == pytest.approx(0.7, abs=0.002)
        assert spread.within(far_km) == pytest.approx(0.85, abs=0.05)  # the other cell is spread evenly
        narrower = spread.within(width_km / 4) / even.within(width_km / 4)
        assert narrower == pytest.approx(1, abs=0.01) if sigma == 1e6 else narrower > 1.1


def test_a_scatter_within_one_cell_is_a_normal_distribution() -> None:
    spread = spread_probability(
        np.ones(1), partition_of([[0, 0]]), (30, 40), scatter=Scatter(30.0, 40.0, np.ones(1, bool), 3000.0)
    )
    # In the plane half of it lies within 1.177 σ; on the sphere the area grows more slowly: the integral over angles.
    angle = np.linspace(0, np.pi, 20_001)
    density = np.exp(-((angle * EARTH_KM) ** 2) / (2 * 3000.0**2)) * np.sin(angle)
    share = np.cumsum(density) / density.sum()
    for radius in (2000.0, 3500.0, 6000.0):
        assert spread.within(radius) == pytest.approx(np.interp(radius / EARTH_KM, angle, share), abs=0.02)


def drawn(seed: int, count: int) -> np.ndarray:
    """Draw unit vectors (count, 3), uniform over the sphere."""
    vectors = np.random.default_rng(seed).normal(size=(count, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def coverage(spreads: list[Spread], error_km: np.ndarray) -> tuple[float, float]:
    circles = np.array([spread.radius_km([0.5, 0.9]) for spread in spreads])
    return tuple((error_km[:, None] <= circles).mean(axis=0))


def test_circles_hold_what_is_drawn_evenly_from_cells() -> None:
    """Draw a cell by its probability, then a uniform position in it, by rejection from positions all over the Earth."""
    partition, rng = partition_of(fibonacci(400)), np.random.default_rng(0)
    everywhere = drawn(1, 200_000)
    owner = (everywhere @ unit_vectors(partition.centers_deg).T).argmax(axis=1)
    of_cell = [np.flatnonzero(owner == cell) for cell in range(400)]
    spreads, errors = [], []
    for _ in range(1000):
        shares = rng.dirichlet(np.full(400, 0.02))
        point = partition.centers_deg[shares.argmax()]
        truth = everywhere[rng.choice(of_cell[rng.choice(400, p=shares)])]
        spreads.append(spread_probability(shares, partition, point))
        errors.append(great_circle_km(point, degrees(truth)))
    half, ninety = coverage(spreads, np.array(errors))
    assert half == pytest.approx(0.5, abs=3 * np.sqrt(0.25 / 1000))
    assert ninety == pytest.approx(0.9, abs=3 * np.sqrt(0.09 / 1000))


def test_a_mean_of_neighbours_needs_its_scatter_and_validation_finds_it() -> None:
    """A model that knows a position to 90 km, whose cells are 400 km wide and have just the probabilities that gives.

    Spread evenly, its half-probability circle is far too wide; the fitted scatter is right on positions that it was
    not fitted on.
    """
    partition, refine_km, sigma_km = partition_of(fibonacci(4000)), 600.0, 90.0
    nearest, rng = KDTree(unit_vectors(partition.centers_deg)), np.random.default_rng(5)
    believed = degrees(drawn(6, 1200))

    def scattered(point: np.ndarray, count: int) -> np.ndarray:
        east, north = rng.normal(0, sigma_km, (2, count))
        return destination(point, np.degrees(np.arctan2(east, north)), np.hypot(east, north))

    truth = np.concatenate([scattered(point, 1) for point in believed])
    shares = np.stack(
        [
            np.bincount(nearest.query(unit_vectors(scattered(point, 600)))[1], minlength=4000) + 1e-9
            for point in believed
        ]
    )
    shares /= shares.sum(axis=1, keepdims=True)
    fitted = fit_sigma(torch.from_numpy(np.log(shares[:600])), truth[:600], partition.centers_deg, refine_km)
    assert fitted == pytest.approx(sigma_km, rel=0.15)  # the mean of neighbours nearly recovers the mean of the model
    found: dict[str, list[Spread]] = {"even": [], "scattered": []}
    points = []
    for row in shares[600:]:
        cell = int(row.argmax())
        point = neighbourhood_mean(row, partition, cell, refine_km)
        near = great_circle_km(partition.centers_deg[cell], partition.centers_deg) <= refine_km
        points.append(point)
        found["even"].append(spread_probability(row, partition, point))
        found["scattered"].append(spread_probability(row, partition, point, scatter=Scatter(*point, near, fitted)))
    error_km = great_circle_km(points, truth[600:])
    half, ninety = coverage(found["scattered"], error_km)
    assert half == pytest.approx(0.5, abs=0.06)
    assert ninety == pytest.approx(0.9, abs=0.04)
    half, ninety = coverage(found["even"], error_km)
    assert half > 0.65
    assert ninety > 0.94


@pytest.mark.parametrize("sigma", [0.0, -1.0, np.inf, np.nan])
def test_a_scatter_of_no_width_is_refused(sigma: float) -> None:
    with pytest.raises(DataError, match="σ above 0 km"):
        Scatter(0.0, 0.0, np.ones(3, bool), sigma)


def test_inconsistent_arguments_are_refused() -> None:
    with pytest.raises(DataError, match="expected 500 probabilities for partition test"):
        spread_probability(np.ones(3) / 3, SPHERE, (0, 0))
    with pytest.raises(DataError, match="expected a point"):
        spread_probability(uniform(), SPHERE, (0, np.nan))
