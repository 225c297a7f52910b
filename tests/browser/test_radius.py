"""How far the probability reaches, as the page says and draws it: nothing is finer than a cell."""

import re

import pytest
from playwright.sync_api import Page, expect

import geoexplain
from geoexplain.locator.model import GeoModel
from geoexplain.studio.examples import examples
from geoexplain.view.radius_words import cell_words, half_words, reach_words
from tests.browser.studio import choose_example, map_frame, open_studio

pytestmark = pytest.mark.browser


def kilometres_in(text: str) -> list[float]:
    return [float(number.replace(",", "")) for number in re.findall(r"([\d,.]+) ?km\b", text)]


def test_the_page_says_no_distance_that_is_finer_than_a_cell(page: Page, url: str, model: GeoModel) -> None:
    open_studio(page, url)
    for index in (0, 7, 11):  # sure, less sure, and lost
        choose_example(page, index)
        prediction = geoexplain.locate(examples()[index].file, model)
        width, about = prediction.cell_width_km, kilometres_in(cell_words(prediction.cell_width_km))[0]
        if page.get_attribute(".ge-rule", "open") is None:
            page.locator(".ge-verdict-line").click()
        assert reach_words(prediction) in page.locator(".ge-facts li").all_inner_texts()
        assert page.locator(".ge-density div span:first-child").first.inner_text() == cell_words(width)
        circle = map_frame(page).locator(".geoexplain-legend-row", has_text="half of the probability")
        expect(circle).to_have_text(f"half of the probability: within {half_words(prediction)}")
        for scale in ("", "1", "25", "200"):  # the model's own rule, and finer ones that nobody should ask for
            if scale:
                page.fill(".ge-scale input", scale)
                said = f"of the probability in cells centred within {scale} km of the best one; more than"
                expect(page.locator(".ge-why")).to_contain_text(said)
            said = [
                reach_words(prediction),
                page.inner_text(".ge-density"),
                *page.locator(".ge-curve text").all_text_contents(),
                circle.inner_text(),
            ]
            figures = [figure for text in said for figure in kilometres_in(text)]
            assert len(figures) > 4
            assert all(figure >= width or figure == about for figure in figures), said
        page.locator(".ge-reset").click()


def test_the_curve_is_drawn_from_the_cells_width_on(page: Page, url: str, model: GeoModel) -> None:
    open_studio(page, url)
    choose_example(page, 11)
    page.locator(".ge-verdict-line").click()
    spread = geoexplain.locate(examples()[11].file, model).spread
    box = page.eval_on_selector(".ge-curve-cell", "node => [node.x, node.width].map(one => one.baseVal.value)")
    path = page.get_attribute("path.ge-curve-line", "d")
    points = [tuple(map(float, pair.split())) for pair in path.removeprefix("M").split("L")]
    assert points[0][0] == pytest.approx(sum(box), abs=0.06)
    # From the bottom of the drawing to its top 0 to 100 %, from the cell's width to the other side of the Earth.
    heights = [(122 - y) / 110 for _, y in points]
    assert heights[0] == pytest.approx(float(spread.within(spread.cell_width_km)), abs=0.002)
    assert heights[-1] == pytest.approx(1, abs=0.002)
    assert heights == sorted(heights)
    dot, line = (
        page.eval_on_selector(f".ge-curve-{part}", f"node => node.{axis}.baseVal.value")
        for part, axis in (("dot", "cx"), ("scale", "x1"))
    )
    assert dot == line
    page.fill(".ge-scale input", "1")  # stands in the middle of what is one cell
    middle = page.eval_on_selector(".ge-curve-dot", "node => node.cx.baseVal.value")
    assert middle == pytest.approx(box[0] + box[1] / 2, abs=0.1)
