"""The studio and an image that the model does not know: no answer, until somebody asks for it all the same."""

import io
from collections.abc import Iterator

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from geoexplain.view.gate_words import MEANING
from tests.browser.studio import SLOW_MS, open_studio, running_studio, set_control, upload
from tests.locator.gates import BLUE, RED, flat_picture, red_gate, red_model

pytestmark = pytest.mark.browser

SENTENCE = "This does not seem to be a red picture."
HIDDEN = ("#map iframe", ".ge-place", ".ge-facts", "#answer table", ".ge-explanation", ".ge-tabs", ".ge-trust-head")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_studio(red_model(red_gate()), tmp_path_factory.mktemp("uploads")) as url:
        yield url


def png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def test_a_picture_of_another_kind_has_no_answer_until_it_is_asked_for(page: Page, url: str) -> None:
    open_studio(page, url)
    upload(page, png(flat_picture(BLUE)))
    expect(page.locator(".ge-gate-words")).to_have_text(SENTENCE, timeout=SLOW_MS)
    expect(page.locator(".ge-gate-purpose")).to_have_text(f"{MEANING} It is for: Red pictures only.")
    for selector in HIDDEN:
        expect(page.locator(selector).first).to_be_hidden()
    page.click(".ge-gate button", timeout=SLOW_MS)
    for selector in HIDDEN:
        expect(page.locator(selector).first).to_be_visible()
    expect(page.locator(".ge-gate-words")).to_be_visible()  # it stays said
    expect(page.locator(".ge-gate button")).to_be_hidden()
    expect(page.locator(".ge-verdict")).to_have_text("Not localizable")
    # no setting makes it localizable
    page.click(".ge-more")
    set_control(page, ".ge-threshold input", 0)
    expect(page.locator(".ge-verdict")).to_have_text("Not localizable")
    # another cell of the same image stays open
    page.click("#answer tbody tr:nth-child(2)")
    expect(page.locator("#answer tbody tr:nth-child(2)")).to_have_attribute("aria-selected", "true", timeout=SLOW_MS)
    expect(page.locator(".ge-explanation")).to_be_visible()


def test_the_next_picture_is_judged_by_itself(page: Page, url: str) -> None:
    open_studio(page, url)
    upload(page, png(flat_picture(BLUE)))
    page.click(".ge-gate button", timeout=SLOW_MS)
    upload(page, png(flat_picture(RED)))
    expect(page.locator(".ge-verdict")).to_have_text("Localizable", timeout=SLOW_MS)
    expect(page.locator(".ge-gate")).to_be_hidden()
    expect(page.locator(".ge-facts")).to_be_visible()
    upload(page, png(flat_picture((20, 40, 200))))
    expect(page.locator(".ge-gate button")).to_be_visible(timeout=SLOW_MS)
    expect(page.locator(".ge-facts")).to_be_hidden()


def test_on_a_phone_the_verdict_is_on_the_screen(page: Page, url: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    open_studio(page, url)
    upload(page, png(flat_picture(BLUE)))
    expect(page.locator(".ge-gate-words")).to_be_in_viewport(timeout=SLOW_MS)
