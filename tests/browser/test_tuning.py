"""Weights that were tuned, in the browser: the model's own as a preset, and those for the image on the page."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

import geoexplain
from geoexplain.locator.model import GeoModel
from geoexplain.locator.tuned import StageWeights
from geoexplain.studio.examples import examples
from tests.browser.studio import (
    SLOW_MS,
    assert_shows,
    choose_example,
    combi_setting,
    open_studio,
    painted,
    pixels,
    running_studio,
    set_slider,
    use_preset,
)
from tests.conftest import Heard, listened_page
from tests.explainer.networks import random_model

pytestmark = pytest.mark.browser

WEIGHTS = (0.0, 0.125, 0.0, 0.0, 1.0, 0.5, 1.0)
WORDS = ".ge-tuned-words"


@pytest.fixture(scope="module")
def model() -> GeoModel:
    model = random_model()
    model.tuned = StageWeights("layer-cam", "stage", "probability", "tanh", WEIGHTS, "adcc", "4 <views>", 4)
    return model


@pytest.fixture(scope="module")
def explanation(model: GeoModel) -> geoexplain.Explanation:
    return geoexplain.explain(examples()[0].file, model)


@pytest.fixture(scope="module")
def located(chromium: Browser, model: GeoModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with (
        running_studio(model, tmp_path_factory.mktemp("uploads")) as url,
        listened_page(chromium, Heard()) as page,
    ):
        open_studio(page, url)
        choose_example(page, 0)
        yield page


def test_the_models_own_weights_are_a_preset(located: Page, explanation: geoexplain.Explanation) -> None:
    button = located.locator("[data-preset=combi-cam-tuned]")
    expect(button).to_be_visible()
    words = "Tuned for adcc on 4 <views>. Not tested on others."
    expect(button).to_have_attribute("title", words)
    use_preset(located, "combi-cam-tuned")
    expect(located.locator(WORDS)).to_have_text(words)
    heatmap = explanation.combi_cam(WEIGHTS, method="layer-cam", level="stage", how="tanh")
    assert_shows(pixels(located, "combi-cam"), heatmap.values)
    expect(button).to_have_attribute("aria-pressed", "true")
    assert located.input_value("[data-choice=method]") == "layer-cam"
    expect(located.locator(".ge-tile:nth-child(2) output")).to_have_text("0.13")


def test_a_search_for_the_image_moves_the_sliders_and_says_what_it_gained(
    located: Page, explanation: geoexplain.Explanation
) -> None:
    use_preset(located, "combi-cam-shallow")
    before = painted(located)
    located.click(".ge-tune")
    expect(located.locator(".ge-tuning progress")).to_be_visible(timeout=SLOW_MS)
    expect(located.locator(WORDS)).to_contain_text("Weights tuned on one image", timeout=2 * SLOW_MS)
    expect(located.locator(WORDS)).to_contain_text(re.compile(r"^(A gain of \+\d\.\d+ over|No gain over) "))
    expect(located.locator(WORDS)).to_contain_text("the best that needs no tuning")
    expect(located.locator(WORDS)).to_contain_text("By another measure, which it was not tuned for, it is")
    expect(located.locator(".ge-tuning progress")).to_be_hidden()
    located.wait_for_function("n => Number(document.querySelector('.ge-explanation').dataset.painted) > n", arg=before)
    assert located.locator("[data-preset][aria-pressed=true]").count() == 0
    combi = combi_setting(located)
    heatmap = explanation.combi_cam(
        tuple(combi["weights"]), method=combi["method"], level=combi["level"], how=combi["how"]
    )
    assert_shows(pixels(located, "combi-cam"), heatmap.values)
    set_slider(located, ".ge-tile:not(.ge-off) input[type=range]", 0.4)
    expect(located.locator(WORDS)).to_be_hidden()  # what is shown now is not what they are about


def test_a_search_can_be_called_off(located: Page) -> None:
    use_preset(located, "combi-cam-all")
    located.click(".ge-tune")
    located.click(".ge-tuning .ge-cancel", timeout=SLOW_MS)
    expect(located.locator(".ge-tune")).to_be_visible(timeout=SLOW_MS)
    expect(located.locator("[data-preset=combi-cam-all]")).to_have_attribute("aria-pressed", "true")
