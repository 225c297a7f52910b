"""Borders of cells without what lies in smaller ones, and in one piece."""

import numpy as np
import pytest
import shapely

from geoexplain.geography.own_borders import joined, own_borders
from geoexplain.geography.partition import Partition

COUNTRY, CITY = shapely.box(0, 0, 10, 10), shapely.box(2, 2, 3, 3)
ISLANDS = shapely.union(shapely.box(20, 0, 21, 1), shapely.box(22, 0, 23, 2))


def cells_of(borders: list) -> Partition:
    centers = np.array([(0.0, 20.0 * cell) for cell in range(len(borders))])
    return Partition("drawn by hand", tuple("abcdefg"[: len(borders)]), centers, borders=tuple(borders))


def test_what_lies_in_a_smaller_cell_belongs_to_that_alone() -> None:
    village = shapely.box(2.2, 2.2, 2.4, 2.4)
    own = own_borders(cells_of([COUNTRY, CITY, village, ISLANDS]))
    assert [border.area for border in own] == pytest.approx([100 - 1, 1 - 0.04, 0.04, 3])
    assert shapely.union_all(own).area == pytest.approx(103)
    # A cell that smaller ones fill stays whole: nothing would be left of it.
    filled = own_borders(cells_of([shapely.box(0, 0, 2, 1), shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1)]))
    assert filled[0] is not None
    assert filled[0].area == 2


def test_a_border_cut_at_the_antimeridian_is_joined() -> None:
    cut = shapely.MultiPolygon(
        [shapely.box(170, -5, 180, 5), shapely.box(-180, -5, -175, 5), shapely.box(160, 0, 161, 1)]
    )
    assert joined(cut).equals(shapely.union(shapely.box(170, -5, 185, 5), shapely.box(160, 0, 161, 1)))
    around_a_pole = shapely.box(-180, -90, 180, -60)
    assert joined(around_a_pole) is around_a_pole
    assert joined(COUNTRY) is COUNTRY
