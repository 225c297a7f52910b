"""Compare the evaluation of photos with a bare loop of the network over their tensors, in one run.

    python -m benchmarks.bench_evaluate

The photos are generated JPEGs of four shapes. The loops get them decoded, resized and stacked in advance, in the same
batches that the evaluation forms: one loop gets the tensors as `Preprocess.tensor` returns them, one with channels
last. The evaluation starts from the files and ends with its table on disk. Repeats are interleaved, and medians are
compared.
"""

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.subject import add_arguments
from geoexplain.evaluation.batches import BATCHES_HELD, by_shape, network_input, read_sample
from geoexplain.evaluation.photos import BATCH, PhotoQuestion, evaluate_photos
from geoexplain.geography.partition import Partition
from geoexplain.images import Preprocess
from geoexplain.locator.backbone import create_backbone
from geoexplain.locator.heads import VonMisesFisherHead
from geoexplain.locator.memory import reuse_freed_memory
from geoexplain.locator.model import GeoModel
from geoexplain.locator.zoo import load_model
from geoexplain.photos import Manifest, Photo

SHAPES_PX = ((500, 375), (375, 500), (500, 333), (400, 400))
REFERENCE = "bare loop, tensors as preprocessed"
CHANNELS_LAST = "bare loop, channels last"
OURS = "geoexplain evaluate photos"


def generated_photo(file: Path, size: tuple[int, int], rng: np.random.Generator) -> None:
    """Write a JPEG of smooth colours and some noise, which takes about as long to decode as a photo."""
    width, height = size
    coarse = Image.fromarray(rng.integers(0, 256, (height // 12, width // 12, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC)).astype(int)
    noisy = np.clip(smooth + rng.integers(-12, 13, (height, width, 3)), 0, 255)
    Image.fromarray(noisy.astype(np.uint8)).save(file, "JPEG", quality=90)


def generated_manifest(folder: Path, count: int) -> Manifest:
    rng = np.random.default_rng(0)
    photos = []
    for i in range(count):
        file = folder / f"{i}.jpg"
        generated_photo(file, SHAPES_PX[i % len(SHAPES_PX)], rng)
        photos.append(Photo(file.name, file, float(rng.uniform(-80, 80)), float(rng.uniform(-180, 180))))
    return Manifest(tuple(photos))


def published_size() -> GeoModel:
    """Return EfficientNet-B4 with 31,145 cells, the size of the published photo model, with untrained weights."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    centers = np.stack([rng.uniform(-80, 80, 31_145), rng.uniform(-180, 180, 31_145)], axis=-1)
    backbone = create_backbone("efficientnet_b4")
    head = VonMisesFisherHead(backbone.feature_dim, torch.from_numpy(centers))
    cells = Partition("random", tuple(f"cell {i}" for i in range(len(centers))), centers)
    return GeoModel(backbone, head, cells, Preprocess(size_px=300), name="published size", device="cpu")


def batches_of(model: GeoModel, manifest: Manifest, batch: int) -> list[Tensor]:
    """Return all photos as network inputs, channels last, in the batches that the evaluation forms."""
    samples = (read_sample(i, photo.file, model.preprocess, 1) for i, photo in enumerate(manifest.photos))
    return [
        network_input([s.pixels for s in some if s.pixels is not None], model.preprocess, model.device)
        for some in by_shape(samples, batch, BATCHES_HELD * batch)
    ]


def measure(model: GeoModel, manifest: Manifest, images: Path, batch: int, repeats: int) -> dict[str, float]:
    """Return the median seconds of every contestant; repeats are interleaved after one unmeasured round."""
    last = batches_of(model, manifest, batch)
    first = [x.contiguous() for x in last]

    def loop(inputs: list[Tensor]) -> None:
        for x in inputs:
            model.logits(x)

    def evaluate() -> None:
        with tempfile.TemporaryDirectory() as out:
            evaluate_photos(model, manifest, images, PhotoQuestion(model.rule, batch=batch), Path(out))

    contestants: dict[str, Callable[[], None]] = {
        REFERENCE: lambda: loop(first),
        CHANNELS_LAST: lambda: loop(last),
        OURS: evaluate,
    }
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for round_ in range(repeats + 1):
        for name, run in contestants.items():
            start = time.perf_counter()
            run()
            if round_:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_evaluate", description=__doc__)
    add_arguments(parser)
    parser.set_defaults(model="bundled")
    parser.add_argument("--published-size", action="store_true", help="EfficientNet-B4 with 31,145 cells instead")
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    reuse_freed_memory()
    model = published_size() if args.published_size else load_model(device="cpu")
    with tempfile.TemporaryDirectory() as name:
        images = Path(name)
        seconds = measure(model, generated_manifest(images, args.images), images, args.batch, args.repeats)
    print(
        f"{model.name}, {len(model.partition)} cells, {args.images} generated photos, batch {args.batch}, "
        f"{args.threads} threads, {platform.machine()}, torch {torch.__version__}, medians of {args.repeats}\n"
    )
    print("| what | images/s | × bare loop | × channels last |\n|---|---:|---:|---:|")
    for what, value in seconds.items():
        print(
            f"| {what} | {args.images / value:.1f} | {seconds[REFERENCE] / value:.2f} "
            f"| {seconds[CHANNELS_LAST] / value:.2f} |"
        )


if __name__ == "__main__":
    main()
