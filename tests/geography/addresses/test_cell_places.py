"""The places of cells: votes counted by hand, boxes of which an atlas tells what they hold, a natural tree."""

from pathlib import Path

import numpy as np
import pytest
import shapely

from geoexplain.geography.address import Location
from geoexplain.geography.addresses import place_trees
from geoexplain.geography.addresses.cell_names import name_cells, unnamed
from geoexplain.geography.addresses.cell_places import largest_shares, territory_tree, tree_of
from geoexplain.geography.cell_samples import sample_cells
from geoexplain.geography.footprint import on_land
from geoexplain.geography.partition import Partition
from geoexplain.geography.placetree import PlaceTree, find_place
from tests.geography.addresses.boxes import Box, around, box_cells
from tests.geography.maps import square, write_geojson

POINTS = [(48.86, 2.35), (45.76, 4.84), (52.52, 13.40), (29.57, 35.42), (0.0, 0.0), (-90.0, 0.0)]
"""Paris, Lyon, Berlin, Wadi Rum, the Gulf of Guinea, the South Pole."""
SHARES = np.array([0.2, 0.1, 0.3, 0.15, 0.05, 0.2])


@pytest.fixture(scope="module")
def cells() -> Partition:
    return box_cells(*(around(*point) for point in POINTS))


def placed(*boxes: Box) -> list[tuple[str, str]]:
    """What every box is called, and where it lies in words."""
    named = name_cells(box_cells(*boxes))
    tree = territory_tree(named)
    return [(label, tree.words(int(place))) for label, place in zip(named.labels, tree.of_cell, strict=True)]


# ---- votes

EUROPE, ITALY, LAZIO, ROME, CAMPANIA, FRANCE = range(6)
PARENTS = np.array([-1, EUROPE, ITALY, LAZIO, ITALY, EUROPE])
COUNTRIES = np.array([EUROPE, ITALY, ITALY, ITALY, ITALY, FRANCE])


@pytest.mark.parametrize(
    ("points", "place"),
    [
        # 7 of 10 in Italy, 5 of them in Lazio, which is half; 3 in Rome, which is not.
        ([ROME] * 3 + [LAZIO] * 2 + [CAMPANIA] * 2 + [FRANCE] * 3, LAZIO),
        # No part of Italy holds half.
        ([CAMPANIA] * 3 + [LAZIO] * 3 + [FRANCE] * 4, ITALY),
        # France holds more than any other, if less than half; that 6 of 10 are in Europe does not matter.
        ([FRANCE] * 4 + [ITALY, CAMPANIA, LAZIO] + [-1] * 3, FRANCE),
        ([FRANCE] * 2 + [-1] * 3, -1),
        ([ROME] * 4, ROME),
        ([ITALY, FRANCE], ITALY),  # of equal ones the first
    ],
)
def test_a_country_by_the_largest_share_and_what_is_finer_by_half(points: list[int], place: int) -> None:
    other = [FRANCE, LAZIO]  # of another cell, before and after
    for cells in (np.array([0] * len(points) + [1, 1]), np.array([1] * len(points) + [0, 0])):
        leaf = np.array([*points, *other])
        order = np.argsort(cells, kind="stable")
        found = largest_shares(cells[order], leaf[order], PARENTS, COUNTRIES, 2)
        assert found[cells[0]] == place


def test_a_tree_holds_what_cells_lie_in_and_what_is_above() -> None:
    names = ("Europe", "Italy", "Lazio", "Rome", "Campania", "France")
    locations = tuple(Location(name, name, "place") for name in names)
    heard: list[str] = []

    def borders(held: list[Location]) -> tuple[None, ...]:
        heard.extend(one.name for one in held)
        return (None,) * len(held)

    tree = tree_of("x", locations, PARENTS, np.array([LAZIO, -1, FRANCE, LAZIO]), borders)
    assert [tree.words(place) for place in tree.of_cell] == [
        "Lazio, Italy, Europe", "", "France, Europe", "Lazio, Italy, Europe"
    ]  # fmt: skip
    assert list(tree.labels) == heard == ["Europe", "Italy", "Lazio", "France"]


# ---- the map


def test_probability_of_places(cells: Partition) -> None:
    (tree,) = place_trees(cells)
    assert tree.name == "territory"
    sums = dict(zip(tree.labels, tree.shares(SHARES), strict=True))
    expected = {"France": 0.3, "Western Europe": 0.6, "Europe": 0.6, "Jordan": 0.15, "Middle East": 0.15}
    expected |= {"Asia": 0.15, "Antarctica": 0.2, "Atlantic Ocean": 0.05}
    assert {name: sums[name] for name in expected} == pytest.approx(expected)
    assert tree.words(tree.of_cell[3]) == "Aqaba, Jordan, Middle East, Asia"
    assert tree.cells(find_place(tree, "France")[0]).tolist() == [0, 1]


def test_borders_hold_the_cells(cells: Partition) -> None:
    (tree,) = place_trees(cells)
    bordered = [i for i, border in enumerate(tree.borders) if border is not None]
    assert {tree.kinds[i] for i in bordered} == {"country", "subregion", "continent"}
    assert len(tree.borders[: len(tree)]) == len(tree)
    for place in bordered:
        for cell in tree.cells(place):
            lat, lon = cells.centers_deg[cell]
            assert tree.borders[place].buffer(1e-6).intersects(shapely.Point(lon, lat))


def test_the_nile_is_in_egypt_although_the_middle_lies_in_the_red_sea() -> None:
    (cell,) = placed((26.9, 32.2, 29.5, 34.7))
    assert cell[1].endswith("Egypt, Northern Africa, Africa")
    assert cell[0].endswith(", Egypt")
    assert not on_land(np.array([28.2, 33.45]))


def test_the_middle_does_not_count() -> None:
    # Lesotho lies in the middle of the box, which South Africa fills for the most part.
    assert placed(around(-29.5, 28.2))[0][1].endswith("Lesotho, Southern Africa, Africa")
    (cell,) = placed(around(-29.5, 28.2, 2.5))
    assert cell[1].endswith("South Africa, Southern Africa, Africa")
    assert cell[0].endswith(", South Africa")


def test_several_regions_of_italy_are_italy_and_one_is_itself() -> None:
    naples, lazio = placed((40.4, 12.8, 42.8, 15.0), (41.4, 12.2, 42.3, 13.1))
    assert naples == ("near Naples, Italy", "Italy, Southern Europe, Europe")
    assert lazio == ("near Rome, Italy", "Lazio, Italy, Southern Europe, Europe")


def test_the_strait_of_gibraltar_belongs_to_the_side_with_more_land() -> None:
    north, south = placed((35.5, -6.2, 37.5, -4.8), (34.0, -6.2, 36.1, -4.8))
    assert north[1].endswith("Spain, Southern Europe, Europe")
    assert north[0].endswith(", Spain")
    assert south[1].endswith("Morocco, Northern Africa, Africa")
    assert south[0].endswith(", Morocco")


@pytest.mark.parametrize("turn", [0, 360])
def test_the_antimeridian_cuts_no_cell(turn: int) -> None:
    fiji, chukotka = placed((-18.2, -181.5 + turn, -15.8, -178.5 + turn), (64.5, -185 + turn, 69.5, -172 + turn))
    assert fiji[1].endswith("Fiji, Melanesia, Oceania")
    assert fiji[0].endswith(", Fiji")
    assert chukotka[1].endswith("Russia, Eastern Europe, Europe")
    assert chukotka[0].endswith(", Russia")


def test_antarctica_is_its_lands_and_shelves_and_never_an_ocean() -> None:
    coast, shelf, pole = placed((-68.5, 110, -65, 125), (-82, 165, -79, 210), (-90, -180, -86, 180))
    assert coast == ("Wilkes Land, Antarctica", "Wilkes Land, Antarctica")
    assert shelf == ("Ross Ice Shelf, Antarctica", "Ross Ice Shelf, Antarctica")
    assert pole[1].split(", ")[-1] == pole[0].split(", ")[-1] == "Antarctica"


def test_a_cell_around_an_island_is_the_island() -> None:
    around_nauru = (-3, 164, 2, 169)
    points, _ = sample_cells(box_cells(around_nauru))
    assert not on_land(points).any()  # too small for the points of the area: its coast tells
    helena, svalbard, nauru = placed((-17.5, -7.5, -14.5, -4.0), (76, 8, 81, 34), around_nauru)
    assert "Saint Helena" in helena[0]
    assert helena[1].endswith("Western Africa, Africa")
    assert svalbard[0] == "100 km E of Longyearbyen, Svalbard and Jan Mayen"
    assert svalbard[1].endswith("Svalbard and Jan Mayen, Northern Europe, Europe")
    assert nauru[0].endswith(", Nauru")
    assert nauru[1].endswith("Nauru, Micronesia, Oceania")


def test_a_lake_is_in_the_countries_that_share_it() -> None:
    # The border runs along 1° S through Lake Victoria.
    north, south = placed((-0.9, 32.2, -0.2, 33.6), (-2.0, 32.2, -1.1, 33.6))
    assert north[1].endswith("Uganda, Eastern Africa, Africa")
    assert south[1].endswith("Tanzania, Eastern Africa, Africa")


def test_the_open_sea_is_the_sea_that_holds_most_of_it_and_a_coast_reaches_ten_kilometres() -> None:
    # Cabo da Roca, the end of Portugal, is at 9.5° W.
    ocean, strait, near, far = placed(
        (30, -50, 34, -46), (12.0, 46, 12.6, 48), (38.74, -9.60, 38.82, -9.56), (38.74, -10.2, 38.82, -10.0)
    )
    assert ocean == ("North Atlantic Ocean", "North Atlantic Ocean, Atlantic Ocean")
    assert strait[1] == "Gulf of Aden, Indian Ocean"
    assert strait[0].startswith("Gulf of Aden, off ")
    assert near[1].endswith("Portugal, Southern Europe, Europe")
    assert far == ("North Atlantic Ocean, off Portugal", "North Atlantic Ocean, Atlantic Ocean")


def test_cells_far_apart_are_in_no_city_and_dense_ones_are() -> None:
    lyon = (45.76, 4.84)
    far = unnamed("far", np.array([lyon, (45.2, 5.7), (46.2, 6.1), (44.9, 4.9)]))
    assert far.spacing_km > 50
    assert "city" not in territory_tree(far).kinds
    near = unnamed("near", np.array(lyon) + np.array([(0, 0), (0.01, 0), (0, 0.01), (0.01, 0.01)]))
    tree = territory_tree(near)
    assert tree.labels[tree.of_cell[0]] == "Lyon"
    assert name_cells(near).labels[0].startswith("near Lyon, France")


def test_the_natural_tree_stands_beside(tmp_path: Path, cells: Partition) -> None:
    desert = ({"featurecla": "Desert", "name": "RED SAND"}, [square(34, 28, 37, 31)])
    write_geojson(tmp_path / "ne_50m_geography_regions_polys.geojson", [desert])
    territory, nature = place_trees(cells, tmp_path)
    assert (territory.name, nature.name) == ("territory", "nature")
    assert nature.words(nature.of_cell[3]) == "Red Sand, Deserts"
    assert nature.borders[nature.of_cell[3]].bounds == (34, 28, 37, 31)
    assert nature.of_cell.tolist()[:3] == [-1, -1, -1]
    assert nature.words(nature.of_cell[4]) == "Gulf of Guinea, Atlantic Ocean, Seas"


def test_a_natural_region_needs_half_of_the_land(tmp_path: Path) -> None:
    regions = [
        ({"featurecla": "Desert", "name": "EAST"}, [square(2, 24, 9, 30)]),
        ({"featurecla": "Desert", "name": "WEST"}, [square(0, 24, 2, 30)]),
    ]
    write_geojson(tmp_path / "ne_50m_geography_regions_polys.geojson", regions)
    boxes = box_cells((24.5, 1.5, 25.4, 3), (25.5, 1, 26.4, 2.9), (26.5, -3, 27.4, 0.4), (27.5, -1, 28.4, 1.2))
    tree: PlaceTree = place_trees(boxes, tmp_path)[1]
    assert [tree.words(place) for place in tree.of_cell] == ["East, Deserts", "West, Deserts", "", "West, Deserts"]
