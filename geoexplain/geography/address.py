"""Addresses: for every coordinate the locations that hold it, fine to coarse."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from geoexplain.errors import DataError
from geoexplain.words import extremes


@dataclass(frozen=True)
class Location:
    """A place that an address names.

    key   what tells it from every other: "R112100" for an OpenStreetMap relation, "country:JO"
    name  as people read it
    kind  "city", "region", "country", "continent", "sea", "desert", …
    """

    key: str
    name: str
    kind: str


@dataclass(frozen=True, eq=False)
class Addresses:
    """N coordinates and the locations that hold each.

    points_deg  float64 (N, 2), latitude and longitude in degrees
    locations   L locations, every key once
    paths       int32 (N, D), indices of locations, fine to coarse, then −1; a row of −1 has no address

    Raises DataError when these do not fit together.
    """

    points_deg: NDArray[np.float64] = field(repr=False)
    locations: tuple[Location, ...] = field(repr=False)
    paths: NDArray[np.int32] = field(repr=False)

    def __post_init__(self) -> None:
        if self.paths.ndim != 2 or len(self.paths) != len(self.points_deg) or self.points_deg.shape[1:] != (2,):
            raise DataError(
                f"addresses: expected one path for each of {len(self.points_deg)} coordinates, "
                f"got {self.paths.shape} for {self.points_deg.shape}."
            )
        if self.paths.size and not -1 <= self.paths.min() <= self.paths.max() < len(self.locations):
            raise DataError(
                f"addresses: expected locations from -1 to {len(self.locations) - 1}, got "
                f"{extremes(self.paths.ravel())}: number them anew."
            )
        if len({location.key for location in self.locations}) < len(self.locations):
            raise DataError("addresses: expected every location's key once, got one twice.")

    def __len__(self) -> int:
        return len(self.points_deg)
