"""Countries as the classes of a first training, which the real one begins from (Theiner et al., WACV 2022)."""

import hashlib

import numpy as np
from numpy.typing import NDArray

from geoexplain.errors import DataError
from geoexplain.geography.address import Addresses
from geoexplain.geography.addresses.offline import territory_addresses
from geoexplain.geography.partition import Partition
from geoexplain.geography.partitioning import Partitioning
from geoexplain.geography.sphere import spherical_mean

COUNTRY = "country"


def country_partitioning(points_deg: NDArray[np.float64]) -> Partitioning:
    """The countries that points (N, 2) in degrees lie in, as a partitioning of one level, ascending by key.

    A country's centre is the spherical mean of its points; one at sea is in no country. Raises DataError for fewer
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
    """The key of every coordinate's country; "" for one in none."""
    is_country = np.array([location.kind == COUNTRY for location in addresses.locations] + [False])
    found = is_country[addresses.paths]  # −1 reads the last entry
    column = found.argmax(axis=1)
    rows = np.arange(len(addresses))
    locations, hits = addresses.paths[rows, column].tolist(), found[rows, column].tolist()
    return [addresses.locations[i].key if hit else "" for i, hit in zip(locations, hits, strict=True)]
