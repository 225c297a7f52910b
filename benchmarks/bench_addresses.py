"""Time the addresses of coordinates around cities, and the places and names of a model's cells by their areas.

    python -m benchmarks.bench_addresses --coordinates 1000000 [--naturalearth DIR]

Points are drawn around the packaged cities, where photos are taken. There are as many cells as in CERTH's model, at
random positions on Earth. Repeats are interleaved, and medians are compared.
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
from geoexplain.geography.addresses.cell_names import name_cells, unnamed
from geoexplain.geography.addresses.territories import load_territories
from geoexplain.geography.gazetteer import load_gazetteer
from geoexplain.geography.sphere import destination

CELLS = 31_145


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
    addresses = territory_addresses(points)
    load_territories()  # loaded once per process
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "addresses.csv"
        jobs: dict[str, tuple[int, Callable[[], object]]] = {
            "territorial addresses": (len(points), partial(territory_addresses, points)),
            "write addresses": (len(points), partial(write_addresses, addresses, file)),
            "read addresses": (len(points), partial(read_addresses, file)),
            "places and names of cells": (CELLS, lambda: place_trees(name_cells(unnamed("random", centers)))),
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
