"""Encoded polylines against the published example, lines on the sphere against what must hold for them."""

import json
from pathlib import Path

import numpy as np
import pytest

from geoexplain.geography.sphere import great_circle_km
from geoexplain.view.polylines import cell_ring, encode_integers, encode_points, geodesic_circle, great_circle_line


def decoded(text: str) -> list[int]:
    values, value, shift = [], 0, 0
    for character in text:
        group = ord(character) - 63
        value |= (group & 31) << shift
        shift += 5
        if group < 32:
            values.append(value >> 1 if value % 2 == 0 else -(value >> 1) - 1)
            value = shift = 0
    return values


def test_the_example_of_the_formats_own_documentation() -> None:
    # developers.google.com, "Encoded Polyline Algorithm Format": three points at 1e-5 degree
    points = np.array([[3850000, -12020000], [4070000, -12095000], [4325200, -12645300]])
    steps = np.diff(points, axis=0, prepend=np.zeros((1, 2), int)).ravel()
    assert encode_integers(steps) == "_p~iF~ps|U_ulLnnqC_mqNvxq`@"


def test_integers_survive() -> None:
    values = [0, 1, -1, 15, 16, -16, -17, 511, 512, 18000, -36000, 2**29, -(2**29)]
    assert decoded(encode_integers(values)) == values
    assert encode_integers([]) == ""


def test_points_are_kept_to_half_a_hundredth_degree() -> None:
    points = np.random.default_rng(0).uniform([-90, -180], [90, 540], (500, 2))
    steps = np.array(decoded(encode_points(points))).reshape(-1, 2)
    np.testing.assert_allclose(steps.cumsum(axis=0) / 100, points, atol=0.00501)


@pytest.mark.parametrize("center", [(0, 0), (51, 12), (-17.5, 179.5), (64, -179.9), (88, 30), (-90, 0)])
@pytest.mark.parametrize("radius_km", [50.0, 900.0, 9000.0])
def test_a_circle_keeps_its_distance_and_never_jumps(center: tuple[float, float], radius_km: float) -> None:
    line = geodesic_circle(np.array(center, float), radius_km)
    np.testing.assert_allclose(great_circle_km(center, line), radius_km, rtol=1e-9)
    assert np.abs(np.diff(line[:, 1])).max() < 180
    around_one_pole = radius_km > 6371 * np.radians(90 - abs(center[0])) and radius_km < 6371 * np.radians(
        90 + abs(center[0])
    )
    assert abs(line[-1, 1] - line[0, 1]) == pytest.approx(360 if around_one_pole else 0, abs=1e-6)


def test_the_shortest_line_crosses_the_antimeridian_and_passes_near_the_pole() -> None:
    line = great_circle_line(np.array([0.0, 170.0]), np.array([0.0, -170.0]))
    np.testing.assert_allclose(line[[0, 32, -1]], [[0, 170], [0, 180], [0, 190]], atol=1e-9)
    line = great_circle_line(np.array([60.0, 0.0]), np.array([60.0, 179.0]))
    assert line[:, 0].max() > 89  # over the pole, not along the parallel
    pieces = great_circle_km(line[:-1], line[1:]).sum()
    assert pieces == pytest.approx(float(great_circle_km(line[0], line[-1])), rel=1e-9)
    assert len(great_circle_line(np.array([10.0, 0.0]), np.array([-10.0, 180.0]))) == 2  # antipodes


def test_a_ring_keeps_its_corners_and_loses_what_lies_on_its_edges() -> None:
    square = np.array([[0, 0], [0, 1], [0, 2], [1, 2], [2, 2], [2, 1], [2, 0], [1, 0]], float)
    assert {tuple(corner) for corner in cell_ring(square).round(9)} == {(0, 0), (0, 2), (2, 2), (2, 0)}


def test_a_ring_across_the_antimeridian_is_continuous_and_one_around_the_pole_stays_open() -> None:
    across = cell_ring(np.array([[0, 179], [0, -179], [2, -179], [2, 179]], float))
    assert np.ptp(across[:, 1]) == pytest.approx(2)
    polar = cell_ring(np.array([[80, 0], [80, 90], [80, 180], [80, -90]], float))
    assert polar[-1, 1] - polar[0, 1] == pytest.approx(360)


def test_no_line_of_the_base_map_jumps() -> None:
    text = (Path(__file__).parents[2] / "assets" / "world" / "basemap.js").read_text(encoding="utf-8")
    basemap = json.loads(text[text.index("=") + 1 :].rstrip().removesuffix(";"))
    spans = []
    for line in basemap["coasts"] + basemap["borders"]:
        points = np.array(decoded(line)).reshape(-1, 2).cumsum(axis=0) / 100  # longitude, latitude
        assert np.abs(points[:, 1]).max() < 87  # nothing is drawn along a pole
        assert np.abs(np.diff(points, axis=0)).max() < 30  # the longest straight border follows the 49th parallel
        spans.append(np.ptp(points[:, 0]))
    assert sum(span > 350 for span in spans) == 1  # only Antarctica goes round the Earth
