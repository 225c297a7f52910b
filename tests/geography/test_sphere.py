"""Distances and directions against geopy, and against what holds for any points on a sphere."""

import numpy as np
import pytest
from geopy.distance import EARTH_RADIUS as GEOPY_RADIUS_KM
from geopy.distance import great_circle
from hypothesis import given
from hypothesis import strategies as st

from geoexplain.errors import DataError
from geoexplain.geography.sphere import (
    EARTH_RADIUS_KM,
    degrees,
    destination,
    great_circle_km,
    spherical_mean,
    unit_vectors,
)

HALF_WAY_ROUND_KM = np.pi * 6371.0
LYON, SYDNEY, QUITO, SUVA = (45.76, 4.84), (-33.87, 151.21), (-0.18, -78.47), (-18.14, 178.44)
PLACES = (LYON, SYDNEY, QUITO, SUVA, (90.0, 0.0), (-90.0, 120.0), (0.0, 180.0), (45.7601, 4.8401))

points = st.tuples(st.floats(-90, 90), st.floats(-180, 180))
away_from_poles = st.tuples(st.floats(-89, 89), st.floats(-180, 180))


@pytest.mark.parametrize("start", PLACES)
@pytest.mark.parametrize("end", PLACES)
def test_distances_are_geopy_s_on_a_sphere_of_6371_km(start: tuple[float, float], end: tuple[float, float]) -> None:
    expected_km = great_circle(start, end).km * 6371.0 / GEOPY_RADIUS_KM
    assert great_circle_km(start, end) == pytest.approx(expected_km, abs=1e-4)


@pytest.mark.parametrize(
    ("start", "end", "share_of_half_circle"),
    [
        ((0, 0), (0, 90), 0.5),
        ((90, 17), (-90, -60), 1.0),
        ((90, 0), (90, 123), 0.0),
        ((0, 179), (0, -179), 2 / 180),
        ((-12, 34), (12, -146), 1.0),
        ((60, -180), (60, 180), 0.0),
    ],
)
def test_distances_by_hand(start: tuple, end: tuple, share_of_half_circle: float) -> None:
    assert great_circle_km(start, end) == pytest.approx(share_of_half_circle * HALF_WAY_ROUND_KM, abs=1e-3)


def test_antipodes_are_half_way_round_whatever_the_rounding() -> None:
    # of one pair in thirty the haversine comes out a little above 1, among them 8° N 180° W
    lat, lon = (grid.ravel() for grid in np.meshgrid(np.arange(-90, 91, 1.0), [-180.0, -100.3, -17.77]))
    distances = great_circle_km(np.stack([lat, lon], axis=-1), np.stack([-lat, lon + 180], axis=-1))
    np.testing.assert_allclose(distances, HALF_WAY_ROUND_KM, rtol=1e-7)


def test_distances_broadcast() -> None:
    table = great_circle_km(np.array(PLACES)[:, None], np.array(PLACES)[None])
    assert table.shape == (len(PLACES), len(PLACES))
    assert table[0, 1] == great_circle_km(LYON, SYDNEY)
    np.testing.assert_array_equal(table.diagonal(), 0)


@given(points, points)
def test_distances_are_symmetric(a: tuple, b: tuple) -> None:
    assert great_circle_km(a, b) == pytest.approx(great_circle_km(b, a), rel=1e-12, abs=1e-9)
    assert 0 <= great_circle_km(a, b) <= HALF_WAY_ROUND_KM + 1e-9


@given(points, points, points)
def test_no_detour_is_shorter(a: tuple, b: tuple, c: tuple) -> None:
    # near antipodes an arc sine loses half the digits: a decimetre
    assert great_circle_km(a, c) <= great_circle_km(a, b) + great_circle_km(b, c) + 1e-3


@given(points, points)
def test_the_angle_between_unit_vectors_is_the_distance(a: tuple, b: tuple) -> None:
    chord = np.linalg.norm(unit_vectors(a) - unit_vectors(b))
    assert 2 * EARTH_RADIUS_KM * np.arcsin(min(chord / 2, 1)) == pytest.approx(great_circle_km(a, b), abs=1e-3)


def test_unit_vectors_by_hand() -> None:
    half = np.sqrt(0.5)
    places = [(0, 0), (0, 90), (90, 45), (0, -180), (-45, 0), (45, -90)]
    expected = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (-1, 0, 0), (half, 0, -half), (0, -half, half)]
    np.testing.assert_allclose(unit_vectors(places), expected, atol=1e-15)


@given(away_from_poles, st.floats(1e-3, 1e3))
def test_degrees_undo_unit_vectors_of_any_length(point: tuple[float, float], length: float) -> None:
    lat, lon = degrees(length * unit_vectors(point))
    assert lat == pytest.approx(point[0], abs=1e-9)
    assert (lon - point[1] + 180) % 360 - 180 == pytest.approx(0, abs=1e-9)


def test_degrees_at_the_poles() -> None:
    assert degrees([(0, 0, 2), (0, 0, -0.1)])[:, 0].tolist() == [90, -90]


@given(away_from_poles, st.floats(-180, 360), st.floats(0.1, 19_000))
def test_one_arrives_at_the_distance_one_has_gone(point: tuple, bearing: float, distance_km: float) -> None:
    arrived = destination(point, bearing, distance_km)
    assert great_circle_km(point, arrived) == pytest.approx(distance_km, abs=1e-3)
    assert abs(arrived[0]) <= 90
    assert abs(arrived[1]) <= 180


@pytest.mark.parametrize("start", [LYON, SYDNEY, QUITO, SUVA])
@pytest.mark.parametrize("bearing", [0, 37, 90, 200, 271])
@pytest.mark.parametrize("distance_km", [10, 900, 9000, 15_000])
def test_destinations_are_geopy_s(start: tuple[float, float], bearing: float, distance_km: float) -> None:
    theirs = great_circle(kilometers=distance_km * GEOPY_RADIUS_KM / 6371.0).destination(start, bearing)
    ours = destination(start, bearing, distance_km)
    assert great_circle_km(ours, (theirs.latitude, theirs.longitude)) < 1e-3


def test_destinations_by_hand() -> None:
    quarter_km = HALF_WAY_ROUND_KM / 2
    np.testing.assert_allclose(destination((0, 0), 90, quarter_km), (0, 90), atol=1e-9)
    np.testing.assert_allclose(destination((0, 170), 90, quarter_km / 9 * 2), (0, -170), atol=1e-9)
    np.testing.assert_allclose(destination((45, 30), 180, quarter_km), (-45, 30), atol=1e-9)
    assert destination((0, 0), 0, quarter_km)[0] == pytest.approx(90)


def test_the_mean_of_two_is_half_way() -> None:
    np.testing.assert_allclose(spherical_mean([(0, 170), (0, -170)])[0], 0, atol=1e-12)
    assert abs(spherical_mean([(0, 170), (0, -170)])[1]) == pytest.approx(180)
    np.testing.assert_allclose(spherical_mean([(80, 0), (80, 180)])[0], 90, atol=1e-9)


def test_weights_pull_the_mean() -> None:
    # 3 (1, 0) + 1 (0, 1): the angle whose tangent is a third
    np.testing.assert_allclose(spherical_mean([(0, 0), (0, 90)], [3, 1]), (0, np.degrees(np.arctan(1 / 3))), atol=1e-12)
    np.testing.assert_allclose(spherical_mean([LYON, SYDNEY], [1e-20, 0]), LYON)


@pytest.mark.parametrize(
    ("centers", "weights"),
    [([(10, 20), (-10, -160)], None), ([(0, 0)], [0.0]), (np.empty((0, 2)), None), ([(0, 0), (0, 180)], [1e-9, 1e-9])],
    ids=["antipodes", "no weight", "no points", "light antipodes"],
)
def test_what_cancels_out_has_no_mean(centers: list, weights: list | None) -> None:
    with pytest.raises(DataError, match="cancel out"):
        spherical_mean(centers, weights)
