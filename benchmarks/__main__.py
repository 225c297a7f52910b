"""Run every benchmark and print its table: `python -m benchmarks`."""

import subprocess
import sys

for name in (
    "bench_explain",
    "bench_faithfulness",
    "bench_real_size",
    "bench_evaluate",
    "bench_addresses",
    "bench_semantic",
    "bench_partition",
    "bench_training",
    "bench_studio",
):
    print(f"\n## {name}\n", flush=True)
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *sys.argv[1:]], check=True)
