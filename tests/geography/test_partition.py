"""Cells: nearest centres, outlines against the cells they stand for, k-means, and tables on disk."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely
from scipy.spatial import SphericalVoronoi
from shapely.geometry import Point, Polygon

from geoexplain.errors import DataError
from geoexplain.geography.cell_tables import read_cells
from geoexplain.geography.partition import Partition, spherical_kmeans, voronoi_outlines
from geoexplain.geography.sphere import (
    EARTH_RADIUS_KM,
    destination,
    great_circle_km,
    spherical_mean,
    unit_vectors,
)


def scattered(count: int, seed: int = 0) -> np.ndarray:
    """Points (count, 2) uniform on the sphere."""
    rng = np.random.default_rng(seed)
    return np.stack([np.degrees(np.arcsin(rng.uniform(-1, 1, count))), rng.uniform(-180, 180, count)], axis=-1)


def partition_of(centers: np.ndarray) -> Partition:
    return Partition("test", tuple(f"cell {i}" for i in range(len(centers))), centers)


def fibonacci(count: int) -> np.ndarray:
    """Evenly spread points (count, 2), whose cells are all about equally large."""
    k = np.arange(count)
    lon = (k * 137.50776405) % 360 - 180
    return np.stack([np.degrees(np.arcsin(1 - (2 * k + 1) / count)), lon], axis=-1)


def turns(ring: np.ndarray, point: np.ndarray) -> int:
    """How often a ring on the sphere goes round a point, by the bearings of its corners; −1 for 1 at the antipode."""
    corners, here = unit_vectors(ring), unit_vectors(point)
    east = np.cross([0, 0, 1], here)
    east /= np.linalg.norm(east)
    turn = np.unwrap(np.arctan2(corners @ east, corners @ np.cross(here, east)))
    return round((turn[-1] - turn[0]) / (2 * np.pi))


@pytest.mark.parametrize("count", [1, 2, 40])
def test_the_nearest_cell_is_the_one_at_the_shortest_distance(count: int) -> None:
    partition, places = partition_of(scattered(count)), scattered(300, seed=1)
    places = np.concatenate([places, [(90, 0), (-90, 0), (0, 180), (0, -180)]])
    expected = great_circle_km(places[:, None], partition.centers_deg[None]).argmin(axis=1)
    assert partition.nearest_many(places).tolist() == expected.tolist()
    assert [partition.nearest(lat, lon) for lat, lon in places] == expected.tolist()


def test_nearest_in_blocks_is_nearest_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    partition, places = partition_of(scattered(9)), scattered(100, seed=2)
    whole = partition.nearest_many(places)
    monkeypatch.setattr("geoexplain.geography.partition.SIMILARITIES_AT_A_TIME", 7 * 9)
    assert partition.nearest_many(places).tolist() == whole.tolist()


@pytest.mark.parametrize("count", [4, 7, 60, 500])
def test_outlines_part_the_earth_between_the_nearest_centres(count: int) -> None:
    centers = fibonacci(count)
    outlines = voronoi_outlines(centers)
    owners = partition_of(centers).nearest_many(places := scattered(150, seed=3))
    distances = np.sort(great_circle_km(places[:, None], centers[None]), axis=1)
    inside = 0
    for place, owner, ranked in zip(places, owners, distances, strict=True):
        if ranked[1] - ranked[0] < 0.01 * ranked[1] or ranked[0] > EARTH_RADIUS_KM * 1.5:
            continue  # on a border
        inside += 1
        near = np.argsort(great_circle_km(place, centers))[:8]
        assert [cell for cell in near if turns(outlines[cell], place) == turns(outlines[cell], centers[cell])] == [
            owner
        ]
    assert inside > 120


def test_a_lonely_cell_is_cut_at_its_reach() -> None:
    cluster = np.array([(x, y) for x in range(0, 10, 2) for y in range(0, 10, 2)], dtype=float)
    centers = np.concatenate([cluster, [(-60.0, -120.0)]])
    spacing_km = EARTH_RADIUS_KM * np.radians(2)  # along a meridian; along a parallel a little less
    outline = voronoi_outlines(centers, reach=1.6)[-1]
    radii = great_circle_km(centers[-1], outline)
    assert 0.97 * 1.6 * spacing_km < radii.min() <= radii.max() < 1.601 * spacing_km


def test_outlines_have_the_area_of_the_voronoi_cells() -> None:
    centers = fibonacci(200)
    expected = SphericalVoronoi(unit_vectors(centers)).calculate_areas()  # of the unit sphere
    for center, outline, area in zip(centers, voronoi_outlines(centers), expected, strict=True):
        if abs(center[0]) > 70:
            continue
        # Lambert's cylindrical projection keeps areas: on (longitude, sine of latitude) a cell has its own.
        planar = Polygon(np.stack([np.radians(outline[:, 1]), np.sin(np.radians(outline[:, 0]))], axis=-1))
        assert planar.area == pytest.approx(area, rel=0.02)
        assert planar.contains(Point(np.radians(center[1]), np.sin(np.radians(center[0]))))


def test_a_ring_across_the_antimeridian_does_not_jump() -> None:
    centers = np.array([(lat, lon % 360 - 180) for lat in (-4.0, 0.0, 4.0) for lon in (352.0, 356.0, 0.0, 4.0)])
    outlines = voronoi_outlines(centers)
    east = outlines[int(np.flatnonzero((centers == (0, 176)).all(axis=1))[0])]
    middle = outlines[int(np.flatnonzero((centers == (0, -180)).all(axis=1))[0])]
    assert np.abs(np.diff(middle[:, 1])).max() < 5
    assert middle[:, 1].min() == pytest.approx(-182, abs=0.1)
    assert middle[:, 1].max() == pytest.approx(-178, abs=0.1)
    assert east[:, 1].max() == pytest.approx(178, abs=0.1)


def test_a_ring_around_a_pole_runs_once_round_the_earth() -> None:
    centers = np.concatenate([[(88.0, 30.0)], [(70.0, lon) for lon in range(-180, 180, 45)]])
    ring = voronoi_outlines(centers)[0]
    assert turns(ring, np.array([89.9, 100.0])) == turns(ring, centers[0]) != 0
    assert np.abs(ring[:, 1] - 30).max() <= 180
    steps = np.abs(np.diff(ring[:, 1]))
    assert (steps > 180).sum() == 1
    assert ring[:, 0].min() == pytest.approx(79, abs=2)  # half way between the centres


def test_rings_are_closed() -> None:
    for ring in voronoi_outlines(scattered(50)):
        np.testing.assert_allclose(ring[0], ring[-1], atol=1e-9)


@pytest.mark.parametrize(
    "centers",
    [
        [(10.0, 20.0)],
        [(10.0, 20.0), (12.0, 20.0)],
        [(0.0, 0.0), (0.0, 2.0), (0.0, 4.0), (0.0, 6.0), (0.0, 8.0)],
        [(10.0, 20.0)] * 5,
        [(0.0, 0.0), (0.0, 180.0)],
    ],
    ids=["one", "two", "on the equator", "coincident", "antipodes"],
)
def test_without_a_diagram_cells_are_discs(centers: list[tuple[float, float]]) -> None:
    places = np.array(centers)
    outlines = voronoi_outlines(places)
    assert len(outlines) == len(centers)
    for center, ring in zip(places, outlines, strict=True):
        radii = great_circle_km(center, ring)
        assert 1 <= radii.max() <= EARTH_RADIUS_KM * np.pi / 2 + 1
        np.testing.assert_allclose(radii, radii[0], rtol=1e-6)


def test_outlines_are_drawn_once() -> None:
    partition = partition_of(scattered(10))
    assert all(a is b for a, b in zip(partition.outlines(), partition.outlines(), strict=True))


@pytest.mark.parametrize("seed", range(6))
def test_k_means_finds_towns_across_the_antimeridian_and_at_the_pole(seed: int) -> None:
    towns = np.array([(0.0, 180.0), (90.0, 0.0), (-35.0, 149.0), (48.0, 2.0)])
    people = np.repeat(towns, (50, 3, 40, 7), axis=0)
    found = spherical_kmeans(people, 4, seed=seed)
    distances = great_circle_km(towns[:, None], found[None])
    assert distances.min(axis=1).max() < 1
    assert sorted(distances.argmin(axis=1)) == [0, 1, 2, 3]


def test_k_means_ends_on_the_means_of_its_cells() -> None:
    rng = np.random.default_rng(5)
    towns = scattered(6, seed=4)
    people = np.concatenate([destination(t, rng.uniform(0, 360, 80), rng.uniform(0, 600, 80)) for t in towns])
    centers = spherical_kmeans(people, 6, seed=0, iterations=60)
    owners = great_circle_km(people[:, None], centers[None]).argmin(axis=1)
    means = [spherical_mean(people[owners == cell]) for cell in range(6)]
    assert great_circle_km(np.array(means), centers).max() < 1


def test_k_means_is_the_same_for_a_seed_and_says_how_far_it_is() -> None:
    people, heard = scattered(500), []
    first = spherical_kmeans(people, 20, seed=3, iterations=4, progress=lambda *step: heard.append(step))
    np.testing.assert_array_equal(first, spherical_kmeans(people, 20, seed=3, iterations=4))
    assert not np.array_equal(first, spherical_kmeans(people, 20, seed=4, iterations=4))
    assert heard == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_k_means_survives_antipodes() -> None:
    centers = spherical_kmeans(np.array([(0.0, 0.0), (0.0, 180.0)]), 1)
    assert np.isfinite(centers).all()


@pytest.mark.parametrize("cells", [0, -1, 4])
def test_k_means_wants_as_many_points_as_cells(cells: int) -> None:
    with pytest.raises(DataError, match=rf"from 1 to 3 cells.*got {cells}"):
        spherical_kmeans(scattered(3), cells)


@pytest.mark.parametrize(
    ("labels", "centers", "parents", "words"),
    [
        (("a",), [(0.0, 0.0), (1.0, 1.0)], None, r"expected one centre for each of 1 labels"),
        (("a", "b"), [(4.8, 145.0), (145.0, 4.8)], None, r"are the columns swapped"),
        (("a",), [(0.0, 181.0)], None, r"longitudes in \[-180, 180\]"),
        (("a",), [(np.nan, 0.0)], None, r"latitudes in \[-90, 90\]"),
        ((), np.empty((0, 2)), None, "at least one cell"),
        (("a", "b"), [(0.0, 0.0), (1.0, 1.0)], [0], "one parent for each of 2 cells"),
    ],
    ids=["labels", "swapped", "longitude", "nan", "empty", "parents"],
)
def test_what_is_no_partition_is_refused(labels: tuple, centers: list, parents: list | None, words: str) -> None:
    with pytest.raises(DataError, match=f"partition test: .*{words}"):
        Partition("test", labels, np.array(centers), None if parents is None else np.array(parents))


def test_a_partition_survives_its_table(tmp_path: Path) -> None:
    labels = ('near "São Paulo", Brazil', "نيل", "two\nlines", "", "=SUM(1)", "plain")
    saved = Partition("cells", labels, scattered(6))
    saved.save(tmp_path / "cells.csv")
    read = read_cells(tmp_path / "cells.csv", "cells")
    assert read.labels == labels
    assert great_circle_km(read.centers_deg, saved.centers_deg).max() < 0.001


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (b"", "columns label, latitude, longitude, got ''"),
        (b"label,lat,lon\na,1,2\n", "columns label, latitude, longitude, got 'label, lat, lon'"),
        (b"label,latitude,longitude\n", "at least one cell"),
        (b"label,latitude,longitude\na,1,2\nb,3\n", "line 3: .*got 'b, 3'"),
        (b"label,latitude,longitude\na,north,2\n", "line 2: .*got 'a, north, 2'"),
        (b"label,latitude,longitude\na,nan,2\n", "latitudes in"),
        (b"label,latitude,longitude\na,120.5,45\n", "columns swapped"),
        (b"label,latitude,longitude\n\xff\xfe,1,2\n", "UTF-8"),
        (b"label,latitude,longitude\n" + b"x" * 200_000 + b",1,2\n", "could not read it"),
        (b'"two\nlines",latitude\n', r"got 'two\\nlines, latitude'"),
        (b"\x00" * 100, "columns label, latitude, longitude"),
    ],
    ids=["empty", "columns", "rowless", "short", "word", "nan", "swapped", "bytes", "long", "lines", "zeros"],
)
def test_a_malformed_table_is_refused_in_one_sentence(tmp_path: Path, table: bytes, words: str) -> None:
    file = tmp_path / "some.cells.csv"
    file.write_bytes(table)
    with pytest.raises(DataError, match=words) as refusal:
        read_cells(file, "some")
    assert "some" in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 600


def test_a_missing_table_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"some\.cells\.csv beside the weights, found none"):
        read_cells(tmp_path / "some.cells.csv", "some")
    with pytest.raises(DataError, match="could not read it"):
        read_cells(tmp_path, "some")


def test_a_table_is_not_read_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geoexplain.geography.cell_tables.MAX_CELLS", 3)
    partition_of(scattered(3)).save(tmp_path / "three.csv")
    partition_of(scattered(4)).save(tmp_path / "four.csv")
    assert len(read_cells(tmp_path / "three.csv", "three")) == 3
    with pytest.raises(DataError, match="at most 3 cells"):
        read_cells(tmp_path / "four.csv", "four")


# ---- borders


def bordered() -> Partition:
    """A country, a city in it, a strait of islands across the antimeridian, and a cell without a border."""
    country = shapely.box(0, 0, 10, 10) - shapely.box(8, 8, 9, 9)
    borders = (country, shapely.box(4, 4, 5, 5), shapely.box(178, -5, 183, 5), None)
    centers = np.array([(2.0, 2.0), (4.5, 4.5), (0.0, -179.5), (40.0, 100.0)])
    return Partition("bordered", ("country", "city", "islands", "steppe"), centers, borders=borders)


def test_a_point_is_in_the_smallest_cell_that_holds_it_or_in_the_nearest() -> None:
    cells = bordered()
    assert cells.cell_at(1, 1) == 0
    assert cells.cell_at(4.6, 4.4) == 1
    assert [cells.cell_at(1, lon) for lon in (179, -178, 182, -181)] == [2] * 4
    assert cells.cell_at(8.5, 8.5) == cells.nearest(8.5, 8.5) == 1  # in a hole: whatever is nearest
    assert cells.cell_at(50, 90) == 3
    plain = replace(cells, borders=None)
    assert plain.cell_at(4.6, 4.4) == plain.nearest(4.6, 4.4)


def test_rings_are_those_of_the_border_where_it_is_known() -> None:
    cells = bordered()
    rings = cells.rings()
    assert [len(own) for own in rings] == [2, 1, 1, 1]
    shell, hole = (shapely.LinearRing(ring[:, ::-1]) for ring in rings[0])
    assert (shell.is_ccw, hole.is_ccw) == (True, False)
    assert shapely.Polygon(shell, [hole]).equals(bordered().borders[0])
    np.testing.assert_array_equal(rings[3][0], cells.outlines()[3])
    for own, ring in zip(replace(cells, borders=None).rings(), cells.outlines(), strict=True):
        np.testing.assert_array_equal(own[0], ring)


def test_a_border_for_each_cell_or_none_at_all() -> None:
    with pytest.raises(DataError, match="a border, or None, for each of 4 cells, got 3"):
        replace(bordered(), borders=(None,) * 3)
