"""The panel of concepts, driven as a person would: its bars are Python's figures, its picture the masks."""

import base64
import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

import geoexplain
from geoexplain.explainer.concepts import concept_influence
from geoexplain.explainer.segmenters import LandCover
from geoexplain.geography.footprint import Footprint
from geoexplain.images import open_image
from geoexplain.locator.model import GeoModel
from geoexplain.studio.app import build, serve
from geoexplain.studio.examples import examples
from geoexplain.view.influence import counted
from tests.browser.studio import SLOW_MS, choose_example, open_panel, open_studio
from tests.conftest import Heard, free_port, listened_page

pytestmark = pytest.mark.browser

ITALY, OTHER = 0, 1
CANVAS = ".ge-concepts-picture canvas"
YELLOW = np.array([255, 213, 0])


@pytest.fixture
def panel(chromium: Browser, url: str) -> Iterator[Page]:
    """A page that shows an example, at the tab of concepts."""
    with listened_page(chromium, Heard()) as page:
        open_studio(page, url)
        choose_example(page, ITALY)
        open_panel(page, "concepts", "What lies under it?")
        yield page


def look(page: Page) -> None:
    page.click(".ge-concepts .ge-start")
    page.wait_for_selector(".ge-concepts[data-state=done]", timeout=SLOW_MS)


def bars(page: Page) -> list[tuple[str, str]]:
    return [tuple(row) for row in page.eval_on_selector_all(
        ".ge-bars li", "rows => rows.map(row => [row.dataset.concept, row.querySelector('.ge-ci').textContent])"
    )]  # fmt: skip


MIDDLES = """canvas => {
    const {data, width, height} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let text = "";
    for (let y = 1; y < height; y += 3) for (let x = 1; x < width; x += 3) for (let c = 0; c < 3; c++)
        text += String.fromCharCode(data[4 * (y * width + x) + c]);
    return [height / 3, width / 3, btoa(text)];
}"""


def picture(page: Page) -> np.ndarray:
    """The canvas, one pixel for each of the network's (the middle of its nine), int (H, W, 3)."""
    height, width, data = page.eval_on_selector(CANVAS, MIDDLES)
    return np.frombuffer(base64.b64decode(data), np.uint8).reshape(height, width, 3).astype(int)


def test_bars_and_masks_are_those_of_python(panel: Page, model: GeoModel) -> None:
    look(panel)
    example = examples()[ITALY]
    explanation = geoexplain.explain(example.file, model)
    view = model.preprocess.view(open_image(example.file))
    masks = LandCover()(view, Footprint(example.lat_deg, example.lon_deg, example.side_km))
    found = concept_influence(explanation.heatmap("grad-cam").values, masks)
    assert bars(panel) == [(one.concept, f"{one.ci:.2f}") for one in counted(found.concepts)]
    reasons = panel.eval_on_selector_all(
        ".ge-ignored li", "rows => rows.map(row => [row.dataset.concept, row.querySelector('.ge-reason').textContent])"
    )
    assert reasons == [[one.concept, one.ignored] for one in found.concepts if one.ignored]
    expect(panel.locator(".ge-notes")).to_contain_text("1,150 km wide")

    with_top = picture(panel)
    panel.uncheck(".ge-concepts [data-choice=top]")
    plain = picture(panel)
    # 70 % yellow where the strongest pixels are, nothing elsewhere.
    expected = np.where(found.top[..., None], 0.3 * plain + 0.7 * YELLOW, plain)
    assert np.abs(with_top - expected).max() <= 1
    panel.click(".ge-bars [data-concept=ocean]")
    expect(panel.locator(".ge-bars [data-concept=ocean] button")).to_have_attribute("aria-pressed", "true")
    dimmed = picture(panel)
    np.testing.assert_array_equal(dimmed[masks["ocean"]], plain[masks["ocean"]])
    np.testing.assert_array_equal(dimmed[~masks["ocean"]], plain[~masks["ocean"]] // 4)
    panel.click(".ge-bars [data-concept=ocean]")
    np.testing.assert_array_equal(picture(panel), plain)


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def bring_mask(page: Page, content: bytes) -> None:
    if page.locator("#concepts-mask").get_by_label("Remove Image").is_visible():
        page.locator("#concepts-mask").get_by_label("Remove Image").click()
    file = {"name": "mask.png", "mimeType": "image/png", "buffer": content}
    page.set_input_files("#concepts-mask input[type=file]", file)
    page.wait_for_selector("#concepts-mask img")


def test_a_painted_mask_and_what_is_wrong_with_others(panel: Page) -> None:
    width, height = open_image(examples()[ITALY].file).size
    mask = Image.new("RGB", (width, height), "red")
    mask.paste("blue", (width // 2, 0, width, height))
    expect(panel.locator("#concepts-mask")).to_be_hidden()
    panel.select_option(".ge-concepts [data-choice=segmenter]", "mask")
    expect(panel.locator(".ge-painted #concepts-mask")).to_be_visible()
    panel.click(".ge-concepts .ge-start")
    expect(panel.get_by_test_id("toast-body")).to_contain_text("a mask and its legend", timeout=SLOW_MS)
    panel.get_by_test_id("toast-close").first.click()

    bring_mask(panel, png(mask))
    panel.fill("#concepts-legend textarea", "color,name\n#ff0000,<b>west</b>\n#0000ff,east")
    look(panel)
    found = dict(bars(panel))
    # Two halves that share the strongest pixels between them: their influences add up to 2.
    assert found.keys() == {"<b>west</b>", "east"}
    assert sum(map(float, found.values())) == pytest.approx(2, abs=0.011)
    expect(panel.locator(".ge-bars b")).to_have_count(0)

    bring_mask(panel, png(mask.crop((0, 0, width - 1, height))))
    panel.click(".ge-concepts .ge-start")
    expect(panel.get_by_test_id("toast-body")).to_contain_text(f"got {width - 1} × {height} px", timeout=SLOW_MS)
    panel.get_by_test_id("toast-close").first.click()
    # What was said of another picture goes; the mask that was brought stays.
    choose_example(panel, OTHER)
    expect(panel.locator(".ge-concepts-result")).to_be_hidden()
    expect(panel.locator(".ge-painted #concepts-mask img")).to_be_visible()


def test_an_attribution_counts_its_passes_and_can_be_called_off(panel: Page) -> None:
    panel.select_option(".ge-concepts [data-choice=method]", "smoothgrad-squared")
    panel.click(".ge-concepts .ge-start")
    expect(panel.locator(".ge-concepts .ge-count")).to_have_text(re.compile(r"^\d+ of 500 passes$"), timeout=SLOW_MS)
    panel.click(".ge-concepts .ge-cancel")
    expect(panel.locator(".ge-concepts .ge-start")).to_be_enabled(timeout=SLOW_MS)
    panel.select_option(".ge-concepts [data-choice=method]", "grad-cam")
    look(panel)
    assert bars(panel)


def test_without_uploads_no_mask_is_asked_for(
    chromium: Browser, model: GeoModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    demo = build(model, uploads=False)
    _, url, _ = serve(demo, port=free_port(), prevent_thread_lock=True, quiet=True, uploads=False)
    with listened_page(chromium, Heard()) as page:
        open_studio(page, url)
        open_panel(page, "concepts", "What lies under it?")
        assert page.locator(".ge-concepts option[value=mask]").is_disabled()
    demo.close()


def test_narrow_and_dark_it_fits(chromium: Browser, url: str) -> None:
    with listened_page(chromium, Heard(), viewport={"width": 390, "height": 800}) as page:
        open_studio(page, url, theme="dark")
        choose_example(page, ITALY)
        open_panel(page, "concepts", "What lies under it?")
        look(page)
        sections = page.eval_on_selector(".ge-concepts", "one => [one.scrollWidth, one.clientWidth]")
        assert sections[0] <= sections[1]
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
