"""Borders as the map gets them, decoded again by hand: where they are, what is left of them, how few corners do."""

import numpy as np
import shapely

from geoexplain.geography.partition import Partition
from geoexplain.view.cell_borders import (
    MOST_CORNERS,
    few_corners,
    outline_data,
    place_shape,
    ring_data,
)
from tests.geography.trees import JORDAN, MAAN, wadi_rum_tree
from tests.view.polylines import polyline_integers


def rings(data: dict) -> list[np.ndarray]:
    """Rings (V, 2), longitude first, in degrees."""
    steps = np.array(polyline_integers(data["rings"])).reshape(-1, 2).cumsum(axis=0)[:, ::-1] / data.get(
        "perDegree", 100
    )
    return np.split(steps, np.cumsum(polyline_integers(data["corners"]))[:-1])


def cells_of(borders: list) -> Partition:
    centers = np.array([(0.0, 20.0 * cell) for cell in range(len(borders))])
    return Partition("cells", tuple(f"cell {cell}" for cell in range(len(borders))), centers, borders=tuple(borders))


COUNTRY, CITY = shapely.box(0, 0, 10, 10), shapely.box(2, 2, 3, 3)
ISLANDS = shapely.MultiPolygon([shapely.box(20, 0, 21, 1), shapely.box(23, 0, 25, 1)])


def test_every_cell_has_its_rings_in_its_turn() -> None:
    data = ring_data(cells_of([COUNTRY, CITY, ISLANDS, None]))
    assert polyline_integers(data["parts"]) == [2, 1, 2, 1]
    assert polyline_integers(data["guessed"]) == [3]
    country, hole, city, first, second, _ = rings(data)
    assert shapely.Polygon(country, [hole]).equals(COUNTRY - CITY)
    assert shapely.LinearRing(country).is_ccw
    assert not shapely.LinearRing(hole).is_ccw  # so that the canvas leaves it out
    assert shapely.Polygon(city).equals(CITY)
    assert shapely.union(shapely.Polygon(first), shapely.Polygon(second)).equals(ISLANDS)


def test_only_some_cells_have_rings_where_there_are_too_many() -> None:
    cells = cells_of([COUNTRY, CITY, ISLANDS, None])
    data = ring_data(cells, [2])
    assert polyline_integers(data["parts"]) == [0, 0, 2, 0]
    assert len(rings(data)) == 2
    assert ring_data(cells, []) == {}


def test_without_borders_a_cell_is_what_lies_nearest() -> None:
    cells = Partition("plain", ("a", "b"), np.array([(0.0, 0.0), (0.0, 10.0)]))
    assert "parts" not in ring_data(cells)
    assert [len(ring) for ring in rings(ring_data(cells))] == polyline_integers(ring_data(cells)["corners"])
    assert ring_data(cells) is ring_data(cells)  # drawn once


def test_fewer_corners_stay_where_the_border_is() -> None:
    angles = np.linspace(0, 2 * np.pi, 200_000)
    wobble = 10 + 0.001 * np.sin(500 * angles)
    circle = shapely.Polygon(np.stack([wobble * np.cos(angles), wobble * np.sin(angles)], axis=1))
    (found,) = few_corners([circle], 100)
    assert shapely.get_num_coordinates(found) <= 100
    assert found.symmetric_difference(circle).area < 0.02 * circle.area
    assert shapely.get_num_coordinates(few_corners([circle] * 3, MOST_CORNERS)).sum() <= MOST_CORNERS
    islet = shapely.union(circle, shapely.box(30, 0, 30.1, 0.1))
    assert shapely.get_num_geometries(few_corners([islet], 100)[0]) == 1


def test_a_place_is_its_border_or_else_its_cells() -> None:
    tree = wadi_rum_tree()
    jordan = place_shape(tree, JORDAN)
    assert jordan["name"] == "Jordan"
    (ring,) = rings(jordan)
    assert shapely.Polygon(ring).equals(tree.borders[JORDAN])
    maan = place_shape(tree, MAAN)
    assert (maan["name"], polyline_integers(maan["cells"])) == ("Ma'an", [0, 1])
    assert "rings" not in maan


def test_streets_keep_their_shape() -> None:
    street = shapely.box(2.3412, 48.8501, 2.3448, 48.8527)
    (ring,) = rings(outline_data(street))
    assert shapely.Polygon(ring).symmetric_difference(street).area < 0.3 * street.area  # to about 100 m
