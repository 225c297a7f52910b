"""What training on photos begins with: random weights, ImageNet's, another model's, or those that know countries."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from geoexplain.errors import CheckpointError
from geoexplain.geography.partitioning import Partitioning
from geoexplain.locator.backbone import create_backbone, freeze_same_padding
from geoexplain.locator.checkpoints.imagenet import imagenet_backbone
from geoexplain.locator.model import Network
from geoexplain.locator.zoo import load_model
from geoexplain.training.countries import country_partitioning
from geoexplain.training.distributed import Processes
from geoexplain.training.photo_checkpoint import checkpoint_file, load_photo_checkpoint
from geoexplain.training.photo_run import PhotoRun, photo_network, restored_network
from geoexplain.training.photo_set import PhotoSet, photo_set
from geoexplain.training.photo_settings import PhotoTraining

Trainer = Callable[[PhotoSet, Partitioning, PhotoTraining, Network], PhotoRun]


def begin(
    backbone: Path | None, model: str | None, settings: PhotoTraining, partitioning: Partitioning
) -> tuple[Network, PhotoTraining]:
    """The network that training begins with, and the settings with its architecture.

    backbone  a file of timm's ImageNet weights; its head is new
    model     a geoexplain model; its head is taken, too, where it is of the same kind over the same cells

    Raises CheckpointError for a file that is not there or does not fit.
    """
    torch.manual_seed(settings.seed)
    if model is not None:
        known = load_model(model, "cpu")
        settings = replace(
            settings,
            architecture=known.network.backbone.architecture,
            padding_for_px=known.network.backbone.padding_for_px,
        )
        network = photo_network(known.network.backbone, settings.head, partitioning)
        if _same_cells(known.head.state_dict(), network.head.state_dict(), known.partition.centers_deg, partitioning):
            network.head.load_state_dict(known.head.state_dict())
        return network, settings
    if backbone is None:
        body = create_backbone(settings.architecture, padding_for_px=settings.padding_for_px)
        return photo_network(body, settings.head, partitioning), settings
    if not backbone.is_file():
        raise CheckpointError(f"--backbone: expected a file of ImageNet weights at {backbone}, found none.")
    body = imagenet_backbone(settings.architecture, backbone)
    if settings.padding_for_px is not None:
        freeze_same_padding(body, settings.padding_for_px)
        body.padding_for_px = settings.padding_for_px
    return photo_network(body, settings.head, partitioning), settings


def pretrained_on_countries(
    photos: PhotoSet,
    settings: PhotoTraining,
    network: Network,
    partitioning: Partitioning,
    *,
    epochs: float,
    run_dir: Path,
    train: Trainer,
    joined: Processes,
) -> Network:
    """A network for a partitioning whose backbone has learned which country a photo is of, for `epochs` epochs.

    It is trained with the settings of the first phase, in `run_dir`. Theiner et al., WACV 2022, train so; also the
    photos in no cell of the partitioning could be used here, which is not done: the sets stay the same.
    """
    countries = country_partitioning(photos.collection.positions_deg[photos.train])
    first = photo_set(photos.collection, photos.train, photos.validation, countries)
    torch.manual_seed(settings.seed)
    begun = photo_network(network.backbone, "linear", countries)
    phase = replace(settings.phases[0], epochs=epochs, photos=None)
    train(first, countries, replace(settings, head="linear", phases=(phase,)), begun)
    joined.wait()  # process 0 has written what the others read now
    chosen = restored_network(load_photo_checkpoint(checkpoint_file(run_dir)), countries)
    torch.manual_seed(settings.seed)
    return photo_network(chosen.backbone, settings.head, partitioning)


def _same_cells(
    known: dict[str, torch.Tensor],
    wanted: dict[str, torch.Tensor],
    centers_deg: np.ndarray,
    partitioning: Partitioning,
) -> bool:
    shapes = {key: value.shape for key, value in known.items()}
    if shapes != {key: value.shape for key, value in wanted.items()}:
        return False
    return bool(np.allclose(centers_deg, partitioning.levels[0].centers_deg, atol=1e-5))
