"""A server in a thread that answers like Nominatim's /reverse, and misbehaves as told."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

Answer = tuple[int, dict[str, str], bytes, float]
"""Status, headers, body, seconds to think."""

EIFFEL = {
    "place_id": 88715228,
    "osm_type": "way",
    "osm_id": 5013364,
    "lat": "48.8582599",
    "lon": "2.2945006",
    "category": "man_made",
    "type": "tower",
    "addresstype": "man_made",
    "name": "Eiffel Tower",
    "display_name": "Eiffel Tower, 5, Avenue Anatole France, Gros-Caillou, Paris, Ile-de-France, 75007, France",
    "address": {
        "man_made": "Eiffel Tower",
        "house_number": "5",
        "road": "Avenue Anatole France",
        "suburb": "Gros-Caillou",
        "city": "Paris",
        "ISO3166-2-lvl4": "FR-IDF",
        "state": "Ile-de-France",
        "postcode": "75007",
        "country": "France",
        "country_code": "fr",
    },
}


def place(**changes: object) -> bytes:
    return json.dumps(EIFFEL | changes).encode()


def answer(body: bytes, status: int = 200, wait_s: float = 0.0, **headers: str) -> Answer:
    return status, {name.replace("_", "-"): text for name, text in headers.items()}, body, wait_s


@dataclass
class Server:
    """What was asked: time, coordinate as sent, and the query with the user agent; `script` says what to answer."""

    port: int = 0
    heard: list[tuple[float, tuple[str, str], dict[str, list[str]], str]] = field(default_factory=list)
    script: Callable[[int, float, float], Answer] = lambda _count, _lat, _lon: answer(place())

    @property
    def host(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def running() -> Iterator[Server]:
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            query = parse_qs(url.query)
            at = query["lat"][0], query["lon"][0]
            assert url.path == "/reverse"
            server.heard.append((time.monotonic(), at, query, self.headers["User-Agent"]))
            status, headers, body, wait_s = server.script(len(server.heard), float(at[0]), float(at[1]))
            time.sleep(wait_s)
            try:
                self.send_response(status)
                for name, text in headers.items():
                    self.send_header(name, text)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                pass  # who asked did not wait

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server.port = http.server_port
        threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield server
        finally:
            http.shutdown()
