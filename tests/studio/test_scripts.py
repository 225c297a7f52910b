"""How the page loads its modules: from the studio's own routes, wherever these are, and never of two releases."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urljoin

import gradio as gr
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from geoexplain.studio.guards import launch_settings
from geoexplain.studio.markup import FOLDER
from geoexplain.studio.panels import PANELS
from geoexplain.studio.scripts import ASSETS_URL, call_module, preload_links, start_module


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    """The static files behind the guards, mounted below another path as behind a proxy."""
    gr.set_static_paths([FOLDER])
    with gr.Blocks() as demo:
        gr.Textbox()
    settings = launch_settings()
    app = FastAPI(**settings["app_kwargs"])
    with TestClient(gr.mount_gradio_app(app, demo, path="/below")) as found:
        yield found


def urls(text: str) -> list[str]:
    return re.findall(r'(?:href=|new URL\()"([^"]*)"', text)


def test_every_module_is_preloaded_from_a_relative_url_that_is_served_as_a_script(client: TestClient) -> None:
    links = urls(preload_links())
    names = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.js")}
    assert {link.removeprefix(f"{ASSETS_URL}/studio/") for link in links} == names
    for link in links:
        answer = client.get(urljoin("/below/", link))
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(("text/javascript", "application/javascript"))


def test_what_is_imported_is_exported(client: TestClient) -> None:
    pattern = r'^import \{([^}]*)\} from "(\.{1,2}/[\w./-]+\.js)";$'
    for path in FOLDER.rglob("*.js"):
        for names, source in re.findall(pattern, path.read_text(encoding="utf-8"), re.MULTILINE):
            exported = re.findall(r"^export \w+ (\w+)", (path.parent / source).read_text("utf-8"), re.MULTILINE)
            for name in names.split(","):
                assert not name.strip() or name.partition(" as ")[0].strip() in exported, f"{name} in {path.name}"


def test_a_component_starts_its_module_and_names_its_events() -> None:
    component = gr.HTML(js_on_load=start_module("map.js", "pick", "stop"))
    assert component.pick
    assert component.stop
    with pytest.raises(AttributeError):
        component.start  # noqa: B018
    (url,) = urls(component.js_on_load)
    assert url == f"{ASSETS_URL}/studio/map.js"
    assert "document.baseURI" in component.js_on_load
    assert "export function start(" in (FOLDER / "map.js").read_text(encoding="utf-8")
    assert Path(unquote(url.removeprefix("gradio_api/file="))) == FOLDER / "map.js"


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.name)
def test_every_panel_has_a_module_that_starts(panel: object) -> None:
    text = (FOLDER / "panels" / f"{panel.name}.js").read_text(encoding="utf-8")
    assert "\nexport function start({" in text


def test_an_event_calls_a_function_with_its_inputs_or_what_is_given() -> None:
    assert call_module("asking.js", "ask").endswith("return module.ask(...inputs); }); }")
    assert call_module("asking.js", "endWork", "tuning").endswith('return module.endWork("tuning"); }); }')
    assert json.loads(re.search(r"new URL\((\"[^\"]*\")", call_module("asking.js", "ask"))[1]).endswith("/asking.js")
