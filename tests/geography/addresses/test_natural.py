"""Natural addresses, from map files written by hand."""

from pathlib import Path

import pytest

from geoexplain.errors import DataError
from geoexplain.geography.address import Location
from geoexplain.geography.addresses.borders import border_of
from geoexplain.geography.addresses.natural import natural_addresses
from tests.geography.addresses.names import keys, names
from tests.geography.maps import square, write_geojson


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """In the middle of Algeria: a desert that holds a range, which holds a lake; a plain half outside of it."""
    regions = [
        ({"featurecla": "Desert", "name": "GREAT SAND", "name_en": None}, [square(0, 24, 6, 30)]),
        ({"featurecla": "Range/mtn", "name": "BLUE MTS."}, [square(1, 25, 3, 27)]),
        ({"featurecla": "Plain", "name": "PLAIN OF THE HALF"}, [square(5, 26, 8, 28)]),
        ({"featurecla": "Continent", "name": "AFRICA"}, [square(-20, -35, 50, 35)]),
        ({"featurecla": "Island", "name": "Fiji’s"}, [square(-180, -18, -179, -16)]),
        ({"featurecla": "Plateau", "name": "Up"}, [square(3.5, 28, 4, 28.5)]),
        ({"featurecla": "Plateau", "name": "Up"}, [square(4.5, 28, 5, 28.5)]),
        ({"featurecla": "Desert", "name": "Wet"}, [square(-40, 20, -30, 30)]),
    ]
    write_geojson(tmp_path / "ne_50m_geography_regions_polys.geojson", regions)
    lakes = [
        ({"featurecla": "Lake", "name": "L. Mirror"}, [square(1.5, 25.5, 2, 26)]),
        ({"featurecla": "Lake"}, [square(9, 25, 10, 26)]),
    ]
    write_geojson(tmp_path / "ne_50m_lakes.geojson", lakes)
    return tmp_path


POINTS = {
    (25.7, 1.7): ["Lake Mirror", "Blue Mountains", "Great Sand", "Deserts"],
    (26.5, 2.5): ["Blue Mountains", "Great Sand", "Deserts"],
    (29.5, 0.5): ["Great Sand", "Deserts"],
    (27.0, 5.5): ["Plain of the Half", "Plains"],  # the smaller one, though the desert is there too
    (28.2, 3.7): ["Up", "Great Sand", "Deserts"],
    (28.2, 4.7): ["Up", "Great Sand", "Deserts"],
    (25.5, 9.5): ["Lakes"],  # without a name
    (31.5, 1.0): [],  # on land, in no region
    (25.0, -35.0): ["North Atlantic Ocean", "Atlantic Ocean", "Seas"],  # regions end at the sea
    (43.0, 34.0): ["Black Sea", "Atlantic Ocean", "Seas"],
}


def test_the_smallest_region_and_what_holds_it(folder: Path) -> None:
    found = natural_addresses(list(POINTS), folder)
    assert names(found) == list(POINTS.values())
    assert keys(found)[0] == ["lake:Lake Mirror", "mountains:Blue Mountains", "desert:Great Sand", "kind:Deserts"]


def test_order_and_turns_do_not_matter(folder: Path) -> None:
    turned = [(lat, lon + 360) for lat, lon in POINTS]
    assert names(natural_addresses(turned[::-1], folder)) == list(POINTS.values())[::-1]


def test_an_island_at_the_antimeridian(folder: Path) -> None:
    assert (
        names(natural_addresses([[-16.885703, -179.998283], [-16.885703, 180.001717]], folder))
        == [["Fiji’s", "Islands"]] * 2
    )


def test_seas_of_the_folder_come_first(folder: Path) -> None:
    seas = [({"featurecla": "sea", "name": "Inner Sea"}, [square(-40, 20, -30, 30)])]
    write_geojson(folder / "ne_50m_geography_marine_polys.geojson", seas)
    found = natural_addresses([[25.0, -35.0], [25.0, -45.0], [26.5, 2.5]], folder)
    assert names(found) == [
        ["Inner Sea", "Seas"],
        ["North Atlantic Ocean", "Atlantic Ocean", "Seas"],
        ["Blue Mountains", "Great Sand", "Deserts"],
    ]
    assert border_of(Location("sea:Inner Sea", "Inner Sea", "sea"), folder).bounds == (-40, 20, -30, 30)


def test_borders_are_the_outlines_of_the_files(folder: Path) -> None:
    border = border_of(Location("desert:Great Sand", "Great Sand", "desert"), folder)
    assert border.bounds == (0, 24, 6, 30)
    both = border_of(Location("plateau:Up", "Up", "plateau"), folder)
    assert both.area == pytest.approx(0.5)
    assert border_of(Location("kind:Deserts", "Deserts", "kind"), folder) is None


def test_a_folder_without_the_files_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected Natural Earth's files"):
        natural_addresses([[0.0, 0.0]], tmp_path)
    (tmp_path / "ne_50m_lakes.7z").write_bytes(b"7z")
    with pytest.raises(DataError, match="unpack it there"):
        natural_addresses([[0.0, 0.0]], tmp_path)
