"""Shapefiles against bytes written by hand, and against whoever wants to break the reader."""

import struct
import tracemalloc

import pytest
import shapely

from geoexplain.errors import DataError
from geoexplain.geography.shapefile import MAX_ROWS, read_shapefile
from tests.geography.maps import dbf_bytes, polygon_body, shp_bytes, square

NAMES = [("NAME", "C", 12), ("POP", "N", 6)]


def table(*names: bytes) -> bytes:
    return dbf_bytes(NAMES, [(name, b"7") for name in names])


def test_a_file_in_hexadecimal() -> None:
    # One triangle (0, 0), (0, 2), (1, 0): header of 100 bytes, record of 8 + 44 + 4 + 64.
    zero, one, two = "0000000000000000", "000000000000f03f", "0000000000000040"
    header = "0000270a" + 20 * "00" + "0000006e" + "e8030000" + "05000000" + 64 * "00"
    record = "00000001" + "00000038" + "05000000" + zero + zero + one + two + "01000000" + "04000000" + "00000000"
    corners = zero + zero + zero + two + one + zero + zero + zero
    dbf = "03" + "750b09" + "01000000" + "4100" + "0400" + 20 * "00"
    column = b"NAME\0\0\0\0\0\0\0C".hex() + 4 * "00" + "03" + "00" + 14 * "00" + "0d"
    (feature,) = read_shapefile(
        bytes.fromhex(header + record + corners), bytes.fromhex(dbf + column) + b" Gob", "desert"
    )
    assert feature.shape.equals(shapely.Polygon([(0, 0), (0, 2), (1, 0)]))
    assert feature.properties == {"name": "Gob"}


@pytest.mark.parametrize("kind", [5, 15])
def test_holes_lie_in_the_smallest_shell_around_them(kind: int) -> None:
    # A lake with an island, on it a pond: two shells and two holes in any order.
    lake, island = square(0, 0, 10, 10), square(4, 4, 6, 6)
    sea_hole, pond = square(3, 3, 7, 7)[::-1], square(4.5, 4.5, 5.5, 5.5)[::-1]
    body = polygon_body([pond, lake, sea_hole, island], kind)
    (feature,) = read_shapefile(shp_bytes([body], kind), table(b"L"), "lakes")
    assert feature.shape.area == 100 - 16 + 4 - 1
    inside = {(1, 1): True, (3.5, 5): False, (4.2, 5): True, (5, 5): False, (11, 5): False}
    assert {xy: bool(shapely.intersects_xy(feature.shape, *xy)) for xy in inside} == inside


def test_points_nothing_and_rings_the_wrong_way_round() -> None:
    point = struct.pack("<i2d", 1, -70.5, 12.25)
    wrong = polygon_body([square(0, 0, 1, 1)[::-1], square(5, 5, 6, 6)[::-1]])
    features = read_shapefile(shp_bytes([point, struct.pack("<i", 0), wrong]), table(b"a", b"b", b"c"), "places")
    assert features[0].shape.equals(shapely.Point(-70.5, 12.25))
    assert features[1].shape is None
    assert features[2].shape.area == 2


def test_a_table_tells_text_from_numbers_in_either_encoding() -> None:
    rows = [
        ("Öræfi".encode(), b" 12.5"),
        ("Öræfi".encode("cp1252"), b"******"),
        (b"", b""),
        (b"a\x1b[2Jb", b"1"),
    ]
    shapes = shp_bytes([struct.pack("<i", 0)] * 4)
    found = [feature.properties for feature in read_shapefile(shapes, dbf_bytes(NAMES, rows), "x")]
    assert found == [
        {"name": "Öræfi", "pop": 12.5},
        {"name": "Öræfi", "pop": None},
        {"name": None, "pop": None},
        {"name": "a?[2Jb", "pop": 1.0},  # no escapes for the terminal of whoever prints it
    ]


def test_every_file_that_is_cut_short_is_refused() -> None:
    shp, dbf = shp_bytes([polygon_body([square(0, 0, 1, 1)])]), table(b"here")
    assert read_shapefile(shp, dbf, "whole")
    for end in range(len(shp)):
        with pytest.raises(DataError, match="cut: expected a whole shapefile"):
            read_shapefile(shp[:end], dbf, "cut")
    for end in range(len(dbf) - 1):  # its last byte only marks the end
        with pytest.raises(DataError, match="cut: expected a whole shapefile"):
            read_shapefile(shp, dbf[:end], "cut")


BODY = polygon_body([square(0, 0, 1, 1)])


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (BODY[:36] + struct.pack("<2i", 2**31 - 1, 5) + BODY[44:], "damaged"),
        (BODY[:36] + struct.pack("<2i", -1, 5) + BODY[44:], "damaged"),
        (BODY[:36] + struct.pack("<2i", 1, 2**31 - 1) + BODY[44:], "damaged"),
        (BODY[:44] + struct.pack("<i", 3) + BODY[48:], "damaged"),  # a part that begins in the middle
        (BODY[:36] + struct.pack("<2i", 0, 5) + BODY[44:], "damaged"),
        (polygon_body([[(0, 0), (0, 1), (0, 0)]]), "at least three corners, got 3 points"),
        (polygon_body([square(0, 0, 1, float("nan"))]), "in degrees"),
        (polygon_body([square(500_000, 4_000_000, 500_100, 4_000_100)]), "in degrees"),
        (struct.pack("<i2d", 1, 181.0, 0.0), "in degrees"),
        (struct.pack("<i", 31) + bytes(40), "got shapes of type 31"),
    ],
)
def test_shapes_that_lie_are_refused(body: bytes, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        read_shapefile(shp_bytes([body]), table(b"x"), "evil")


def test_a_polygon_without_rings_is_nothing() -> None:
    (feature,) = read_shapefile(shp_bytes([polygon_body([])]), table(b"x"), "empty")
    assert feature.shape is None


def test_a_table_of_another_file_is_refused() -> None:
    with pytest.raises(DataError, match="as many shapes as rows in its table, got 1 and 2"):
        read_shapefile(shp_bytes([BODY]), table(b"a", b"b"), "mixed")


def test_a_bow_tie_becomes_two_triangles() -> None:
    (feature,) = read_shapefile(
        shp_bytes([polygon_body([[(0, 0), (2, 2), (2, 0), (0, 2), (0, 0)]])]), table(b"x"), "tie"
    )
    assert feature.shape.is_valid
    assert feature.shape.area == pytest.approx(2)


def forged(count: int, columns: int, length: int) -> bytes:
    """A table that says it has `count` rows, each one byte and its columns wide."""
    width = 1 + columns * length
    head = struct.pack("<B3BIHH20x", 3, 117, 11, 9, count, 32 + 32 * columns + 1, width)
    return head + columns * struct.pack("<11sc4xBB14x", b"A", b"C", length, 0) + b"\r" + bytes(count * width)


def test_columns_of_no_width_are_refused() -> None:
    with pytest.raises(DataError, match="wide: expected a whole shapefile"):
        read_shapefile(shp_bytes([BODY]), forged(1, 255, 0), "wide")


def test_rows_without_a_shape_are_counted_not_read() -> None:
    table_bytes = forged(1000, 255, 1)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="as many shapes as rows in its table, got 1 and 1,000"):
            read_shapefile(shp_bytes([BODY]), table_bytes, "mixed")
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()


def test_more_than_any_layer_has_is_refused() -> None:
    nothing = struct.pack("<i", 0)
    for shapes, rows in ((1, MAX_ROWS + 1), (MAX_ROWS + 1, 1), (MAX_ROWS + 1, MAX_ROWS + 1)):
        with pytest.raises(DataError, match="crowd: expected at most 20,000 shapes"):
            read_shapefile(shp_bytes([nothing] * shapes), forged(rows, 1, 1), "crowd")
    assert len(read_shapefile(shp_bytes([nothing] * 5), forged(5, 1, 1), "few")) == 5
