"""Offline addresses: what anybody would say of a place, wherever the antimeridian runs and in whatever order."""

import numpy as np
import pytest
import shapely

from geoexplain.errors import DataError
from geoexplain.geography.address import Addresses
from geoexplain.geography.addresses import offline
from geoexplain.geography.addresses.divisions import CONTINENTS, COUNTRIES, OCEANS
from geoexplain.geography.addresses.offline import territory_addresses
from geoexplain.geography.addresses.territories import load_territories
from geoexplain.geography.gazetteer import load_gazetteer
from geoexplain.geography.sphere import destination, great_circle_km
from tests.geography.addresses.names import keys, names

EVERYWHERE = np.stack(
    [
        np.degrees(np.arcsin(np.random.default_rng(1).uniform(-1, 1, 3000))),
        np.random.default_rng(2).uniform(-180, 180, 3000),
    ],
    axis=1,
)


def one(lat: float, lon: float) -> list[str]:
    return names(territory_addresses([[lat, lon]]))[0]


@pytest.mark.parametrize(
    ("lat", "lon", "expected"),
    [
        (48.8584, 2.2945, ["Paris", "Île-de-France", "France", "Western Europe", "Europe"]),
        (48.8867, 2.3431, ["Paris", "Île-de-France", "France", "Western Europe", "Europe"]),  # Montmartre
        (48.8049, 2.1204, ["Versailles", "Île-de-France", "France", "Western Europe", "Europe"]),
        (40.7829, -73.9654, ["New York City", "New York", "United States", "Northern America", "North America"]),
        (29.57, 35.42, ["Aqaba", "Jordan", "Middle East", "Asia"]),  # Wadi Rum: no city, the governorate of Aqaba
        (41.9022, 12.4539, ["Vatican City", "Vatican", "Southern Europe", "Europe"]),
        (-29.32, 27.48, ["Maseru", "Maseru District", "Lesotho", "Southern Africa", "Africa"]),
        (36.1408, -5.3536, ["Gibraltar", "Gibraltar", "Southern Europe", "Europe"]),
        (43.7384, 7.4246, ["Monaco", "Municipality of Monaco", "Monaco", "Western Europe", "Europe"]),
        (35.33, 33.32, ["Kyrenia", "Keryneia", "Northern Cyprus", "Southern Europe", "Europe"]),
        (4.93, -52.33, ["Cayenne", "Guyane", "French Guiana", "South America"]),
        (0.0, 0.0, ["Gulf of Guinea", "Atlantic Ocean"]),
        (42.0, 50.5, ["Caspian Sea"]),
        (30.0, -150.0, ["North Pacific Ocean", "Pacific Ocean"]),
        (90.0, 12.0, ["Arctic Ocean"]),
        (-90.0, 12.0, ["South Pole", "Antarctica"]),
        (-72.0, 5.0, ["Queen Maud Land", "Antarctica"]),
    ],
)
def test_what_anybody_would_say(lat: float, lon: float, expected: list[str]) -> None:
    assert one(lat, lon) == expected


@pytest.mark.parametrize(
    ("lat", "lon", "country"),
    [
        (22.5455, 114.0683, "China"),  # Shenzhen, which the 1:50m borders put into Hong Kong
        (22.2796, 114.1655, "Hong Kong"),
        (31.7587, -106.4869, "United States"),  # El Paso, into Mexico
        (31.7202, -106.4608, "Mexico"),  # Ciudad Juárez, next to it
        (16.0179, -16.4896, "Senegal"),  # Saint-Louis, into Mauritania
        (47.6603, 9.1758, "Germany"),  # Konstanz, into Switzerland
        (44.9572, 34.1108, "Russia"),  # Simferopol: no slip of the pen, Natural Earth draws who holds it
        (31.769, 35.2163, "Palestine"),  # Jerusalem likewise
    ],
)
def test_cities_on_a_border_are_in_their_own_country(lat: float, lon: float, country: str) -> None:
    assert country in one(lat, lon)


def test_fiji_lies_on_both_sides_of_the_antimeridian() -> None:
    # The second is a photo of EMP-16, where it has the same address: Northern (Division), Fiji.
    for lon in (179.98, -179.998283):
        assert one(-16.885703, lon) == ["Northern", "Fiji", "Melanesia", "Oceania"]


def same(a: Addresses, b: Addresses) -> bool:
    return keys(a) == keys(b)


@pytest.mark.parametrize("turn", [360.0, -360.0, 720.0])
def test_a_turn_around_the_earth_changes_nothing(turn: float) -> None:
    assert same(territory_addresses(EVERYWHERE), territory_addresses(EVERYWHERE + np.array([0, turn])))


def test_neither_order_nor_company_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    order = np.random.default_rng(3).permutation(len(EVERYWHERE))
    straight = keys(territory_addresses(EVERYWHERE))
    assert keys(territory_addresses(EVERYWHERE[order])) == [straight[i] for i in order]
    monkeypatch.setattr(offline, "POINTS_AT_A_TIME", 7)
    assert keys(territory_addresses(EVERYWHERE[:100])) == straight[:100]


def test_countries_are_those_of_the_polygons() -> None:
    # Another way to the same polygons: the tree of whole countries, asked for one point at a time.
    gazetteer = load_gazetteer()
    found = names(territory_addresses(EVERYWHERE))
    inside = 0
    for address, (lat, lon) in zip(found, EVERYWHERE, strict=True):
        turns = shapely.points([lon, lon + 360], [lat, lat])
        held = {gazetteer.countries[shape] for shape in gazetteer.shapes.query(turns, predicate="intersects")[1]}
        inside += len(held)
        if held:
            assert held & {*address}
    assert inside > len(EVERYWHERE) / 5  # more than a quarter of the Earth is land


def test_the_city_is_one_of_the_country_in_reach() -> None:
    gazetteer = load_gazetteer()
    rng = np.random.default_rng(4)
    chosen = rng.integers(len(gazetteer.cities), size=2000)
    points = destination(gazetteer.city_deg[chosen], rng.uniform(0, 360, 2000), rng.uniform(0, 80, 2000))
    where = {f"city:{number}": i for i, number in enumerate(gazetteer.city_ids.tolist())}
    world = load_territories()
    token = {location.key: location for location in world.locations}
    for point, path in zip(points, keys(territory_addresses(points)), strict=True):
        if path[0] in where:
            city = where[path[0]]
            population = gazetteer.city_population[city]
            reach = max(km for least, km in ((0, 20), (1e5, 30), (3e5, 40), (1e6, 60)) if population >= least)
            assert great_circle_km(gazetteer.city_deg[city], point) <= reach + 1e-6
            country = next(key for key in path if key.startswith("country:"))
            code = gazetteer.city_divisions[city].partition(".")[0]
            assert country == f"country:{code}" or token[country].name in ("Northern Cyprus", "Somaliland")


def test_the_locations_are_one_forest() -> None:
    world = load_territories()
    assert (world.parents < np.arange(len(world.parents))).all()
    roots = {world.locations[i].name for i in np.flatnonzero(world.parents < 0)}
    assert roots == {*CONTINENTS, *OCEANS, "Caspian Sea"}


def test_every_country_is_in_one_part_of_one_continent() -> None:
    codes = [code for held in COUNTRIES.values() for code in held.split()]
    assert len(codes) == len(set(codes))
    assert set(COUNTRIES) == {part for name, parts in CONTINENTS.items() for part in (parts or (name,))}
    seas = [sea for held in OCEANS.values() for sea in held.split(", ")]
    assert len(seas) == len(set(seas))
    boxes = {name for kind, name, *_ in load_gazetteer().regions if kind == "sea"}
    assert boxes - set(seas) == {"Caspian Sea", "Ross Ice Shelf", "Filchner-Ronne Ice Shelf"}
    assert set(seas) <= boxes


def test_the_quarters_of_a_city_are_the_city() -> None:
    world = load_territories()
    above = {(location.name, world.locations[world.parents[i]].name) for i, location in enumerate(world.locations)}
    assert {("Paris", "Île-de-France"), ("Versailles", "Île-de-France"), ("Manhattan", "Kansas")} <= above
    assert not {("Paris 15 Vaugirard", "Île-de-France"), ("Manhattan", "New York")} & above


@pytest.mark.parametrize("points", [[1.0, 2.0], [[1.0, 2.0, 3.0]], [[91.0, 0.0]], [[np.nan, 0.0]], [[0.0, np.inf]]])
def test_what_is_no_point_on_earth_is_refused(points: list) -> None:
    with pytest.raises(DataError, match="addresses: expected"):
        territory_addresses(points)


def test_no_points_have_no_addresses() -> None:
    found = territory_addresses(np.empty((0, 2)))
    assert len(found) == 0
    assert found.locations == ()
