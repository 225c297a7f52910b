"""A network trained on photos → a model to ship: calibrated on validation photos, with its cells and their borders."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from geoexplain.errors import DataError
from geoexplain.geography.partition import Partition
from geoexplain.geography.partitioning import Partitioning
from geoexplain.locator.backbone import preprocess_for
from geoexplain.locator.checkpoints.native import describe, save_geoexplain
from geoexplain.locator.gate import Gate
from geoexplain.locator.heads import MultiPartitionHead, RetrievalEmbedding, VonMisesFisherHead
from geoexplain.locator.model import GeoModel, Network
from geoexplain.training.gate import fit_gate, gate_stages, image_statistics
from geoexplain.training.other_pictures import OtherPictures
from geoexplain.training.photo_batches import evaluation_batches
from geoexplain.training.photo_set import PhotoSet, evenly
from geoexplain.training.photo_validation import PRODUCT, answers, level_logits
from geoexplain.training.release import fit_temperature, fold_temperature

PURPOSE = "Photos like those it was trained on."

NO_TEMPERATURE = 1.0


@dataclass(frozen=True)
class Calibration:
    """By what logits are divided so that shares are probabilities.

    levels   one temperature > 0 per level, coarse to fine
    product  one more for all levels of a model that answers with f*: levels that agree are counted as if each had seen
             the photo for itself, so their product is too sure of itself
    """

    levels: tuple[float, ...]
    product: float = NO_TEMPERATURE


def calibrate(
    network: Network,
    photos: PhotoSet,
    size_px: int,
    *,
    most: int = 4000,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Calibration:
    """Fit a temperature per level on validation photos, and fold it into the head for good; and one for the product f*.

    At most `most` of those that lie in a cell are used, evenly spaced; a level whose cells none of them tells apart
    keeps its own. Guo et al. 2017, sect. 4.2.
    """
    rows = evenly(photos.validation[photos.classes[photos.validation, -1] >= 0], most)
    found: list[tuple[NDArray[np.int64], list[Tensor]]] = [
        (read, [level.cpu() for level in levels])
        for read, levels in level_logits(network, photos, rows, size_px, workers=workers, progress=progress)
    ]
    layers = temperature_layers(network)
    if not found:
        return Calibration((NO_TEMPERATURE,) * len(layers))
    truth = photos.classes[np.concatenate([read for read, _ in found])][:, -len(layers) :]
    logits = [torch.cat(level) for level in zip(*(levels for _, levels in found), strict=True)]
    temperatures = tuple(
        fit_temperature(level, truth[:, number]) if level.shape[1] > 1 else NO_TEMPERATURE
        for number, level in enumerate(logits)
    )
    fold(network, temperatures)
    product = answers(network, [level / t for level, t in zip(logits, temperatures, strict=True)]).get(PRODUCT)
    return Calibration(temperatures, NO_TEMPERATURE if product is None else fit_temperature(product, truth[:, -1]))


def temperature_layers(network: Network) -> list[nn.Linear]:
    """The layers that give a network's logits, coarse to fine."""
    head = network.head
    if isinstance(head, VonMisesFisherHead):
        return [head.mixture_weights]
    assert isinstance(head, MultiPartitionHead)
    return [layer for layer in head.classifier if isinstance(layer, nn.Linear)]


@torch.no_grad()
def fold(network: Network, temperatures: Sequence[float]) -> None:
    """Divide the logits of every level by its temperature > 0 for good."""
    if isinstance(network.head, VonMisesFisherHead):
        fold_temperature(network.head, temperatures[0])
        return
    for layer, temperature in zip(temperature_layers(network), temperatures, strict=True):
        layer.weight.div_(temperature)
        layer.bias.div_(temperature)


def photo_gate(
    model: GeoModel,
    photos: PhotoSet,
    others: OtherPictures,
    *,
    most: int = 2000,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Gate:
    """A gate for a model of photos: those it was trained on against other pictures; its threshold by validation photos.

    At most `most` photos of either kind, evenly spaced. Raises DataError when there are too few to fit a gate on.
    """
    stages = gate_stages(model.backbone)

    def of_photos(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        batches = evaluation_batches(
            photos.collection,
            evenly(rows, most),
            size_px=model.preprocess.size_px,
            preprocess=model.preprocess,
            batch=64,
            workers=workers,
        )
        return image_statistics(model.backbone, (batch.images for batch in batches if len(batch.rows)), stages)

    return fit_gate(
        {"training photos": of_photos(photos.train)},
        image_statistics(model.backbone, others.fitting(model.preprocess, progress), stages),
        held_out={"validation photos": of_photos(photos.validation)},
        others_held_out=image_statistics(model.backbone, others.measuring(model.preprocess), stages),
        stages=stages,
        kind="a photo like those that the model was trained on",
        fitted_on=f"the photos it was trained on against {others.words()}",
    )


def photo_model(
    network: Network,
    partitioning: Partitioning,
    *,
    name: str,
    size_px: int,
    title: str = "",
    product: bool | None = None,
    embedder: RetrievalEmbedding | None = None,
    device: str | torch.device | None = None,
) -> GeoModel:
    """A trained network as a GeoModel with the partitioning's cells and, where they are known, their borders.

    `product` says whether a head over several levels answers with f* or f; None leaves it as it is.
    """
    head = network.head
    coarser: tuple[Partition, ...] = ()
    if isinstance(head, MultiPartitionHead) and len(head.classifier) > 1:
        coarser = partitioning.levels[1:]
        head.product = head.product if product is None else product
    finest = partitioning.levels[0]
    borders = partitioning.borders[0]
    if finest.borders is None and any(border is not None for border in borders):
        finest = replace(finest, borders=borders)
    if not coarser and finest.parents is not None:
        finest = replace(finest, parents=None)
    return GeoModel(
        network.backbone,
        head,
        finest,
        preprocess_for(network.backbone.architecture, size_px),
        name=name,
        coarser=coarser,
        embedder=embedder,
        title=title,
        purpose=PURPOSE,
        device=device,
    )


def write_photo_model(model: GeoModel, partitioning: Partitioning, folder: Path) -> Path:
    """Write a model as `<name>.safetensors` (fp16) with its tables, borders and places; return the first of them."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{model.name}.safetensors"
    trees = model.trees if partitioning.tree is None else (partitioning.tree,)
    save_geoexplain(
        model.network,
        describe(model),
        model.partition,
        file,
        coarser=model.coarser,
        embedder=model.embedder,
        trees=trees,
    )
    return file


def check_name(name: str) -> str:
    """A name that a model's files may have, which it returns. Raises DataError for another."""
    allowed = set("abcdefghijklmnopqrstuvwxyz0123456789._-")
    if not name or len(name) > 64 or not set(name) <= allowed or not name[0].isalnum():
        raise DataError(
            f"--name: expected small letters, digits, '.', '_' and '-', at most 64 of them, got {name[:80]!r}: "
            "choose another."
        )
    return name
