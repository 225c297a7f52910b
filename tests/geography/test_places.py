"""Place names against facts from an atlas, the service against a server that speaks Nominatim's format."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

import numpy as np
import pytest

from geoexplain.errors import DataError
from geoexplain.geography import gazetteer
from geoexplain.geography.places import online_place_name, place_name, place_names, unique_labels
from geoexplain.geography.sphere import destination

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


@pytest.mark.parametrize(("lat", "lon", "expected"), CITIES)
def test_a_city_is_named(lat: float, lon: float, expected: str) -> None:
    assert place_name(lat, lon) == expected


@pytest.mark.parametrize(("lat", "lon", "country"), COUNTRIES)
def test_the_country_is_right(lat: float, lon: float, country: str) -> None:
    assert place_name(lat, lon).split(", ")[-1] == country


@pytest.mark.parametrize(("lat", "lon", "sea"), SEAS)
def test_the_sea_is_right(lat: float, lon: float, sea: str) -> None:
    assert place_name(lat, lon).split(", off ")[0] == sea


def test_a_coast_is_named_near_it_and_not_in_the_middle_of_an_ocean() -> None:
    assert place_name(33.5, 20.0) == "Mediterranean Sea, off Libya"
    assert place_name(-23.0, 12.5) == "South Atlantic Ocean, off Namibia"
    assert place_name(-30.0, -20.0) == "South Atlantic Ocean"


def test_remote_land_has_direction_and_rough_distance_from_a_town() -> None:
    lat, lon = destination((-23.698, 133.881), 270.0, 360.0)
    assert place_name(lat, lon) == "350 km W of Alice Springs, Australia"
    lat, lon = destination((-23.698, 133.881), 315.0, 240.0)
    assert place_name(lat, lon) == "250 km NW of Alice Springs, Australia"


def test_the_same_country_comes_before_a_nearer_city_across_the_border() -> None:
    # Saint-Louis in France lies 4 km from Basel, which is larger than any French city around
    assert place_name(47.59, 7.56).endswith(", France")
    assert place_name(47.56, 7.59) == "near Basel, Switzerland"


@pytest.mark.parametrize(
    ("lat", "lon", "expected"),
    [
        (-90.0, 0.0, "South Pole, Antarctica"),
        (-75.0, 10.0, "Queen Maud Land, Antarctica"),
        (-72.0, 165.0, "Victoria Land, Antarctica"),
        (-80.5, 179.0, "Ross Ice Shelf, off Antarctica"),  # afloat, though nobody can tell from above
        (-80.5, -179.0, "Ross Ice Shelf, off Antarctica"),
    ],
)
def test_antarctica_has_lands(lat: float, lon: float, expected: str) -> None:
    assert place_name(lat, lon) == expected


def test_longitudes_may_run_past_the_antimeridian() -> None:
    rng = np.random.default_rng(3)
    points = np.stack([rng.uniform(-89, 89, 300), rng.uniform(-180, 180, 300)], axis=1)
    names = place_names(points)
    assert place_names(points + np.array([0, 360])) == names
    assert place_names(points - np.array([0, 360])) == names
    assert [place_name(lat, lon) for lat, lon in points[:40]] == names[:40]  # vectorised equals one by one


@pytest.mark.parametrize("points", [[[91.0, 0.0]], [[np.nan, 0.0]], [[0.0, np.inf]], [0.0, 0.0], [[1.0, 2.0, 3.0]]])
def test_what_is_not_a_point_is_refused(points: list) -> None:
    with pytest.raises(DataError, match="place names: expected"):
        place_names(points)


def test_no_points_have_no_names() -> None:
    assert place_names(np.zeros((0, 2))) == []


def test_the_gazetteer_is_read_once_however_many_threads_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    gazetteer._load.cache_clear()
    with ThreadPoolExecutor(8) as pool:
        loaded = list(pool.map(lambda _: gazetteer.load_gazetteer(), range(16)))
    assert len({id(one) for one in loaded}) == 1
    assert gazetteer._load.cache_info().misses == 1


def test_a_missing_file_is_said_plainly(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(gazetteer, "WORLD", tmp_path)
    gazetteer._load.cache_clear()
    try:
        with pytest.raises(DataError, match=r"countries\.npz"):
            place_name(0, 0)
    finally:
        gazetteer._load.cache_clear()


def test_labels_that_occur_once_stay() -> None:
    assert unique_labels(["a", "b"], [[0, 0], [1, 1]]) == ["a", "b"]


def test_shared_labels_get_their_direction() -> None:
    assert unique_labels(["a", "b", "a"], [[10, 20], [0, 0], [12, 20]]) == ["a (south)", "b", "a (north)"]
    across = unique_labels(["a", "a"], [[0, 179], [0, -179]])
    assert across == ["a (west)", "a (east)"]  # -179° lies east of 179°


def test_shared_labels_in_one_direction_get_coordinates_then_numbers() -> None:
    centers = [[0, 0], [0, 40], [0, 41], [0, 41]]
    assert unique_labels(["a"] * 4, centers) == [
        "a (0° N, 0° E)", "a (0° N, 40° E)", "a (0° N, 41° E)", "a (0° N, 41° E) (2)"
    ]  # fmt: skip
    assert unique_labels(["a", "a"], [[10, 0], [-10, 180]]) == ["a (10° N, 0° E)", "a (10° S, 180° E)"]  # antipodes


def test_a_number_never_collides_with_a_name_that_has_it_already() -> None:
    labels = unique_labels(["a (0° N, 0° E) (2)", "a", "a", "a"], [[5, 5], [0, 0], [0, 0], [0, 0]])
    assert len(set(labels)) == 4
    assert labels[0] == "a (0° N, 0° E) (2)"


def test_labels_of_two_thousand_cells_are_distinct() -> None:
    i = np.arange(2000) + 0.5
    centers = np.stack(
        [np.degrees(np.arcsin(1 - 2 * i / 2000)), (137.50776405 * i + 180) % 360 - 180], axis=1
    )  # a Fibonacci lattice
    labels = unique_labels(place_names(centers), centers)
    assert len(set(labels)) == 2000
    with pytest.raises(DataError, match="one centre for each"):
        unique_labels(["a"], centers)


class _Nominatim(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.heard.append((self.path, self.headers["User-Agent"]))  # type: ignore[attr-defined]
        query = parse_qs(urlparse(self.path).query)
        lat = float(query["lat"][0])
        if lat == 1:
            self.send_error(503)
            return
        if lat == 2:
            time.sleep(1.5)
        answer = {"error": "Unable to geocode"}
        if lat == 45.76:
            answer = {"lat": "45.76", "lon": "4.84", "display_name": "Place Bellecour, Lyon, France"}
        body = b"no json" if lat == 3 else json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(BrokenPipeError):  # whoever asked has given up
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def nominatim() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Nominatim) as server:
        server.heard = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_online_names_come_from_the_server_that_is_asked(nominatim: ThreadingHTTPServer) -> None:
    server = f"http://127.0.0.1:{nominatim.server_port}"
    assert online_place_name(45.76, 4.84, server=server) == "Place Bellecour, Lyon, France"
    ((path, agent),) = nominatim.heard  # type: ignore[attr-defined]
    assert agent.startswith("geoexplain")
    assert {"lat=45.76", "lon=4.84"} <= set(path.split("?")[1].split("&"))


@pytest.mark.parametrize(
    ("lat", "said"),
    [(1, "expected an address"), (2, "expected an address"), (3, "expected an address"), (0, "no address")],
)
def test_a_server_that_fails_is_said_plainly(nominatim: ThreadingHTTPServer, lat: float, said: str) -> None:
    with pytest.raises(DataError, match=said):
        online_place_name(lat, 0, server=f"http://127.0.0.1:{nominatim.server_port}", timeout_s=0.5)


def test_offline_names_ask_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a network connection was opened")

    monkeypatch.setattr("socket.socket.connect", refuse)
    gazetteer._load.cache_clear()
    assert place_name(45.76, 4.84) == "near Lyon, France"
