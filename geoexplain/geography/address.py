"""Addresses: the locations that contain a coordinate, fine to coarse."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from geoexplain.errors import DataError
from geoexplain.words import extremes


@dataclass(frozen=True)
class Location:
    """A place that an address names.

    key   unique identifier: "R112100" for an OpenStreetMap relation, "country:JO"
    name  name to display
    kind  "city", "region", "country", "continent", "sea", "desert", …
    """

    key: str
    name: str
    kind: str


@dataclass(frozen=True, eq=False)
class Addresses:
    """N coordinates and the locations that contain each of them.

    points_deg  float64 (N, 2), latitude and longitude in degrees
    locations   L locations with unique keys
    paths       int32 (N, D), indices into `locations`, fine to coarse, padded with −1; a row of −1 has no address

    Raises DataError when these fields do not fit together.
    """

    points_deg: NDArray[np.float64] = field(repr=False)
    locations: tuple[Location, ...] = field(repr=False)
    paths: NDArray[np.int32] = field(repr=False)

    def __post_init__(self) -> None:
        if self.paths.ndim != 2 or len(self.paths) != len(self.points_deg) or self.points_deg.shape[1:] != (2,):
            raise DataError(
                f"addresses: expected one path for each of {len(self.points_deg)} coordinates, got paths of shape "
                f"{self.paths.shape} for points of shape {self.points_deg.shape}: build them from the same rows."
            )
        if self.paths.size and not -1 <= self.paths.min() <= self.paths.max() < len(self.locations):
            raise DataError(
                f"addresses: expected locations from -1 to {len(self.locations) - 1}, got "
                f"{extremes(self.paths.ravel())}: correct the indices in paths."
            )
        if len({location.key for location in self.locations}) < len(self.locations):
            raise DataError("addresses: expected unique keys of locations, got one twice: remove the duplicate.")

    def __len__(self) -> int:
        return len(self.points_deg)
