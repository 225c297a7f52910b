"""No input names a file on the server, or an address, and gets it opened."""

import base64
import io
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.hostile.conftest import Ears, Server, record

METAS = {
    "absent": {},
    "null": {"meta": None},
    "empty": {"meta": {}},
    "other": {"meta": {"_type": "something.Else"}},
    "right": {"meta": {"_type": "gradio.FileData"}},
}


def png(colour: tuple[int, int, int] = (10, 200, 30), size: tuple[int, int] = (8, 6)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="session")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("private") / "secret.png"
    path.write_bytes(png((1, 2, 3)))
    return path.resolve()


@pytest.fixture(scope="session")
def paths(secret: Path, server: Server) -> dict[str, str]:
    link = server.uploads / "innocent.png"
    link.symlink_to(secret)
    return {
        "absolute": str(secret),
        "relative": os.path.relpath(secret),
        "dotted": f"{server.uploads}/../{secret.parent.name}/secret.png",
        "link": str(link),
        "through proc": f"/proc/self/root{secret}",
        "file address": f"file://{secret}",
    }


@pytest.mark.parametrize("meta", METAS)
@pytest.mark.parametrize("kind", ["absolute", "relative", "dotted", "link", "through proc", "file address"])
@pytest.mark.parametrize("endpoint", ["echo", "say"])
def test_a_file_of_the_server_is_never_opened(
    server: Server, secret: Path, paths: dict[str, str], ears: Ears, kind: str, meta: str, endpoint: str
) -> None:
    event, data = server.call(endpoint, [{"path": paths[kind], **METAS[meta]}])
    assert event == "error"
    assert str(secret) not in ears.opened
    assert secret.name not in str(data)


def test_the_ears_hear_the_secret_being_opened(secret: Path, ears: Ears) -> None:
    Image.open(secret).close()
    assert str(secret) in ears.opened


def test_a_file_of_the_server_is_not_served(server: Server, secret: Path, ears: Ears) -> None:
    for path in (secret, Path("pyproject.toml").resolve(), Path("/etc/passwd")):
        assert server.fetch(str(path)).status_code in (403, 404)
        assert str(path) not in ears.opened


def test_an_uploaded_image_is_opened_and_comes_back(server: Server) -> None:
    (path,) = server.upload("holiday.png", png()).json()
    event, data = server.call("echo", [record(path)])
    assert event == "complete"
    shown = Image.open(io.BytesIO(server.fetch(data[0]["path"]).content))
    assert shown.size == (8, 6)
    assert shown.convert("RGB").getcolors() == [(48, (10, 200, 30))]


def test_a_folder_a_missing_file_and_a_pipe_are_refused(server: Server) -> None:
    pipe = server.uploads / "pipe.png"
    os.mkfifo(pipe)
    for path in (server.uploads, pipe, server.uploads / "missing.png"):
        event, _ = server.call("echo", [record(str(path))])
        assert event == "error"


@pytest.mark.parametrize("name", ["drawing.svg", "drawing.SVG"])
def test_a_drawing_is_refused_by_its_name_and_by_its_content(server: Server, name: str) -> None:
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    for filename in (name, "drawing.png"):
        (path,) = server.upload(filename, svg).json()
        event, data = server.call("echo", [record(path, orig_name="a.png")])
        assert event == "error"
        assert data["error"].startswith("The image: expected" if filename == "drawing.png" else "Expected a JPEG")


def test_refusals_say_why_and_what_to_do(server: Server) -> None:
    (path,) = server.upload("notes.png", b"these are notes").json()
    assert "save it again" in str(server.call("echo", [record(path)]))
    assert "choose the image again" in str(server.call("echo", [record(str(server.uploads / "expired.png"))]))
    assert "upload the image itself" in str(server.call("echo", [record("/etc/hostname")]))


class Listener:
    """A web server that only counts who knocks."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.knocks = 0
        self._thread = threading.Thread(target=self._count, daemon=True)
        self._thread.start()

    def _count(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.knocks += 1
            connection.close()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


def addresses(port: int) -> list[str]:
    # 100.64.0.0/10 is not public, yet Gradio's own filter lets it pass.
    return [
        f"http://127.0.0.1:{port}/a.png",
        f"HTTP://127.0.0.1:{port}/a.png",
        f"https://localhost:{port}/a.png",
        f"ftp://127.0.0.1:{port}/a.png",
        "http://100.64.0.1/a.png",
        "http://[::1]/a.png",
        "data:image/png;base64,iVBORw0KGgo=",
    ]


@pytest.mark.parametrize("meta", METAS)
@pytest.mark.parametrize("endpoint", ["echo", "say"])
def test_an_address_is_never_fetched(server: Server, listener: Listener, ears: Ears, endpoint: str, meta: str) -> None:
    for address in addresses(listener.port):
        for named in ({"path": address}, {"path": address, "url": address}):
            event, _ = server.call(endpoint, [{**named, **METAS[meta]}])
            assert event == "error", address
    own = int(server.url.rsplit(":", 1)[1])
    assert listener.knocks == 0
    assert [target for target in ears.connected if target != ("127.0.0.1", own)] == []
    assert set(ears.resolved) <= {"127.0.0.1"}


@pytest.mark.parametrize("meta", METAS)
def test_what_stands_beside_an_uploaded_file_is_not_shown(
    server: Server, listener: Listener, ears: Ears, meta: str
) -> None:
    (path,) = server.upload("holiday.png", png()).json()
    inline = "data:image/png;base64," + base64.b64encode(png((200, 0, 0))).decode()
    for beside in (inline, inline.upper(), f"http://127.0.0.1:{listener.port}/a.png"):
        event, data = server.call("echo", [{"path": path, "url": beside, **METAS[meta]}])
        if event == "complete":
            shown = Image.open(io.BytesIO(server.fetch(data[0]["path"]).content))
            assert shown.convert("RGB").getcolors() == [(48, (10, 200, 30))]
    for path in (None, ""):
        assert server.call("echo", [{"path": path, "url": inline, **METAS[meta]}])[0] == "error"
    assert listener.knocks == 0


def test_a_refusal_leaves_no_trace_in_the_log(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    (path,) = server.upload("my-secret-diary.png", b"dear diary").json()
    assert server.call("echo", [record(path, orig_name="my-secret-diary.png")])[0] == "error"
    logged = "".join(capfd.readouterr())
    assert "diary" not in logged
    assert "Traceback" not in logged


@pytest.mark.parametrize("route", ["file=", "file=/", "proxy="])
def test_no_route_fetches_an_address(server: Server, listener: Listener, ears: Ears, route: str) -> None:
    for address in [*addresses(listener.port)[:3], "http%3A//100.64.0.1/a.png"]:
        answer = server.client.get(f"{server.url}/gradio_api/{route}{address}")
        assert answer.status_code in (400, 403, 404), address
    own = int(server.url.rsplit(":", 1)[1])
    assert listener.knocks == 0
    assert [target for target in ears.connected if target != ("127.0.0.1", own)] == []


def test_the_listener_counts_a_knock(listener: Listener) -> None:
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://127.0.0.1:{listener.port}/")
    assert listener.knocks == 1
