"""The scoreboard and the sanity strip, driven as a person would, and held to what Python computes."""

import re
from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

import geoexplain
from geoexplain.explainer.faithfulness import METRICS
from geoexplain.explainer.metrics import deletion
from geoexplain.explainer.subject import prepare_subject
from geoexplain.explainer.table import BASELINE, kinds_of_family
from geoexplain.explainer.tuned import traced_candidates
from geoexplain.locator.model import GeoModel
from geoexplain.studio.examples import examples
from geoexplain.studio.panels.faithfulness import turns
from geoexplain.studio.panels.sanity import VERDICTS
from tests.browser.studio import SLOW_MS, choose_example, open_panel, open_studio, running_studio, wait_for_cell
from tests.conftest import Heard, listened_page
from tests.explainer.networks import TINY, random_model

pytestmark = pytest.mark.browser

SHOWN_STEP = """() => {
    const canvas = document.querySelector(".ge-step canvas");
    const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return [canvas.width, canvas.height, ...data.filter((_, i) => i % 4 < 3)];
}"""


@pytest.fixture(scope="module")
def model() -> GeoModel:
    """A tiny network on 64 px, so that measuring takes seconds."""
    return random_model(architecture=TINY)


@pytest.fixture(scope="module")
def url(model: GeoModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_studio(model, tmp_path_factory.mktemp("uploads")) as url:
        yield url


def measured(page: Page) -> None:
    """Ask for the scoreboard in ten steps, and wait for it."""
    page.select_option(".ge-faith [data-choice=steps]", "10")
    page.click(".ge-faith .ge-start")
    page.wait_for_selector(".ge-faith[data-state=done]", timeout=2 * SLOW_MS)


def test_the_scoreboard_is_that_of_the_image_and_the_cell(page: Page, url: str, model: GeoModel) -> None:
    open_studio(page, url)
    expect(page.locator(".ge-faith .ge-start")).to_be_disabled()
    choose_example(page, 1)
    measured(page)
    lines = page.locator(".ge-scores tbody tr")
    titles = [candidate.title for candidate in traced_candidates(model).values()]
    assert lines.locator("th").all_inner_texts() == [
        "Combi-CAM, as set above",
        *titles,
        *(baseline.title for baseline in kinds_of_family(BASELINE).values()),
    ]
    explanation = geoexplain.explain(examples()[1].file, model)
    looked_at = prepare_subject(model, explanation.tensor, explanation.target)
    expected = deletion(looked_at, explanation.combi_cam(), 10)
    published = page.locator("tr[data-row='combi-cam']")
    assert float(published.locator("[data-metric=deletion]").inner_text()) == pytest.approx(expected.value, abs=0.00051)
    assert page.locator(".ge-scores tbody tr:first-child td").count() == len(METRICS) + 1
    expect(page.locator(".ge-reading").first).to_contain_text("One image ranks no methods")
    # What is marked lies beyond what unrelated maps as coarse reach, which stands below each column.
    limits = page.locator(".ge-scores tfoot td").all_inner_texts()
    assert len(limits) == len(METRICS) + 1
    assert all(re.fullmatch(r"–|(above|below) \d+(\.\d+)?", text) for text in limits)
    for metric, limit in zip(METRICS, limits, strict=False):
        for marked in page.locator(f".ge-scores tbody [data-metric={metric}][data-standing=true]").all_inner_texts():
            side, number = limit.split()
            assert float(marked) >= float(number) if side == "above" else float(marked) <= float(number)

    # A row's curve, the step under the pointer, and the image at that step.
    published.click()
    expect(published).to_have_attribute("aria-selected", "true")
    curve = page.locator("[data-curve=deletion] svg")
    curve.scroll_into_view_if_needed()
    box = curve.bounding_box()
    curve.hover(position={"x": box["width"] * (38 + 0.4 * 352) / 400, "y": box["height"] / 2})
    expect(page.locator(".ge-step-choice output")).to_have_text("4 of 10")
    words = page.inner_text(".ge-step figcaption")
    assert "40.0 % of the pixels hidden" in words
    assert float(re.search(r"probability ([\d.]+) %", words)[1]) == pytest.approx(
        100 * expected.probabilities[4], abs=0.051
    )
    width, height, *colours = page.evaluate(SHOWN_STEP)
    assert [height, width] == list(explanation.size_hw)
    hidden = np.all(np.array(colours).reshape(-1, 3) == (124, 116, 104), axis=1)
    turn = np.frombuffer(turns(explanation.combi_cam().values, 10), np.uint8)
    assert hidden[turn <= 4].all()
    assert hidden[turn > 4].mean() < 0.05  # whose own colour may be the mean

    # Another cell is another table, and the old one is not left standing.
    page.locator(".ge-answer tbody tr").nth(1).click()
    wait_for_cell(page, geoexplain.locate(examples()[1].file, model).top(2)[1])
    expect(page.locator(".ge-faith-result")).to_be_hidden()


def test_measuring_is_called_off_and_can_be_begun_again(page: Page, url: str) -> None:
    open_studio(page, url)
    choose_example(page, 2)
    page.select_option(".ge-faith [data-choice=steps]", "50")
    page.check(".ge-faith [data-choice=score-cam]")
    page.click(".ge-faith .ge-start")
    page.wait_for_function(
        """() => {  // at once: between two requests of the test the work might end
            const [running, words, cancel] = [".ge-running", ".ge-count", ".ge-cancel"].map(
                (part) => document.querySelector(`.ge-faith ${part}`));
            if (running.hidden || !/of \\d+ measured/.test(words.textContent)) return false;
            cancel.click();
            return true;
        }""",
        timeout=SLOW_MS,
    )
    expect(page.locator(".ge-faith .ge-start")).to_be_visible(timeout=SLOW_MS)
    expect(page.locator(".ge-faith-result")).to_be_hidden()
    page.uncheck(".ge-faith [data-choice=score-cam]")
    measured(page)
    expect(page.locator(".ge-faith-result")).to_be_visible()


def test_another_image_calls_measuring_off(page: Page, url: str) -> None:
    open_studio(page, url)
    choose_example(page, 2)
    page.select_option(".ge-faith [data-choice=steps]", "50")
    page.check(".ge-faith [data-choice=score-cam]")
    page.click(".ge-faith .ge-start")
    choose_example(page, 3)
    expect(page.locator(".ge-faith .ge-start")).to_be_enabled()
    expect(page.locator(".ge-faith-result")).to_be_hidden()


def test_the_strip_shows_every_method_at_every_step(page: Page, url: str, model: GeoModel) -> None:
    open_studio(page, url)
    choose_example(page, 4)
    open_panel(page, "sanity", "Sanity check")
    page.select_option(".ge-sanity [data-choice=draws]", "5")
    page.click(".ge-sanity .ge-start")
    page.wait_for_selector(".ge-sanity[data-state=done]", timeout=2 * SLOW_MS)
    lines = page.locator(".ge-strip tbody tr")
    expect(lines).to_have_count(len(traced_candidates(model)))
    heads = page.locator(".ge-strip thead th").all_inner_texts()
    assert heads[1:3] == ["the map", "head random"]
    assert heads[-1] == "+ stem"
    for line in lines.all():
        assert line.locator("td").count() == len(heads) - 1
        assert line.locator("em").inner_text() in VERDICTS.values()
        interval = line.locator("i").inner_text()
        assert re.fullmatch(r"−?\d\.\d\d \(95 %: −?\d\.\d\d to −?\d\.\d\d\)", interval) or interval == ""
        figures = [figure.replace("−", "-") for figure in line.locator("td b").all_inner_texts()[1:]]
        assert all(figure == "–" or -1 <= float(figure) <= 1 for figure in figures)

    # What is not settled offers as many more draws as should do, and a click makes them.
    caption = page.locator("#ge-strip-caption")
    expect(caption).to_contain_text(", 5 draws of the random weights.")
    button = page.locator(".ge-more-draws button")
    more = re.fullmatch(r"Draw (\d+) more", button.inner_text())
    assert more is not None
    button.click()
    expect(caption).to_contain_text(f", {5 + int(more[1])} draws of the random weights.", timeout=4 * SLOW_MS)


@pytest.mark.parametrize(("theme", "width"), [("light", 1400), ("dark", 390)], ids=str)
def test_both_fit(chromium: Browser, url: str, theme: str, width: int) -> None:
    with listened_page(chromium, Heard(), viewport={"width": width, "height": 900}) as page:
        open_studio(page, url, theme)
        choose_example(page, 1)
        measured(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        open_panel(page, "sanity", "Sanity check")
        page.select_option(".ge-sanity [data-choice=draws]", "5")
        page.click(".ge-sanity .ge-start")
        page.wait_for_selector(".ge-sanity[data-state=done]", timeout=2 * SLOW_MS)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
