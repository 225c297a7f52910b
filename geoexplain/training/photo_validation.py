"""How far from the truth a network in training places photos that it was not trained on."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from geoexplain.geography.sphere import great_circle_km
from geoexplain.locator.backbone import preprocess_for
from geoexplain.locator.heads import MultiPartitionHead
from geoexplain.locator.model import Network
from geoexplain.training.photo_batches import evaluation_batches
from geoexplain.training.photo_set import PhotoSet

ALONE, PRODUCT = "f", "f*"
"""A cell's share taken alone, and multiplied with those of the cells that hold it (Theiner et al., WACV 2022)."""


def level_logits(
    network: Network,
    photos: PhotoSet,
    rows: NDArray[np.int64],
    size_px: int,
    *,
    batch: int = 64,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[NDArray[np.int64], list[Tensor]]]:
    """Rows that could be read and their logits (n, K_l) on every level, coarse to fine, batch after batch.

    The network is in evaluation mode, the photos are seen once, in order and unchanged, at `size_px`.
    `progress` hears (done, photos).
    """
    device = next(network.parameters()).device
    done = 0
    preprocess = preprocess_for(network.backbone.architecture, size_px)
    for found in evaluation_batches(
        photos.collection, rows, size_px=size_px, preprocess=preprocess, batch=batch, workers=workers
    ):
        if len(found.rows):
            with torch.inference_mode():
                images = found.images.to(device).contiguous(memory_format=torch.channels_last)
                levels = [logits.float() for logits in network.head.levels(network.backbone(images).float())]
            yield found.rows, levels
        done += len(found.rows) + len(found.failed)
        if progress is not None:
            progress(done, len(rows))


def validation_errors(
    network: Network,
    photos: PhotoSet,
    centers_deg: NDArray[np.float64],
    size_px: int,
    *,
    rows: NDArray[np.int64] | None = None,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Great-circle distance in km from every validation photo, or those at `rows`, to the centre of its top cell, (n,).

    By ALONE and, for a head over several levels, by PRODUCT. Photos that cannot be read are left out.
    """
    asked = photos.validation if rows is None else rows
    errors: dict[str, list[NDArray[np.float64]]] = {}
    for read, levels in level_logits(network, photos, asked, size_px, workers=workers, progress=progress):
        truth = photos.collection.positions_deg[read]
        for way, scores in answers(network, levels).items():
            cells = scores.argmax(dim=1).cpu().numpy()
            errors.setdefault(way, []).append(great_circle_km(centers_deg[cells], truth))
    return {way: np.concatenate(parts) for way, parts in errors.items()}


def answers(network: Network, levels: list[Tensor]) -> dict[str, Tensor]:
    """Scores (N, K) of the finest cells by every way that a head knows of, from its logits on every level."""
    head = network.head
    found = {ALONE: levels[-1]}
    if isinstance(head, MultiPartitionHead) and len(levels) > 1:
        shares = [F.log_softmax(level, dim=-1) for level in levels]
        found[PRODUCT] = torch.stack([s[:, column] for s, column in zip(shares, head.hierarchy.T, strict=True)]).sum(0)
    return found
