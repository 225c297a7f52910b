"""Measure time and peak memory of Score-CAM of the last stage by geoexplain and other packages, one process each.

python -m benchmarks.score_cams "geoexplain, Score-CAM"
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytorch_grad_cam
import torch
import torchcam.methods
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor

from benchmarks.subject import add_arguments, as_options, model_and_image
from geoexplain.explainer.cams import score_cam
from geoexplain.explainer.trace import trace
from geoexplain.locator.model import GeoModel

TARGET = 0


def last_block(model: GeoModel) -> torch.nn.Module:
    return model.network.backbone.blocks[-1]


def geoexplain_score_cam(model: GeoModel, image: Tensor) -> None:
    result = trace(model, image, TARGET, "logit")
    score_cam(model, image, result, result.stages[-1])


def grad_cam_package_score_cam(model: GeoModel, image: Tensor) -> None:
    with pytorch_grad_cam.ScoreCAM(model=model.network, target_layers=[last_block(model)]) as cam, torch.no_grad():
        cam(image, [ClassifierOutputTarget(TARGET)])


def torchcam_package_score_cam(model: GeoModel, image: Tensor) -> None:
    with torchcam.methods.ScoreCAM(model.network, last_block(model)) as cam, torch.no_grad():
        cam(TARGET, model.network(image))


SCORE_CAMS: dict[str, Callable[[GeoModel, Tensor], None]] = {
    "geoexplain, Score-CAM": geoexplain_score_cam,
    "grad-cam, Score-CAM": grad_cam_package_score_cam,
    "torchcam, Score-CAM": torchcam_package_score_cam,
}


def memory_mib(field: str) -> float:
    """Return VmRSS (current memory) or VmHWM (peak memory) of this process in MiB. Linux only."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    return float("nan")


def score_cam_alone(name: str, args: argparse.Namespace) -> dict[str, float]:
    """Run one Score-CAM in this process; return its seconds, and the MiB beyond those of the loaded model."""
    model, image = model_and_image(args)
    model.logits(image)
    before = memory_mib("VmRSS")
    start = time.perf_counter()
    SCORE_CAMS[name](model, image)
    return {"seconds": time.perf_counter() - start, "mib": memory_mib("VmHWM") - before}


def measure_score_cams(args: argparse.Namespace, repeats: int) -> dict[str, tuple[float, float]]:
    """Return the median seconds and MiB of every Score-CAM; each run has its own process, repeats are interleaved."""
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in SCORE_CAMS} if repeats else {}
    for _ in range(repeats):
        for name, rows in runs.items():
            command = [sys.executable, "-m", "benchmarks.score_cams", name, *as_options(args)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            rows.append(json.loads(done.stdout.splitlines()[-1]))
    return {
        name: (statistics.median(r["seconds"] for r in rows), statistics.median(r["mib"] for r in rows))
        for name, rows in runs.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.score_cams", description=__doc__)
    parser.add_argument("name", choices=SCORE_CAMS)
    add_arguments(parser)
    args = parser.parse_args()
    print(json.dumps(score_cam_alone(args.name, args)))


if __name__ == "__main__":
    main()
