"""A small guarded app, running for real, and ears for every file it opens and every host it turns to."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest

from geoexplain.studio.guards import BLOCKS, QUEUE, GuardedBlocks, GuardedImage, launch_settings
from tests.conftest import free_port


@dataclass
class Ears:
    """What this process opened, resolved and connected to while listening."""

    opened: list[str] = field(default_factory=list)
    resolved: list[str] = field(default_factory=list)
    connected: list[tuple[str, int]] = field(default_factory=list)
    listening: bool = False

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.listening:
            return
        if event == "open" and isinstance(arguments[0], str | bytes):
            path = arguments[0] if isinstance(arguments[0], str) else arguments[0].decode()
            self.opened.append(str(Path(path).resolve()))
        elif event == "socket.getaddrinfo":
            self.resolved.append(str(arguments[0]))
        elif event == "socket.connect" and isinstance(arguments[1], tuple):
            self.connected.append(arguments[1][:2])


EARS = Ears()
# An audit hook hears all threads and cannot be taken off again, hence one for the whole run.
sys.addaudithook(EARS.hear)


@pytest.fixture
def ears() -> Iterator[Ears]:
    EARS.opened.clear()
    EARS.resolved.clear()
    EARS.connected.clear()
    EARS.listening = True
    yield EARS
    EARS.listening = False


@dataclass(frozen=True)
class Server:
    """A running app and a way to talk to it as a script would."""

    url: str
    uploads: Path
    client: httpx.Client

    def call(self, name: str, data: list[Any]) -> tuple[str, Any]:
        """Run an endpoint through the queue; return the last event ('complete' or 'error') and its data."""
        answer = self.client.post(f"{self.url}/gradio_api/call/{name}", json={"data": data})
        if answer.status_code != 200:
            return "error", answer.text
        event_id = answer.json()["event_id"]
        lines = self.client.get(f"{self.url}/gradio_api/call/{name}/{event_id}").text.splitlines()
        events = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
        payloads = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
        return events[-1], json.loads(payloads[-1])

    def upload(self, name: str, content: bytes) -> httpx.Response:
        return self.client.post(f"{self.url}/gradio_api/upload", files={"files": (name, content)})

    def fetch(self, path: str) -> httpx.Response:
        return self.client.get(f"{self.url}/gradio_api/file={path}")


def record(path: str, **more: Any) -> dict[str, Any]:
    """What the browser sends for an uploaded file."""
    return {"path": path, "meta": {"_type": "gradio.FileData"}, **more}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    uploads = tmp_path_factory.mktemp("uploads")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(uploads))
        with GuardedBlocks(**BLOCKS) as demo:
            image, shown = GuardedImage(label="Image"), gr.Image(label="Shown", format="png")
            text, said = gr.Textbox(label="Text"), gr.Textbox(label="Said")
            gr.Button("Echo").click(lambda picture: picture, image, shown, api_name="echo")
            gr.Button("Say").click(str, text, said, api_name="say")
        demo.queue(**QUEUE)
        _, url, _ = demo.launch(server_port=free_port(), prevent_thread_lock=True, quiet=True, **launch_settings())
        with httpx.Client(timeout=30) as client:
            yield Server(url.rstrip("/"), uploads, client)
        demo.close()
