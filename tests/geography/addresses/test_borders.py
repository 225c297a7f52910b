"""Borders of countries, and of what is joined of them."""

import pytest
import shapely

from geoexplain.geography.address import Location
from geoexplain.geography.addresses.borders import border_of
from geoexplain.geography.addresses.territories import load_territories


def of(key: str) -> shapely.Geometry | None:
    kind, _, name = key.partition(":")
    return border_of(Location(key, name, kind))


def test_a_part_is_its_countries_without_the_lines_between() -> None:
    countries = [of(f"country:{code}") for code in ("KZ", "KG", "TJ", "TM", "UZ")]
    joined = of("subregion:Central Asia")
    assert joined.area == pytest.approx(sum(country.area for country in countries), rel=1e-6)
    assert joined.length < sum(country.length for country in countries) - 2 * 50  # degrees of inner borders
    assert shapely.is_valid(joined)
    assert joined.contains(shapely.Point(69.6, 42.3))  # Shymkent, hard by the border to Uzbekistan


def test_continents_hold_their_parts() -> None:
    europe = of("continent:Europe")
    for name in ("Eastern Europe", "Northern Europe", "Southern Europe", "Western Europe"):
        part = of(f"subregion:{name}")
        assert part.difference(europe).area < 1e-6
    assert europe.bounds[2] > 180  # Chukotka is in one piece
    assert of("continent:Antarctica").contains(shapely.Point(0, -89))


def test_shapes_of_one_name_are_one_country_and_those_of_another_are_not() -> None:
    assert not of("country:CY").intersects(shapely.Point(33.6, 35.3))
    assert of("country:Northern Cyprus").contains(shapely.Point(33.6, 35.3))
    assert of("country:AU").contains(shapely.Point(134, -25))


def test_what_has_no_border_is_known() -> None:
    for key in ("city:2988507", "region:FR.11", "sea:Black Sea", "ocean:Pacific Ocean", "country:nowhere"):
        assert of(key) is None
    without = {
        location.name
        for location in load_territories().locations
        if location.kind in ("country", "subregion", "continent") and border_of(location) is None
    }
    assert without == {"Gibraltar", "Tuvalu", "Cocos Islands"}
