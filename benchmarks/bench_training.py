"""Time one step of training on views with and without the faster gradients of depthwise convolutions, in one run.

    python -m benchmarks.bench_training

Both networks start from the same weights and get the same synthetic batch. A step is forward and backward in bf16, the
loss, clipping, and the optimizer's step, without the rendering of views. Steps are interleaved, so that a busy moment
of the machine affects both; medians of the CPU time of the process are compared.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from geoexplain.locator.backbone import create_backbone
from geoexplain.locator.memory import reuse_freed_memory
from geoexplain.locator.model import Network
from geoexplain.training.depthwise import speed_up_depthwise
from geoexplain.training.heads import HEADS, Truth, build_network
from geoexplain.training.optimizer import make_optimizer, mixed_precision
from geoexplain.training.settings import VIEW_TRAINING, Training
from geoexplain.training.views import centers_partitioning

CELLS = 2000
PLAIN, FAST = "PyTorch's own gradients", "gradients as sums of small convolutions"


def made_network(settings: Training) -> Network:
    torch.manual_seed(0)
    cells = centers_partitioning(np.stack([np.linspace(-80, 80, CELLS), np.linspace(-170, 170, CELLS)], axis=-1))
    return (
        build_network(create_backbone(settings.architecture), settings.head, cells)
        .to(memory_format=torch.channels_last)
        .train()
    )


def made_step(
    network: Network, settings: Training, images: Tensor, positions: Tensor, *, compiled: bool
) -> Callable[[], None]:
    optimizer = make_optimizer(network, replace(settings, learning_rate=1e-4))
    run = torch.compile(network, dynamic=False) if compiled else network

    def step() -> None:
        with mixed_precision(images.device):
            logits = run(images)
        truth = Truth(torch.zeros(len(positions), 1, dtype=torch.int64), positions)
        loss = HEADS[settings.head].losses(network.head, [logits.float()], truth, settings.bandwidth_km).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), settings.gradient_clip or torch.inf)
        optimizer.step()

    return step


def main() -> None:
    settings = VIEW_TRAINING
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=96, metavar="PX")
    parser.add_argument("--batch", type=int, default=96)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--compile", action="store_true", help="compile both networks first, as --compile does")
    args, _ = parser.parse_known_args()
    torch.set_num_threads(args.threads)
    reuse_freed_memory()
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(args.batch, 3, args.size, args.size, generator=generator)
    images = images.contiguous(memory_format=torch.channels_last)
    positions = F.normalize(torch.randn(args.batch, 3, generator=generator), dim=1)
    steps = {}
    for name in (PLAIN, FAST):
        network = made_network(settings)
        if name == FAST:
            print(f"{speed_up_depthwise(network)} depthwise convolutions")
        steps[name] = made_step(network, settings, images, positions, compiled=args.compile)
        steps[name]()  # what is done once: compiling, allocating
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(args.repeats):
        for name, step in steps.items():
            begun = time.process_time()
            step()
            seconds[name].append(time.process_time() - begun)
    print(
        f"{settings.architecture}, {CELLS:,} cells, {args.batch} views of {args.size} px, {args.threads} "
        f"thread(s), {'compiled, ' if args.compile else ''}{platform.machine()}, torch {torch.__version__}, "
        f"medians of {args.repeats}\n"
    )
    median = {name: statistics.median(times) for name, times in seconds.items()}
    print("| a step of training with | CPU seconds | views per CPU second | × as fast |\n|---|---:|---:|---:|")
    for name, value in median.items():
        print(f"| {name} | {value:.2f} | {args.batch / value:.0f} | {median[PLAIN] / value:.2f} |")


if __name__ == "__main__":
    main()
