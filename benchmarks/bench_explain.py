"""Compare explaining one image with the packages grad-cam and torchcam, in one run.

    python -m benchmarks.bench_explain

Every contestant gets the same network, image and cell, and explains the cell's logit. Repeats are interleaved, so that
a busy moment of the machine affects all of them; medians are compared. The other packages are used as their
documentation shows, on a network as it is loaded. They are measured again on a network with frozen parameters and an
image that requires a gradient, which saves them the gradients of the parameters. They attach their hooks within the
measured time, as a server has to per request when requests share a network; this is a small part of the time.
"""

import argparse
import contextlib
import copy
import io
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytorch_grad_cam
import torch
import torchcam.methods
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor

from benchmarks.score_cams import TARGET, measure_score_cams
from benchmarks.subject import add_arguments, model_and_image
from geoexplain.explainer.combine import combine
from geoexplain.explainer.table import COMBI_CAM, GRADIENT_CAM, kinds_of_family, stage_maps
from geoexplain.explainer.trace import trace
from geoexplain.explainer.tuned import presets
from geoexplain.locator.model import GeoModel

GRADIENT_METHODS = list(kinds_of_family(GRADIENT_CAM))
REFERENCE = "bare forward + gradient, to the first block"
OURS_BLOCKS = "geoexplain, 3 methods x all blocks"
OURS_STAGES = "geoexplain, 3 methods x all stages"
PEER_BLOCKS = "grad-cam, once per method, all blocks"
PEER_STAGES = "grad-cam, once per method, all stages"

Contestant = Callable[[GeoModel, Tensor], contextlib.AbstractContextManager[Callable[[], object]]]


def with_gradient(image: Tensor) -> Tensor:
    """Return the image with `requires_grad`, without which a frozen network propagates no gradients."""
    return image.clone().requires_grad_()


@contextmanager
def bare_forward(model: GeoModel, image: Tensor) -> Iterator[Callable[[], object]]:
    yield lambda: model.logits(image)


def bare_to_first_block(*, served: bool) -> Contestant:
    """Run only the arithmetic that any explanation needs, on the folded network (`served`) or on the trained one."""

    @contextmanager
    def contestant(model: GeoModel, image: Tensor) -> Iterator[Callable[[], object]]:
        backbone = model.backbone if served else model.network.backbone
        first, *others = backbone.blocks

        def run() -> object:
            with torch.no_grad():
                start = first(backbone.stem(image))
            x = start.requires_grad_()
            for block in others:
                x = block(x)
            return torch.autograd.grad(model.head(backbone.pool(x))[0, TARGET], start)

        yield run

    return contestant


@contextmanager
def bare_to_image(model: GeoModel, image: Tensor) -> Iterator[Callable[[], object]]:
    def run() -> object:
        start = with_gradient(image)
        return torch.autograd.grad(model.head(model.backbone(start))[0, TARGET], start)

    yield run


def geoexplain_maps(level: str) -> Contestant:
    @contextmanager
    def contestant(model: GeoModel, image: Tensor) -> Iterator[Callable[[], object]]:
        def run() -> object:
            result = trace(model, image, TARGET, "logit")
            return [stage_maps(result, method, level) for method in GRADIENT_METHODS]

        yield run

    return contestant


@contextmanager
def geoexplain_combi_cam(model: GeoModel, image: Tensor) -> Iterator[Callable[[], object]]:
    preset = presets()[COMBI_CAM]

    def run() -> object:
        result = trace(model, image, TARGET, "logit")
        maps = stage_maps(result, "grad-cam", preset.level)
        return combine(maps, preset.weights(len(maps)), preset.how, result.size_hw)

    yield run


@contextmanager
def separate_passes(model: GeoModel, image: Tensor) -> Iterator[Callable[[], object]]:
    """Run a whole forward and gradient pass for the Grad-CAM of every block, as published."""
    backbone = model.network.backbone
    blocks = backbone.blocks

    def run() -> object:
        maps = []
        for chosen in blocks:
            x = backbone.stem(with_gradient(image))
            for block in blocks:
                x = block(x)
                if block is chosen:
                    activation = x
            logit = model.head(backbone.pool(x))[0, TARGET]
            (gradient,) = torch.autograd.grad(logit, activation)
            maps.append((gradient.mean(dim=(2, 3), keepdim=True) * activation).sum(dim=1).relu().detach())
        return maps

    yield run


def peer_network(model: GeoModel, frozen: bool) -> tuple[torch.nn.Module, list[torch.nn.Module], list[torch.nn.Module]]:
    """Return a copy of the network, the last block of each stage, and all blocks, for another package."""
    network = copy.deepcopy(model.network).requires_grad_(not frozen)
    stages = [list(stage.children()) for stage in network.backbone.stages]
    return network, [blocks[-1] for blocks in stages], [block for blocks in stages for block in blocks]


def grad_cam_package(level: str, *, frozen: bool) -> Contestant:
    @contextmanager
    def contestant(model: GeoModel, image: Tensor) -> Iterator[Callable[[], object]]:
        network, stages, blocks = peer_network(model, frozen)
        layers = stages if level == "stage" else blocks

        def run() -> object:
            maps = []
            for cam_class in (pytorch_grad_cam.GradCAM, pytorch_grad_cam.GradCAMPlusPlus, pytorch_grad_cam.LayerCAM):
                # One after the other: hooks of several extractors would slow down each of them.
                with cam_class(model=network, target_layers=layers) as cam:
                    maps.append(cam(with_gradient(image) if frozen else image, [ClassifierOutputTarget(TARGET)]))
            return maps

        yield run

    return contestant


def torchcam_package(level: str, *, frozen: bool) -> Contestant:
    @contextmanager
    def contestant(model: GeoModel, image: Tensor) -> Iterator[Callable[[], object]]:
        network, stages, blocks = peer_network(model, frozen)
        layers = stages if level == "stage" else blocks

        def run() -> object:
            maps = []
            for cam_class in (torchcam.methods.GradCAM, torchcam.methods.GradCAMpp, torchcam.methods.LayerCAM):
                with cam_class(network, [*layers]) as cam:
                    maps.append(cam(TARGET, network(with_gradient(image) if frozen else image)))
            return maps

        yield run

    return contestant


CONTESTANTS: dict[str, Contestant] = {
    "bare forward": bare_forward,
    REFERENCE: bare_to_first_block(served=True),
    "the same on the network as it was trained, not folded": bare_to_first_block(served=False),
    "bare forward + gradient, to the image": bare_to_image,
    OURS_STAGES: geoexplain_maps("stage"),
    OURS_BLOCKS: geoexplain_maps("block"),
    "geoexplain, Combi-CAM as published, finished": geoexplain_combi_cam,
    PEER_STAGES: grad_cam_package("stage", frozen=False),
    PEER_BLOCKS: grad_cam_package("block", frozen=False),
    "torchcam, once per method, all stages": torchcam_package("stage", frozen=False),
    "torchcam, once per method, all blocks": torchcam_package("block", frozen=False),
    "grad-cam, the same on a frozen network, all blocks": grad_cam_package("block", frozen=True),
    "torchcam, the same on a frozen network, all blocks": torchcam_package("block", frozen=True),
    "separate passes, Grad-CAM x all blocks": separate_passes,
}


def measure(
    model: GeoModel, image: Tensor, repeats: int, names: Sequence[str] = tuple(CONTESTANTS)
) -> dict[str, float]:
    """Return the median seconds of the named contestants; repeats are interleaved after one unmeasured round."""
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for round_ in range(repeats + 1):
        for name in names:
            with CONTESTANTS[name](model, image) as run:
                start = time.perf_counter()
                run()
                if round_:
                    seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def report(seconds: dict[str, float], score_cams: dict[str, tuple[float, float]]) -> str:
    """Format one Markdown table and the two ratios to watch."""
    lines = io.StringIO()
    reference = seconds[REFERENCE]
    print("| what | ms | × bare forward + gradient | extra memory, MiB |\n|---|---:|---:|---:|", file=lines)
    for name, value in seconds.items():
        print(f"| {name} | {value * 1000:.1f} | {value / reference:.2f} | |", file=lines)
    for name, (value, mib) in score_cams.items():
        print(f"| {name} of the last stage | {value * 1000:.0f} | {value / reference:.0f} | {mib:.0f} |", file=lines)
    print(file=lines)
    for ours, peer in ((OURS_STAGES, PEER_STAGES), (OURS_BLOCKS, PEER_BLOCKS)):
        if peer not in seconds:
            continue
        print(
            f"{ours}: {seconds[ours] / reference:.2f} × the bare pass, "
            f"{seconds[peer] / seconds[ours]:.1f} × faster than {peer}",
            file=lines,
        )
    return lines.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_explain", description=__doc__)
    add_arguments(parser)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--score-cam-repeats", type=int, default=3, help="0 leaves Score-CAM out")
    args = parser.parse_args()
    model, image = model_and_image(args)
    print(
        f"{args.model} model, {len(model.partition)} cells, image {args.size[0]}×{args.size[1]}, "
        f"{args.threads} threads, {platform.machine()}, torch {torch.__version__}, "
        f"medians of {args.repeats} interleaved repeats\n"
    )
    print(report(measure(model, image, args.repeats), measure_score_cams(args, args.score_cam_repeats)))


if __name__ == "__main__":
    main()
