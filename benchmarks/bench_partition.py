"""Time every step of building partitionings from millions of coordinates, and measure peak memory.

    python -m benchmarks.bench_partition

S2 from 5,000,000 coordinates at the published thresholds, and a semantic partitioning from the offline addresses of
1,000,000, both drawn around the packaged cities in proportion to their population. Each is built in a separate process,
from the CSV table to the folder and its map; peak memory is that of the whole process.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from benchmarks.synthetic import city_coordinates
from geoexplain.geography.addresses.borders import border_of
from geoexplain.geography.addresses.offline import territory_addresses
from geoexplain.geography.coordinates import read_coordinates
from geoexplain.geography.partition_files import write_partitioning
from geoexplain.geography.s2_partitioning import build_s2
from geoexplain.geography.semantic_partitioning import build_semantic
from geoexplain.view.partition_map import save_partition_map

T = TypeVar("T")

ROWS_AT_A_TIME = 100_000


def write_table(file: Path, count: int) -> None:
    points = city_coordinates(count)
    with file.open("w", encoding="utf-8") as text:
        text.write("id,latitude,longitude\n")
        for start in range(0, count, ROWS_AT_A_TIME):
            rows = enumerate(points[start : start + ROWS_AT_A_TIME].tolist(), start)
            text.write("".join(f"{row},{lat:.6f},{lon:.6f}\n" for row, (lat, lon) in rows))


def measure(kind: str, table: Path, out: Path) -> None:
    """Build in this process and print the seconds of each step, the cells of each level and the peak memory."""
    seconds: dict[str, float] = {}

    def timed(step: str, work: Callable[[], T]) -> T:
        begun = time.perf_counter()
        result = work()
        seconds[step] = time.perf_counter() - begun
        return result

    points = timed("read the table", lambda: read_coordinates(table))
    if kind == "s2":
        built = timed("build", lambda: build_s2(points))
    else:
        addresses = timed("addresses", lambda: territory_addresses(points))
        built = timed("build", lambda: build_semantic(addresses, (100, 125, 250), name=kind, border_of=border_of))
    timed("write", lambda: write_partitioning(built, out))
    timed("map", lambda: save_partition_map(out / "map.html", built))
    timed("sort all coordinates into the cells", lambda: built.classes(points))
    status = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 2**20
    print(json.dumps({"seconds": seconds, "cells": [len(level) for level in built.levels[::-1]], "peak_gib": peak}))


def report(kind: str, count: int, folder: Path) -> None:
    table = folder / f"{kind}.csv"
    write_table(table, count)
    words = [sys.executable, "-m", "benchmarks.bench_partition", "--measure", kind, str(table), str(folder / kind)]
    begun = time.perf_counter()
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    total = time.perf_counter() - begun
    measured = json.loads(done.stdout)
    cells = " / ".join(f"{cells:,}" for cells in measured["cells"])
    print(f"\n{kind}: {count:,} coordinates → {cells} cells\n\n| step | s |\n|---|---:|")
    for step, seconds in measured["seconds"].items():
        print(f"| {step} | {seconds:.1f} |")
    print(f"| **whole process** | **{total:.1f}** |\n\npeak memory {measured['peak_gib']:.2f} GiB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coordinates", type=int, default=5_000_000, help="for S2 (default: %(default)s)")
    parser.add_argument("--addresses", type=int, default=1_000_000, help="for semantic (default: %(default)s)")
    parser.add_argument("--measure", nargs=3, metavar=("KIND", "TABLE", "OUT"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        kind, table, out = args.measure
        measure(kind, Path(table), Path(out))
        return
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as folder:
        for kind, count in (("s2", args.coordinates), ("semantic", args.addresses)):
            report(kind, count, Path(folder))


if __name__ == "__main__":
    main()
