"""Addresses from a server that answers like Nominatim: kindly, slowly, wrongly, or not at all."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import shapely

from geoexplain.errors import DataError
from geoexplain.geography.address import Addresses
from geoexplain.geography.addresses import nominatim
from geoexplain.geography.addresses.borders import border_of
from geoexplain.geography.addresses.nominatim import nominatim_addresses
from tests.geography.addresses.names import keys, names
from tests.geography.addresses.nominatim_server import EIFFEL, Server, answer, place, running

TOWER = (48.85826, 2.2945)
POINTS = [TOWER, (-16.88570, -179.99828), (0.0, 0.0), (1.0, 2.0)]


@pytest.fixture
def server() -> Iterator[Server]:
    with running() as found:
        yield found


def ask(server: Server, points: object, cache: Path, **options: object) -> Addresses:
    settings = {"rate_limit_s": 0.0, "first_wait_s": 0.001, "timeout_s": 5.0, **options}
    return nominatim_addresses(points, host=server.host, user_agent="test (me@example.org)", cache=cache, **settings)


def test_the_parts_of_an_address_fine_to_coarse(server: Server, tmp_path: Path) -> None:
    found = ask(server, [TOWER], tmp_path / "cache", language="fr", zoom=17)
    assert names(found) == [
        ["Eiffel Tower", "Avenue Anatole France", "Gros-Caillou", "Paris", "Ile-de-France", "France"]
    ]
    assert keys(found) == [
        [
            "W5013364",
            "road:Avenue Anatole France|Paris|Ile-de-France|FR",
            "suburb:Gros-Caillou|Paris|Ile-de-France|FR",
            "city:Paris|Ile-de-France|FR",
            "state:Ile-de-France|FR",
            "country:FR",
        ]
    ]
    assert [location.kind for location in found.locations] == ["man_made", "road", "suburb", "city", "state", "country"]
    ((_, at, query, agent),) = server.heard
    assert [float(text) for text in at] == list(TOWER)
    assert agent == "test (me@example.org)"
    assert query["accept-language"] == ["fr"]
    assert query["zoom"] == ["17"]
    assert query["addressdetails"] == ["1"]


def test_a_place_is_one_location_whether_or_not_something_finer_was_found(server: Server, tmp_path: Path) -> None:
    road = {"address": {kind: EIFFEL["address"][kind] for kind in ("road", "city", "country", "country_code")}}

    def script(count: int, lat: float, lon: float) -> tuple:
        return answer(place() if count == 1 else place(osm_id=9, name="Avenue Anatole France", **road))

    server.script = script
    first, second = keys(ask(server, [(1.0, 1.0), (2.0, 2.0)], tmp_path / "cache"))
    assert second == ["road:Avenue Anatole France|Paris|FR", "city:Paris|FR", "country:FR"]
    assert first[-1] == second[-1]


def test_no_point_is_asked_for_twice(server: Server, tmp_path: Path) -> None:
    server.script = lambda count, lat, lon: answer(place(osm_id=int(lat * 100)))
    points = np.array([(1.0, 2.0), (3.0, 4.0), (1.000001, 2.000001), (1.0, 362.0)])  # a decimetre; a turn
    told: list[tuple[int, int]] = []
    found = ask(server, points, tmp_path / "cache", progress=lambda *step: told.append(step))
    assert len(server.heard) == 2
    assert told == [(1, 2), (2, 2)]
    assert [path[0] for path in keys(found)] == ["W100", "W300", "W100", "W100"]
    again = ask(server, points[::-1], tmp_path / "cache")
    assert len(server.heard) == 2
    assert keys(again) == keys(found)[::-1]
    ask(server, points, tmp_path / "cache", language="de")  # another question
    assert len(server.heard) == 4


def test_where_there_is_nothing_there_is_no_address(server: Server, tmp_path: Path) -> None:
    server.script = lambda count, lat, lon: answer(b'{"error": "Unable to geocode"}' if lat == 0 else place())
    assert names(ask(server, POINTS, tmp_path / "cache"))[2] == []
    assert len(server.heard) == 4
    ask(server, POINTS, tmp_path / "cache")
    assert len(server.heard) == 4


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_server_that_is_busy_is_asked_again(server: Server, tmp_path: Path, status: int) -> None:
    server.script = lambda count, lat, lon: answer(b"busy", status) if count < 4 else answer(place())
    assert names(ask(server, [TOWER], tmp_path / "cache"))[0][0] == "Eiffel Tower"
    assert len(server.heard) == 4


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_obeyed(server: Server, tmp_path: Path, status: int) -> None:
    server.script = lambda count, lat, lon: answer(b"", status, Retry_After="1") if count == 1 else answer(place())
    ask(server, [TOWER], tmp_path / "cache")
    (first, *_), (second, *_) = server.heard
    assert second - first >= 1


def test_nobody_waits_for_hours(server: Server, tmp_path: Path) -> None:
    server.script = lambda count, lat, lon: answer(b"", 429, Retry_After="7200")
    with pytest.raises(DataError, match="told to wait for 7,200 s"):
        ask(server, [TOWER], tmp_path / "cache")
    assert len(server.heard) == 1


def test_requests_keep_their_distance(server: Server, tmp_path: Path) -> None:
    ask(server, POINTS, tmp_path / "cache", rate_limit_s=0.15)
    times = [heard[0] for heard in server.heard]
    assert len(times) == 4
    # The server hears with delays of its own: what counts is that four requests took three distances.
    assert times[-1] - times[0] >= 3 * 0.15 - 0.05


def test_whoever_shares_the_cache_shares_the_pace(server: Server, tmp_path: Path) -> None:
    for point in POINTS:  # as often as one starts it again
        ask(server, [point], tmp_path / "cache", rate_limit_s=0.15)
    with ThreadPoolExecutor(4) as pool:  # or all at once
        list(pool.map(lambda i: ask(server, [(i, 7.0)], tmp_path / "cache", rate_limit_s=0.15), range(4)))
    times = sorted(heard[0] for heard in server.heard)
    assert len(times) == 8
    assert times[-1] - times[0] >= 7 * 0.15 - 0.05


def test_its_countries_have_the_shipped_borders(server: Server, tmp_path: Path) -> None:
    country = ask(server, [TOWER], tmp_path / "cache").locations[-1]
    border = border_of(country)
    assert border is not None
    assert border.contains(shapely.Point(2.3, 48.9))


GARBAGE = [b"<html>", b"\xff\xfe", b"7", b'["a"]', b'{"osm_id": 1}', b'{"error": "boom"}', place(address=[1])]


@pytest.mark.parametrize("body", GARBAGE)
def test_garbage_is_not_kept(server: Server, tmp_path: Path, body: bytes) -> None:
    server.script = lambda count, lat, lon: answer(body) if lat == TOWER[0] else answer(place())
    found = ask(server, POINTS, tmp_path / "cache")
    assert [bool(path) for path in names(found)] == [False, True, True, True]
    assert len(server.heard) == 3 + nominatim.TRIES
    server.script = lambda count, lat, lon: answer(place())
    assert all(names(ask(server, POINTS, tmp_path / "cache")))
    assert len(server.heard) == 3 + nominatim.TRIES + 1


def test_strange_names_are_made_fit_for_keys(server: Server, tmp_path: Path) -> None:
    strange = {"road": "a < b|c\n\x1b[31m", "": "x", "n": 7, "city": "  ", "country": "y" * 10_000}
    server.script = lambda count, lat, lon: answer(place(address=strange))
    for key, name in zip(keys(found := ask(server, [TOWER], tmp_path / "c"))[0], names(found)[0], strict=True):
        assert " < " not in key
        assert key.isprintable()
        assert len(name) <= nominatim.LONGEST_NAME + 1


def test_a_server_out_of_order_is_said_after_a_while(server: Server, tmp_path: Path) -> None:
    server.script = lambda count, lat, lon: answer(place()) if count == 1 else answer(b"", 500)
    with pytest.raises(DataError) as caught:
        ask(server, [*POINTS, (5.0, 5.0)], tmp_path / "cache")
    assert "got HTTP 500, 5 times in a row" in str(caught.value)
    assert "1 of 5 answers are kept" in str(caught.value)
    assert len(server.heard) == 1 + nominatim.FAILURES_IN_A_ROW * nominatim.TRIES
    server.script = lambda count, lat, lon: answer(place())
    server.heard.clear()
    ask(server, POINTS, tmp_path / "cache")
    assert len(server.heard) == 3  # the first answer was kept


def test_a_server_that_is_gone_is_said(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(DataError, match=rf"127.0.0.1:{port}: expected an address, got no connection"):
        ask(Server(port), POINTS, tmp_path / "cache")


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_server_that_refuses_is_not_bothered(server: Server, tmp_path: Path, status: int) -> None:
    server.script = lambda count, lat, lon: answer(b"", status)
    with pytest.raises(DataError, match=f"got HTTP {status}: check the host, the user agent"):
        ask(server, POINTS, tmp_path / "cache")
    assert len(server.heard) == 1


def test_a_slow_answer_is_not_waited_for(server: Server, tmp_path: Path) -> None:
    server.script = lambda count, lat, lon: answer(place(), wait_s=0.6 if count == 1 else 0.0)
    assert names(ask(server, [TOWER], tmp_path / "cache", timeout_s=0.2))[0]
    assert len(server.heard) >= 2  # on a busy machine the second one may be late, too


def test_one_can_stop_and_go_on(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cancelled.* 2 of 4 answers are kept in cache"):
        ask(server, POINTS, tmp_path / "cache", cancelled=lambda: len(server.heard) == 2)
    assert len(server.heard) == 2
    assert all(names(ask(server, POINTS, tmp_path / "cache")))
    assert len(server.heard) == 4


KILLED = """
import os, pathlib, signal, sys
from geoexplain.geography.addresses.nominatim import nominatim_addresses
nominatim_addresses(
    [(float(i), 0.0) for i in range(10)],
    host=sys.argv[1],
    user_agent="test",
    cache=pathlib.Path(sys.argv[2]),
    rate_limit_s=0,
    progress=lambda done, total: os.kill(os.getpid(), signal.SIGKILL) if done == 6 else None,
)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill -9")
def test_what_was_answered_survives_a_kill(server: Server, tmp_path: Path) -> None:
    words = [sys.executable, "-c", KILLED, server.host, str(tmp_path / "cache")]
    done = subprocess.run(words, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(server.heard) == 6
    found = ask(server, [(float(i), 0.0) for i in range(10)], tmp_path / "cache")
    assert all(names(found))
    assert len(server.heard) == 10


def test_what_is_no_cache_is_left_alone(server: Server, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("what one had better not lose" * 100)
    with pytest.raises(DataError, match=r"notes.txt: expected a cache of addresses"):
        ask(server, [TOWER], text)
    assert text.read_text().startswith("what one had")
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE mine (x)")
    database.close()
    with pytest.raises(DataError, match="got another database"):
        ask(server, [TOWER], other)
    with pytest.raises(DataError, match=r"cache: expected a cache"):
        ask(server, [TOWER], tmp_path / "nowhere" / "cache")
    assert server.heard == []


def test_an_answer_that_was_damaged_is_said(server: Server, tmp_path: Path) -> None:
    ask(server, [TOWER], tmp_path / "cache")
    with sqlite3.connect(tmp_path / "cache") as database:
        database.execute("UPDATE answers SET answer = '[1'")
    database.close()
    with pytest.raises(DataError, match="cache: expected a cache of addresses"):
        ask(server, [TOWER], tmp_path / "cache")


@pytest.mark.parametrize(
    "host",
    [
        "nominatim.openstreetmap.org",
        "https://Nominatim.OpenStreetMap.org/",
        "openstreetmap.org",
        "nominatim.openstreetmap.org.",
        "me:secret@nominatim.openstreetmap.org:443/path",
    ],
)
def test_the_public_server_is_never_asked_faster_than_it_allows(tmp_path: Path, host: str) -> None:
    with pytest.raises(DataError, match="at least 1 second between requests"):
        nominatim_addresses([TOWER], host=host, user_agent="test", cache=tmp_path / "c", rate_limit_s=0.99)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"host": ""}, "expected a host"),
        ({"host": "ftp://there"}, "expected a host"),
        ({"host": "http://[::1"}, "expected a host"),
        ({"user_agent": " "}, "expected a user agent"),
        ({"user_agent": "a\r\nX-Evil: b"}, "expected a user agent"),
        ({"timeout_s": 0.0}, "expected seconds"),
        ({"rate_limit_s": float("nan")}, "expected seconds"),
    ],
)
def test_wrong_arguments_are_said(tmp_path: Path, options: dict, said: str) -> None:
    arguments = {"host": "localhost", "user_agent": "test", "cache": tmp_path / "cache", **options}
    with pytest.raises(DataError, match=said):
        nominatim_addresses([TOWER], **arguments)
