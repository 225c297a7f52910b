"""The studio, driven as a person would, in a real browser, with the model that comes with it."""

import io
import json
import re
import urllib.request
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from gradio_client import Client, handle_file
from PIL import Image
from playwright.sync_api import Browser, Page, expect

import geoexplain
from geoexplain.explainer.tuned import presets
from geoexplain.images import open_image
from geoexplain.locator.model import GeoModel
from geoexplain.studio.answer import LOCATING, REFUSED, WORDS_EMPTY
from geoexplain.studio.examples import examples
from geoexplain.studio.payload import WORDS_EXPLANATION_EMPTY, data_url, shown_image
from geoexplain.view.overlay import overlay
from geoexplain.view.place_path import headline
from tests.browser.studio import (
    SLOW_MS,
    assert_shows,
    cell_in_view,
    choose_example,
    combi_setting,
    explained_cell,
    haversine_km,
    map_frame,
    open_studio,
    painted,
    pixels,
    set_slider,
    upload,
    use_preset,
    wait_for_cell,
    wait_for_example,
)
from tests.conftest import Heard, listened_page

pytestmark = pytest.mark.browser

NOT_AN_IMAGE = b"\x89PNG\r\n\x1a\n and then nothing that belongs into a picture"


@pytest.fixture(scope="module")
def located(chromium: Browser, url: str) -> Iterator[tuple[Page, Heard]]:
    """A page on which the first example stands, shared by the tests that only play with its explanation."""
    heard = Heard()
    with listened_page(chromium, heard) as page:
        open_studio(page, url)
        choose_example(page, 0)
        yield page, heard


@pytest.fixture
def example(located: tuple[Page, Heard]) -> Page:
    """The shared page as it was when the example had just been located."""
    page, _ = located
    if page.input_value("[data-choice=score]") != "probability":
        choose_example(page, 0)
    use_preset(page, "combi-cam-all")
    return page


@pytest.fixture(scope="module")
def explanation(model: GeoModel) -> geoexplain.Explanation:
    return geoexplain.explain(examples()[0].file, model)


def view() -> bytes:
    """A part of an example, which the gate lets pass and nobody knows again."""
    buffer = io.BytesIO()
    open_image(examples()[0].file).crop((30, 60, 610, 620)).resize((200, 200)).save(buffer, "PNG")
    return buffer.getvalue()


def test_combi_cam_opens_as_published(page: Page, url: str, model: GeoModel) -> None:
    open_studio(page, url)
    choose_example(page, 2)
    expect(page.locator("[data-preset=combi-cam]")).to_have_attribute("aria-pressed", "true")
    explanation = geoexplain.explain(examples()[2].file, model)
    assert_shows(pixels(page, "combi-cam"), explanation.combi_cam().values)
    combi = combi_setting(page)
    assert (combi["method"], combi["level"], combi["how"], combi["score"]) == (
        "grad-cam",
        "block",
        "sum",
        "probability",
    )
    assert set(combi["weights"]) == {1}


def test_before_there_is_an_image_words_say_what_to_do(page: Page, url: str) -> None:
    open_studio(page, url)
    expect(page.locator(".ge-words")).to_have_text(WORDS_EMPTY)
    expect(page.locator(".ge-state")).to_have_text(WORDS_EXPLANATION_EMPTY)
    expect(page.locator(".ge-map-empty")).to_be_visible()
    expect(page.locator(".ge-model")).to_contain_text("for street photos load another model")
    expect(page.locator(".ge-panels")).to_be_hidden()
    expect(page.locator(".ge-answer table")).to_be_hidden()
    assert page.locator("button[data-example]").count() == len(examples()) >= 12


def test_an_upload_is_located_once_and_cleared_again(page: Page, heard: Heard, model: GeoModel, url: str) -> None:
    open_studio(page, url)
    page.evaluate(
        """() => {
            window.said = [];
            const status = document.querySelector(".ge-status");
            new MutationObserver(() => window.said.push(status.textContent))
                .observe(status, {childList: true, characterData: true, subtree: true});
        }"""
    )
    content = view()
    upload(page, content)
    expect(page.locator(".ge-explanation")).to_have_attribute("data-state", "done", timeout=SLOW_MS)
    expect(page.locator(".ge-status")).to_have_text("")
    assert page.evaluate("window.said")[0] == LOCATING["words"]
    assert sum(url.endswith("/queue/join") or "/queue/join?" in url for url in heard.urls) == 1

    prediction = geoexplain.locate(content, model)
    expect(page.locator(".ge-place")).to_have_text(headline(model.trees, model.partition.labels, prediction))
    assert f"Best cell: {model.partition.labels[prediction.cell]}, " in page.inner_text(".ge-facts")
    rows = page.locator(".ge-answer tbody tr")
    assert [int(cell) for cell in rows.evaluate_all("rows => rows.map(r => r.dataset.cell)")] == prediction.top(5)
    assert "Truth" not in page.inner_text(".ge-facts")
    assert map_frame(page).evaluate("document.querySelectorAll('.geoexplain-label').length") > 0

    explanation = geoexplain.explain(content, model)
    for method in ("grad-cam", "grad-cam++", "layer-cam"):
        heatmap = explanation.heatmap(method)
        shown = pixels(page, method)
        assert (shown is None) == heatmap.flat
        if shown is not None:
            assert_shows(shown, heatmap.values)
    assert pixels(page, "combi-cam") is not None

    page.get_by_label("Remove Image").click()
    expect(page.locator(".ge-words")).to_have_text(WORDS_EMPTY, timeout=SLOW_MS)
    expect(page.locator(".ge-state")).to_have_text(WORDS_EXPLANATION_EMPTY)
    expect(page.locator("#map iframe")).to_be_hidden()
    expect(page.locator(".ge-panels")).to_be_hidden()


def test_an_example_shows_the_truth_and_the_error(example: Page, model: GeoModel) -> None:
    truth = examples()[0]
    prediction = geoexplain.locate(truth.file, model)
    distance = haversine_km((prediction.lat_deg, prediction.lon_deg), (truth.lat_deg, truth.lon_deg))
    shown = re.search(rf"Truth: {truth.title}, .*: ([\d,]+) km away", example.inner_text(".ge-facts"))
    assert shown is not None
    assert abs(int(shown[1].replace(",", "")) - distance) <= 0.5 + 1e-6
    assert f"{shown[1]} km away" in map_frame(example).locator(".geoexplain-legend").text_content()


def test_a_weight_repaints_without_a_request(
    example: Page, located: tuple[Page, Heard], explanation: geoexplain.Explanation
) -> None:
    _, heard = located
    before, requests = pixels(example, "combi-cam"), len(heard.urls)
    for value in (0.3, 1.7, 0.05):
        set_slider(example, ".ge-tile:nth-child(2) input[type=range]", value)
        set_slider(example, ".ge-tile:nth-child(6) input[type=range]", 2 - value)
    weights = (1.0, 0.05, 1.0, 1.0, 1.0, 1.95, 1.0)
    after = pixels(example, "combi-cam")
    assert not np.array_equal(before, after)
    assert_shows(after, explanation.combi_cam(weights, level="stage", how="max").values)
    assert len(heard.urls) == requests


def test_a_stage_can_be_left_out(example: Page, explanation: geoexplain.Explanation) -> None:
    before = painted(example)
    example.get_by_label("Stage 7 on or off").uncheck()
    example.wait_for_function("n => Number(document.querySelector('.ge-explanation').dataset.painted) > n", arg=before)
    assert_shows(pixels(example, "combi-cam"), explanation.combi_cam((1,) * 6 + (0,), level="stage", how="max").values)
    expect(example.locator("[data-panel=combi-cam] .ge-note")).to_have_text("6 of 7 stages")
    expect(example.get_by_label("Stage 7 weight")).to_be_disabled()


@pytest.mark.parametrize("name", presets())
def test_presets_are_those_of_python(example: Page, explanation: geoexplain.Explanation, name: str) -> None:
    preset = presets()[name]
    use_preset(example, name)
    maps = explanation.maps("grad-cam", preset.level)
    heatmap = explanation.combi_cam(preset.weights(len(maps)), level=preset.level, how=preset.how)
    assert_shows(pixels(example, "combi-cam"), heatmap.values)
    expect(example.locator(f"[data-preset={name}]")).to_have_attribute("aria-pressed", "true")
    assert example.locator("[data-preset][aria-pressed=true]").count() == 1
    if name == "grad-cam":
        assert np.array_equal(pixels(example, "combi-cam"), pixels(example, "grad-cam"))


@pytest.mark.parametrize("how", ["sum", "minmax", "tanh"])
def test_method_level_and_way_of_combining(example: Page, explanation: geoexplain.Explanation, how: str) -> None:
    for choice, value in (("method", "layer-cam"), ("level", "block"), ("how", how)):
        example.select_option(f"[data-choice={choice}]", value)
    set_slider(example, ".ge-tile:nth-child(4) input[type=range]", 0.4)
    maps = explanation.maps("layer-cam", "block")
    weights = tuple(0.4 if i == 3 else 1.0 for i in range(len(maps)))
    assert_shows(pixels(example, "combi-cam"), explanation.combi_cam(weights, method="layer-cam", how=how).values)
    assert example.locator(".ge-tile").count() == len(maps)


def test_colours_and_opacity(example: Page, explanation: geoexplain.Explanation) -> None:
    example.select_option("[data-choice=colormap]", "viridis")
    assert_shows(pixels(example, "grad-cam"), explanation.heatmap("grad-cam").values, "viridis")
    example.select_option("[data-choice=colormap]", "inferno")
    example.get_by_label("Opacity").fill("0.25")
    shown = "getComputedStyle(document.querySelector('[data-panel=combi-cam] canvas')).opacity"
    assert example.evaluate(shown) == "0.25"
    example.get_by_label("Opacity").fill("0.5")


def test_the_api_draws_the_same_picture(
    example: Page, explanation: geoexplain.Explanation, model: GeoModel, url: str, tmp_path
) -> None:
    with urllib.request.urlopen(f"{url}gradio_api/info") as answer:
        info = json.load(answer)
    assert set(info["named_endpoints"]) == {"/locate", "/combi_cam"}
    assert info["unnamed_endpoints"] == {}

    client = Client(url, verbose=False, download_files=str(tmp_path))
    file = handle_file(examples()[0].file)
    record = client.predict(file, api_name="/locate")
    prediction = explanation.prediction
    assert record["latitude"] == pytest.approx(prediction.lat_deg)
    assert record["longitude"] == pytest.approx(prediction.lon_deg)
    assert [row["cell"] for row in record["top"]] == prediction.top(5)

    weights = (1, 0.5, 0, 2, 0.25, 1, 1)
    answer = client.predict(
        file, None, "grad-cam", "stage", "probability", "max", str(list(weights)), api_name="/combi_cam"
    )
    heatmap = explanation.combi_cam(weights, level="stage", how="max").values
    expected = overlay(model.preprocess.view(explanation.image), heatmap)
    with Image.open(answer if isinstance(answer, str) else answer["path"]) as drawn:
        difference = np.abs(np.asarray(drawn.convert("RGB"), int) - np.asarray(expected, int))
    assert difference.max() <= 1

    for i, weight in enumerate(weights, 1):
        if weight:
            set_slider(example, f".ge-tile:nth-child({i}) input[type=range]", weight)
        else:
            example.get_by_label(f"Stage {i} on or off").uncheck()
    set_slider(example, ".ge-tile:nth-child(1) input[type=range]", 1)
    assert_shows(pixels(example, "combi-cam"), heatmap)


def test_rows_map_and_keyboard_choose_the_cell(page: Page, url: str, model: GeoModel) -> None:
    open_studio(page, url)
    choose_example(page, 1)
    prediction = geoexplain.locate(examples()[1].file, model)
    first, second, third, *_ = prediction.top(5)
    assert explained_cell(page) == first
    top = pixels(page, "combi-cam")

    page.locator(".ge-answer tbody tr").nth(2).click()
    wait_for_cell(page, third)
    explanation = geoexplain.explain(examples()[1].file, model, target=third)
    assert_shows(pixels(page, "combi-cam"), explanation.combi_cam().values)
    assert not np.array_equal(top, pixels(page, "combi-cam"))

    page.locator(".ge-answer tbody tr").nth(0).focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    wait_for_cell(page, second)
    assert page.evaluate("document.activeElement.dataset.cell") == str(second)

    cell, x, y = cell_in_view(map_frame(page), model, prediction.top(5))
    page.locator("#map iframe").scroll_into_view_if_needed()
    box = page.locator("#map iframe").bounding_box()
    page.mouse.click(box["x"] + x, box["y"] + y)
    wait_for_cell(page, cell)
    row = page.locator(".ge-answer tr[aria-selected=true]")
    expect(row.locator(".ge-name")).to_contain_text(model.partition.labels[cell])
    rank = 1 + int((prediction.probabilities > prediction.probabilities[cell]).sum())
    expect(row.locator("td").first).to_have_text(str(rank))
    assert page.locator(".ge-answer tbody tr").count() == 6

    page.select_option("[data-choice=score]", "logit")
    page.wait_for_function("document.querySelector('.ge-state').textContent.includes('the logit of')", timeout=SLOW_MS)
    explanation = geoexplain.explain(examples()[1].file, model, target=cell, score="logit")
    assert explained_cell(page) == cell
    for method in ("grad-cam", "grad-cam++", "layer-cam"):
        heatmap, shown = explanation.heatmap(method), pixels(page, method)
        assert (shown is None) == heatmap.flat
        if shown is not None:
            assert_shows(shown, heatmap.values)


def test_score_cam_on_demand(page: Page, url: str, model: GeoModel) -> None:
    open_studio(page, url)
    choose_example(page, 2)
    panel = page.locator("[data-panel='score-cam']")
    channels = geoexplain.explain(examples()[2].file, model).trace.stages[-1].activation.shape[0]
    counted = "() => parseInt(document.querySelector('.ge-count').textContent) > 0"

    panel.get_by_role("button", name="Compute").click()
    page.wait_for_function(counted, timeout=SLOW_MS)
    panel.get_by_role("button", name="Cancel").click()
    expect(panel.get_by_role("button", name="Compute")).to_be_visible(timeout=SLOW_MS)
    assert pixels(page, "score-cam") is None

    # Other examples call a run off, and are not kept waiting by it.
    panel.get_by_role("button", name="Compute").click()
    page.wait_for_function(counted, timeout=SLOW_MS)
    page.evaluate(
        """() => {
            const words = document.querySelector(".ge-count");
            window.counts = [];
            new MutationObserver(() => window.counts.push(parseInt(words.textContent) || 0))
                .observe(words, {childList: true, characterData: true, subtree: true});
        }"""
    )
    page.click("button[data-example='5']")
    choose_example(page, 3)
    expect(panel.get_by_role("button", name="Compute")).to_be_visible()
    assert max(page.evaluate("window.counts"), default=0) < channels

    panel.get_by_role("button", name="Compute").click()
    expect(panel.locator("canvas")).to_be_visible(timeout=2 * SLOW_MS)
    shown = pixels(page, "score-cam")
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) > 100
    expect(panel.locator(".ge-note")).to_contain_text("last stage")

    page.locator(".ge-answer tbody tr").nth(1).click()
    wait_for_cell(page, geoexplain.locate(examples()[3].file, model).top(2)[1])
    assert pixels(page, "score-cam") is None  # it explained the other cell


def test_a_refused_file_gets_one_sentence_and_changes_nothing(page: Page, url: str, model: GeoModel) -> None:
    open_studio(page, url)
    upload(page, NOT_AN_IMAGE)
    toast = page.locator(".toast-body")
    expect(toast).to_have_count(1, timeout=SLOW_MS)
    expect(toast).to_contain_text("expected a JPEG, PNG, WebP, GIF or AVIF image")
    assert toast.inner_text().count("expected") == 1
    assert "Traceback" not in toast.inner_text()
    expect(page.locator(".ge-status")).to_have_text(REFUSED["words"])
    expect(page.locator("#image img")).to_have_count(0)
    page.locator(".toast-close").click()

    choose_example(page, 4)
    place, shown = page.inner_text(".ge-place"), page.get_attribute("#image img", "src")
    page.set_input_files("#image input[type=file]", {"name": "a.png", "mimeType": "image/png", "buffer": NOT_AN_IMAGE})
    expect(toast).to_have_count(1, timeout=SLOW_MS)
    expect(page.locator(".ge-status")).to_have_text(REFUSED["words"])
    assert page.inner_text(".ge-place") == place
    expect(page.locator("#image img")).to_have_attribute("src", shown)
    assert pixels(page, "combi-cam") is not None

    # The image that is shown is also the one that further questions are about.
    second = geoexplain.locate(examples()[4].file, model).top(2)[1]
    page.locator(".ge-answer tbody tr").nth(1).click()
    wait_for_cell(page, second)
    explanation = geoexplain.explain(examples()[4].file, model, target=second)
    assert_shows(pixels(page, "grad-cam"), explanation.heatmap("grad-cam").values)


def test_of_many_clicks_the_last_counts(page: Page, url: str, model: GeoModel) -> None:
    open_studio(page, url)
    for index in (0, 5, 3):
        page.click(f"button[data-example='{index}']")
    choose_example(page, 7)
    assert examples()[7].file.name in page.get_attribute("#image img", "src")
    explanation = geoexplain.explain(examples()[7].file, model)
    assert_shows(pixels(page, "grad-cam"), explanation.heatmap("grad-cam").values)
    assert explained_cell(page) == explanation.target


def test_two_people_get_their_own_pictures(chromium: Browser, url: str, model: GeoModel) -> None:
    with listened_page(chromium, Heard()) as one, listened_page(chromium, Heard()) as two:
        for page in (one, two):
            open_studio(page, url)
        one.click("button[data-example='5']")
        two.click("button[data-example='6']")
        wait_for_example(one, 5)
        wait_for_example(two, 6)
        for page, index in ((one, 5), (two, 6)):
            explanation = geoexplain.explain(examples()[index].file, model)
            seen = page.get_attribute("[data-panel=image] img", "src")
            assert seen == data_url(shown_image(model, explanation.image))
            assert_shows(pixels(page, "grad-cam"), explanation.heatmap("grad-cam").values)


@pytest.mark.parametrize(("theme", "width"), [("dark", 1280), ("light", 820), ("dark", 390), ("light", 390)], ids=str)
def test_every_width_and_theme(chromium: Browser, url: str, theme: str, width: int) -> None:
    options: dict[str, Any] = {"viewport": {"width": width, "height": 900}}
    with listened_page(chromium, Heard(), **options) as page:
        open_studio(page, url, theme)
        wide = page.evaluate("document.querySelector('.ge-header').getBoundingClientRect().width")
        choose_example(page, 8)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        # Neither the answer nor the words that announce it push things around.
        assert page.evaluate("document.querySelector('.ge-header').getBoundingClientRect().width") == wide
        page.evaluate(
            """() => {
                const top = () => document.querySelector(".ge-explanation").getBoundingClientRect().top + scrollY;
                const status = document.querySelector(".ge-status");
                window.tops = [top()];
                new MutationObserver(() => status.textContent && window.tops.push(top()))
                    .observe(status, {childList: true, characterData: true, subtree: true});
            }"""
        )
        choose_example(page, 9)
        tops = page.evaluate("window.tops")
        assert len(tops) > 1
        assert set(tops) == {tops[0]}

        dark = theme == "dark"
        assert page.evaluate("document.body.classList.contains('dark')") == dark
        ink = page.evaluate("getComputedStyle(document.querySelector('.ge-header h1')).color")
        assert (sum(map(int, re.findall(r"\d+", ink)[:3])) > 3 * 128) == dark
        assert map_frame(page).evaluate("!!document.querySelector('.geoexplain-dark')") == dark
        overflowing = page.evaluate(
            """width => [...document.querySelectorAll("[class^=ge-], [class^=ge-] *")].filter((element) => {
                const {left, right} = element.getBoundingClientRect();
                return right > width + 1 || left < -1;
            }).map((element) => element.className || element.tagName)""",
            width,
        )
        assert overflowing == []


def test_what_is_seen_can_also_be_read(example: Page, model: GeoModel, explanation: geoexplain.Explanation) -> None:
    label = model.partition.labels[explanation.target]
    alts = example.eval_on_selector_all(".ge-panel img", "images => images.map(image => image.alt)")
    assert len(alts) == 6
    assert all(label in alt for alt in alts)
    assert example.get_attribute("#map iframe", "title") == "World map of the predicted cells"
    assert example.locator(".ge-answer table caption").inner_text()
    for selector in (".ge-status", ".ge-state"):
        assert example.get_attribute(selector, "aria-live") == "polite"
    nameless = example.evaluate(
        """() => [...document.querySelectorAll("[class^=ge-] :is(button, input, select)")]
            .filter((e) => !(e.ariaLabel || e.innerText.trim() || e.labels?.[0]?.innerText.trim() || e.hidden))
            .filter((e) => e.checkVisibility()).map((e) => e.outerHTML)"""
    )
    assert nameless == []
