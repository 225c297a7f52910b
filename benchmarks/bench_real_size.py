"""Measure adding, loading and explaining, memory and map of a model of CERTH's size (EfficientNet-B4, 31,145 cells).

    python -m benchmarks.bench_real_size

The weights are random, since the real ones may not be redistributed; no figure here depends on them. Loading runs in
separate processes; their peak memory includes Python and PyTorch.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from benchmarks.bench_explain import CONTESTANTS, OURS_BLOCKS, REFERENCE, measure, report
from geoexplain.explainer.explanation import Explanation, explain
from geoexplain.locator.memory import reuse_freed_memory
from geoexplain.locator.model import GeoModel
from geoexplain.locator.registry import add_model
from geoexplain.locator.zoo import load_model
from geoexplain.view.worldmap import save_world_map, world_map_html
from tests.conftest import FLAGS, executable
from tests.golden.checkpoints import certh_folder, spec
from tests.golden.golden import image

NAME = "certh-b4-mvmf"
CELLS = 31_145
HEIGHT, WIDTH = 300, 400
UNFOLDED = "the same on the network as it was trained, not folded"
COMBI_CAM = "geoexplain, Combi-CAM as published, finished"

LOAD_AND_EXPLAIN = """
import json, sys, time
import torch
from PIL import Image
from geoexplain.explainer.explanation import explain
from geoexplain.locator.memory import reuse_freed_memory
from geoexplain.locator.zoo import load_model

def memory_mib(field):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024

torch.set_num_threads(int(sys.argv[2]))
reuse_freed_memory()
imported = memory_mib("VmHWM")
begun = time.perf_counter()
model = load_model(sys.argv[1], "cpu")
load_s = time.perf_counter() - begun
loaded = memory_mib("VmHWM")
explain(Image.effect_noise((400, 300), 90).convert("RGB"), model).combi_cam()
print(json.dumps([load_s, imported, loaded, memory_mib("VmHWM")]))
"""

# Drags the map from side to side and records the time of every frame.
PAN = """async () => {
    const map = document.querySelector('.leaflet-container');
    const box = map.getBoundingClientRect();
    const at = (kind, x) => (kind === 'mousedown' ? map : document).dispatchEvent(new MouseEvent(kind, {
        bubbles: true, clientX: box.left + x, clientY: box.top + box.height / 2, button: 0, buttons: 1 }));
    const frames = [];
    let last = performance.now();
    at('mousedown', box.width / 2);
    for (let step = 0; step < 90; step += 1) {
        at('mousemove', box.width / 2 + 200 * Math.sin(step / 8));
        await new Promise(requestAnimationFrame);
        frames.push(performance.now() - last);
        last = performance.now();
    }
    at('mouseup', box.width / 2);
    frames.sort((a, b) => a - b);
    return [frames[45], frames[85]];
}"""


def main() -> None:
    """Measure and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    reuse_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GEOEXPLAIN_HOME"] = str(Path(folder) / "home")
        source = Path(folder) / "certh"
        source.mkdir()
        certh_folder(source, CELLS)
        begun = time.perf_counter()
        add_model(NAME, source)
        add_s = time.perf_counter() - begun
        loads = [load_and_explain(args.threads) for _ in range(3)]
        load_s, imported, loaded, explained = sorted(loads)[1]
        model = load_model(NAME, "cpu")
        explanation = explain(Image.fromarray(image(spec("certh_b4")["seed"], HEIGHT, WIDTH)), model)
        rows = [
            ("adding: checking, naming 31,145 cells, converting", f"{add_s:.1f} s"),
            ("loading, median of 3 processes", f"{load_s:.2f} s"),
            ("memory after importing", f"{imported:.0f} MiB"),
            ("peak memory after loading", f"{loaded:.0f} MiB"),
            (f"peak memory after explaining an image of {WIDTH}×{HEIGHT}", f"{explained:.0f} MiB"),
            *map_rows(model, explanation, Path(folder)),
        ]
        print("| what | |\n|---|---:|")
        print("\n".join(f"| {what} | {value} |" for what, value in rows))
        names = ["bare forward", REFERENCE, UNFOLDED, OURS_BLOCKS, COMBI_CAM]
        assert set(names) <= set(CONTESTANTS)
        print(f"\nimage {WIDTH}×{HEIGHT}, {args.threads} threads, medians of {args.repeats} interleaved repeats\n")
        print(report(measure(model, explanation.tensor, args.repeats, names), {}))


def load_and_explain(threads: int) -> tuple[float, float, float, float]:
    """Return the seconds to load, and the peak MiB of a process after importing, loading and explaining."""
    command = [sys.executable, "-c", LOAD_AND_EXPLAIN, NAME, str(threads)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
    return tuple(json.loads(run.stdout))


def map_rows(model: GeoModel, explanation: Explanation, folder: Path) -> list[tuple[str, str]]:
    """Return the size of the studio's map page, and how smoothly the map follows the mouse."""
    page = world_map_html(explanation.prediction, model.partition, leaflet_url="leaflet", world_url="world")
    save_world_map(folder / "map.html", explanation.prediction, model.partition)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(playwright), args=FLAGS)
        median_ms, slow_ms = pan(browser, folder / "map.html")
        browser.close()
    return [
        ("the studio's map of all cells, gzipped", f"{len(gzip.compress(page.encode())) / 1000:.0f} kB"),
        ("dragging that map, no GPU: median frame, 95th percentile", f"{median_ms:.0f} ms, {slow_ms:.0f} ms"),
    ]


def pan(browser: Browser, file: Path) -> list[float]:
    """Return the median and the 95th percentile of the milliseconds per frame while the map is dragged."""
    page = browser.new_page(viewport={"width": 900, "height": 500})
    page.goto(file.as_uri())
    page.wait_for_selector(".leaflet-container canvas")
    page.wait_for_timeout(1500)
    return page.evaluate(PAN)


if __name__ == "__main__":
    main()
