"""Words for places and labels by hand, the service against a server that speaks Nominatim's format."""

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
from geoexplain.geography.places import choose_city, online_place_name, unique_labels, way_from_city


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
            gazetteer.load_gazetteer()
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


def test_a_centre_for_every_label_is_needed() -> None:
    with pytest.raises(DataError, match="one centre for each"):
        unique_labels(["a"], [[0, 0], [1, 1]])


@pytest.mark.parametrize(
    ("distance_km", "population", "best"),
    [
        ([20, 25], [150_000, 480_000], 1),  # (20 + 25) / 150000^0.4 > (25 + 25) / 480000^0.4: before its suburb
        ([5, 110], [110_000, 2_100_000], 0),  # but not from far away
        ([5, 90], [50_000, 120_000], 1),  # a city within 100 km before a town
        ([110, 200], [50_000, 120_000], 1),  # beyond, the nearest city within 300 km
        ([110, 310], [50_000, 120_000], 0),  # and else the nearest town
        ([1501], [9_000_000], None),
        ([], [], None),
    ],
)
def test_the_city_that_tells_a_place_best(distance_km: list, population: list, best: int | None) -> None:
    assert choose_city(np.array(distance_km, dtype=float), np.array(population, dtype=float)) == best


def test_a_way_from_a_city_has_a_wind_and_a_rough_distance() -> None:
    city = np.array([10.0, 20.0])
    assert way_from_city(city, np.array([10.5, 20.0]), 55.6) == "near"
    assert way_from_city(city, np.array([12.0, 20.0]), 222.4) == "200 km N of"
    assert way_from_city(city, np.array([10.0, 31.0]), 1204.0) == "1,200 km E of"


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
