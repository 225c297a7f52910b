"""Addresses of coordinates around cities, side by side with the place names of the same points, in one run.

    python -m benchmarks.bench_addresses --coordinates 1000000 [--naturalearth DIR]

Points are drawn around the packaged cities, as photos are. Place names, which ask the same polygons country by country
and weigh every city, are made of fewer points; what is compared is points per second. Repeats are interleaved, medians
are compared.
"""

import argparse
import platform
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoexplain.geography.addresses import natural_addresses, place_trees, territory_addresses
from geoexplain.geography.addresses.address_file import read_addresses, write_addresses
from geoexplain.geography.gazetteer import load_gazetteer
from geoexplain.geography.partition import Partition
from geoexplain.geography.places import place_names
from geoexplain.geography.sphere import destination

CELLS = 31_145
NAMED = 10_000


def around_cities(count: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(0)
    cities = load_gazetteer().city_deg
    middle = cities[rng.integers(0, len(cities), count)]
    return destination(middle, rng.uniform(0, 360, count), np.abs(rng.normal(0, 15, count)))


def measured(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coordinates", type=int, default=1_000_000)
    parser.add_argument("--naturalearth", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    points = around_cities(args.coordinates)
    rng = np.random.default_rng(1)
    centers = np.stack([np.degrees(np.arcsin(rng.uniform(-1, 1, CELLS))), rng.uniform(-180, 180, CELLS)], axis=1)
    cells = Partition("random", tuple(map(str, range(CELLS))), centers)
    addresses = territory_addresses(points)
    place_trees(cells)  # what is made once per process: the gazetteer, the borders
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "addresses.csv"
        jobs: dict[str, tuple[int, Callable[[], object]]] = {
            "territorial addresses": (len(points), partial(territory_addresses, points)),
            "place names": (NAMED, partial(place_names, points[:NAMED])),
            "write addresses": (len(points), partial(write_addresses, addresses, file)),
            "read addresses": (len(points), partial(read_addresses, file)),
            "tree of the cells": (CELLS, partial(place_trees, cells)),
        }
        if args.naturalearth is not None:
            natural_addresses(points[:1], args.naturalearth)
            jobs["natural addresses"] = (len(points), partial(natural_addresses, points, args.naturalearth))
        times: dict[str, list[float]] = {name: [] for name in jobs}
        for _ in range(args.repeats):
            for name, (_, work) in jobs.items():
                times[name].append(measured(work))
    print(f"{platform.machine()}, {len(points):,} coordinates, {args.repeats} repeats\n")
    print("| | points | seconds | points per second |\n|---|---:|---:|---:|")
    for name, (count, _) in jobs.items():
        seconds = statistics.median(times[name])
        print(f"| {name} | {count:,} | {seconds:.2f} | {count / seconds:,.0f} |")
    print(f"\npeak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GB")


if __name__ == "__main__":
    main()
