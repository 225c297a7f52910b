"""The settings the studio starts with do what they are there for, on a running server."""

import inspect
import io

import gradio as gr
import pytest
from gradio_client import Client, handle_file
from PIL import Image
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from geoexplain.studio.guards import BLOCKS, QUEUE, GuardedImage, launch_settings, security_headers
from geoexplain.studio.markup import FOLDER
from tests.hostile.conftest import Server, record

MEGABYTE = 1024 * 1024


def test_every_setting_is_one_that_gradio_knows() -> None:
    assert BLOCKS.keys() <= inspect.signature(gr.Blocks.__init__).parameters.keys()
    assert QUEUE.keys() <= inspect.signature(gr.Blocks.queue).parameters.keys()
    assert launch_settings().keys() <= inspect.signature(gr.Blocks.launch).parameters.keys()


def test_an_upload_over_ten_megabytes_is_refused_and_not_kept(server: Server) -> None:
    assert server.upload("small.bin", bytes(9 * MEGABYTE)).status_code == 200
    answer = server.upload("large.bin", bytes(10 * MEGABYTE + 1))
    assert answer.status_code == 413
    assert not list(server.uploads.rglob("large.bin"))


def test_the_queue_is_the_only_way_in(server: Server) -> None:
    for route in ("run", "api"):
        answer = server.client.post(f"{server.url}/gradio_api/{route}/say", json={"data": ["hello"]})
        assert answer.status_code == 404
    assert server.call("say", ["hello"]) == ("complete", ["hello"])


@pytest.mark.parametrize(
    "route", ["monitoring", "monitoring/summary", "gradio_api/runs", "gradio_api/deep_link?session_hash=a"]
)
def test_pages_nobody_needs_are_closed(server: Server, route: str) -> None:
    assert server.client.get(f"{server.url}/{route}").status_code in (403, 404)


def test_without_uploads_their_route_is_closed() -> None:
    def first(route: str, *, uploads: bool) -> int:
        (middleware,) = launch_settings(uploads=uploads)["app_kwargs"]["middleware"]
        app = middleware.cls(PlainTextResponse("behind", 200), *middleware.args, **middleware.kwargs)
        return TestClient(app).post(f"/gradio_api/{route}").status_code

    assert [first(route, uploads=True) for route in ("upload", "call/locate", "proxy=http://a/")] == [200, 200, 404]
    assert [first(route, uploads=False) for route in ("upload", "call/locate", "proxy=http://a/")] == [404, 200, 404]


def test_recordings_are_not_processed(server: Server) -> None:
    answer = server.client.post(f"{server.url}/gradio_api/process_recording", files={"video": ("a.mp4", b"0")})
    assert answer.status_code == 404


@pytest.mark.parametrize("route", ["/", "/config", "/gradio_api/info", "/nothing/here"])
def test_every_response_carries_the_headers(server: Server, route: str) -> None:
    answer = server.client.get(server.url + route)
    for name, value in security_headers().items():
        assert answer.headers[name] == value


def test_a_browser_asks_each_time_whether_a_script_is_still_the_same(
    server: Server, capfd: pytest.CaptureFixture[str]
) -> None:
    file = FOLDER.parent / "world" / "basemap.js"  # large enough to be sent in parts
    gr.set_static_paths([file.parent])
    url = f"{server.url}/gradio_api/file={file.as_posix()}"
    compressed = {"accept-encoding": "br"}  # as browsers ask; what is compressed has another length
    first = server.client.get(url, headers=compressed)
    assert first.headers["cache-control"] == "no-cache"
    again = server.client.get(url, headers={"if-none-match": first.headers["etag"], **compressed})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["content-security-policy"] == first.headers["content-security-policy"]
    whole = server.client.get(url, headers={"if-none-match": '"of another release"', "accept-encoding": "identity"})
    assert (whole.status_code, whole.content) == (200, file.read_bytes())
    assert "Error" not in "".join(capfd.readouterr())


def test_no_other_host_stands_in_the_policy_unless_asked_for() -> None:
    assert "http" not in security_headers()["content-security-policy"]
    opened = security_headers(tile_hosts=["https://tiles.example"], embedders=["https://page.example"])
    assert "img-src 'self' data: blob: https://tiles.example;" in opened["content-security-policy"]
    assert opened["content-security-policy"].endswith("frame-ancestors 'self' https://page.example")
    assert "x-frame-options" not in opened


def test_a_space_may_be_framed_by_its_host_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def ancestors() -> str:
        headers = launch_settings()["app_kwargs"]["middleware"][0].kwargs["headers"]
        return headers["content-security-policy"].rpartition("frame-ancestors ")[2]

    monkeypatch.delenv("SPACE_ID", raising=False)
    assert ancestors() == "'self'"
    monkeypatch.setenv("SPACE_ID", "somebody/geoexplain")
    assert ancestors() == "'self' https://huggingface.co"


def test_position_and_camera_of_an_upload_do_not_come_back(server: Server) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8825)[1] = "N"
    exif[0x0110] = "CAMERA-MODEL-CANARY"
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), "green").save(buffer, "JPEG", exif=exif)
    assert b"CAMERA-MODEL-CANARY" in buffer.getvalue()
    (path,) = server.upload("photo.jpg", buffer.getvalue()).json()
    _, data = server.call("echo", [record(path)])
    shown = server.fetch(data[0]["path"]).content
    assert b"CAMERA-MODEL-CANARY" not in shown
    assert b"Exif" not in shown
    assert not Image.open(io.BytesIO(shown)).getexif()


def test_a_script_uses_the_documented_client(server: Server, tmp_path) -> None:
    path = tmp_path / "green.png"
    Image.new("RGB", (5, 4), (0, 128, 0)).save(path)
    client = Client(server.url, verbose=False, download_files=str(tmp_path / "answers"))
    shown = client.predict(handle_file(path), api_name="/echo")
    with Image.open(shown if isinstance(shown, str) else shown["path"]) as image:
        assert image.convert("RGB").getcolors() == [(20, (0, 128, 0))]


def test_an_image_shown_by_its_path_can_be_sent_back(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    example = tmp_path / "example.png"
    Image.new("RGB", (3, 2), (9, 8, 7)).save(example)
    component = GuardedImage(render=False)
    shown = component.postprocess(str(example))
    assert component.preprocess(shown).getcolors() == [(6, (9, 8, 7))]


def test_the_component_stays_the_browsers_image() -> None:
    component = GuardedImage(render=False)
    assert component.get_block_name() == "image"
    assert component.get_config().keys() == gr.Image(render=False).get_config().keys()
