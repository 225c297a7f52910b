"""Small addresses written by hand, "street < city < country", and the hierarchy worked out with plain dictionaries."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from geoexplain.geography.address import Addresses, Location


def addresses_of(
    texts: Sequence[str], points: Sequence[tuple[float, float]] | None = None, kinds: Mapping[str, str] | None = None
) -> Addresses:
    """One address per text, its locations from fine to coarse with " < " between; a location's key is its name."""
    paths = [words(text) for text in texts]
    keys = list(dict.fromkeys(key for path in paths for key in path))
    rows = np.full((len(paths), max([1, *map(len, paths)])), -1, dtype=np.int32)
    for row, path in zip(rows, paths, strict=True):
        row[: len(path)] = [keys.index(key) for key in path]
    if points is None:
        points = [(1.0 * i, 2.0 * i) for i in range(len(paths))]
    locations = tuple(Location(key, key, (kinds or {}).get(key, "place")) for key in keys)
    return Addresses(np.array(points, dtype=float).reshape(-1, 2), locations, rows)


def words(text: str) -> list[str]:
    return text.split(" < ") if text else []


def slow_parents(paths: Sequence[Sequence[str]]) -> dict[str, str]:
    """The parent of each location that has one, an edge and a circle at a time."""
    frequency: Counter[tuple[str, str]] = Counter()
    for path in paths:
        for finer, coarser in pairwise(path):
            if finer != coarser:
                frequency[finer, coarser] += 1
    while True:
        parents = {}
        for child in sorted({finer for finer, _ in frequency}):
            options = [(-count, coarser) for (finer, coarser), count in frequency.items() if finer == child]
            parents[child] = min(options)[1]
        circle = _some_circle(parents)
        if not circle:
            return parents
        weakest = min(circle, key=lambda child: (frequency[child, parents[child]], child))
        del frequency[weakest, parents[weakest]]


def _some_circle(parents: Mapping[str, str]) -> list[str]:
    for start in parents:
        walked = [start]
        while walked[-1] in parents:
            above = parents[walked[-1]]
            if above in walked:
                return walked[walked.index(above) :]
            walked.append(above)
    return []


def slow_path(location: str, parents: Mapping[str, str]) -> list[str]:
    path = [location]
    while path[-1] in parents:
        path.append(parents[path[-1]])
    return path


def slow_images(paths: Sequence[Sequence[str]], parents: Mapping[str, str]) -> Counter[str]:
    """How many images have each location in the path that replaces their address."""
    return Counter(step for path in paths if path for step in slow_path(path[0], parents))


def slow_class(path: Sequence[str], parents: Mapping[str, str], images: Mapping[str, int], fewest: int) -> str | None:
    """The finest location of an image that has so many images; None when none has."""
    return next((step for step in slow_path(path[0], parents) if images[step] >= fewest), None) if path else None


def generated(seed: int) -> tuple[list[str], list[tuple[float, float]]]:
    """Addresses and points of up to 60 images: a tree with faults, or for every fourth seed no tree at all."""
    rng = np.random.default_rng(seed)
    count, places = int(rng.integers(1, 60)), int(rng.integers(1, 14))
    names = [f"p{i:02d}" for i in rng.permutation(places)]
    above = [int(rng.integers(-1, i)) if i else -1 for i in range(places)]
    texts = []
    for _ in range(count):
        if seed % 4 == 0:
            path = rng.choice(places, size=int(rng.integers(0, min(places, 5) + 1)), replace=False).tolist()
        else:
            path, step = [], int(rng.integers(places))
            while step >= 0:
                path.append(step)
                step = above[step]
            path = [step for step in path if rng.random() > 0.1]
            if rng.random() < 0.1:
                path = path[::-1]
        texts.append(" < ".join(names[step] for step in path))
    middle = [(0.0, 180.0), (90.0, 0.0), (-90.0, 50.0), (47.0, 8.0)][seed % 4]
    lat = np.clip(middle[0] + rng.normal(0, 20, count), -90, 90).round(4)
    lon = ((middle[1] + rng.normal(0, 20, count) + 180) % 360 - 180).round(4)
    return texts, list(zip(lat.tolist(), lon.tolist(), strict=True))
