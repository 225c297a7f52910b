"""The network and the image that the benchmarks explain, the same in every process."""

import argparse
import os

import numpy as np
import torch
from torch import Tensor

from geoexplain.geography.partition import Partition
from geoexplain.images import Preprocess
from geoexplain.locator.backbone import create_backbone
from geoexplain.locator.heads import VonMisesFisherHead
from geoexplain.locator.memory import reuse_freed_memory
from geoexplain.locator.model import GeoModel
from geoexplain.locator.zoo import load_model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose network, image size and threads."""
    parser.add_argument("--model", choices=("random", "bundled"), default="random")
    parser.add_argument("--cells", type=int, default=2000, help="cells of the random model")
    parser.add_argument("--size", type=int, nargs=2, default=(224, 224), metavar=("H", "W"))
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))


def as_options(args: argparse.Namespace) -> list[str]:
    """Return the same choice as command-line options, for another process."""
    size = [str(side) for side in args.size]
    return ["--model", args.model, "--cells", str(args.cells), "--threads", str(args.threads), "--size", *size]


def random_model(cells: int) -> GeoModel:
    """Return EfficientNet-B0 with untrained weights; times do not depend on them."""
    torch.manual_seed(0)
    centers = np.stack([np.linspace(-80, 80, cells), np.linspace(-170, 170, cells)], axis=-1)
    partition = Partition("random", tuple(f"cell {i}" for i in range(cells)), centers)
    backbone = create_backbone("efficientnet_b0")
    head = VonMisesFisherHead(backbone.feature_dim, torch.from_numpy(centers))
    return GeoModel(backbone, head, partition, Preprocess(size_px=224), name="random", device="cpu")


def model_and_image(args: argparse.Namespace) -> tuple[GeoModel, Tensor]:
    torch.set_num_threads(args.threads)
    reuse_freed_memory()  # as the command line and the studio do; it helps the other packages as well
    model = random_model(args.cells) if args.model == "random" else load_model(device="cpu")
    height, width = args.size
    return model, torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(1))
