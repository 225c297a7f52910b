"""Several models in one studio, driven as a person would: switching, Search within Cell, the rule for localizable."""

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from playwright.sync_api import Browser, Page, expect
from torch import nn

import geoexplain
from geoexplain.images import Preprocess
from geoexplain.locator import registry, zoo
from geoexplain.locator.backbone import create_backbone
from geoexplain.locator.heads import VonMisesFisherHead
from geoexplain.locator.model import GeoModel, LocalizableRule
from geoexplain.locator.prediction import prediction_density
from geoexplain.studio.answer import REFUSED
from geoexplain.studio.examples import examples
from geoexplain.studio.models import Models
from geoexplain.words import decimal, kilometres, percent, position
from tests.browser.studio import (
    SLOW_MS,
    assert_shows,
    choose_example,
    open_studio,
    pixels,
    running_studio,
    set_control,
    switch_model,
    use_preset,
)
from tests.conftest import Heard, listened_page
from tests.explainer.networks import image_tensor, partition_of
from tests.locator.models import saved
from tests.studio.conftest import write_gallery_of

pytestmark = pytest.mark.browser

BUNDLED = zoo.BUNDLED


def random_network(architecture: str, title: str, rule: LocalizableRule) -> GeoModel:
    """Random weights, statistics that keep activations alive, twelve cells of similar probability."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        backbone = create_backbone(architecture)
        for module in backbone.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None
        with torch.no_grad():
            backbone.train()(torch.cat([image_tensor(100 + i, (96, 96)) for i in range(8)]))
        cells = partition_of(12)
        head = VonMisesFisherHead(backbone.feature_dim, torch.from_numpy(cells.centers_deg))
        with torch.no_grad():
            deviation = head.mixture_weights(backbone.eval()(image_tensor(1, (96, 96)))).std()
        head.mixture_weights.weight.data /= deviation
    purpose = f"Nothing at all: {title} is random."
    return GeoModel(
        backbone, head, cells, Preprocess(size_px=96), name=title, title=title, purpose=purpose, rule=rule, device="cpu"
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with "deep" (32 blocks, a gallery), "residual" (4 stages) and "broken" (half of a file)."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GEOEXPLAIN_HOME", str(home))
        deep = random_network("efficientnet_b4", "Deep network", LocalizableRule(200, 0.9))
        residual = random_network("resnet18", "Residual network", LocalizableRule(2500, 0.05))
        gallery = write_gallery_of(deep, home / "photos.h5")
        for name, model, photos in (("deep", deep, gallery), ("residual", residual, None), ("broken", residual, None)):
            folder = tmp_path_factory.mktemp(name)
            saved(model, folder)
            registry.add_model(name, folder, "geoexplain", photos)
        file = zoo.model_file("broken")
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        yield home


@pytest.fixture(scope="module")
def models(home: Path) -> Models:
    return Models(BUNDLED, device="cpu")


@pytest.fixture(scope="module")
def url(models: Models, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_studio(models, tmp_path_factory.mktemp("uploads")) as url:
        yield url


@pytest.fixture(scope="module")
def deep(chromium: Browser, url: str) -> Iterator[tuple[Page, Heard]]:
    """A page on which the model with 32 blocks and a gallery has answered for the first example."""
    heard = Heard()
    with listened_page(chromium, heard) as page:
        open_studio(page, url)
        switch_model(page, "deep")
        choose_example(page, 0)
        yield page, heard


def chosen(page: Page) -> str:
    return str(page.input_value(".ge-model-choice"))


def test_the_menu_offers_what_is_ready_and_says_how_to_get_the_rest(page: Page, url: str) -> None:
    open_studio(page, url)
    rows = zoo.models()
    options = page.eval_on_selector_all(".ge-model-choice option", "options => options.map(o => [o.value, o.text])")
    assert options == [[row.name, row.title] for row in rows if row.ready]
    assert chosen(page) == BUNDLED
    missing = [row for row in rows if not row.ready]
    expect(page.locator(".ge-missing summary")).to_have_text(f"{len(missing)} more models, not there yet")
    expect(page.locator(".ge-missing dd").first).to_be_hidden()
    page.click(".ge-missing summary")
    assert page.locator(".ge-missing dt").all_inner_texts() == [row.title for row in missing]
    assert page.locator(".ge-missing dd").all_inner_texts() == [row.note for row in missing]


def test_another_model_answers_for_the_image_that_is_shown(page: Page, url: str, models: Models) -> None:
    open_studio(page, url)
    choose_example(page, 3)
    use_preset(page, "combi-cam")
    expect(page.locator(".ge-tile")).to_have_count(16)

    switch_model(page, "residual")
    network = models["residual"].model
    explanation = geoexplain.explain(examples()[3].file, network)
    expect(page.locator(".ge-purpose")).to_have_text(network.purpose)
    rows = page.locator(".ge-answer tbody tr").evaluate_all("rows => rows.map(r => Number(r.dataset.cell))")
    assert rows == explanation.prediction.top(5)
    assert f"Truth: {examples()[3].title}" in page.inner_text(".ge-facts")
    # The preset stays, and stands for the stages of the other network.
    expect(page.locator(".ge-tile")).to_have_count(8)
    expect(page.locator("[data-preset=combi-cam]")).to_have_attribute("aria-pressed", "true")
    assert_shows(pixels(page, "combi-cam"), explanation.combi_cam().values)
    use_preset(page, "combi-cam-all")
    expect(page.locator(".ge-tile")).to_have_count(4)
    assert_shows(pixels(page, "combi-cam"), explanation.combi_cam((1,) * 4, level="stage", how="max").values)

    second = explanation.prediction.top(2)[1]
    page.locator(".ge-answer tbody tr").nth(1).click()
    page.wait_for_selector(f".ge-answer tr[data-cell='{second}'][aria-selected=true]", timeout=SLOW_MS)
    choose_example(page, 4)  # the next image is for the chosen model, too
    assert page.get_attribute(".ge-explanation", "data-model") == "residual"
    assert_shows(pixels(page, "grad-cam"), geoexplain.explain(examples()[4].file, network).heatmap("grad-cam").values)


def test_all_blocks_of_a_deep_network(deep: tuple[Page, Heard], models: Models) -> None:
    page, _ = deep
    use_preset(page, "combi-cam")
    expect(page.locator(".ge-tile")).to_have_count(32)
    explanation = geoexplain.explain(examples()[0].file, models["deep"].model)
    assert_shows(pixels(page, "combi-cam"), explanation.combi_cam().values)
    expect(page.locator(".ge-tile").last).to_contain_text("Block 32")
    expect(page.locator(".ge-tile").last).to_contain_text("stage\u00a07")
    use_preset(page, "combi-cam-shallow")
    expect(page.locator("[data-panel=combi-cam] .ge-note")).to_have_text("3 of 7 stages")


def test_a_model_belongs_to_the_page_that_chose_it(chromium: Browser, url: str, models: Models) -> None:
    with listened_page(chromium, Heard()) as one, listened_page(chromium, Heard()) as two:
        for page in (one, two):
            open_studio(page, url)
        switch_model(one, "residual")
        for page in (two, one):
            choose_example(page, 6)
        assert [chosen(page) for page in (one, two)] == ["residual", BUNDLED]
        for page, name in ((one, "residual"), (two, BUNDLED)):
            explanation = geoexplain.explain(examples()[6].file, models[name].model)
            assert_shows(pixels(page, "grad-cam"), explanation.heatmap("grad-cam").values)
        one.reload()
        one.wait_for_selector("button[data-example]")
        assert chosen(one) == BUNDLED


def test_quick_choices_end_with_the_last_of_each(page: Page, url: str, models: Models) -> None:
    open_studio(page, url)
    choose_example(page, 0)
    page.click("button[data-example='5']")
    page.select_option(".ge-model-choice", "deep")
    page.click("button[data-example='7']")
    switch_model(page, "residual")
    page.wait_for_function(
        "title => document.querySelector('.ge-facts').textContent.includes(`Truth: ${title}`)",
        arg=examples()[7].title,
        timeout=SLOW_MS,
    )
    expect(page.locator(".ge-status")).to_have_text("")
    explanation = geoexplain.explain(examples()[7].file, models["residual"].model)
    assert_shows(pixels(page, "grad-cam"), explanation.heatmap("grad-cam").values)
    assert chosen(page) == page.get_attribute(".ge-explanation", "data-model") == "residual"


def test_an_answer_on_its_way_does_not_take_back_what_was_chosen_since(
    page: Page, url: str, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = threading.Semaphore(1)

    def explain_when_allowed(*args: Any, **options: Any) -> geoexplain.Explanation:
        assert allowed.acquire(timeout=SLOW_MS / 1000)
        return geoexplain.explain(*args, **options)

    monkeypatch.setattr("geoexplain.studio.handlers.explain", explain_when_allowed)
    open_studio(page, url)
    choose_example(page, 0)
    for index in (5, 7):
        page.click(f"button[data-example='{index}']")
        page.wait_for_selector(f"#image img[src*='{examples()[index].file.name}']", timeout=SLOW_MS)
    allowed.release()
    expect(page.locator(".ge-facts")).to_contain_text(f"Truth: {examples()[5].title}", timeout=SLOW_MS)
    page.select_option(".ge-model-choice", "residual")  # while the answer about the other example is on its way
    allowed.release(2)
    page.wait_for_selector(".ge-explanation[data-model=residual]", timeout=SLOW_MS)
    assert f"Truth: {examples()[7].title}" in page.inner_text(".ge-facts")
    assert examples()[7].file.name in page.get_attribute("#image img", "src")


def test_a_model_that_cannot_be_loaded_changes_nothing(page: Page, url: str, models: Models) -> None:
    open_studio(page, url)
    choose_example(page, 2)
    page.select_option(".ge-model-choice", "broken")
    toast = page.locator(".toast-body")
    expect(toast).to_have_count(1, timeout=SLOW_MS)
    assert "Traceback" not in toast.inner_text()
    assert "/" not in toast.inner_text()
    expect(page.locator(".ge-model-choice")).to_have_value(BUNDLED)
    expect(page.locator(".ge-status")).to_have_text(REFUSED["words"])
    expect(page.locator(".ge-purpose")).to_have_text(models[BUNDLED].model.purpose)

    second = geoexplain.locate(examples()[2].file, models[BUNDLED].model).top(2)[1]
    page.locator(".ge-answer tbody tr").nth(1).click()
    page.wait_for_selector(f".ge-answer tr[data-cell='{second}'][aria-selected=true]", timeout=SLOW_MS)


def test_a_model_that_is_added_is_offered_to_the_next_page(page: Page, url: str, tmp_path: Path) -> None:
    saved(random_network("resnet18", "Latecomer", LocalizableRule()), tmp_path)
    registry.add_model("late", tmp_path, "geoexplain")
    try:
        open_studio(page, url)
        expect(page.locator(".ge-model-choice option[value=late]")).to_have_text("Latecomer")
    finally:
        registry.remove_model("late")


# ---- Search within Cell


def test_the_photos_found_stand_beside_the_answer(deep: tuple[Page, Heard], models: Models) -> None:
    page, heard = deep
    loaded = models["deep"]
    found = geoexplain.locate(examples()[0].file, loaded.model, search=loaded.search)
    without = geoexplain.locate(examples()[0].file, loaded.model)
    assert found.neighbours is not None
    items = page.locator(".ge-neighbours li")
    expect(items).to_have_count(len(found.neighbours.rows))
    assert items.locator(".ge-where").all_inner_texts() == [
        position(lat, lon, 4) for lat, lon in found.neighbours.positions_deg
    ]
    assert items.locator("b").all_inner_texts() == [
        decimal(similarity, 3) for similarity in found.neighbours.similarity
    ]
    marked = items.evaluate_all("items => items.map(item => item.dataset.chosen === 'true')")
    assert marked == found.neighbours.chosen.tolist()
    expect(page.locator(".ge-search-words")).to_contain_text(f"{kilometres(found.neighbours.moved_km)} from the centre")
    assert page.locator(".ge-facts li").first.inner_text() == (
        f"{position(found.lat_deg, found.lon_deg, 3)} (search within cell)"
    )

    requests = len(heard.urls)
    frame = page.query_selector("#map iframe").content_frame()
    legend = frame.locator(".geoexplain-legend")
    expect(legend).to_contain_text("photos of the chosen cluster")
    page.get_by_role("switch").click()
    expect(legend).not_to_contain_text("photos of the chosen cluster")
    assert (
        page.locator(".ge-facts li").first.inner_text() == f"{position(without.lat_deg, without.lon_deg)} (cell centre)"
    )
    expect(page.get_by_role("button", name="Show on map")).to_be_disabled()
    page.get_by_role("switch").click()
    expect(legend).to_contain_text("photos of the chosen cluster")
    zoom = "Object.values(window).find(value => value && value.getCenter && value.getZoom).getZoom()"
    before = frame.evaluate(zoom)
    page.get_by_role("button", name="Show on map").click()
    frame.wait_for_function(f"{zoom} > {before}")
    assert len(heard.urls) == requests


def test_what_is_switched_off_stays_off_for_the_next_image(page: Page, url: str) -> None:
    open_studio(page, url)
    choose_example(page, 0)
    expect(page.locator(".ge-search")).to_be_hidden()  # the bundled model has no gallery
    switch_model(page, "deep")
    page.get_by_role("switch").click()
    choose_example(page, 8)
    expect(page.locator(".ge-facts li").first).to_contain_text("(cell centre)")
    frame = page.query_selector("#map iframe").content_frame()
    expect(frame.locator(".geoexplain-legend")).to_contain_text("predicted point")
    expect(frame.locator(".geoexplain-legend")).not_to_contain_text("photos")
    page.get_by_role("switch").click()
    expect(page.locator(".ge-facts li").first).to_contain_text("(search within cell)")


# ---- localizable when …


def test_another_rule_needs_no_request(deep: tuple[Page, Heard], models: Models) -> None:
    page, heard = deep
    model = models["deep"].model
    prediction = geoexplain.locate(examples()[0].file, model)

    def expect_verdict(scale_km: float, threshold: float) -> None:
        density = prediction_density(prediction.probabilities, model.partition, prediction.cell, scale_km)
        words = "Localizable" if density > threshold else "Not localizable"
        expect(page.locator(".ge-verdict")).to_have_text(words)
        expect(page.locator(".ge-why")).to_contain_text(f"{percent(density)} of the probability in cells")
        expect(page.locator(".ge-why")).to_contain_text(f"in cells centred within {scale_km:,g} km of the best one")
        expect(page.locator(".ge-why")).to_contain_text(f"more than {100 * threshold:g} % is needed")
        expect(page.locator(".ge-curve-dot")).to_have_attribute("data-sure", str(density > threshold).lower())

    if page.get_attribute(".ge-rule", "open") is None:
        page.locator(".ge-verdict-line").click()
    requests = len(heard.urls)
    expect_verdict(200, 0.9)
    expect(page.locator(".ge-reset")).to_be_hidden()
    share = float(prediction.probabilities[prediction.cell])
    for threshold in (round(share - 0.02, 2), round(share + 0.02, 2), 0.0, 1.0):
        set_control(page, ".ge-threshold input", threshold)
        expect_verdict(200, threshold)
    expect(page.locator("[data-scale='200']")).to_have_attribute("aria-pressed", "true")
    # Twelve cells are thousands of kilometres wide: of what is finer only the model's own scale is offered.
    for scale_km in (1, 25, 750, 2500):
        assert scale_km < prediction.cell_width_km
        expect(page.locator(f"[data-scale='{scale_km}']")).to_be_hidden()
        page.fill(".ge-scale input", str(scale_km))
        expect_verdict(scale_km, 1.0)
    set_control(page, ".ge-threshold input", 0.35)
    for scale_km in (0, 4567, 12345, 20100):
        page.fill(".ge-scale input", str(scale_km))
        expect_verdict(scale_km, 0.35)
    for nonsense in ("", "-3", "20101", "1e9"):  # the last scale stays
        page.fill(".ge-scale input", nonsense)
        expect(page.locator(".ge-scale input")).to_have_attribute("aria-invalid", "true")
        expect_verdict(20100, 0.35)
    page.locator(".ge-reset").click()
    expect_verdict(200, 0.9)
    expect(page.locator(".ge-scale input")).to_have_value("200")
    assert len(heard.urls) == requests


def test_a_rule_stays_for_the_next_image_and_goes_with_the_model(page: Page, url: str) -> None:
    open_studio(page, url)
    choose_example(page, 0)
    page.locator(".ge-verdict-line").click()
    page.click("[data-scale='2500']")
    choose_example(page, 1)
    expect(page.locator(".ge-why")).to_contain_text("within 2,500 km")
    switch_model(page, "deep")
    expect(page.locator("[data-scale='200']")).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".ge-why")).to_contain_text("more than 90 % is needed")


# ---- scripts


def test_scripts_name_the_model_and_the_rule(url: str, models: Models, tmp_path: Path) -> None:
    client = Client(url, verbose=False, download_files=str(tmp_path))
    file = handle_file(examples()[0].file)
    record = client.predict(file, api_name="/locate")
    assert (record["model"], record["search_within_cell"]) == (BUNDLED, None)
    loaded = models["deep"]
    record = client.predict(file, model="deep", scale_km=750, threshold=0.01, api_name="/locate")
    expected = geoexplain.locate(
        examples()[0].file, loaded.model, rule=LocalizableRule(750, 0.01), search=loaded.search
    )
    assert record["model"] == "deep"
    assert record["rule"] == {"scale_km": 750, "threshold": 0.01}
    assert record["density_at_scale"] == pytest.approx(expected.density)
    assert record["density_by_area"] == pytest.approx({str(km): one for km, one in expected.density_by_area.items()})
    for name in ("half_radius_km", "radius_90_km", "cell_width_km"):
        assert record[name] == pytest.approx(getattr(expected, name), rel=1e-4)
    assert record["localizable"] is True
    assert record["latitude"] == pytest.approx(expected.lat_deg)
    assert len(record["search_within_cell"]["neighbours"]) == len(expected.neighbours.rows)
    assert client.predict(file, model="deep", search=False, api_name="/locate")["search_within_cell"] is None
    for name in ("certh-b4-mvmf", "<b>nobody</b>", "broken", "../deep"):
        with pytest.raises(AppError) as refusal:
            client.predict(file, model=name, api_name="/locate")
        assert "nobody" not in str(refusal.value)


# ---- looks


@pytest.mark.parametrize(("theme", "width"), [("light", 1400), ("dark", 820), ("dark", 390)], ids=str)
def test_everything_at_once_fits(chromium: Browser, url: str, theme: str, width: int) -> None:
    options: dict[str, Any] = {"viewport": {"width": width, "height": 900}}
    with listened_page(chromium, Heard(), **options) as page:
        open_studio(page, url, theme)
        switch_model(page, "deep")
        choose_example(page, 0)
        page.locator(".ge-verdict-line").click()
        page.click(".ge-missing summary")
        use_preset(page, "combi-cam")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        overflowing = page.evaluate(
            """width => [...document.querySelectorAll("[class^=ge-], [class^=ge-] *")].filter((element) => {
                const {left, right} = element.getBoundingClientRect();
                const scroller = element.closest(".ge-beside");  // one line that people scroll
                return (right > width + 1 || left < -1) && (!scroller || scroller === element);
            }).map((element) => element.className.baseVal ?? (element.className || element.tagName))""",
            width,
        )
        assert overflowing == []
        # Neither a slider nor a switch pushes what is below it around.
        below = "() => document.querySelector('.ge-explanation').getBoundingClientRect().top + scrollY"
        tops = [page.evaluate(below)]
        for threshold in (0.0, 0.35, 1.0):
            set_control(page, ".ge-threshold input", threshold)
            tops.append(page.evaluate(below))
        assert set(tops) == {tops[0]}
        ink = page.evaluate("getComputedStyle(document.querySelector('.ge-where')).color")
        assert (sum(map(int, re.findall(r"\d+", ink)[:3])) > 3 * 128) == (theme == "dark")
        nameless = page.evaluate(
            """() => [...document.querySelectorAll("[class^=ge-] :is(button, input, select)")]
                .filter((e) => !(e.ariaLabel || e.innerText.trim() || e.labels?.[0]?.innerText.trim() || e.hidden))
                .filter((e) => e.checkVisibility()).map((e) => e.outerHTML)"""
        )
        assert nameless == []


def test_maps_of_the_random_networks_are_worth_comparing(models: Models) -> None:
    # Or else every comparison of pixels above would be one of flat maps.
    for name in ("deep", "residual"):
        explanation = geoexplain.explain(examples()[0].file, models[name].model)
        assert not explanation.combi_cam().flat
        assert len(np.unique(explanation.heatmap("grad-cam").values)) > 1000
