"""Areas of cells against formulas, against points assigned one by one, and where the Earth is awkward."""

import threading

import numpy as np
import pytest
import shapely

from geoexplain.geography import cell_areas as module
from geoexplain.geography.cell_areas import COARSE_POINTS, FEWEST_POINTS, MOST_POINTS, NARROWEST_KM, cell_areas
from geoexplain.geography.partition import Partition
from geoexplain.geography.sphere import degrees, great_circle_km, unit_vectors
from tests.geography.scattered import fibonacci

EARTH_KM2 = 4 * np.pi * 6371.0**2
DEGREE_KM = 6371.0 * np.pi / 180


def partition_of(centers: object, borders: tuple | None = None) -> Partition:
    centers = np.asarray(centers, float)
    return Partition("test", tuple(map(str, range(len(centers)))), centers, borders=borders)


def grid(rows: int, columns: int, lat: float = 0.0, lon: float = 0.0) -> np.ndarray:
    """Centres one degree apart, the first at (lat, lon)."""
    north, east = np.mgrid[:rows, :columns]
    return np.stack([lat + north.ravel(), (lon + east.ravel() + 180) % 360 - 180], axis=1).astype(float)


@pytest.mark.parametrize("lon", [0.0, 177.0])
def test_a_square_cell_at_the_equator(lon: float) -> None:
    areas = cell_areas(partition_of(grid(5, 5, -2, lon)))
    middle = 12  # a square of one degree around (0, lon + 2)
    assert areas.km2[middle] == pytest.approx(DEGREE_KM**2, rel=0.02)
    assert areas.width_km[middle] == pytest.approx(2 * DEGREE_KM / np.sqrt(np.pi), rel=0.01)
    lat, east = degrees(areas.points[middle]).T
    east = (east - lon - 2 + 180) % 360 - 180
    assert np.abs(lat).max() < 0.501 > np.abs(east).max()
    # Even over the square: a quarter of the points in each quarter, and variances of one twelfth.
    quarters = np.histogram2d(lat, east, bins=[[-1, 0, 1]] * 2)[0].ravel() / len(lat)
    np.testing.assert_allclose(quarters, 0.25, atol=0.03)
    np.testing.assert_allclose([lat.var(), east.var()], 1 / 12, rtol=0.05)


@pytest.mark.parametrize("count", [12, 500, 5000])
def test_cells_of_the_whole_sphere_fill_it(count: int) -> None:
    centers = fibonacci(count)
    areas = cell_areas(partition_of(centers))
    assert areas.points.shape == (count, np.clip(2**18 // count, FEWEST_POINTS, MOST_POINTS), 3)
    assert areas.km2.sum() == pytest.approx(EARTH_KM2, rel=0.01)
    np.testing.assert_allclose(np.linalg.norm(areas.points, axis=-1), 1, atol=1e-6)
    for cell in range(0, count, max(1, count // 40)):
        nearest = (areas.points[cell] @ unit_vectors(centers).T).argmax(axis=1)
        assert (nearest == cell).mean() > 0.99  # the rest lie on the border but for the last bit


def test_areas_are_those_of_points_assigned_one_by_one() -> None:
    centers = fibonacci(200) + np.random.default_rng(1).normal(0, 1.5, (200, 2))
    centers = np.stack([centers[:, 0].clip(-90, 90), (centers[:, 1] + 180) % 360 - 180], axis=1)
    areas = cell_areas(partition_of(centers))
    everywhere = unit_vectors(fibonacci(200_000))
    owner = (everywhere @ unit_vectors(centers).T).argmax(axis=1)
    np.testing.assert_allclose(areas.km2, np.bincount(owner, minlength=200) / 200_000 * EARTH_KM2, rtol=0.06)
    # The points' mean is the mean of the cell.
    for cell in range(0, 200, 10):
        own, found = everywhere[owner == cell].mean(axis=0), areas.points[cell].mean(axis=0)
        width = areas.width_km[cell]
        assert great_circle_km(degrees(own), degrees(found)) < 0.03 * width


def test_a_few_points_of_a_cell_are_spread_over_it_too() -> None:
    centers = fibonacci(500)
    areas = cell_areas(partition_of(centers))
    assert areas.coarse.shape == (500, COARSE_POINTS, 3)
    fine, coarse = (
        np.linalg.norm(some - unit_vectors(centers)[:, None], axis=-1) for some in (areas.points, areas.coarse)
    )
    np.testing.assert_allclose(coarse.mean(axis=1) / fine.mean(axis=1), 1, atol=0.12)
    np.testing.assert_allclose(areas.coarse.mean(axis=1), areas.points.mean(axis=1), atol=0.015)  # of a width of 0.16


def test_a_coast_ends_and_a_lone_island_is_no_ocean() -> None:
    land = grid(20, 20)
    centers = np.concatenate([land, [[-40.0, -150.0]]])
    areas = cell_areas(partition_of(centers))
    reach = np.array(
        [great_circle_km(center, degrees(own)).max() for center, own in zip(centers, areas.points, strict=True)]
    )
    edge = (land == land.min(axis=0)).any(axis=1) | (land == land.max(axis=0)).any(axis=1)
    assert (reach[:-1][edge] < 0.81 * np.sqrt(2) * DEGREE_KM).all()  # a corner's third neighbour is across
    # Inside nothing is cut off: corners lie half a diagonal away.
    corner_km = DEGREE_KM / 2 * np.hypot(1, np.cos(np.radians(land[:, 0])))
    np.testing.assert_allclose(reach[:-1][~edge], corner_km[~edge], rtol=0.08)
    assert reach[-1] <= reach[:-1].max()


@pytest.mark.parametrize("south", [False, True])
def test_a_cell_at_a_pole_is_a_circle(south: bool) -> None:
    around = [[80.0, lon] for lon in range(-180, 180, 20)] + [[90.0, 0.0]]
    areas = cell_areas(partition_of(np.array(around) * [-1 if south else 1, 1]))
    # What lies nearer to the pole than to 80°: everything beyond 85°, but for the corners between 18 neighbours.
    assert areas.km2[-1] == pytest.approx(EARTH_KM2 / 2 * (1 - np.sin(np.radians(85))), rel=0.03)
    assert areas.width_km[-1] == pytest.approx(10 * DEGREE_KM, rel=0.015)


def test_a_border_is_the_area_but_for_the_smaller_cells_inside() -> None:
    country, city = shapely.box(0, 0, 10, 60), shapely.box(2, 2, 4, 4)
    areas = cell_areas(partition_of([[30, 5], [3, 3], [-40, 100]], (country, city, None)))

    def box_km2(west: float, south: float, east: float, north: float) -> float:
        return 6371.0**2 * np.radians(east - west) * (np.sin(np.radians(north)) - np.sin(np.radians(south)))

    held = box_km2(2, 2, 4, 4)
    assert areas.km2[1] == pytest.approx(held, rel=1e-6)
    assert areas.km2[0] == pytest.approx(box_km2(0, 0, 10, 60) - held, rel=1e-6)
    lat, lon = degrees(areas.points[0]).T
    assert not ((lat > 2) & (lat < 4) & (lon > 2) & (lon < 4)).any()
    # Half of the area of 0° to 60° lies south of arcsin(sin 60° / 2) = 25.66°.
    assert (lat < 25.66).mean() == pytest.approx(0.5, abs=0.03)
    assert areas.km2[2] > areas.km2[0]


@pytest.mark.parametrize(
    "border",
    [
        shapely.box(170, -5, 190, 5),
        shapely.MultiPolygon([shapely.box(170, -5, 180, 5), shapely.box(-180, -5, -170, 5)]),
    ],
    ids=["runs past", "cut"],
)
def test_a_border_across_the_antimeridian(border: shapely.Geometry) -> None:
    areas = cell_areas(partition_of([[0, 180], [0, 0]], (border, None)))
    lon = degrees(areas.points[0])[:, 1]
    assert (np.abs(lon) > 169.99).all()
    assert (lon > 0).mean() == pytest.approx(0.5, abs=0.03)
    assert areas.km2[0] == pytest.approx(6371.0**2 * np.radians(20) * 2 * np.sin(np.radians(5)), rel=1e-6)


def test_scattered_islands_get_points_by_their_size() -> None:
    islands = shapely.MultiPolygon([shapely.box(0, 0, 3, 1), shapely.box(50, 0, 51, 1)])
    areas = cell_areas(partition_of([[0, 0], [0, 100]], (islands, None)))
    assert (degrees(areas.points[0])[:, 1] > 40).mean() == pytest.approx(0.25, abs=0.04)


def test_a_border_without_an_inside_is_a_place() -> None:
    line = shapely.Polygon([(5, 5), (6, 6), (5, 5)])
    areas = cell_areas(partition_of([[5, 5], [0, 100]], (line, None)))
    assert areas.km2[0] == 0
    assert areas.width_km[0] == NARROWEST_KM
    assert great_circle_km([5.5, 5.5], degrees(areas.points[0])).max() < 100


def test_one_cell_is_the_earth_and_two_share_it() -> None:
    assert cell_areas(partition_of([[12, 34]])).km2[0] == pytest.approx(EARTH_KM2)
    assert cell_areas(partition_of([[12, 34]])).width_km[0] == pytest.approx(2 * np.pi * 6371)
    # At 0.8 of the way to one another the circles around both end short of the far sides.
    two = cell_areas(partition_of([[0, 0], [0, 180]]))
    np.testing.assert_allclose(two.km2, EARTH_KM2 / 2, rtol=0.01)


def test_coincident_centres_and_centres_on_one_circle_have_areas() -> None:
    twice = cell_areas(partition_of(np.concatenate([grid(5, 5), [[2.0, 2.0]]])))
    np.testing.assert_allclose(twice.km2[[12, 25]], DEGREE_KM**2, rtol=0.03)  # each has all of it
    ring = cell_areas(partition_of([[0, lon] for lon in range(0, 360, 10)][:19]))
    assert (ring.km2 > 0).all()
    assert np.isfinite(ring.points).all()
    same = cell_areas(partition_of([[1, 1]] * 5))
    np.testing.assert_allclose(degrees(same.points), np.ones((5, MOST_POINTS, 2)), atol=1e-4)


def test_metres_are_resolved() -> None:
    metre = 1 / (1000 * DEGREE_KM)
    areas = cell_areas(partition_of(grid(5, 5, -2, -2) * 20 * metre + [48.85, 2.35]))
    longitude = np.cos(np.radians(48.85))
    assert areas.km2[12] == pytest.approx(0.02**2 * longitude, rel=0.05)


def test_threads_that_ask_at_once_wait_for_one_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, known = [], module._areas

    def slow(partition: Partition) -> module.CellAreas:
        calls.append(partition)
        waiting.wait(0.2)
        return known(partition)

    waiting, found = threading.Event(), []
    monkeypatch.setattr(module, "_areas", slow)
    partition = partition_of(fibonacci(50))
    threads = [threading.Thread(target=lambda: found.append(cell_areas(partition))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert all(one is found[0] for one in found)
