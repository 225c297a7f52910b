"""The processes that train one network: those that `torchrun` started, or only this one."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from geoexplain.errors import DataError

LONGEST_WAIT = timedelta(days=2)
"""Timeout of a collective operation: the other processes wait while process 0 validates. A process that has ended is
noticed at once."""


@dataclass(frozen=True)
class Processes:
    """This process among those that train one network.

    rank    number of this process, from 0; only process 0 writes, prints and validates
    world   number of processes
    device  device of this process
    """

    rank: int
    world: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this is process 0, which writes, prints and validates."""
        return self.rank == 0

    def wait(self) -> None:
        """Wait until every process has called this."""
        self.total(torch.zeros(1, device=self.device))

    @contextmanager
    def leader_first(self) -> Iterator[None]:
        """Run a block in process 0 first, then in the others, so that they find its files."""
        if not self.leads:
            self.wait()
        yield
        if self.leads:
            self.wait()

    def total(self, values: Tensor) -> Tensor:
        """Return the sum over all processes of a tensor on this process's device; every process has to call this."""
        if self.world > 1:
            values = values.clone()
            with translate_process_errors():
                dist.all_reduce(values)
        return values

    def gathered(self, items: list[Any]) -> list[Any]:
        """Return the items of all processes, in the order of ranks; every process has to call this."""
        if self.world == 1:
            return items
        lists: list[Any] = [None] * self.world
        with translate_process_errors():
            dist.all_gather_object(lists, items)
        return [item for one in lists for item in one]

    def sum_gradients(self, parameters: Iterable[nn.Parameter], counts: Tensor) -> Tensor:
        """Sum the gradients of all processes, in place, and `counts` (n,) float; return the summed counts.

        One all-reduce sums everything. With several processes, a parameter without a gradient gets one of zeros.
        """
        parameters = list(parameters)
        if self.world == 1:
            return counts
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        # fp32 suffices for the counts, since whole numbers below 16 million are exact; fp64 would double the message.
        flat = self.total(torch.cat([counts.float(), *(gradient.reshape(-1).float() for gradient in gradients)]))
        summed, *parts = flat.split([counts.numel(), *(gradient.numel() for gradient in gradients)])
        for parameter, gradient, part in zip(parameters, gradients, parts, strict=True):
            parameter.grad = part.view_as(gradient).to(gradient.dtype)
        return summed


def default_device() -> torch.device:
    """Return the GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def alone(device: torch.device) -> Processes:
    """Return this process as the only one."""
    return Processes(0, 1, device)


@contextmanager
def processes(device: torch.device | None = None) -> Iterator[Processes]:
    """Join the processes that `torchrun` started for a block; without `torchrun`, yield this process alone.

    `device` None takes the GPU of this process's local rank, or the CPU without one. The backend is NCCL on GPUs and
    Gloo elsewhere. Raises DataError if the environment of `torchrun` is incomplete.
    """
    world = os.environ.get("WORLD_SIZE", "1")
    if world == "1":
        yield alone(device or default_device())
        return
    try:
        rank, local = int(os.environ["RANK"]), int(os.environ.get("LOCAL_RANK", os.environ["RANK"]))
        if device is None:
            device = torch.device(f"cuda:{local}" if torch.cuda.is_available() else "cpu")
        elif device == torch.device("cuda"):
            device = torch.device(f"cuda:{local}")
        if device.type == "cuda":
            torch.cuda.set_device(device)
        dist.init_process_group(
            "nccl" if device.type == "cuda" else "gloo", rank=rank, world_size=int(world), timeout=LONGEST_WAIT
        )
    except (KeyError, ValueError, RuntimeError) as error:
        raise DataError(
            f"expected the environment that torchrun sets, could not join the other processes ({str(error)[:200]}): "
            "start with torchrun --nproc-per-node N -m geoexplain train …"
        ) from None
    try:
        yield Processes(rank, int(world), device)
    finally:
        dist.destroy_process_group()


@contextmanager
def translate_process_errors() -> Iterator[None]:
    """Raise DataError if another process has ended, in place of the RuntimeError of torch.distributed."""
    try:
        yield
    except RuntimeError as error:
        raise DataError(
            "expected the other processes of the run to answer, one has ended: see what it said, then go on with "
            "--resume."
        ) from error
