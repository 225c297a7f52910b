"""A Ray cluster: workers on the machines that RAY_ADDRESS names, or on this machine without it."""

import logging
import math
import os
import sys
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any

from geoexplain.errors import DataError
from geoexplain.evaluation.engines import ATTEMPTS, Opener, reason_of
from geoexplain.evaluation.engines.processes import cores

MISSING = 'engine ray: expected the package ray, found none: pip install "geoexplain[ray]".'


@dataclass(frozen=True)
class Cluster:
    """`count` workers of a Ray cluster that this process is connected to; see Engine and `connect`.

    device   the device that workers compute on
    gpus     share of a GPU per worker
    threads  threads per worker
    """

    count: int
    device: str
    gpus: float
    threads: int

    def answers(self, opener: Opener, indices: Sequence[int]) -> Generator[tuple[int, str | None], None, None]:
        """Yield answers as they come; see Engine. Each is a separate task, which Ray repeats if its worker dies."""
        import ray.data  # noqa: PLC0415 - optional, and takes seconds

        if not indices:
            return
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        ray.data.DataContext.get_current().enable_progress_bars = False
        attempts = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Attempts).remote()
        images = ray.data.from_items([{"index": index} for index in indices], override_num_blocks=len(indices))
        answers = images.map_batches(
            RayWorker,
            fn_constructor_args=(opener, self.threads, attempts),
            batch_size=1,
            # If a worker held two images and died, both would be counted as its cause.
            compute=ray.data.ActorPoolStrategy(size=self.count, max_tasks_in_flight_per_actor=1),
            num_cpus=1,
            num_gpus=self.gpus,
        )
        # Prefetching the next answer would delay saving this one.
        for batch in answers.iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=0):
            for index, kind, text in zip(batch["index"], batch["kind"], batch["text"], strict=True):
                if kind == "refused":
                    raise DataError(str(text))
                yield int(index), str(text) if kind == "answer" else None


class Attempts:
    """The number of attempts at each index, kept in a separate process since it has to outlive the workers."""

    def __init__(self) -> None:
        self._begun = Counter[int]()

    def begin(self, index: int) -> int:
        """Count an attempt; return the number of attempts before it."""
        self._begun[index] += 1
        return self._begun[index] - 1


class RayWorker:
    """One worker: opens model and images once, then answers for every index."""

    def __init__(self, opener: Opener, threads: int, attempts: Any):
        import torch  # noqa: PLC0415 - only what computes needs it

        torch.set_num_threads(threads)
        self._attempts, self._refusal = attempts, ""
        try:
            self._answer = opener(0)  # Ray shows each worker its own GPU, as the only one
        except Exception as error:  # noqa: BLE001 - raised here, Ray would start the worker again and again
            self._refusal = reason_of(error)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """Return per index "answer" and its text, "refused" and the reason, or "lost" if it killed workers before."""
        indices = [int(index) for index in batch["index"]]
        results = [self._answer_or_reason(index) for index in indices]
        return {"index": indices, "kind": [kind for kind, _ in results], "text": [text for _, text in results]}

    def _answer_or_reason(self, index: int) -> tuple[str, str]:
        import ray  # noqa: PLC0415 - optional, and takes seconds

        if self._refusal:
            return "refused", self._refusal
        if ray.get(self._attempts.begin.remote(index)) >= ATTEMPTS:
            return "lost", ""
        return "answer", self._answer(index)


@contextmanager
def connect(count: int, device: str | None = None) -> Iterator[Cluster]:
    """Connect to the cluster at RAY_ADDRESS, or start Ray on this machine for the duration of the block.

    `count` workers share the GPUs if there are any and `device` is None or "cuda". Usage reports and the dashboard are
    off. Raises DataError if Ray is not installed, cannot be reached, or has too few CPUs.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # Ray warns about the way in which Ray Data starts workers.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray  # noqa: PLC0415 - optional, and takes seconds
    except ImportError:
        raise DataError(MISSING) from None
    ours = not ray.is_initialized()
    if ours:
        start(ray, count)
    try:
        has = ray.cluster_resources()
        if has.get("CPU", 0) < count:
            raise DataError(
                f"--processes {count}: expected a Ray cluster with a CPU for each, got {has.get('CPU', 0):g}: start "
                "fewer, or add machines."
            )
        gpus = 0 if device not in {None, "cuda"} else int(has.get("GPU", 0))
        share = 1 / math.ceil(count / gpus) if gpus else 0.0
        threads = max(1, int(has["CPU"]) // count)
        with redirect_stdout(sys.stderr):  # Ray reports dead workers there; standard output is for results
            yield Cluster(count, "cuda" if gpus else device or "cpu", share, threads)
    finally:
        if ours:
            ray.shutdown()


def start(ray: Any, count: int) -> None:
    """Connect to Ray or start it, without its log output."""
    address = os.environ.get("RAY_ADDRESS")
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if not address:
        options |= {"address": "local", "num_cpus": max(cores(), count), "include_dashboard": False}
    try:
        ray.init(**options)
    except Exception as error:  # noqa: BLE001 - Ray has errors of its own for a cluster that is not there, or closed
        raise DataError(
            f"RAY_ADDRESS {address or 'unset'}: expected to reach or start Ray, got: {reason_of(error)}"
        ) from None
