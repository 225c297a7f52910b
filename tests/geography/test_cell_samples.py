"""Points over the area of cells: where they may lie, and that each stands for as much as the others of its cell."""

from dataclasses import replace

import numpy as np
import pytest
import shapely

from geoexplain.geography.addresses.cell_names import unnamed
from geoexplain.geography.cell_samples import MOST_PER_CELL, cells_at, sample_cells
from geoexplain.geography.partition import REACH, Partition
from geoexplain.geography.s2_partitioning import build_s2
from geoexplain.geography.sphere import great_circle_km
from tests.geography.scattered import nameless, scattered_points


def nearest(centers: np.ndarray, points: np.ndarray) -> np.ndarray:
    return great_circle_km(points[:, None], centers[None]).argmin(axis=1)


@pytest.mark.parametrize("seed", range(6))
def test_points_are_nearest_to_their_centre_and_not_too_far_and_every_cell_has_one(seed: int) -> None:
    cells = unnamed("scattered", scattered_points(seed))
    points, owner = sample_cells(cells, 20)
    assert (np.diff(owner) >= 0).all()
    assert set(owner.tolist()) == set(range(len(cells)))
    assert (np.abs(points) <= (90, 180)).all()
    distance = great_circle_km(cells.centers_deg[owner], points)
    closest = great_circle_km(points[:, None], cells.centers_deg[None]).min(axis=1)
    np.testing.assert_allclose(distance, closest, atol=1e-3)
    assert (distance <= max(REACH * cells.spacing_km, 1) + 1e-6).all()


def test_points_of_a_disc_stand_for_equal_areas() -> None:
    # Two antipodes share the Earth: each has a hemisphere, of which the cap within an angle a is 1 − cos a.
    cells = unnamed("halves", np.array([(30.0, 100.0), (-30.0, -80.0)]))
    points, owner = sample_cells(cells, 2000)
    angle = great_circle_km(cells.centers_deg[owner], points) / 6371.0
    for part in (0.2, 0.5, 1.0, 1.3):
        for cell in (0, 1):
            assert (angle[owner == cell] <= part).mean() == pytest.approx(1 - np.cos(part), abs=0.01)
    east = (points[owner == 0, 1] - 100 + 180) % 360 - 180 > 0
    assert east.mean() == pytest.approx(0.5, abs=0.02)


def test_points_of_a_border_stand_for_equal_areas_and_those_of_a_smaller_one_are_left_out() -> None:
    # A box from the equator to 60° N: half of its area lies south of 25.66°, where the sine is half of that of 60°.
    large, small = shapely.box(170, 0, 190, 60), shapely.box(175, 0, 185, 20)
    cells = Partition("boxes", ("large", "small"), np.array([(30.0, 180.0), (10.0, 180.0)]), None, (large, small))
    points, owner = sample_cells(replace(cells, borders=(large, None)), 4000)
    lat, lon = points[owner == 0].T
    lon = lon % 360
    assert (lat <= np.degrees(np.arcsin(np.sin(np.radians(60)) / 2))).mean() == pytest.approx(0.5, abs=0.01)
    assert (lon < 175).mean() == pytest.approx(0.25, abs=0.01)
    points, owner = sample_cells(cells, 4000)
    lat, lon = points[owner == 0].T
    assert not shapely.contains_xy(small, lon % 360, lat).any()
    lat, lon = points[owner == 1].T
    assert shapely.contains_xy(small, lon % 360, lat).all()
    assert (owner == 1).sum() > 1000


def test_a_border_that_is_a_thread_has_a_point() -> None:
    thread = shapely.Polygon([(0, 0), (10, 10), (10, 10.00001)])
    cells = Partition("thread", ("thread",), np.array([(5.0, 5.0)]), None, (shapely.Polygon(thread),))
    points, owner = sample_cells(cells, 4)
    assert owner.tolist() == [0] * len(points)
    assert shapely.distance(thread, shapely.points(points[:, ::-1])).max() < 1e-6


def test_centres_in_one_place_share_it() -> None:
    points, owner = sample_cells(unnamed("one", np.array([(10.0, 20.0)] * 3 + [(11.0, 20.0)])), 50)
    assert np.bincount(owner)[1:3].tolist() == [1, 1]
    assert points[owner == 1].tolist() == [[10.0, 20.0]]


def test_s2_cells_hold_their_points_and_nothing_else_does() -> None:
    built = build_s2(scattered_points(3, 400), [(1, 30)], name_by=nameless).levels[0]
    points, owner = sample_cells(built)
    assert set(owner.tolist()) == set(range(len(built)))
    for cell, border in enumerate(built.borders):
        lat, lon = points[owner == cell].T
        turns = [shapely.distance(border, shapely.points(lon + turn, lat)) for turn in (-360, 0, 360)]
        assert np.min(turns, axis=0).max() == 0
    assert np.bincount(owner).min() > MOST_PER_CELL / 4
    np.testing.assert_array_equal(cells_at(built, points), owner)


def test_what_lies_in_no_cell_is_in_none() -> None:
    cells = unnamed("two", np.array([(0.0, 0.0), (0.0, 1.0), (0.0, 2.0), (1.0, 0.0)]))
    assert cells_at(cells, np.array([(0.0, 0.4), (0.0, 0.6), (40.0, 0.0)])).tolist() == [0, 1, -1]
    unbounded = replace(cells, borders=(None, None, None, None))
    assert cells_at(unbounded, np.array([(0.0, 0.4), (0.0, 0.6), (40.0, 0.0)])).tolist() == [0, 1, -1]
    boxed = replace(cells, borders=(shapely.box(-0.5, -0.5, 0.5, 0.5), None, None, None))
    # What lies nearest to a cell with a border, and beyond it, is in none.
    assert cells_at(boxed, np.array([(0.0, 0.45), (-0.9, 0.0), (0.0, 1.1)])).tolist() == [0, -1, 1]
