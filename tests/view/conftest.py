"""A page in headless Chromium that forgives nothing: no console error, no dialog, no request to another host."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

LOCAL = ("http://127.0.0.1:", "file://", "data:", "about:")


@pytest.fixture
def chromium_page(chromium: Browser) -> Iterator[Page]:
    page = chromium.new_page(viewport={"width": 900, "height": 420})
    trouble: list[str] = []
    page.on("console", lambda message: trouble.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("requestfailed", lambda request: trouble.append(f"failed: {request.url}"))
    page.on("request", lambda request: None if request.url.startswith(LOCAL) else trouble.append(request.url))

    def refuse(dialog) -> None:
        trouble.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    page.on("dialog", refuse)
    yield page
    page.close()
    assert trouble == []
