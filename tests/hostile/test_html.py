"""Names from files of unknown origin are text, wherever the studio shows them: nothing in them runs."""

import io
from collections.abc import Iterator

import numpy as np
import pytest
import shapely
from PIL import Image
from playwright.sync_api import Browser, Page, expect

import geoexplain
from geoexplain.geography.partition import Partition
from geoexplain.geography.placetree import PlaceTree
from geoexplain.locator.model import GeoModel
from geoexplain.studio.examples import examples
from tests.browser.studio import choose_example, open_studio, running_studio, upload
from tests.conftest import Heard, listened_page
from tests.explainer.networks import random_model

pytestmark = pytest.mark.browser

PAYLOADS = (
    "<script>window.ran = 1; alert(1)</script>",
    "<img src=x onerror='window.ran = 2; alert(2)'>",
    "<svg onload='window.ran = 3; alert(3)'>",
    '"><iframe srcdoc="<script>parent.ran = 4; alert(4)</script>"></iframe>',
    "' autofocus onfocus='window.ran = 5; alert(5)' x='",
    "</script><script>window.ran = 6; alert(6)</script>",
    "<!--</script><script>window.ran = 7; alert(7)//",
    "<a href='javascript:window.ran = 8; alert(8)'>a place</a>",
    "${window.ran = 9, alert(9)}`${window.ran = 9, alert(9)}`",
    "{{ ''.__class__.__mro__ }}{% for x in (1,) %}<b onclick=alert(10)>{% endfor %}",
    "&lt;img src=x onerror=alert(11)&gt;<style>*{display:none}</style>",
    "\u2028\u2029\\u003cscript\\u003ewindow.ran = 12; alert(12)\\u003c/script\\u003e</style></textarea></title>",
)
FILE_NAMES = (
    "<img src=x onerror=alert(1)>.png",
    '"><svg onload=alert(2)>.png',
    "'-alert(3)-'.png",
    "${alert(4)}{{7*7}}.png",
)

ALIEN = """() => [...document.querySelectorAll("script, img, svg, iframe, style, a, b[onclick], [onerror], [onload]")]
    .filter((e) => !e.matches(".ge-curve"))
    .filter((e) => e.closest(".ge-answer, .ge-state, .ge-header, .geoexplain-label, .geoexplain-tip"))
    .map((e) => e.outerHTML)"""


def places_of(cells: int) -> PlaceTree:
    """Every cell in a place of its own, all in one, all with names from a stranger; one has a border."""
    borders = (shapely.box(-170, -80, 170, 80), *[None] * cells)
    names = (PAYLOADS[0], *PAYLOADS)
    return PlaceTree(PAYLOADS[5], names, names, np.array([-1] + [0] * cells), np.arange(1, cells + 1), borders)


@pytest.fixture(scope="module")
def model() -> GeoModel:
    harmless = random_model(len(PAYLOADS))
    cells = Partition(PAYLOADS[0], PAYLOADS, harmless.partition.centers_deg)
    return GeoModel(
        harmless.backbone,
        harmless.head,
        cells,
        harmless.preprocess,
        name=PAYLOADS[1],
        title=PAYLOADS[2],
        purpose=PAYLOADS[3],
        own_trees=(places_of(len(PAYLOADS)),),
        device="cpu",
    )


@pytest.fixture(scope="module")
def studio(model: GeoModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_studio(model, tmp_path_factory.mktemp("uploads")) as url:
        yield url


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page whose own fixture fails on any dialog; here nothing may have run in silence either."""
    with listened_page(chromium, Heard()) as page:
        yield page
        for frame in page.frames:
            assert frame.evaluate("typeof window.ran") == "undefined"
            assert frame.evaluate(ALIEN) == []


def test_every_label_is_shown_as_it_is_written(page: Page, studio: str, model: GeoModel) -> None:
    open_studio(page, studio)
    assert PAYLOADS[2] in page.inner_text(".ge-model")
    assert PAYLOADS[3] in page.inner_text(".ge-model")
    choose_example(page, 0)
    frame = page.query_selector("#map iframe").content_frame()
    frame.wait_for_selector(".geoexplain-label")
    seen = set()
    for cell, (label, (lat, lng)) in enumerate(zip(PAYLOADS, model.partition.centers_deg.tolist(), strict=True)):
        # As a click on the map does it.
        page.evaluate(
            """([source, point]) => {
                const frame = document.querySelector(source).contentWindow;
                const say = new frame.Function("point", "parent.postMessage(point, '*')");
                say({source: "geoexplain-map", ...point});
            }""",
            ["#map iframe", {"lat": lat, "lng": lng}],
        )
        page.wait_for_selector(f".ge-answer tr[data-cell='{cell}'][aria-selected=true]", timeout=60_000)
        name = page.locator(f".ge-answer tr[data-cell='{cell}'] .ge-name")
        assert name.evaluate("e => e.firstChild.data") == label
        expect(page.locator(".ge-state")).to_contain_text(label.replace("\u2028", "").replace("\u2029", "")[:20])
        assert label in page.get_attribute("[data-panel=image] img", "alt")
        seen |= set(frame.evaluate("[...document.querySelectorAll('.geoexplain-label-name')].map(e => e.textContent)"))
        for row in page.locator(".ge-answer tbody tr").all():
            row.hover()
    assert seen
    assert seen <= set(PAYLOADS)


def test_every_place_is_named_as_it_is_written(page: Page, studio: str, model: GeoModel) -> None:
    open_studio(page, studio)
    choose_example(page, 0)
    frame = page.query_selector("#map iframe").content_frame()
    cell = geoexplain.locate(examples()[0].file, model).cell
    expect(page.locator(".ge-place")).to_contain_text(PAYLOADS[cell][:12])
    for place, label in ((0, PAYLOADS[0]), (cell + 1, PAYLOADS[cell])):
        button = page.locator(f".ge-tree button[data-place='{place}']").first
        assert button.evaluate("e => e.firstChild.textContent") == label
        button.hover()
        button.click()
        page.wait_for_selector(f".ge-tree button[data-place='{place}'][aria-current=true]", timeout=60_000)
        frame.wait_for_function(
            """text => [...document.querySelectorAll(".geoexplain-legend-row")]
                .some((row) => row.lastChild.textContent === text)""",
            arg=f"{label}, being explained",
        )
        for other in page.locator(".ge-beside button").all():
            other.hover()


@pytest.mark.parametrize("name", FILE_NAMES)
def test_a_file_name_is_nothing_but_a_name(page: Page, studio: str, name: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (70, 64), (30, 90, 160)).save(buffer, "PNG")
    open_studio(page, studio)
    upload(page, buffer.getvalue(), name)
    page.wait_for_selector(".ge-explanation[data-state=done]", timeout=60_000)
    page.locator("#image img").hover()
    upload(page, b"no image at all", name)
    page.wait_for_selector(".toast-body", timeout=60_000)
    assert name not in page.inner_text(".toast-body")
