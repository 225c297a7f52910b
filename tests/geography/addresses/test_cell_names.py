"""What cells are called, against facts from an atlas; cells that are hardly more than points first."""

import numpy as np
import pytest

from geoexplain.geography.addresses.cell_names import cell_names, name_cells, unnamed
from geoexplain.geography.addresses.cell_places import territory_tree
from geoexplain.geography.sphere import destination
from tests.geography.addresses.boxes import around, box_cells, label_at

CITIES = [
    (45.76, 4.84, "near Lyon, France"),
    (48.86, 2.35, "near Paris, France"),
    (40.71, -74.01, "near New York City, United States"),
    (-33.87, 151.21, "near Sydney, Australia"),
    (-1.29, 36.82, "near Nairobi, Kenya"),
    (-12.05, -77.04, "near Lima, Peru"),
    (64.15, -21.94, "near Reykjavík, Iceland"),
    (-41.29, 174.78, "near Wellington, New Zealand"),
    (21.31, -157.86, "near Honolulu, United States"),
    (4.94, -52.33, "near Cayenne, French Guiana"),
    (64.18, -51.72, "near Nuuk, Greenland"),
    (-4.32, 15.31, "near Kinshasa, Democratic Republic of the Congo"),
    (-4.27, 15.28, "near Brazzaville, Republic of the Congo"),
    (30.04, 31.24, "near Cairo, Egypt"),
    (78.22, 15.63, "near Longyearbyen, Svalbard and Jan Mayen"),
]
COUNTRIES = [
    (55.0, 37.0, "Russia"),
    (-29.5, 28.2, "Lesotho"),  # an island in South Africa
    (43.94, 12.46, "San Marino"),
    (4.17, 73.51, "Maldives"),  # left out of the 1:110m map
    (-21.1, 55.5, "Réunion"),
    (66.2, -171.5, "Russia"),  # Chukotka, east of the antimeridian
    (-17.8, 178.0, "Fiji"),
    (-16.85, -179.98, "Fiji"),  # Taveuni, which the antimeridian crosses
    (-44.0, -176.5, "New Zealand"),  # the Chatham Islands
    (75.0, -40.0, "Greenland"),
]
SEAS = [
    (34.0, 18.0, "Mediterranean Sea"),
    (43.0, 34.0, "Black Sea"),
    (42.5, 15.5, "Adriatic Sea"),
    (20.0, 38.5, "Red Sea"),
    (27.0, 51.0, "Persian Gulf"),
    (42.0, 50.5, "Caspian Sea"),
    (56.5, 3.0, "North Sea"),
    (58.0, 20.0, "Baltic Sea"),
    (15.0, 88.0, "Bay of Bengal"),
    (58.0, 178.0, "Bering Sea"),
    (58.0, -178.0, "Bering Sea"),
    (40.0, 135.0, "Sea of Japan"),
    (25.0, -90.0, "Gulf of Mexico"),
    (15.0, -75.0, "Caribbean Sea"),
    (60.0, -86.0, "Hudson Bay"),
    (-38.0, 160.0, "Tasman Sea"),
    (-20.0, 41.0, "Mozambique Channel"),
    (40.0, -40.0, "North Atlantic Ocean"),
    (-30.0, -20.0, "South Atlantic Ocean"),
    (30.0, -160.0, "North Pacific Ocean"),
    (-30.0, -179.9, "South Pacific Ocean"),
    (-30.0, 179.9, "South Pacific Ocean"),
    (-20.0, 80.0, "Indian Ocean"),
    (-62.5, 80.0, "Southern Ocean"),
    (90.0, 0.0, "Arctic Ocean"),
]


def labels_at(*points: tuple[float, float]) -> list[str]:
    return cell_names(box_cells(*(around(*point) for point in points)))


def test_a_city_is_named() -> None:
    assert labels_at(*((lat, lon) for lat, lon, _ in CITIES)) == [expected for *_, expected in CITIES]


def test_the_country_is_right() -> None:
    found = labels_at(*((lat, lon) for lat, lon, _ in COUNTRIES))
    assert [name.split(", ")[-1] for name in found] == [country for *_, country in COUNTRIES]


def test_the_sea_is_right() -> None:
    found = labels_at(*((lat, lon) for lat, lon, _ in SEAS))
    assert [name.split(", off ")[0] for name in found] == [sea for *_, sea in SEAS]


def test_a_coast_is_named_near_it_and_not_in_the_middle_of_an_ocean() -> None:
    assert label_at(33.5, 20.0) == "Mediterranean Sea, off Libya"
    assert label_at(-23.0, 12.5) == "South Atlantic Ocean, off Namibia"
    assert label_at(-30.0, -20.0) == "South Atlantic Ocean"


def test_remote_land_has_direction_and_rough_distance_from_a_town() -> None:
    lat, lon = destination((-23.698, 133.881), 270.0, 360.0)
    assert label_at(lat, lon) == "350 km W of Alice Springs, Australia"
    lat, lon = destination((-23.698, 133.881), 315.0, 240.0)
    assert label_at(lat, lon) == "250 km NW of Alice Springs, Australia"


def test_the_same_country_comes_before_a_nearer_city_across_the_border() -> None:
    # Saint-Louis in France lies 4 km from Basel, which is larger than any French city around
    assert label_at(47.59, 7.56).endswith(", France")
    assert label_at(47.56, 7.59) == "near Basel, Switzerland"


@pytest.mark.parametrize(
    ("lat", "lon", "expected"),
    [
        (-90.0, 0.0, "South Pole, Antarctica"),
        (-75.0, 10.0, "Queen Maud Land, Antarctica"),
        (-72.0, 165.0, "Victoria Land, Antarctica"),
        (-80.5, 179.0, "Ross Ice Shelf, Antarctica"),  # afloat, though nobody can tell from above
        (-80.5, -179.0, "Ross Ice Shelf, Antarctica"),
    ],
)
def test_antarctica_has_lands(lat: float, lon: float, expected: str) -> None:
    assert label_at(lat, lon) == expected


def test_a_city_in_the_cell_comes_before_a_larger_one_beside_it() -> None:
    # Both are in Auvergne-Rhône-Alpes: Lyon 32 km to the northeast, Saint-Étienne, of a third, 18 km to the southwest.
    assert label_at(45.55, 4.55) == "near Lyon, France"  # nothing in the cell: the best around
    (wide,) = cell_names(box_cells((45.35, 4.35, 45.75, 4.75)))
    assert wide == "near Saint-Étienne, France"


def test_cells_with_the_same_name_get_distinct_labels_and_keep_their_places() -> None:
    cells = box_cells((32, -50, 33, -49), (30, -50, 31, -49), (45.7, 4.8, 45.8, 4.9))
    named = name_cells(cells)
    assert named.labels == ("North Atlantic Ocean (north)", "North Atlantic Ocean (south)", "near Lyon, France")
    assert named.centers_deg is cells.centers_deg
    assert named.borders is cells.borders
    assert territory_tree(named).of_cell.tolist() == territory_tree(cells).of_cell.tolist()


def test_labels_of_two_thousand_cells_are_distinct() -> None:
    i = np.arange(2000) + 0.5
    centers = np.stack(
        [np.degrees(np.arcsin(1 - 2 * i / 2000)), (137.50776405 * i + 180) % 360 - 180], axis=1
    )  # a Fibonacci lattice
    assert len(set(name_cells(unnamed("lattice", centers)).labels)) == 2000


def test_naming_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a network connection was opened")

    monkeypatch.setattr("socket.socket.connect", refuse)
    assert label_at(45.76, 4.84) == "near Lyon, France"
