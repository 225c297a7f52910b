"""What each of two joined processes does in a test; started as `python -m tests.training.two_processes FOLDER`."""

import os
import signal
import sys
from pathlib import Path

import pytest
import torch
from timm.layers.norm_act import BatchNormAct2d
from torch import nn

from geoexplain.training.distributed import Processes, processes
from geoexplain.training.joint_norm import join_batch_norms
from geoexplain.training.loop import train
from geoexplain.training.run import Run
from geoexplain.training.settings import Phase, Training
from tests.training.worlds import (
    SOURCES,
    drawn,
    source_settings,
    world_network,
    world_partitioning,
    world_photos,
    world_source,
)

BROKEN = frozenset({1, 8, 17})
SHARES = ((0, 5), (5, 6), (6, 6))
"""Rows of a batch of 6 that process 0 has; the others are process 1's. In the last one it has none."""


def settings_of(kind: str, steps: int = 6) -> Training:
    # Plain gradients: Adam divides those that are nearly nothing by themselves, rounding included.
    sgd = {"optimizer": "sgd", "learning_rate": 0.01}
    # Of 48 images 36 are views, which come in blocks of 32 and 4.
    batch = 8 if kind == "photos" else 48
    return source_settings(kind, phases=(Phase(32, batch, images=batch * steps),), accumulate=1, **sgd)


def run_of(kind: str, joined: Processes) -> Run:
    settings, source = settings_of(kind), world_source(kind, BROKEN)
    return Run(source, settings, world_network(settings, source.partitioning), joined)


def norms() -> nn.ModuleList:
    torch.manual_seed(5)
    plain, fused = nn.BatchNorm2d(3), BatchNormAct2d(3, act_layer=nn.SiLU)
    for norm in (plain, fused):
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    return nn.ModuleList([plain, fused])


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(9)
    x = 50 + torch.randn(6, 3, 4, 5, generator=generator) * torch.tensor([0.1, 1, 10]).view(1, 3, 1, 1)
    return x, torch.randn(6, 3, 4, 5, generator=generator)


def normalised(modules: nn.ModuleList, x: torch.Tensor, upstream: torch.Tensor) -> dict[str, torch.Tensor]:
    """Values, gradients and statistics of both norms for one batch and the gradient of what follows."""
    found = {}
    for number, module in enumerate(modules):
        given = x.clone().requires_grad_(True)
        value = module.train()(given)
        (value * upstream).sum().backward()
        found |= {f"value {number}": value.detach(), f"input {number}": given.grad}
        found |= {f"weight {number}": module.weight.grad.clone(), f"bias {number}": module.bias.grad.clone()}
        found |= {f"mean {number}": module.running_mean.clone(), f"variance {number}": module.running_var.clone()}
        module.zero_grad()
    return found


def compare(joined: Processes, folder: Path) -> None:
    results: dict[str, object] = {}
    x, upstream = batch()
    for start, stop in SHARES:
        modules = norms()
        assert join_batch_norms(modules) == 2
        own = slice(0, stop) if joined.leads else slice(stop, 6)
        results[f"norms {start}-{stop}"] = normalised(modules, x[own], upstream[own])
    results["failed"] = [key for key, _ in joined.gathered([(f"from {joined.rank}", "")])]
    for kind in SOURCES:
        run = run_of(kind, joined)
        results[f"losses {kind}"] = [run.advance().loss for _ in range(6)]
        results[f"state {kind}"] = run.network.state_dict()
    torch.save(results, folder / f"{joined.rank}.pt")


def press(joined: Processes, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train; Ctrl-C is pressed in process 1 alone, in the middle of its second step."""
    settings, partitioning = settings_of("photos", 400), world_partitioning()
    collection = drawn(48)
    if not joined.leads:
        read = type(collection).read
        left = [12]

        def pressing(self: object, i: int, *, shorter_px: int | None = None) -> object:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGINT)
            return read(self, i, shorter_px=shorter_px)  # type: ignore[arg-type]

        monkeypatch.setattr(type(collection), "read", pressing)
    photos = world_photos(collection, partitioning)
    try:
        train(
            photos,
            settings,
            folder,
            network=world_network(settings, partitioning),
            processes=joined,
            validate_every=100_000,
            validate=lambda _network, _size: ({}, (0.0,)),
        )
    except KeyboardInterrupt:
        (folder / f"interrupted-{joined.rank}").touch()


def fail(joined: Processes, folder: Path) -> None:
    """Process 1 ends after two steps; process 0 must not wait for it."""
    run = run_of("photos", joined)
    for step in range(6):
        if step == 2 and not joined.leads:
            sys.exit(3)
        try:
            run.advance()
        except Exception as error:  # noqa: BLE001 - what it is, is what the test asks
            (folder / "said").write_text(f"{type(error).__name__}: {error}", encoding="utf-8")
            os._exit(2)  # the group cannot be left in good order any more


if __name__ == "__main__":
    torch.set_num_threads(1)
    with processes(torch.device("cpu")) as joined_processes:
        compare(joined_processes, Path(sys.argv[1]))
        with pytest.MonkeyPatch.context() as changed:
            press(joined_processes, Path(sys.argv[1]), changed)
        fail(joined_processes, Path(sys.argv[1]))
