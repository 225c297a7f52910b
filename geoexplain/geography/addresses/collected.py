"""Addresses while they are read, one coordinate at a time: some forty bytes each."""

from array import array
from collections.abc import Sequence

import numpy as np

from geoexplain.geography.address import Addresses, Location

MAX_STEPS = 64
"""Locations in one address; OpenStreetMap names hardly twenty."""


class Collected:
    """Coordinates with the indices of their locations, fine to coarse, and the locations, every key once."""

    def __init__(self) -> None:
        self.locations: list[Location] = []
        self._index: dict[str, int] = {}
        self._points, self._steps, self._lengths = array("d"), array("i"), array("i")

    def location(self, key: str, name: str, kind: str) -> int:
        """Index of the location with this key; the first name and kind that are given for it count."""
        index = self._index.setdefault(key, len(self.locations))
        if index == len(self.locations):
            self.locations.append(Location(key, name, kind))
        return index

    def find(self, key: str) -> int | None:
        """Index of the location with this key; None if there is none."""
        return self._index.get(key)

    def add(self, lat_deg: float, lon_deg: float, steps: Sequence[int]) -> None:
        """The next coordinate and its locations, none for no address."""
        self._points.append(lat_deg)
        self._points.append(lon_deg)
        self._steps.extend(steps)
        self._lengths.append(len(steps))

    def __len__(self) -> int:
        return len(self._lengths)

    def addresses(self) -> Addresses:
        """All that was added."""
        lengths = np.array(self._lengths, dtype=np.int64)
        depth = int(lengths.max(initial=0))
        paths = np.full((len(lengths), depth), -1, dtype=np.int32)
        paths[np.arange(depth) < lengths[:, None]] = np.array(self._steps, dtype=np.int32)
        points = np.array(self._points, dtype=np.float64).reshape(-1, 2)
        return Addresses(points, tuple(self.locations), paths)
