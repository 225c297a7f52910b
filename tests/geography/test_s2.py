"""S2 cells: s2sphere, an independent implementation, as the oracle; values by hand; a map that is covered once."""

import numpy as np
import pytest
import s2sphere
import shapely

from geoexplain.errors import DataError
from geoexplain.geography import s2
from geoexplain.geography.ring_polygons import ring_polygon, s2_polygons
from geoexplain.geography.sphere import degrees, great_circle_km

EDGES = [
    (90, 0), (-90, 0), (90, 77), (-90, -180), (0, 180), (0, -180), (12.5, 180), (-60, -180), (0, 0), (0, 90), (0, -90),
    (45, 0), (0, 45), (0, -45), (0, 135), (0, -135), (-45, 180), (35.264389682754654, 45), (89.9999999, -120),
]  # fmt: skip
"""Poles, the antimeridian from both sides, middles, edges and a corner of faces."""


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    rng = np.random.default_rng(7)
    return np.concatenate([np.array(EDGES, dtype=float), degrees(rng.normal(size=(1500, 3)))])


@pytest.fixture(scope="module")
def oracle(points: np.ndarray) -> list[s2sphere.CellId]:
    return [s2sphere.CellId.from_lat_lng(s2sphere.LatLng.from_degrees(*point)) for point in points.tolist()]


def test_leaves_are_those_of_another_implementation(points: np.ndarray, oracle: list[s2sphere.CellId]) -> None:
    assert s2.leaf_ids(points).tolist() == [cell.id() for cell in oracle]


@pytest.mark.parametrize("level", [0, 1, 2, 5, 13, 29, 30])
def test_what_a_cell_is_by_another_implementation(
    points: np.ndarray, oracle: list[s2sphere.CellId], level: int
) -> None:
    found = s2.ancestors(s2.leaf_ids(points), level)
    cells = [cell.parent(level) if level < 30 else cell for cell in oracle]
    assert found.tolist() == [cell.id() for cell in cells]
    assert set(s2.levels(found).tolist()) == {level}
    assert s2.tokens(found) == [cell.to_token() for cell in cells]
    assert s2.from_tokens(s2.tokens(found)).tolist() == found.tolist()
    first, last = s2.leaf_ranges(found)
    assert first.tolist() == [cell.range_min().id() for cell in cells]
    assert last.tolist() == [cell.range_max().id() for cell in cells]
    some = slice(0, 60)
    if level < 30:
        assert s2.children(found[some]).tolist() == [[child.id() for child in cell.children()] for cell in cells[some]]
    centers = np.array([[middle.lat().degrees, middle.lng().degrees] for middle in map(_middle, cells[some])])
    assert great_circle_km(s2.centers_deg(found[some]), centers).max() < 1e-8
    corners = [[list(s2sphere.Cell(cell).get_vertex(k)) for k in range(4)] for cell in cells[some]]
    np.testing.assert_allclose(s2.corners(found[some]), corners, atol=1e-14)


def _middle(cell: s2sphere.CellId) -> s2sphere.LatLng:
    return cell.to_lat_lng()


def test_faces_and_their_quarters_by_hand() -> None:
    # The three bits of the face, then a one: 0b0001 is 1, 0b0011 is 3, … in hexadecimal.
    assert s2.tokens(s2.faces()) == ["1", "3", "5", "7", "9", "b"]
    middles = [(0, 0), (0, 90), (90, 0), (0, 180), (0, -90), (-90, 0)]
    assert great_circle_km(s2.centers_deg(s2.faces()), np.array(middles, float)).max() < 1e-9
    # Quarters of face 0: 0b00000100, 0b00001100, 0b00010100, 0b00011100.
    assert s2.tokens(s2.children(s2.faces()[:1])[0]) == ["04", "0c", "14", "1c"]
    # A corner of face 0: at u = v = 1, that is (1, 1, 1).
    assert np.degrees(np.arcsin(1 / np.sqrt(3))) == pytest.approx(degrees(s2.corners(s2.faces()[:1])[0])[2, 0])


@pytest.mark.parametrize(
    ("token", "parent"),
    # Children of face 0 (token 1) are 04, 0c, 14, 1c; those of 0c are 09, 0b, 0d, 0f. 89c25 and 89c24 lie in New York.
    [("0b", "0c"), ("0f", "0c"), ("0c", "1"), ("1c", "1"), ("89c25", "89c24"), ("89c24", "89c3")],
)
def test_the_parent_of_a_cell(token: str, parent: str) -> None:
    (level,) = s2.levels(s2.from_tokens([token]))
    assert s2.tokens(s2.ancestors(s2.from_tokens([token]), int(level) - 1)) == [parent]


@pytest.mark.parametrize("token", ["", "x", "0", "89c25f0000000000000", "02", "d", "f", "-1", "0x1", " 1", "1_1", "１"])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(DataError, match="expected S2 tokens such as '89c25'"):
        s2.from_tokens(["89c25", token])


def test_a_point_is_in_the_cell_that_holds_it_or_in_none() -> None:
    cells = np.sort(s2.from_tokens(["04", "0b", "3"]))
    inside = s2.centers_deg(cells)
    outside = s2.centers_deg(s2.from_tokens(["0d", "5", "b", "1c"]))
    assert s2.containing_cells(cells, s2.leaf_ids(inside)).tolist() == [0, 1, 2]
    assert s2.containing_cells(cells, s2.leaf_ids(outside)).tolist() == [-1] * 4
    assert s2.containing_cells(cells, s2.from_tokens(["1", "3", "31", "04"])).tolist() == [-1, 2, 2, 0]
    assert s2.containing_cells(cells[:0], cells).tolist() == [-1, -1, -1]


def test_overlapping_cells_are_named() -> None:
    with pytest.raises(DataError, match="do not overlap, got '0b' and '0c'"):
        s2.check_disjoint(s2.from_tokens(["04", "0b", "0c"]), ["04", "0b", "0c"])


@pytest.mark.parametrize("level", range(5))
def test_the_outlines_of_a_level_cover_the_map_once(level: int) -> None:
    cells = s2.faces()
    for _ in range(level):
        cells = s2.children(cells).ravel()
    shapes = s2_polygons(cells)
    assert shapely.is_valid(shapes).all()
    assert shapely.area(shapes).sum() == pytest.approx(180 * 360, abs=1e-6)
    west, south, east, north = shapely.bounds(shapes).T
    assert (east - west).max() <= 360
    assert (south.min(), north.max()) == (-90, 90)
    assert (np.abs((west + east) / 2 - s2.centers_deg(cells)[:, 1]) <= 180).all()
    # Whoever is in a cell is in its outline, on whichever turn that is drawn.
    points = degrees(np.random.default_rng(level).normal(size=(300, 3)))
    owner = s2.containing_cells(np.sort(cells), s2.leaf_ids(points))
    shapes = [shapes[place] for place in np.argsort(cells)]
    for (lat, lon), cell in zip(points.tolist(), owner.tolist(), strict=True):
        turns = [shapely.Point(lon + turn, lat) for turn in (-360, 0, 360)]
        near = min(shapes[cell].distance(point) for point in turns)
        assert near < 0.07  # chords of 5° of a great circle leave it by less


def test_the_faces_at_the_poles_are_closed_along_them() -> None:
    north, south = (s2_polygons(s2.faces())[face] for face in (2, 5))
    assert north.bounds == pytest.approx((-180, np.degrees(np.arcsin(1 / np.sqrt(3))), 180, 90))
    assert south.bounds == pytest.approx((-180, -90, 180, -np.degrees(np.arcsin(1 / np.sqrt(3)))))
    assert north.covers(shapely.Point(-180, 89))
    assert north.covers(shapely.Point(77, 90))
    # The middle of its edges is at 45°: (1, 0, 1).
    assert north.covers(shapely.Point(0, 45.01))
    assert not north.covers(shapely.Point(0, 44.99))


def test_a_corner_at_a_pole_is_a_line_on_the_map() -> None:
    (shape,) = s2_polygons(s2.ancestors(s2.leaf_ids(np.array([[89.9, 20.0]])), 1))
    assert shape.bounds[0] == pytest.approx(0)
    assert shape.bounds[2] == pytest.approx(90)
    assert shape.covers(shapely.LineString([(0, 90), (90, 90)]))


def test_edges_are_great_circles() -> None:
    # The northern edge of face 0 runs from (35.26°, -45°) over (45°, 0°) to (35.26°, 45°), not along a parallel.
    (face,) = s2_polygons(s2.faces()[:1])
    assert face.bounds == pytest.approx((-45, -45, 45, 45))
    assert shapely.get_coordinates(face)[:, 1].max() == pytest.approx(45)


def test_a_ring_across_the_antimeridian_stays_whole() -> None:
    ring = np.array([(-10, 175), (-10, -175), (10, -175), (10, 175)], float)
    assert ring_polygon(ring, np.array([0.0, 179.0])).bounds == (175, -10, 185, 10)
    assert ring_polygon(ring, np.array([0.0, -179.0])).bounds == (-185, -10, -175, 10)


@pytest.mark.parametrize(("lat", "east"), [(80, True), (80, False), (-70, True)])
def test_a_ring_around_a_pole_holds_it(lat: float, east: bool) -> None:
    ring = np.array([(lat, lon) for lon in range(-170, 190, 20)], float)
    shape = ring_polygon(ring if east else ring[::-1], np.array([np.copysign(88.0, lat), 30.0]))
    assert shape.is_valid
    assert shape.area == pytest.approx(360 * (90 - abs(lat)))
