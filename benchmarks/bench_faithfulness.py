"""Compare measuring the faithfulness of a heatmap with bare forward passes, in one run.

    python -m benchmarks.bench_faithfulness --model bundled

The bare passes take 100 images of the same size and layout, 16 at a time; the network runs without gradients in all
cases. Repeats are interleaved, and medians of CPU time are compared, since wall time says little on a shared machine.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from benchmarks.subject import add_arguments, model_and_image
from geoexplain.explainer.combine import Heatmap
from geoexplain.explainer.faithfulness import measure
from geoexplain.explainer.metrics import deletion, insertion, road
from geoexplain.explainer.subject import Subject, prepare_subject
from geoexplain.explainer.table import draw
from geoexplain.explainer.trace import trace
from geoexplain.locator.model import GeoModel

IMAGES = 100
CHUNK = 16
STEPS = 50
REFERENCE = f"{IMAGES} bare forward passes, {CHUNK} at a time"


def bare(model: GeoModel, batch: Tensor) -> None:
    for start in range(0, len(batch), CHUNK):
        model.logits(batch[start : start + CHUNK])


def contestants(model: GeoModel, image: Tensor) -> dict[str, Callable[[], object]]:
    traced = trace(model, image, None, "probability")
    looked_at = prepare_subject(model, image, traced.target)
    heatmap = draw("combi-cam", Subject(model, image, traced))

    def again(tensor: Tensor) -> Heatmap:
        return draw("combi-cam", Subject(model, tensor, trace(model, tensor, traced.target, "probability")))

    generator = torch.Generator().manual_seed(0)
    batch = torch.randn(IMAGES, *image.shape[1:], generator=generator).contiguous(memory_format=torch.channels_last)
    return {
        REFERENCE: partial(bare, model, batch),
        f"deletion and insertion of one map, {STEPS} steps": lambda: (
            deletion(looked_at, heatmap, STEPS),
            insertion(looked_at, heatmap, STEPS),
        ),
        "ROAD of one map, 5 shares": lambda: road(looked_at, heatmap),
        "all seven metrics of one map": lambda: measure(looked_at, heatmap, again, steps=STEPS),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_faithfulness", description=__doc__)
    add_arguments(parser)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    model, image = model_and_image(args)
    runs = contestants(model, image)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for round_ in range(args.repeats + 1):
        for name, run in runs.items():
            start = time.process_time()
            run()
            if round_:
                seconds[name].append(time.process_time() - start)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    height, width = args.size
    print(
        f"{args.model} model, image {height}×{width}, {args.threads} threads, {platform.machine()}, torch "
        f"{torch.__version__}, medians of {args.repeats} interleaved repeats\n"
    )
    print(f"| what | CPU seconds | × {REFERENCE} |\n|---|---:|---:|")
    for name, value in medians.items():
        print(f"| {name} | {value:.2f} | {value / medians[REFERENCE]:.2f} |")


if __name__ == "__main__":
    main()
