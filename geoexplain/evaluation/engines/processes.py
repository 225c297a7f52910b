"""A pool of worker processes: if one dies, only the image in progress is affected."""

import multiprocessing
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import torch

from geoexplain.errors import DataError
from geoexplain.evaluation.engines import ATTEMPTS, Opener, reason_of
from geoexplain.locator.memory import reuse_freed_memory

START_ATTEMPTS = 3
"""The number of workers in a row that may die before they are ready."""

PATIENCE_S = 5.0
"""The time that a worker has to end before it is killed."""


@dataclass(eq=False)
class Worker:
    """A process, the pipe to it, and the index in progress; not `ready` while it opens model and images."""

    number: int
    process: BaseProcess
    line: Connection
    ready: bool = False
    index: int | None = None


@dataclass(frozen=True)
class Processes:
    """`count` worker processes that compute on `device`, each with its share of the cores; see Engine.

    If a process is killed, the executor of the standard library abandons all work (BrokenProcessPool) and does not name
    the image that caused it. Here every worker has its own pipe.
    """

    count: int
    device: str

    def answers(self, opener: Opener, indices: Sequence[int]) -> Generator[tuple[int, str | None], None, None]:
        """Yield answers as they come; see Engine."""
        pool = Pool(opener, self.count, indices)
        try:
            while pool.busy:
                pool.start_workers()
                pool.hand_out()
                for line in wait(list(pool.workers)):
                    result = pool.receive(pool.workers[line])  # type: ignore[index]
                    if result is not None:
                        yield result
        finally:
            pool.close()


class Pool:
    """The workers for a set of indices, the waiting indices, and the number of workers that died on each index."""

    def __init__(self, opener: Opener, count: int, indices: Sequence[int]):
        self._opener, self._count = opener, count
        self._waiting, self._deaths, self._early_deaths = deque(indices), Counter[int](), 0
        self.workers: dict[Connection, Worker] = {}

    @property
    def busy(self) -> bool:
        """Whether an answer is pending."""
        return bool(self._waiting) or any(worker.index is not None for worker in self.workers.values())

    def start_workers(self) -> None:
        """Start workers for waiting indices that no idle worker can take, up to the number of workers."""
        taken = {worker.number for worker in self.workers.values()}
        free = [number for number in range(self._count) if number not in taken]
        idle = sum(worker.index is None for worker in self.workers.values())
        for number in free[: max(0, len(self._waiting) - idle)]:
            with hold_interrupts():  # until `close` can end it
                worker = start(number, self._opener, max(1, cores() // self._count))
                self.workers[worker.line] = worker

    def hand_out(self) -> None:
        """Give every idle worker an index."""
        for worker in self.workers.values():
            if self._waiting and worker.ready and worker.index is None:
                with suppress(OSError):  # it died while idle, which `receive` will notice
                    worker.line.send(self._waiting[0])
                    worker.index = self._waiting.popleft()

    def receive(self, worker: Worker) -> tuple[int, str | None] | None:
        """Read a worker's message, or notice its death; return an index and its answer, if there is one."""
        try:
            kind, text = worker.line.recv()
        except (EOFError, OSError):
            return self._remove(worker)
        if kind == "refused":
            raise DataError(text)
        self._early_deaths, worker.ready = 0, True
        index, worker.index = worker.index, None
        self.hand_out()  # first, so that the worker is not idle while the answer is saved
        return None if index is None else (index, text)

    def close(self) -> None:
        """End all workers."""
        for worker in self.workers.values():
            worker.process.terminate()
        for worker in self.workers.values():
            end(worker)

    def _remove(self, worker: Worker) -> tuple[int, str | None] | None:
        del self.workers[worker.line]
        end(worker)
        if worker.index is None:
            self._early_deaths += not worker.ready
            if self._early_deaths == START_ATTEMPTS:
                raise DataError(
                    f"expected worker processes that load the model and the images, got {START_ATTEMPTS} that ended "
                    "before they had: is there memory for so many? Try fewer --processes."
                )
            return None
        self._deaths[worker.index] += 1
        if self._deaths[worker.index] == ATTEMPTS:
            return worker.index, None
        self._waiting.appendleft(worker.index)
        return None


def start(number: int, opener: Opener, threads: int) -> Worker:
    """Start a worker process, spawned since threads and GPUs do not survive a fork."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(there, opener, number, threads), daemon=True)
    process.start()
    there.close()  # otherwise the end of the process would not close the pipe
    return Worker(number, process, here)


def serve(line: Connection, opener: Opener, number: int, threads: int) -> None:
    """Run a worker process: answer for every index received, until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the parent ends them
    torch.set_num_threads(threads)
    reuse_freed_memory()
    with suppress(EOFError, OSError):  # the other end is closed
        try:
            answer = opener(number)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next worker would not fare better
            line.send(("refused", reason_of(error)))
            return
        line.send(("ready", ""))
        while True:
            line.send(("answer", answer(line.recv())))


def end(worker: Worker) -> None:
    """Wait for a worker to end; kill it after PATIENCE_S."""
    worker.process.join(PATIENCE_S)
    if worker.process.is_alive():
        worker.process.kill()
        worker.process.join()
    worker.process.close()
    worker.line.close()


@contextmanager
def hold_interrupts() -> Iterator[None]:
    """Delay Ctrl-C until the end of the block. Processes started in the block never receive it, even during imports."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread receives it
        yield
        return
    received: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: received.append(number))
    mask = None
    if hasattr(signal, "pthread_sigmask"):  # inherited by processes, unlike a handler in Python
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)
        if received:
            signal.raise_signal(signal.SIGINT)


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
