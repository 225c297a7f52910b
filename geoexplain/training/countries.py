"""Pretraining on countries as classes, before the training on cells (Theiner et al., WACV 2022)."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from geoexplain.errors import DataError
from geoexplain.geography.address import Addresses
from geoexplain.geography.addresses.offline import territory_addresses
from geoexplain.geography.partition import Partition
from geoexplain.geography.partitioning import Partitioning
from geoexplain.geography.sphere import spherical_mean
from geoexplain.locator.model import Network
from geoexplain.training.checkpoint import checkpoint_file
from geoexplain.training.distributed import Processes
from geoexplain.training.heads import build_network
from geoexplain.training.loop import train
from geoexplain.training.photos import PhotoSet, photo_set
from geoexplain.training.run import read_run
from geoexplain.training.settings import Training

COUNTRY = "country"


def pretrain_on_countries(
    photos: PhotoSet,
    settings: Training,
    network: Network,
    run_dir: Path,
    *,
    epochs: float,
    processes: Processes,
    **options: Any,
) -> Network:
    """Return a network for the cells of `photos`, its backbone trained to predict countries for `epochs` epochs.

    The training uses the settings of the first phase. It writes to `run_dir`, and resumes there if it was interrupted;
    `options` are those of `train`. The method is that of Theiner et al., WACV 2022. Photos in no cell of the
    partitioning could be used here, but are not: the training and validation sets stay the same.
    """
    countries = country_partitioning(photos.collection.positions_deg[photos.train])
    first = photo_set(
        photos.collection,
        photos.train,
        photos.validation,
        countries,
        augmentation=photos.augmentation,
        validated=photos.validated,
    )
    torch.manual_seed(settings.seed)
    phase = replace(settings.phases[0], epochs=epochs, images=None)
    train(
        first,
        replace(settings, head="linear", phases=(phase,)),
        run_dir,
        network=build_network(network.backbone, "linear", countries),
        processes=processes,
        resume=checkpoint_file(run_dir).exists(),
        **options,
    )
    processes.wait()  # process 0 has written what the others read now
    trained = read_run(run_dir, countries)
    torch.manual_seed(settings.seed)
    return build_network(trained.network.backbone, settings.head, photos.partitioning)


def country_partitioning(points_deg: NDArray[np.float64]) -> Partitioning:
    """Return the countries that contain points (N, 2) in degrees, as a partitioning of one level, ascending by key.

    A country's centre is the spherical mean of its points. A point at sea is in no country. Raises DataError for fewer
    than two countries.
    """
    addresses = territory_addresses(points_deg)
    of_point = countries_of(addresses)
    keys = sorted(set(of_point) - {""})
    if len(keys) < 2:
        raise DataError(
            f"--pretrain-countries: expected photos of at least 2 countries, got {len(keys)}: leave the option out."
        )
    names = {location.key: location.name for location in addresses.locations}
    number = {key: row for row, key in enumerate(keys)}
    classes = np.array([number.get(key, -1) for key in of_point])
    centers = np.array([spherical_mean(points_deg[classes == row]) for row in range(len(keys))])

    def assign(points: NDArray[np.float64]) -> NDArray[np.int64]:
        return np.array([number.get(key, -1) for key in countries_of(territory_addresses(points))], dtype=np.int64)

    return Partitioning(
        name="countries",
        kind="semantic",
        levels=(Partition("countries", tuple(names[key] for key in keys), centers),),
        keys=(tuple(keys),),
        counts=(np.bincount(classes[classes >= 0], minlength=len(keys)),),
        borders=((None,) * len(keys),),
        assign=assign,
        settings={"digest": hashlib.sha256("\n".join(keys).encode()).hexdigest()},
    )


def countries_of(addresses: Addresses) -> list[str]:
    """Return the key of every point's country; "" for a point in no country."""
    is_country = np.array([location.kind == COUNTRY for location in addresses.locations] + [False])
    countries = is_country[addresses.paths]  # −1 reads the last entry
    column = countries.argmax(axis=1)
    rows = np.arange(len(addresses))
    locations, hits = addresses.paths[rows, column].tolist(), countries[rows, column].tolist()
    return [addresses.locations[i].key if hit else "" for i, hit in zip(locations, hits, strict=True)]
