"""The security headers confine the page without breaking what the studio is made of."""

import html
import io
from collections.abc import Iterator

import folium
import gradio as gr
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from geoexplain.studio.guards import BLOCKS, QUEUE, GuardedBlocks, GuardedImage, launch_settings
from tests.conftest import free_port

pytestmark = pytest.mark.browser

# Leaflet's part here is played by three lines: what is tested is that scripts inside srcdoc run at all, also those
# that the map builds from folium's template, and that a click in the frame reaches the page.
LEAFLET = """
window.L = new Proxy(function () {}, {get: (_, name) => (...given) => window.L, apply: () => window.L});
document.addEventListener('click', () => parent.postMessage('clicked', '*'));
document.title = 'a map';
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    world = folium.Map(tiles=None)
    world.default_js, world.default_css = [], []
    world.get_root().header.add_child(folium.Element(f"<script>{LEAFLET}</script>"))
    frame = f'<iframe title="map" srcdoc="{html.escape(world.get_root().render(), quote=True)}"></iframe>'
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("uploads")))
        with GuardedBlocks(**BLOCKS) as demo:
            image = GuardedImage(label="Image", elem_id="image")
            shown = gr.Image(label="Shown", elem_id="shown", format="png")
            image.input(lambda picture: picture, image, shown)
            slider, said = gr.Slider(0, 10, elem_id="slider"), gr.Textbox(elem_id="said")
            slider.input(None, slider, said, js="value => 'moved to ' + value")
            gr.HTML(
                frame,
                js_on_load="""
                window.addEventListener('message', event => {
                    if (event.source === element.querySelector('iframe').contentWindow) {
                        element.dataset.heard = event.data;
                    }
                });
                """,
                elem_id="map",
            )
        demo.queue(**QUEUE)
        _, url, _ = demo.launch(server_port=free_port(), prevent_thread_lock=True, quiet=True, **launch_settings())
        yield url
        demo.close()


def picture() -> dict[str, object]:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), (10, 200, 30)).save(buffer, "PNG")
    return {"name": "a.png", "mimeType": "image/png", "buffer": buffer.getvalue()}


def test_an_upload_is_shown(page: Page, url: str) -> None:
    page.goto(url)
    page.set_input_files("#image input[type=file]", picture())
    shown = page.locator("#shown img")
    expect(shown).to_be_visible(timeout=30_000)
    page.wait_for_function("document.querySelector('#shown img').naturalWidth === 40")


def test_a_snapshot_of_the_camera_is_shown(page: Page, url: str) -> None:
    page.goto(url)
    page.get_by_label("Capture from camera").click()
    page.get_by_text("Click to Access Webcam").click()
    # A snapshot before the first frame is an empty one.
    page.wait_for_function("document.querySelector('#image video')?.videoWidth > 0")
    page.get_by_label("capture photo").click()
    expect(page.locator("#shown img")).to_be_visible(timeout=30_000)


def test_code_in_the_browser_and_in_the_maps_frame_runs(page: Page, url: str) -> None:
    page.goto(url)
    slider = page.locator("#slider input[type=range]")
    slider.evaluate("e => { e.value = 7; e.dispatchEvent(new Event('input', {bubbles: true})); }")
    expect(page.locator("#said textarea")).to_have_value("moved to 7")
    frame = page.frame_locator("#map iframe")
    frame.locator("body").click()
    expect(page.locator("#map [data-heard], #map[data-heard]")).to_have_attribute("data-heard", "clicked")


def test_the_page_can_ask_no_other_host(chromium: Browser, url: str) -> None:
    # 192.0.2.0/24 is reserved for examples: were the policy not there, nothing would answer either.
    page = chromium.new_page()
    page.goto(url)
    refused = page.evaluate(
        """async () => {
            const hits = [];
            document.addEventListener('securitypolicyviolation', event => hits.push(event.effectiveDirective));
            await fetch('http://192.0.2.1/').catch(() => {});
            const image = new Image();
            await new Promise(done => { image.onerror = done; image.src = 'http://192.0.2.1/a.png'; });
            return hits;
        }"""
    )
    page.close()
    assert refused == ["connect-src", "img-src"]


def test_the_page_can_be_framed_by_no_other_host(chromium: Browser, url: str) -> None:
    page = chromium.new_page()
    with page.expect_console_message(lambda line: "frame-ancestors" in line.text):
        # A page of no origin: any page but the studio's own would do.
        page.set_content(f'<iframe src="{url}"></iframe>')
    assert not page.frames[1].url.startswith(url)
    page.close()
