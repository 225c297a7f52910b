"""Time the studio as a user sees it: from its start to the first page, and from an image to everything shown.

    python -m benchmarks.bench_studio

Starts `app.py`, opens it in headless Chromium, and uploads pictures one after another: enlarged crops of the examples,
so that none is in the server's cache. Times are medians in seconds; the last column divides them by the time of one
bare forward and gradient pass of the same network, measured in the same run.
"""

import argparse
import io
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import torch
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from geoexplain.explainer.trace import trace
from geoexplain.images import open_image
from geoexplain.locator.zoo import load_model
from geoexplain.studio.examples import examples
from tests.conftest import FLAGS, executable

ROOT = Path(__file__).parents[1]
START_LIMIT_S = 120.0
SHOWN = """() => {
    const root = document.querySelector('.ge-explanation');
    const frame = document.querySelector('#map iframe');
    const ready = frame.contentDocument && frame.contentDocument.querySelector('.leaflet-container');
    return root.dataset.state === 'done' && Number(root.dataset.painted || 0) > window.paintedBefore && Boolean(ready);
}"""


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=8)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    args = parser.parse_args()
    port = _free_port()
    begun = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env={**os.environ, "GRADIO_SERVER_PORT": str(port), "OMP_NUM_THREADS": str(args.threads)},
        stdout=subprocess.DEVNULL,
    ) as server:
        try:
            _wait_for(port)
            rows = [("server start to first page", time.perf_counter() - begun)]
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=executable(playwright), args=FLAGS)
                page = browser.new_page(viewport={"width": 1360, "height": 900})
                page.goto(f"http://127.0.0.1:{port}/")
                page.wait_for_selector("button[data-example]")
                first, *others = [_upload(page, picture) for picture in _pictures(args.repeats + 1)]
                rows += [
                    ("first upload to everything shown", first),
                    ("later upload to everything shown", statistics.median(others)),
                    ("example clicked to everything shown", statistics.median(_click_examples(page, args.repeats))),
                ]
                browser.close()
        finally:
            server.terminate()
    unit = _forward_and_gradient(args.threads, args.repeats)
    print(f"{args.threads} threads, {args.repeats} repeats, bare forward + gradient {1000 * unit:.0f} ms\n")
    print(f"| {'what':<38} | seconds | x bare |")
    print(f"|{'-' * 40}|--------:|-------:|")
    for what, seconds in rows:
        print(f"| {what:<38} | {seconds:7.2f} | {seconds / unit:6.1f} |")


def _upload(page: Page, picture: bytes) -> float:
    page.evaluate("window.paintedBefore = Number(document.querySelector('.ge-explanation').dataset.painted || 0)")
    clear = page.locator("#image button[aria-label='Clear'], #image button[aria-label='Remove Image']")
    if clear.count():
        clear.first.click()
        page.wait_for_selector("#image input[type=file]", state="attached")
    begun = time.perf_counter()
    page.set_input_files("#image input[type=file]", {"name": "view.png", "mimeType": "image/png", "buffer": picture})
    page.wait_for_function(SHOWN, timeout=60_000)
    return time.perf_counter() - begun


def _click_examples(page: Page, count: int) -> list[float]:
    times = []
    for index in range(count):
        page.evaluate("window.paintedBefore = Number(document.querySelector('.ge-explanation').dataset.painted || 0)")
        begun = time.perf_counter()
        page.locator("button[data-example]").nth(index % len(examples())).click()
        page.wait_for_function(SHOWN, timeout=60_000)
        times.append(time.perf_counter() - begun)
    return times


def _pictures(count: int) -> list[bytes]:
    files = []
    for index in range(count):
        whole = open_image(examples()[index % len(examples())].file)
        cut = 40 + 5 * index
        buffer = io.BytesIO()
        whole.crop((cut, cut, 600, 600)).resize((1000, 1000), Image.Resampling.BICUBIC).save(buffer, "PNG")
        files.append(buffer.getvalue())
    return files


def _forward_and_gradient(threads: int, repeats: int) -> float:
    torch.set_num_threads(threads)
    model = load_model()
    tensor = model.tensor(open_image(examples()[0].file))
    times = []
    for _ in range(repeats + 2):
        begun = time.perf_counter()
        trace(model, tensor)
        times.append(time.perf_counter() - begun)
    return statistics.median(times[2:])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int) -> None:
    end = time.perf_counter() + START_LIMIT_S
    while time.perf_counter() < end:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2):
                return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"the studio did not answer within {START_LIMIT_S:.0f} s")


if __name__ == "__main__":
    main()
