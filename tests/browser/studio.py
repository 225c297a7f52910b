"""What a person does in the studio, and what the page then shows, for the tests that drive it."""

import base64
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Frame, Page

from geoexplain.locator.model import GeoModel
from geoexplain.studio.app import build, serve
from geoexplain.studio.examples import examples
from geoexplain.studio.models import Models
from geoexplain.view.overlay import colormap_lut, normalise
from tests.conftest import free_port

SLOW_MS = 60_000
"""For what runs the network: two busy cores take their time."""

PIXELS = """panel => {
    const canvas = document.querySelector(`[data-panel="${panel}"] canvas`);
    if (canvas.hidden) return null;
    const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let text = "";
    for (const byte of data) text += String.fromCharCode(byte);
    return {width: canvas.width, height: canvas.height, data: btoa(text)};
}"""

NEXT_PAINT = "before => Number(document.querySelector('.ge-explanation').dataset.painted) > before"


@contextmanager
def running_studio(models: Models | GeoModel, uploads: Path) -> Iterator[str]:
    """The studio for some models, or one, on a free port, with a folder of its own for uploads; gives its address."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(uploads))
        demo = build(models)
        _, url, _ = serve(demo, port=free_port(), prevent_thread_lock=True, quiet=True)
        yield url
        demo.close()


def open_studio(page: Page, url: str, theme: str = "light") -> None:
    page.goto(f"{url}?__theme={theme}")
    page.wait_for_selector("button[data-example]")


def painted(page: Page) -> int:
    """How often Combi-CAM has been painted, once nothing that was asked before is still to be painted."""
    return page.evaluate(
        """async () => {
            for (const _ of [1, 2]) await new Promise(requestAnimationFrame);
            return Number(document.querySelector(".ge-explanation").dataset.painted || 0);
        }"""
    )


def combi_setting(page: Page) -> dict[str, Any]:
    """Combi-CAM as the page has set it: asked of the module that the page itself has loaded."""
    return page.evaluate(
        """async () => {
            const loaded = performance.getEntriesByType("resource").map(({ name }) => name);
            const { shown } = await import(loaded.find((name) => name.endsWith("/studio/shown.js")));
            return shown().combi();
        }"""
    )


def choose_example(page: Page, index: int) -> None:
    """Click on an example and wait until everything on the page is about it."""
    before = painted(page)
    page.click(f"button[data-example='{index}']")
    wait_for_example(page, index, before)


def wait_for_example(page: Page, index: int, before: int = 0) -> None:
    """Wait for the answer to a click on an example, and for the panels to be painted after it."""
    page.wait_for_function(
        "title => document.querySelector('.ge-facts').textContent.includes(`Truth: ${title}`)",
        arg=examples()[index].title,
        timeout=SLOW_MS,
    )
    page.wait_for_function(NEXT_PAINT, arg=before, timeout=SLOW_MS)
    page.wait_for_function("() => document.querySelector('.ge-status').textContent === ''")


def switch_model(page: Page, name: str) -> None:
    """Choose another model, and wait until it has answered; without an image, until it is ready to."""
    page.select_option(".ge-model-choice", name)
    if page.get_attribute(".ge-explanation", "data-state") == "done":
        page.wait_for_selector(f".ge-explanation[data-model='{name}']", timeout=SLOW_MS)
    page.wait_for_function("() => document.querySelector('.ge-status').textContent === ''", timeout=SLOW_MS)


def upload(page: Page, content: bytes, name: str = "picture.png") -> None:
    if page.get_by_label("Remove Image").is_visible():
        page.get_by_label("Remove Image").click()
        page.wait_for_selector(".ge-explanation[data-state=empty]", timeout=SLOW_MS)
    page.set_input_files("#image input[type=file]", {"name": name, "mimeType": "image/png", "buffer": content})


def use_preset(page: Page, name: str) -> None:
    before = painted(page)
    page.click(f"[data-preset={name}]")
    page.wait_for_function(NEXT_PAINT, arg=before, timeout=SLOW_MS)


def set_control(page: Page, selector: str, value: float) -> None:
    """Move a slider as a hand would: the value changes, the page hears of it."""
    page.eval_on_selector(
        selector,
        """(slider, value) => {
            Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(slider, value);
            slider.dispatchEvent(new Event("input", {bubbles: true}));
        }""",
        value,
    )


def set_slider(page: Page, selector: str, value: float) -> None:
    """Move a slider that changes Combi-CAM, and wait for the frame that paints it."""
    before = painted(page)
    set_control(page, selector, value)
    page.wait_for_function(NEXT_PAINT, arg=before)


def explained_cell(page: Page) -> int:
    """The target, as the table marks it."""
    (cell,) = page.eval_on_selector_all(
        ".ge-answer tbody tr[aria-selected=true]", "rows => rows.map(row => Number(row.dataset.cell))"
    )
    return cell


def wait_for_cell(page: Page, cell: int) -> None:
    """Wait until table and panels are about a cell."""
    page.wait_for_selector(f".ge-answer tr[data-cell='{cell}'][aria-selected=true]", timeout=SLOW_MS)
    page.wait_for_function(
        "cell => document.querySelector('.ge-state').textContent.includes(`of cell ${cell},`)", arg=cell
    )


def pixels(page: Page, panel: str) -> np.ndarray | None:
    """Colours of a panel's canvas, uint8 (H, W, 3), or None when it is hidden."""
    shown = page.evaluate(PIXELS, panel)
    if shown is None:
        return None
    array = np.frombuffer(base64.b64decode(shown["data"]), np.uint8).reshape(shown["height"], shown["width"], 4)
    assert (array[..., 3] == 255).all()
    return array[..., :3]


def assert_shows(shown: np.ndarray, heatmap: np.ndarray, colormap: str = "inferno") -> None:
    """Every pixel has the colour of the heatmap's level there, or of the level next to it."""
    assert shown.shape[:2] == heatmap.shape
    level = np.rint(normalise(heatmap) * 255).astype(int)
    lut = colormap_lut(colormap)
    neighbours = [np.abs(lut[np.clip(level + step, 0, 255)].astype(int) - shown).sum(axis=-1) for step in (-1, 0, 1)]
    assert (np.min(neighbours, axis=0) == 0).all()
    assert (neighbours[1] == 0).mean() > 0.99


def haversine_km(a_deg: tuple[float, float], b_deg: tuple[float, float]) -> float:
    (lat_a, lon_a), (lat_b, lon_b) = [tuple(map(math.radians, point)) for point in (a_deg, b_deg)]
    half = math.sin((lat_b - lat_a) / 2) ** 2 + math.cos(lat_a) * math.cos(lat_b) * math.sin((lon_b - lon_a) / 2) ** 2
    return 2 * 6371.0 * math.asin(math.sqrt(half))


def map_frame(page: Page) -> Frame:
    handle = page.wait_for_selector("#map iframe", state="visible")
    frame = handle.content_frame()
    assert frame is not None
    frame.wait_for_selector(".leaflet-container canvas", state="attached")
    return frame


def cell_in_view(frame: Frame, model: GeoModel, without: list[int]) -> tuple[int, float, float]:
    """A cell that is neither outlined nor under a label, and where its centre is on the map, in pixels."""
    spots = frame.evaluate(
        """(centers) => {
            const map = Object.entries(window).find(([name, value]) => name.startsWith("map_") && value.getCenter)[1];
            const size = map.getSize();
            return centers.map(([lat, lng]) => {
                const turn = 360 * Math.round((map.getCenter().lng - lng) / 360);
                const {x, y} = map.latLngToContainerPoint([lat, lng + turn]);
                const inside = x > 20 && y > 20 && x < size.x - 20 && y < size.y - 20;
                return inside && document.elementFromPoint(x, y).tagName === "CANVAS" ? [x, y] : null;
            });
        }""",
        model.partition.centers_deg.tolist(),
    )
    for cell, spot in enumerate(spots):
        if spot is not None and cell not in without:
            center = tuple(model.partition.centers_deg[cell])
            others = [haversine_km(center, tuple(other)) for other in np.delete(model.partition.centers_deg, cell, 0)]
            if min(others) > 150:  # a pixel is some 10 km wide
                return cell, *spot
    raise AssertionError("no cell is in view")


def open_panel(page: Page, name: str, title: str) -> None:
    """Go to the tab of a panel, which is not in the page before, and wait until it is there."""
    tab = page.get_by_role("tab", name=title)
    if not tab.is_visible():  # on a narrow page it is in a menu
        page.locator(".ge-tabs .overflow-menu > button").click()
        tab = page.locator(".ge-tabs .overflow-dropdown button", has_text=title)
    tab.click()
    page.wait_for_selector(f"#panel-{name} .ge-start", state="attached")
