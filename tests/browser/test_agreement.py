"""The panel of the methods' agreement, driven as a person would."""

import pytest
from playwright.sync_api import Browser, Page, expect
from scipy.stats import spearmanr

import geoexplain
from geoexplain.explainer.agreement import agreement, draw_all
from geoexplain.explainer.tuned import candidates_of
from geoexplain.locator.model import GeoModel
from geoexplain.studio.examples import examples
from tests.browser.studio import SLOW_MS, choose_example, open_panel, open_studio, wait_for_cell
from tests.conftest import Heard, listened_page

pytestmark = pytest.mark.browser

TITLE = "Do the methods agree?"


def test_the_matrix_is_that_of_the_heatmaps_on_the_page(page: Page, url: str, model: GeoModel) -> None:
    open_studio(page, url)
    choose_example(page, 1)
    open_panel(page, "agreement", TITLE)
    expect(page.locator(".ge-agree")).to_contain_text("Methods that agree may all be wrong")
    page.click(".ge-agree .ge-start")
    page.wait_for_selector(".ge-agree[data-state=done]", timeout=SLOW_MS)
    titles = [candidate.title for candidate in candidates_of(model).values() if not candidate.passes]
    heads = page.locator(".ge-matrix tbody th")
    assert heads.all_inner_texts() == [f"{place}{title}" for place, title in enumerate(titles, 1)]
    numbers = [row.locator("td").all_inner_texts() for row in page.locator(".ge-matrix tbody tr").all()]
    assert [row[i] for i, row in enumerate(numbers)] == ["1.00"] * len(titles)
    assert numbers == [list(column) for column in zip(*numbers, strict=True)]
    explanation = geoexplain.explain(examples()[1].file, model)
    pair = [titles.index(title) for title in ("Grad-CAM", "LayerCAM")]
    maps = [explanation.heatmap(name).values.ravel() for name in ("grad-cam", "layer-cam")]
    expected = spearmanr(*maps).statistic
    assert float(numbers[pair[0]][pair[1]].replace("−", "-")) == pytest.approx(expected, abs=0.006)
    # What unrelated maps as coarse reach as well has no colour.
    drawn = draw_all(model, explanation.tensor, explanation.trace)
    told = agreement(drawn).beyond_chance()
    cells = [row.locator("td") for row in page.locator(".ge-matrix tbody tr").all()]
    shown = [[cell.get_attribute("data-told") == "true" for cell in row.all()] for row in cells]
    assert shown == told.tolist()
    faded = page.locator(".ge-matrix td[data-told=false]").first
    assert faded.evaluate("cell => cell.style.getPropertyValue('--share')") == "0"

    # Another cell is another matrix, and the old one is not left standing.
    page.locator(".ge-answer tbody tr").nth(1).click()
    wait_for_cell(page, geoexplain.locate(examples()[1].file, model).top(2)[1])
    expect(page.locator(".ge-agree-result")).to_be_hidden()


@pytest.mark.parametrize(("theme", "width"), [("light", 1400), ("dark", 390)], ids=str)
def test_it_fits(chromium: Browser, url: str, theme: str, width: int) -> None:
    with listened_page(chromium, Heard(), viewport={"width": width, "height": 900}) as page:
        open_studio(page, url, theme)
        choose_example(page, 1)
        open_panel(page, "agreement", TITLE)
        page.click(".ge-agree .ge-start")
        page.wait_for_selector(".ge-agree[data-state=done]", timeout=SLOW_MS)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
