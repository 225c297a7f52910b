"""Measure time and memory of a semantic partitioning from a million addresses; hierarchy and borders separately.

    python -m benchmarks.bench_semantic

The addresses are synthetic, but resemble those of a reverse geocoder: streets in cities in regions in countries, a few
of which hold most of the images. Some levels are missing, and some streets and cities are assigned to a neighbour.
Countries have borders of 2,000 corners, to which all other classes have to be clipped.
"""

import argparse
import time
import tracemalloc

import numpy as np
import shapely

from geoexplain.geography.address import Addresses, Location
from geoexplain.geography.hierarchy import build_hierarchy
from geoexplain.geography.semantic_partitioning import build_semantic
from geoexplain.geography.sphere import degrees, destination

COUNTRIES, REGIONS, CITIES, STREETS = 200, 15, 20, 5  # each per one of the next coarser


def made_up_addresses(images: int, seed: int = 0) -> tuple[Addresses, dict[str, shapely.Polygon]]:
    rng = np.random.default_rng(seed)
    capitals = degrees(rng.normal(size=(COUNTRIES, 3)))
    capitals[:, 0] = np.clip(capitals[:, 0], -65, 65)
    kinds = ("country", "region", "city", "street")
    sizes = np.cumprod([COUNTRIES, REGIONS, CITIES, STREETS])
    starts = np.concatenate([[0], np.cumsum(sizes)])
    locations = tuple(
        Location(f"{kind}:{i}", f"{kind} {i}", kind)
        for kind, size in zip(kinds, sizes, strict=True)
        for i in range(size)
    )
    cities = sizes[2]
    home = np.repeat(capitals, REGIONS * CITIES, axis=0)
    places = destination(home, rng.uniform(0, 360, cities), rng.uniform(0, 600, cities))
    share = (1 + rng.permutation(cities)) ** -0.9
    city = rng.choice(cities, images, p=share / share.sum())
    street = city * STREETS + np.minimum(rng.geometric(0.4, images) - 1, STREETS - 1)
    points = destination(places[city], rng.uniform(0, 360, images), rng.exponential(5.0, images))
    moved = np.where(rng.random(images) < 0.02, (city + 1) % cities, city)
    columns = [street + starts[3], moved + starts[2], moved // CITIES + starts[1], moved // CITIES // REGIONS]
    paths = np.stack(columns, axis=1).astype(np.int32)
    paths[np.arange(images)[rng.random(images) < 0.05], 1] = -1  # no city
    paths[np.arange(images)[rng.random(images) < 0.05], 2] = -1  # no region
    paths[np.arange(images)[rng.random(images) < 0.3], 0] = -1  # no street
    paths = np.take_along_axis(paths, np.argsort(paths < 0, axis=1, kind="stable"), axis=1)
    bearings = np.linspace(0, 360, 2_000)
    borders = {}
    for i, capital in enumerate(capitals):
        ring = destination(capital, bearings, 650 + 40 * np.sin(np.radians(17 * bearings)))
        lon = capital[1] + (ring[:, 1] - capital[1] + 180) % 360 - 180
        borders[f"country:{i}"] = shapely.Polygon(np.stack([lon, ring[:, 0]], axis=-1))
    return Addresses(points, locations, paths), borders


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1_000_000)
    arguments = parser.parse_args()
    addresses, borders = made_up_addresses(arguments.images)
    start = time.perf_counter()
    build_hierarchy(addresses)
    hierarchy_s = time.perf_counter() - start
    start = time.perf_counter()
    build_semantic(addresses, (100, 125, 250), name="bench")
    without_s = time.perf_counter() - start
    start = time.perf_counter()
    partitioning = build_semantic(
        addresses, (100, 125, 250), name="bench", border_of=lambda each: borders.get(each.key)
    )
    with_s = time.perf_counter() - start
    start = time.perf_counter()
    partitioning.assign(addresses.points_deg[:100_000])
    assign_s = time.perf_counter() - start
    tracemalloc.start()
    build_semantic(addresses, (100, 125, 250), name="bench")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    cells = " + ".join(str(len(level)) for level in partitioning.levels)
    print(f"{arguments.images:,} addresses, {len(addresses.locations):,} locations, {cells} cells")
    print("\n| step | s |\n|---|---|")
    print(f"| hierarchy | {hierarchy_s:.1f} |")
    print(f"| partitioning of three levels | {without_s:.1f} |")
    print(f"| the same with borders | {with_s:.1f} |")
    print(f"| 100,000 points into the class of the nearest coordinate, index included | {assign_s:.1f} |")
    print(f"\nPeak memory of the partitioning without borders, beyond the addresses: {peak / 2**20:.0f} MiB.")


if __name__ == "__main__":
    main()
