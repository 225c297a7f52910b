"""Coordinates of many kinds for the invariants of partitionings: clusters, poles, the antimeridian, doubles."""

import numpy as np

from geoexplain.geography.partition import Partition
from geoexplain.geography.sphere import degrees, destination

TOWNS = np.array([(48.9, 2.3), (-33.9, 151.2), (89.9, 10.0), (-89.8, -60.0), (0.0, 180.0), (51.0, -179.9), (0.1, -0.1)])


def scattered_points(seed: int, most: int = 120) -> np.ndarray:
    """From 1 to `most` coordinates (N, 2) in degrees, another mixture for each seed."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, most + 1))
    towns = TOWNS[rng.choice(len(TOWNS), rng.integers(1, len(TOWNS) + 1), replace=False)]
    around = destination(
        towns[rng.integers(len(towns), size=count)], rng.uniform(0, 360, count), rng.gamma(1, 300, count)
    )
    anywhere = degrees(rng.normal(size=(count, 3)))
    points = np.where(rng.random((count, 1)) < rng.random(), anywhere, around)
    edges = np.array(
        [(90.0, 0.0), (-90.0, 0.0), (0.0, 180.0), (0.0, -180.0), (10.0, 180.0), (45.0, -180.0), (0.0, 0.0)]
    )
    special = rng.random(count) < 0.1
    points[special] = edges[rng.integers(len(edges), size=int(special.sum()))]
    doubled = rng.random(count) < 0.2
    points[doubled] = points[0]
    return points


def fibonacci(count: int) -> np.ndarray:
    """Points (count, 2) in degrees spread evenly over the sphere: a Fibonacci lattice."""
    i = np.arange(count) + 0.5
    return np.stack([np.degrees(np.arcsin(1 - 2 * i / count)), (137.50776405 * i + 180) % 360 - 180], axis=1)


def nameless(partition: Partition) -> Partition:
    """Cells as they are: finding their places would take most of the time."""
    return partition
