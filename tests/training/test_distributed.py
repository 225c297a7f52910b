"""Two processes over Gloo against one: the same batch normalisation, the same losses, the same end."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from geoexplain.errors import CheckpointError, DataError
from geoexplain.training.checkpoint import load_checkpoint
from geoexplain.training.distributed import alone, processes
from geoexplain.training.joint_norm import join_batch_norms
from tests.conftest import free_port
from tests.training.two_processes import SHARES, batch, normalised, norms, run_of
from tests.training.worlds import SOURCES

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What both processes left behind, which are started as torchrun would; 2 and 3 are their exit codes."""
    folder = tmp_path_factory.mktemp("two")
    common = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.training.two_processes", str(folder)],
            cwd=ROOT,
            env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1"},
        )
        for rank in range(2)
    ]
    try:
        assert [process.wait(timeout=300) for process in started] == [2, 3]
    finally:
        for process in started:
            process.kill()
    return folder


@pytest.fixture(scope="module")
def compared(folder: Path) -> list[dict[str, Any]]:
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("share", SHARES, ids=str)
def test_joint_norms_are_ordinary_ones_on_the_joined_batch(
    compared: list[dict[str, Any]], share: tuple[int, int]
) -> None:
    first, second = (one[f"norms {share[0]}-{share[1]}"] for one in compared)
    whole = normalised(norms(), *batch())
    for key, expected in whole.items():
        kind = key.split()[0]
        if kind in {"value", "input"}:
            found = torch.cat([first[key], second[key]])
        elif kind in {"weight", "bias"}:
            found = first[key] + second[key]  # each has the part of its own photos
        else:
            found = first[key]
            assert torch.equal(found, second[key])
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", SOURCES)
def test_two_processes_have_the_losses_of_one(compared: list[dict[str, Any]], kind: str) -> None:
    # three photos cannot be read, so that the shares of some batches differ in size; those of views do anyway
    run = run_of(kind, alone(torch.device("cpu")))
    losses = [run.advance().loss for _ in range(6)]
    for one in compared:
        assert one[f"losses {kind}"] == pytest.approx(losses, abs=1e-4)
        assert one["failed"] == ["from 0", "from 1"]
    for key, value in run.network.state_dict().items():
        assert torch.equal(compared[0][f"state {kind}"][key], compared[1][f"state {kind}"][key])
        torch.testing.assert_close(compared[0][f"state {kind}"][key], value, rtol=1e-3, atol=1e-3)


def test_ctrl_c_in_one_process_ends_both_after_the_same_step(folder: Path) -> None:
    assert (folder / "interrupted-0").exists()
    assert (folder / "interrupted-1").exists()
    saved = load_checkpoint(folder / "checkpoint.pt")
    assert 1 <= saved["step"] < 400
    assert len((folder / "losses.csv").read_text().splitlines()) == 1 + saved["step"]


def test_the_end_of_one_process_ends_the_other(folder: Path) -> None:
    assert (folder / "said").read_text().startswith("DataError: expected the other processes of the run to answer")


def test_norms_of_other_kinds_are_refused() -> None:
    with pytest.raises(CheckpointError, match="got BatchNorm1d"):
        join_batch_norms(nn.Sequential(nn.BatchNorm1d(3)))


def test_an_incomplete_environment_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(DataError, match="torchrun --nproc-per-node"), processes():
        pass


def test_one_process_needs_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with processes(torch.device("cpu")) as joined:
        assert (joined.rank, joined.world, joined.leads) == (0, 1, True)
        assert joined.total(torch.tensor([3.0])).tolist() == [3.0]
