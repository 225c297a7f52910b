"""The panel of two cells, driven as a person would: what it paints is what Python computes."""

import base64
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

import geoexplain
from geoexplain.explainer.contrast import Contrast, SignedMap, contrast
from geoexplain.locator.model import GeoModel
from geoexplain.studio.examples import examples
from geoexplain.view.diverging import odds_in_words, two_coloured
from tests.browser.studio import (
    SLOW_MS,
    cell_in_view,
    choose_example,
    explained_cell,
    map_frame,
    open_panel,
    open_studio,
    set_control,
    wait_for_cell,
)
from tests.conftest import Heard, listened_page

pytestmark = pytest.mark.browser

PICTURE = ".ge-contrast-picture canvas"
EXAMPLE = 7
GREY = 128


@pytest.fixture(scope="module")
def compared(chromium: Browser, url: str) -> Iterator[tuple[Page, Heard]]:
    """A page on which the two best cells of an example have been compared."""
    heard = Heard()
    with listened_page(chromium, heard) as page:
        open_studio(page, url)
        choose_example(page, EXAMPLE)
        open_panel(page, "contrast", "Why here and not there?")
        compare(page)
        yield page, heard


def compare(page: Page) -> None:
    page.click(".ge-contrast .ge-start")
    page.wait_for_selector(".ge-contrast[data-state=done]", timeout=SLOW_MS)


def held(model: GeoModel, here: int, there: int) -> Contrast:
    return contrast(geoexplain.explain(examples()[EXAMPLE].file, model, target=here), model, there)


def all_alike(found: Contrast) -> SignedMap:
    return found.combi_cam((1,) * 7, level="stage", how="max")


def over_grey(page: Page) -> np.ndarray:
    """The colours of the picture over a middle grey, (H, W, 3)."""
    shown = page.eval_on_selector(
        PICTURE,
        """canvas => {
            const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            let text = "";
            for (const byte of data) text += String.fromCharCode(byte);
            return {width: canvas.width, height: canvas.height, data: btoa(text)};
        }""",
    )
    pixels = np.frombuffer(base64.b64decode(shown["data"]), np.uint8).reshape(shown["height"], shown["width"], 4)
    share = pixels[..., 3:] / 255
    return share * pixels[..., :3] + (1 - share) * GREY


def assert_shows_signed(page: Page, signed: SignedMap) -> None:
    height, width = signed.values.shape
    ground = Image.new("RGB", (width, height), (GREY,) * 3)
    expected = np.asarray(two_coloured(ground, signed.values), dtype=float)
    found = over_grey(page)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 3
    assert np.ptp(expected) > 100  # there is something to see


def chosen(page: Page) -> tuple[int, int]:
    here, there = (int(page.input_value(f".ge-contrast [data-side={side}] select")) for side in ("here", "there"))
    return here, there


def test_the_two_best_cells(compared: tuple[Page, Heard], model: GeoModel) -> None:
    page, _ = compared
    first, second = geoexplain.locate(examples()[EXAMPLE].file, model).top(2)
    found = held(model, first, second)
    assert chosen(page) == (first, second)
    assert_shows_signed(page, all_alike(found))
    labels = model.partition.labels
    expect(page.locator(".ge-odds")).to_have_text(odds_in_words(labels[first], labels[second], found.log_odds))
    for side, cell in (("here", first), ("there", second)):
        share = 100 * found.here.prediction.probabilities[cell]
        expect(page.locator(f".ge-contrast-legend [data-side={side}]")).to_have_text(f"{labels[cell]}: {share:.1f} %")


def test_nothing_but_another_cell_asks_the_server(compared: tuple[Page, Heard], model: GeoModel) -> None:
    page, heard = compared
    first, second = chosen(page)
    found = held(model, first, second)
    requests = len(heard.urls)
    page.click(".ge-swap")
    assert chosen(page) == (second, first)
    assert_shows_signed(page, all_alike(found.swapped()))
    labels = model.partition.labels
    expect(page.locator(".ge-odds")).to_have_text(odds_in_words(labels[second], labels[first], -found.log_odds))
    page.click(".ge-swap")
    page.select_option("[data-choice=of]", "layer-cam")
    set_control(page, ".ge-contrast .ge-tile:nth-child(3) input[type=range]", 0.25)
    assert_shows_signed(page, found.combi_cam((1, 1, 0.25, 1, 1, 1, 1), method="layer-cam", level="stage", how="max"))
    for how in ("minmax", "tanh", "sum"):
        page.select_option("[data-choice=how-of]", how)
        weights = (1, 1, 0.25, 1, 1, 1, 1)
        assert_shows_signed(page, found.combi_cam(weights, method="layer-cam", level="stage", how=how))
    page.click(".ge-contrast [data-all=false]")
    assert_shows_signed(page, found.heatmap("layer-cam"))
    page.click(".ge-contrast [data-all=true]")
    page.select_option("[data-choice=level-of]", "block")
    expect(page.locator(".ge-contrast .ge-tile")).to_have_count(16)
    assert_shows_signed(page, found.combi_cam(method="layer-cam"))
    page.select_option("[data-choice=of]", "grad-cam")
    assert_shows_signed(page, found.combi_cam())
    assert len(heard.urls) == requests
    for name, value in (("level-of", "stage"), ("how-of", "max")):
        page.select_option(f"[data-choice={name}]", value)


def test_no_stage_leaves_nothing_to_see(compared: tuple[Page, Heard]) -> None:
    page, _ = compared
    page.click(".ge-contrast [data-all=false]")
    expect(page.locator(".ge-contrast-picture .ge-flat")).to_be_hidden()
    page.locator(".ge-contrast .ge-tile input[type=checkbox]").last.click()
    expect(page.locator(".ge-contrast-picture .ge-flat")).to_be_visible()
    assert np.ptp(over_grey(page)) < 1
    page.click(".ge-contrast [data-all=true]")


def test_a_cell_from_the_menu_and_one_from_the_map(page: Page, url: str, model: GeoModel) -> None:
    open_studio(page, url)
    choose_example(page, EXAMPLE)
    open_panel(page, "contrast", "Why here and not there?")
    prediction = geoexplain.locate(examples()[EXAMPLE].file, model)
    first, second, third, *_ = prediction.top(5)
    page.select_option(".ge-contrast [data-side=there] select", str(third))
    compare(page)
    assert_shows_signed(page, all_alike(held(model, first, third)))
    assert page.locator(".ge-contrast [data-side=there] option:disabled").evaluate("o => Number(o.value)") == first

    odds = page.inner_text(".ge-odds")
    page.select_option(".ge-contrast [data-side=here] select", str(second))
    expect(page.locator(".ge-odds")).not_to_have_text(odds, timeout=SLOW_MS)
    assert_shows_signed(page, all_alike(held(model, second, third)))

    cell, x, y = cell_in_view(map_frame(page), model, prediction.top(12))
    page.click(".ge-pick")
    expect(page.locator(".ge-pick-words")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".ge-pick-words")).to_be_hidden()
    page.click(".ge-pick")
    box = page.locator("#map iframe").bounding_box()
    page.mouse.click(box["x"] + x, box["y"] + y)
    expect(page.locator(".ge-contrast-legend [data-side=there]")).to_contain_text(
        model.partition.labels[cell], timeout=SLOW_MS
    )
    expect(page.locator(".ge-pick-words")).to_be_hidden()
    assert chosen(page) == (second, cell)
    assert explained_cell(page) == first, "the click was not meant to explain another cell"
    assert_shows_signed(page, all_alike(held(model, second, cell)))

    # After that a click on the map explains again, and the panel is about that cell.
    page.locator("#map iframe").scroll_into_view_if_needed()
    box = page.locator("#map iframe").bounding_box()
    page.mouse.click(box["x"] + x, box["y"] + y)
    wait_for_cell(page, cell)
    expect(page.locator(".ge-contrast-result")).to_be_hidden()
    assert chosen(page) == (cell, first)


def test_the_explained_cell_picked_on_the_map_is_refused_and_changes_nothing(
    page: Page, url: str, model: GeoModel
) -> None:
    open_studio(page, url)
    choose_example(page, EXAMPLE)
    cell, x, y = cell_in_view(map_frame(page), model, geoexplain.locate(examples()[EXAMPLE].file, model).top(12))
    box = page.locator("#map iframe").bounding_box()
    page.mouse.click(box["x"] + x, box["y"] + y)
    wait_for_cell(page, cell)
    open_panel(page, "contrast", "Why here and not there?")
    compare(page)
    before = chosen(page)
    assert before[0] == cell
    page.click(".ge-pick")
    box = page.locator("#map iframe").bounding_box()
    page.mouse.click(box["x"] + x, box["y"] + y)
    expect(page.locator(".toast-body")).to_contain_text("expected two different cells", timeout=SLOW_MS)
    expect(page.locator(".ge-contrast")).to_have_attribute("data-state", "idle")
    assert chosen(page) == before
    assert_shows_signed(page, all_alike(held(model, *before)))


@pytest.mark.parametrize(("theme", "width"), [("light", 1400), ("dark", 390)], ids=str)
def test_it_fits_and_every_control_has_a_name(chromium: Browser, url: str, theme: str, width: int) -> None:
    with listened_page(chromium, Heard(), viewport={"width": width, "height": 900}) as page:
        open_studio(page, url, theme)
        choose_example(page, EXAMPLE)
        open_panel(page, "contrast", "Why here and not there?")
        compare(page)
        page.select_option("[data-choice=level-of]", "block")
        overflowing = page.evaluate(
            """width => [...document.querySelectorAll(".ge-contrast, .ge-contrast *")].filter((element) => {
                const {left, right} = element.getBoundingClientRect();
                return right > width + 1 || left < -1;
            }).map((element) => element.className || element.tagName)""",
            width,
        )
        assert overflowing == []
        nameless = page.evaluate(
            """() => [...document.querySelectorAll(".ge-contrast :is(button, input, select)")]
                .filter((e) => !(e.ariaLabel || e.innerText.trim() || e.labels?.[0]?.innerText.trim() || e.hidden))
                .filter((e) => e.checkVisibility()).map((e) => e.outerHTML)"""
        )
        assert nameless == []
