"""Borders of semantic classes: against squares, the antimeridian, a pole, and the nearest class of sampled points."""

import numpy as np
import pytest
import shapely
from shapely.geometry.base import BaseGeometry

from geoexplain.geography.address import Location
from geoexplain.geography.partitioning import Partitioning
from geoexplain.geography.semantic_partitioning import build_semantic
from geoexplain.geography.sphere import great_circle_km
from tests.geography.hand_addresses import addresses_of


def drawn(
    texts: list[str], points: list[tuple[float, float]], borders: dict[str, BaseGeometry], *thresholds: int
) -> Partitioning:
    def border_of(location: Location) -> BaseGeometry | None:
        return borders.get(location.key)

    return build_semantic(addresses_of(texts, points), thresholds or [1], name="x", border_of=border_of)


def check_nearest(found: Partitioning, land: BaseGeometry, samples: np.ndarray) -> None:
    """Every sampled point of the land lies in the border of the class with the nearest centre, and in no other."""
    inside = 0
    centers = found.levels[0].centers_deg
    for lat, lon in samples:
        if not any(shapely.intersects_xy(land, lon + turn, lat) for turn in (-360, 0, 360)):
            continue
        distances = great_circle_km((lat, lon), centers)
        first, second = np.sort(distances)[:2]
        if second - first < 40:
            continue  # on a border, whose great circles are drawn straight
        held = [
            any(border is not None and shapely.intersects_xy(border, lon + turn, lat) for turn in (-360, 0, 360))
            for border in found.borders[0]
        ]
        assert held == (distances == first).tolist(), (lat, lon)
        inside += 1
    assert inside > 60


def sampled(south: float, north: float, west: float, east: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    lat = np.degrees(np.arcsin(rng.uniform(np.sin(np.radians(south)), np.sin(np.radians(north)), 300)))
    return np.stack([lat, (rng.uniform(west, east, 300) + 180) % 360 - 180], axis=1)


def test_a_class_with_a_polygon_has_it_and_others_share_what_holds_them() -> None:
    town, land = shapely.box(8, 8, 9, 9), shapely.box(0, 0, 10, 10)
    texts = ["town < land", "west < land", "east < land"]
    found = drawn(texts, [(8.5, 8.5), (2.0, 2.0), (2.0, 6.0)], {"town": town, "land": land})
    assert found.keys[0] == ("east", "town", "west")
    east, own, west = found.borders[0]
    assert own.equals(town)
    assert west.bounds == pytest.approx((0, 0, 4, 10), abs=0.01)  # half way between 2 and 6; the town is far
    assert east.intersection(west).area < 0.01
    assert found.levels[0].borders == found.borders[0]


def test_two_classes_part_their_country_half_way_and_one_alone_has_all_of_it() -> None:
    land = shapely.box(0, -5, 10, 5)
    found = drawn(["a < land", "b < land"], [(0.0, 2.0), (0.0, 8.0)], {"land": land})
    assert found.borders[0][0].bounds == pytest.approx((0, -5, 5, 5), abs=1e-6)
    assert found.borders[0][1].bounds == pytest.approx((5, -5, 10, 5), abs=1e-6)
    assert sum(border.area for border in found.borders[0]) == pytest.approx(100)
    assert drawn(["a < land"], [(0.0, 2.0)], {"land": land}).borders[0][0].equals(land)


def test_the_finest_location_above_with_a_polygon_bounds_a_class() -> None:
    land, county = shapely.box(0, 0, 10, 10), shapely.box(0, 0, 5, 10)
    texts = ["a < county < land", "b < county < land", "c < land"]
    found = drawn(texts, [(2.0, 2.0), (8.0, 2.0), (5.0, 9.0)], {"land": land, "county": county})
    a, b, c = found.borders[0]
    assert a.union(b).symmetric_difference(county).area < 0.05
    assert c.bounds[2] == 10
    assert land.covers(c.buffer(-1e-6))


def test_a_class_that_holds_others_has_its_own_polygon_or_what_lies_nearest() -> None:
    land = shapely.box(0, -5, 10, 5)
    texts = ["town < county < land"] * 2 + ["county < land"]
    found = drawn(texts, [(0.0, 2.0), (0.0, 2.0), (0.0, 8.0)], {"land": land})
    assert found.keys[0] == ("county", "town")
    assert found.borders[0][0].bounds == pytest.approx((5, -5, 10, 5), abs=1e-6)
    found = drawn([*texts, "land"], [(0.0, 2.0), (0.0, 2.0), (0.0, 8.0), (0.0, 5.0)], {"land": land})
    assert found.borders[0][found.keys[0].index("land")].equals(land)


def test_classes_at_one_place_share_what_lies_nearest() -> None:
    land = shapely.box(0, -5, 10, 5)
    found = drawn(["a < land", "b < land", "c < land"], [(0.0, 2.0), (0.0, 2.0), (0.0, 8.0)], {"land": land})
    assert found.borders[0][0].equals(found.borders[0][1])
    assert found.borders[0][0].bounds == pytest.approx((0, -5, 5, 5), abs=1e-6)


def test_without_a_polygon_above_there_is_no_border() -> None:
    found = drawn(["a < land", "b < other"], [(1.0, 2.0), (3.0, 4.0)], {"land": shapely.box(0, 0, 5, 5)})
    assert found.borders[0][1] is None
    assert drawn(["a"], [(1.0, 2.0)], {}).borders == ((None,),)
    assert drawn(["a"], [(1.0, 2.0)], {}).levels[0].borders is None
    assert build_semantic(addresses_of(["a"]), [1], name="x").borders == ((None,),)


@pytest.mark.parametrize("west", [170.0, -190.0])
def test_a_country_across_the_antimeridian_is_parted_there_too(west: float) -> None:
    land = shapely.box(west, -20, west + 20, -10)
    found = drawn(
        ["a < land", "b < land", "c < land"], [(-15.0, 172.0), (-12.0, 179.5), (-17.0, -174.0)], {"land": land}
    )
    check_nearest(found, land, sampled(-20, -10, 170, 190))
    for border, center in zip(found.borders[0], found.levels[0].centers_deg, strict=True):
        assert isinstance(border, shapely.Polygon) or len(border.geoms) == 1  # not cut in two at 180°
        assert abs(border.centroid.x - center[1]) < 12  # on the same turn


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("count", [2, 3, 7])
def test_land_around_a_pole_is_parted_to_the_pole(sign: int, count: int) -> None:
    south, north = sorted((65.0 * sign, 90.0 * sign))
    land = shapely.segmentize(shapely.box(-180, south, 180, north), 5)
    points = [(sign * (75.0 + i), lon) for i, lon in enumerate(np.linspace(-170, 160, count))]
    found = drawn([f"{i} < land" for i in range(count)], points, {"land": land})
    check_nearest(found, land, sampled(south, north, -180, 180))


def test_a_wide_land_is_parted_by_the_nearest_class() -> None:
    land = shapely.segmentize(shapely.box(20, 40, 190, 78), 2)
    rng = np.random.default_rng(3)
    points = [(lat, (lon + 180) % 360 - 180) for lat, lon in rng.uniform((42, 22), (75, 188), (12, 2))]
    found = drawn([f"{i:02d} < land" for i in range(12)], points, {"land": land})
    check_nearest(found, land, sampled(41, 77, 21, 189))


def test_borders_of_coarser_levels_and_of_the_tree() -> None:
    land = shapely.box(0, -5, 10, 5)
    texts = ["a < west < land", "b < west < land", "c < east < land", "d < east < land"]
    points = [(-2.0, 2.0), (2.0, 2.0), (-2.0, 8.0), (2.0, 8.0)]
    found = drawn(texts, points, {"land": land}, 1, 2)
    west = found.borders[1][found.keys[1].index("west")]
    assert west.bounds == pytest.approx((0, -5, 5, 5), abs=1e-6)
    tree = found.tree
    by_label = dict(zip(tree.labels, tree.borders, strict=True))
    assert by_label["land"].equals(land)
    assert by_label["a"].equals(found.borders[0][0])
    assert by_label["west"].symmetric_difference(west).area < 0.01  # of its classes, having no polygon itself


def test_a_polygon_that_touches_itself_is_mended_and_lines_are_no_border() -> None:
    bow = shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
    found = drawn(["a", "b"], [(1.0, 0.5), (1.0, 1.5)], {"a": bow, "b": shapely.LineString([(0, 0), (1, 1)])})
    assert shapely.is_valid(found.borders[0][0])
    assert found.borders[0][0].area == pytest.approx(2)
    assert found.borders[0][1] is None


def test_progress_hears_of_the_classes_of_all_levels() -> None:
    heard = []
    build_semantic(
        addresses_of(["a < land", "b < land", "c < other"]),
        [1, 2],
        name="x",
        border_of=lambda location: shapely.box(0, 0, 5, 5) if location.key == "land" else None,
        progress=lambda done, total: heard.append((done, total)),
    )
    assert heard[-1] == (5, 5)
    assert [done for done, _ in heard] == sorted(done for done, _ in heard)
