"""Several processes that train one network: started by `torchrun`, or just this one."""

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
"""The others wait while the first one validates, however long that takes; that one has ended is noticed at once."""


@dataclass(frozen=True)
class Processes:
    """The place of this process among those that train one network.

    rank    its number, from 0; only process 0 writes, prints and validates
    world   how many there are
    device  where this one computes
    """

    rank: int
    world: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this is the one process that writes, prints and validates."""
        return self.rank == 0

    def wait(self) -> None:
        """Wait until every process is here."""
        self.total(torch.zeros(1, device=self.device))

    @contextmanager
    def leader_first(self) -> Iterator[None]:
        """A block that process 0 ends before the others begin it, so that they find what it leaves behind."""
        if not self.leads:
            self.wait()
        yield
        if self.leads:
            self.wait()

    def total(self, values: Tensor) -> Tensor:
        """The sum over all processes of a tensor on this process's device; every process has to ask at once."""
        if self.world > 1:
            values = values.clone()
            with told_when_another_ended():
                dist.all_reduce(values)
        return values

    def gathered(self, items: list[Any]) -> list[Any]:
        """What all processes hold, in their order; every process has to ask at once."""
        if self.world == 1:
            return items
        lists: list[Any] = [None] * self.world
        with told_when_another_ended():
            dist.all_gather_object(lists, items)
        return [item for one in lists for item in one]

    def sum_gradients(self, parameters: Iterable[nn.Parameter], counts: Tensor) -> Tensor:
        """Add up the gradients of all processes, in place, and `counts` (n,) float with them, which is returned.

        All travel in one message. A parameter without a gradient has one of zeros afterwards.
        """
        parameters = list(parameters)
        if self.world == 1:
            return counts
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        # fp64 for the counts' sake would double the message: whole numbers below 16 million are exact in fp32.
        flat = self.total(torch.cat([counts.float(), *(gradient.reshape(-1).float() for gradient in gradients)]))
        summed, *parts = flat.split([counts.numel(), *(gradient.numel() for gradient in gradients)])
        for parameter, gradient, part in zip(parameters, gradients, parts, strict=True):
            parameter.grad = part.view_as(gradient).to(gradient.dtype)
        return summed


def default_device() -> torch.device:
    """The GPU when there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def alone(device: torch.device) -> Processes:
    """This process, and no other."""
    return Processes(0, 1, device)


@contextmanager
def processes(device: torch.device | None = None) -> Iterator[Processes]:
    """The processes that `torchrun` started, joined for a block; this one alone where none did.

    `device` None takes the GPU of this process's local rank when there is one. They talk over NCCL on GPUs and over
    Gloo elsewhere. Raises DataError when the environment of `torchrun` is incomplete.
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
def told_when_another_ended() -> Iterator[None]:
    """Say what it means when the others cannot be reached any more. Raises DataError."""
    try:
        yield
    except RuntimeError as error:
        raise DataError(
            "expected the other processes of the run to answer, one has ended: see what it said, then go on with "
            "--resume."
        ) from error
