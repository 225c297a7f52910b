"""The path of places, driven as a person would: read, pointed at, gone along with keys, explained."""

import io
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import shapely
import torch
from PIL import Image
from playwright.sync_api import Browser, Page, expect

import geoexplain
from geoexplain.explainer.metrics import deletion
from geoexplain.explainer.subject import prepare_subject
from geoexplain.explainer.target import CellGroup
from geoexplain.locator.model import GeoModel
from geoexplain.studio.examples import examples
from geoexplain.view.place_path import headline
from geoexplain.words import percent
from tests.browser.studio import (
    SLOW_MS,
    assert_shows,
    choose_example,
    explained_cell,
    map_frame,
    open_panel,
    open_studio,
    pixels,
    running_studio,
    wait_for_cell,
)
from tests.conftest import Heard, listened_page
from tests.explainer.networks import TINY, random_model
from tests.geography.trees import CENTERS, JORDAN, OF_CELL, SHARES, wadi_rum_cells, wadi_rum_tree

pytestmark = pytest.mark.browser

BORDERS = (
    shapely.box(35.2, 29.4, 35.6, 29.8), shapely.box(35.3, 29.8, 36.2, 30.6), shapely.box(35, 29, 39, 33),
    shapely.box(34.9, 29.4, 35.1, 29.6), shapely.box(36, 27, 38, 29), None, shapely.box(25, 22, 33, 31), None,
)  # fmt: skip
IN_JORDAN = (0, 1, 2, 3)
TOP = "document.querySelector('.ge-explanation').getBoundingClientRect().top + scrollY"


@pytest.fixture(scope="module")
def model() -> GeoModel:
    """A network with eight bordered cells whose first answer is, but for a few percent, the one worked out by hand."""
    given = random_model(len(CENTERS), head_gain=0.3, architecture=TINY)
    picture = examples()[0].file
    cells = replace(wadi_rum_cells(), borders=BORDERS)
    built = GeoModel(
        given.network.backbone, given.head, cells, given.preprocess, name="levant", own_trees=(wadi_rum_tree(),),
        device="cpu",
    )  # fmt: skip
    found = geoexplain.locate(picture, built).probabilities
    bias = built.head.mixture_weights.bias
    with torch.no_grad():
        bias += torch.from_numpy(np.log(SHARES / found)).to(bias)
    return built


@pytest.fixture(scope="module")
def url(model: GeoModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_studio(model, tmp_path_factory.mktemp("uploads")) as url:
        yield url


def levels(page: Page) -> list[str]:
    return [" ".join(text.split()) for text in page.locator(".ge-levels button").all_inner_texts()]


def beside(page: Page) -> list[str]:
    return [" ".join(text.split()) for text in page.locator(".ge-beside button").all_inner_texts()]


def wait_for_place(page: Page, label: str) -> None:
    page.wait_for_selector(f'.ge-levels button[aria-current=true]:has-text("{label}")', timeout=SLOW_MS)
    page.wait_for_function(
        "label => document.querySelector('.ge-state').textContent.includes(` of ${label} (`)", arg=label
    )


def test_the_answer_is_a_path_with_the_probability_summed_up_the_tree(page: Page, url: str, model: GeoModel) -> None:
    open_studio(page, url)
    choose_example(page, 0)
    found = geoexplain.locate(examples()[0].file, model)
    np.testing.assert_allclose(found.probabilities, SHARES, atol=1e-4)
    assert levels(page) == ["Asia 80.0 %", "Jordan 50.0 %", "Ma'an 35.0 %", "Wadi Rum 20.0 %"]
    # The best cell alone lies in Saudi Arabia, as the line below the path says; the title is what holds half.
    expect(page.locator(".ge-place")).to_have_text(headline(model.trees, model.partition.labels, found))
    expect(page.locator(".ge-elsewhere")).to_have_text("The best cell lies elsewhere: Saudi Arabia 30.0 %")
    # What stands beside the level with most probability beside it is there without asking.
    assert beside(page) == ["Saudi Arabia 30.0 %"]
    page.locator(".ge-levels button").first.hover()
    expect(page.locator(".ge-beside")).to_contain_text("instead of Asia: Africa 12.0 %")
    page.locator(".ge-levels button").last.hover()
    expect(page.locator(".ge-beside")).to_contain_text("instead of Wadi Rum: nothing")


def test_any_level_is_explained_and_then_a_cell_again(page: Page, url: str, model: GeoModel) -> None:
    open_studio(page, url)
    choose_example(page, 0)
    page.click(".ge-levels button:has-text('Jordan')")
    wait_for_place(page, "Jordan")
    group = CellGroup("Jordan", IN_JORDAN)
    explanation = geoexplain.explain(examples()[0].file, model, target=group)
    expect(page.locator(".ge-state")).to_have_text("Explaining the probability of Jordan (50.0 %, 4 cells).")
    assert_shows(pixels(page, "grad-cam"), explanation.heatmap("grad-cam").values)
    alone = geoexplain.explain(examples()[0].file, model, target=explanation.target).heatmap("grad-cam").values
    assert not np.allclose(alone, explanation.heatmap("grad-cam").values)
    expect(page.locator(".ge-answer tbody tr[aria-selected=true]")).to_have_count(0)
    expect(page.locator(".ge-answer tbody tr")).to_have_count(5)
    legend = map_frame(page).locator(".geoexplain-legend")
    expect(legend).to_contain_text("Jordan, being explained")
    expect(legend).not_to_contain_text("cell being explained")

    # What is asked from here on is about the place: another score, and Score-CAM.
    page.select_option("[data-choice=score]", "logit")
    expect(page.locator(".ge-state")).to_have_text("Explaining the logit of Jordan (50.0 %, 4 cells).", timeout=SLOW_MS)
    logit = geoexplain.explain(examples()[0].file, model, target=group, score="logit")
    assert_shows(pixels(page, "layer-cam"), logit.heatmap("layer-cam").values)

    page.click(".ge-answer tbody tr[data-cell='1']")
    wait_for_cell(page, 1)
    assert explained_cell(page) == 1
    expect(page.locator(".ge-levels button[aria-current]")).to_have_count(0)
    expect(legend).to_contain_text("cell being explained")
    expect(legend).not_to_contain_text("Jordan, being explained")


def test_a_runner_up_is_explained_and_the_path_leads_through_it(page: Page, url: str) -> None:
    open_studio(page, url)
    choose_example(page, 0)
    page.click(".ge-beside button:has-text('Saudi Arabia')")
    wait_for_place(page, "Saudi Arabia")
    assert levels(page) == ["Asia 80.0 %", "Saudi Arabia 30.0 %"]
    assert beside(page) == ["Jordan 50.0 %"]
    expect(page.locator(".ge-elsewhere")).to_have_count(0)
    page.click(".ge-beside button:has-text('Jordan')")
    wait_for_place(page, "Jordan")
    assert levels(page) == ["Asia 80.0 %", "Jordan 50.0 %", "Ma'an 35.0 %", "Wadi Rum 20.0 %"]
    choose_example(page, 1)  # another image begins with its best cell
    expect(page.locator(".ge-levels button[aria-current]")).to_have_count(0)


def test_keys_go_along_the_path_and_to_what_stands_beside(page: Page, url: str) -> None:
    open_studio(page, url)
    choose_example(page, 0)
    expect(page.get_by_role("navigation", name="Places by probability: Territory")).to_be_visible()
    assert page.locator(".ge-levels button[tabindex='0']").count() == 1  # one stop for the whole path
    page.locator(".ge-levels button[tabindex='0']").focus()
    focused = "document.activeElement.textContent.replace(/\\s+/g, ' ')"
    for key, expected in (
        ("Home", "Asia 80.0 %"), ("ArrowLeft", "Asia 80.0 %"),
        ("End", "Wadi Rum 20.0 %"), ("ArrowLeft", "Ma'an 35.0 %"),
    ):  # fmt: skip
        page.keyboard.press(key)
        assert page.evaluate(focused) == expected
    expect(page.locator(".ge-beside")).to_have_attribute("aria-label", "Instead of Ma'an")
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "Aqaba 5.0 %"
    page.keyboard.press("Enter")
    wait_for_place(page, "Aqaba")
    assert page.evaluate(focused) == "Aqaba 5.0 %"  # the keys stay where they were


def test_what_is_pointed_at_is_marked_on_the_map(page: Page, url: str) -> None:
    open_studio(page, url)
    choose_example(page, 0)
    page.mouse.move(2, 2)
    page.wait_for_timeout(300)
    page.evaluate("window.scrollTo(0, 200)")

    def seen() -> bytes:
        picture = Image.open(io.BytesIO(page.locator("#map iframe").screenshot())).convert("RGB")
        # The outermost pixels are blended with the page, by a rounding that is not always the same.
        return picture.crop((1, 1, picture.width - 1, picture.height - 1)).tobytes()

    before = seen()
    marked = []
    for label in ("Asia", "Jordan", "Ma'an"):  # the last one has no border: its cells are marked
        page.locator(f'.ge-levels button:has-text("{label}")').focus()
        page.wait_for_timeout(200)
        marked.append(seen())
    assert len({before, *marked}) == 4
    page.evaluate("document.activeElement.blur()")
    page.wait_for_timeout(200)
    assert seen() == before


def test_cells_are_where_their_borders_are(page: Page, url: str, model: GeoModel) -> None:
    open_studio(page, url)
    choose_example(page, 0)
    frame = map_frame(page)
    page.evaluate("document.querySelector('#map').scrollIntoView()")
    box = page.locator("#map iframe").bounding_box()
    tip = frame.locator(".geoexplain-tip")
    # Its centre is nearer to another cell, but it lies within the country and in no smaller cell of it.
    spot = (29.2, 37.5)
    assert model.partition.nearest(*spot) != 2
    assert model.partition.cell_at(*spot) == 2
    x, y = frame.evaluate(
        """([lat, lng]) => {
            const map = Object.values(window).find(value => value && value.getCenter && value.getZoom);
            map.getContainer().dispatchEvent(new Event("pointerdown")); // or a late change of size fits it once more
            map.setView([lat, lng], 6, {animate: false});
            const {x, y} = map.latLngToContainerPoint([lat, lng]);
            return [x, y];
        }""",
        list(spot),
    )
    page.mouse.move(box["x"] + x, box["y"] + y)
    expect(tip).to_have_text("cell 2: 10.0 %")
    page.mouse.click(box["x"] + x, box["y"] + y)
    wait_for_cell(page, 2)
    # The table, the labels on the map and the sentence say what the map said where it was pointed at, as Python does.
    shares = [percent(share) for share in geoexplain.locate(examples()[0].file, model).probabilities]
    expect(page.locator("tr[data-cell='2'] .ge-share")).to_have_text(shares[2])
    expect(page.locator(".ge-state")).to_contain_text(f"cell 2, cell 2 ({shares[2]})")
    labels = [" ".join(text.split()) for text in frame.locator(".geoexplain-label").all_inner_texts()]
    assert labels
    assert set(labels) <= {f"cell {cell} {share}" for cell, share in enumerate(shares)} | set(shares)


def test_panels_are_about_the_place_and_the_one_that_is_not_says_so(page: Page, url: str, model: GeoModel) -> None:
    open_studio(page, url)
    choose_example(page, 0)
    page.click(".ge-levels button:has-text('Jordan')")
    wait_for_place(page, "Jordan")
    page.select_option(".ge-faith [data-choice=steps]", "10")
    page.click(".ge-faith .ge-start")
    page.wait_for_selector(".ge-faith[data-state=done]", timeout=2 * SLOW_MS)
    group = CellGroup("Jordan", IN_JORDAN)
    explanation = geoexplain.explain(examples()[0].file, model, target=group)
    expected = deletion(prepare_subject(model, explanation.tensor, group), explanation.combi_cam(), 10)
    value = page.locator("tr[data-row='combi-cam'] [data-metric=deletion]").inner_text()
    assert float(value) == pytest.approx(expected.value, abs=0.00051)
    expect(page.locator("#panel-faithfulness .ge-caption")).to_contain_text("Jordan (50.0 %)")
    open_panel(page, "contrast", "Why here and not there?")
    words = page.locator(".ge-contrast-cells")
    expect(words).to_have_text("Cells are compared here: of Jordan, the most probable one.")
    chosen = page.locator("[data-side=here] select option:checked")
    expect(chosen).to_contain_text(f"cell {explanation.target} (")
    page.click(".ge-answer tbody tr[data-cell='1']")
    wait_for_cell(page, 1)
    expect(words).to_have_text("")


@pytest.mark.parametrize(("theme", "width"), [("light", 1400), ("dark", 390)], ids=str)
def test_it_fits_and_nothing_jumps(chromium: Browser, url: str, theme: str, width: int) -> None:
    with listened_page(chromium, Heard(), viewport={"width": width, "height": 900}) as page:
        open_studio(page, url, theme)
        choose_example(page, 0)
        top = page.evaluate(TOP)
        for index in range(4):
            page.locator(".ge-levels button").nth(index).focus()
            assert page.evaluate(TOP) == top
        columns = "[...document.querySelectorAll('.ge-answer th')].map(th => th.getBoundingClientRect().left)"
        before = page.evaluate(columns)
        page.click(".ge-levels button:has-text('Jordan')")
        wait_for_place(page, "Jordan")
        assert page.evaluate(TOP) == top
        assert page.evaluate(columns) == before
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        overflowing = page.evaluate(
            """width => [...document.querySelectorAll(".ge-where-box *")].filter((element) => {
                const {left, right} = element.getBoundingClientRect();
                return !element.closest(".ge-beside") && (right > width + 1 || left < -1);
            }).map((element) => element.className)""",
            width,
        )
        assert overflowing == []


def test_the_tree_of_the_tests_is_the_one_in_the_answers(model: GeoModel) -> None:
    tree = wadi_rum_tree()
    assert tuple(tree.of_cell) == OF_CELL
    assert tuple(tree.cells(JORDAN)) == IN_JORDAN
