"""Training on photos and on views: it learns, it goes on exactly after a kill, and what fails is written down."""

import csv
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from geoexplain.errors import CheckpointError, DataError
from geoexplain.locator.model import Network
from geoexplain.training.checkpoint import load_checkpoint, save_atomically
from geoexplain.training.distributed import alone
from geoexplain.training.loop import Progress, TrainingCancelledError, train
from geoexplain.training.photos import evenly, validation_errors
from geoexplain.training.run import Run, read_run
from geoexplain.training.settings import Phase, Training
from geoexplain.training.source import Source
from tests.training.worlds import (
    SOURCES,
    drawn,
    source_settings,
    world_network,
    world_partitioning,
    world_photos,
    world_settings,
    world_source,
)

CPU = alone(torch.device("cpu"))
ROOT = Path(__file__).parents[2]


def scored(_network: Network, size_px: int) -> tuple[dict[str, dict[int, float]], tuple[float, ...]]:
    return {"f": {25: 0.25, 200: 0.5}}, (float(size_px),)


def trained_on(source: Source, run_dir: Path, settings: Training, **options: Any) -> Run:
    return train(
        source,
        settings,
        run_dir,
        **{  # type: ignore[arg-type]
            "processes": CPU,
            "validate": scored,
            "checkpoint_every_s": 0.0,
            "validate_every": 48,
            **options,
        },
    )


def trained(
    run_dir: Path,
    settings: Training,
    *,
    broken: frozenset[int] = frozenset(),
    resume: bool = False,
    photos: int = 48,
) -> Run:
    return trained_on(world_photos(drawn(photos, broken), world_partitioning()), run_dir, settings, resume=resume)


def made(kind: str, settings: Training, saved: dict | None = None) -> Run:
    """A run of either kind, its network begun with the settings' seed."""
    source = world_source(kind)
    return Run(source, settings, world_network(settings, source.partitioning), CPU, saved=saved)


def losses_of(run: Run) -> list[float]:
    return [run.advance().loss for _ in range(run.schedule.steps - run.step)]


def table(run_dir: Path, name: str) -> list[list[str]]:
    with (run_dir / name).open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))[1:]


@pytest.mark.parametrize("head", ["linear", "multi", "mvmf", "mvmf-soft"])
def test_every_head_learns_where_a_colour_is(head: str) -> None:
    partitioning = world_partitioning()
    settings = world_settings(head=head, phases=(Phase(32, 16, images=1120),), learning_rate=5e-3)
    photos = world_photos(drawn(80), partitioning, validation=24)
    run = Run(photos, settings, world_network(settings, partitioning), CPU)
    losses = [run.advance().loss for _ in range(run.schedule.steps)]
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:3]) or "mvmf" in head
    assert np.mean(losses[-10:]) < np.mean(losses[:3]) - 1
    errors = validation_errors(run.averaged(), photos, 32)
    assert list(errors) == (["f", "f*"] if head == "multi" else ["f"])
    for error_km in errors.values():
        assert len(error_km) == 24
        assert (error_km < 100).mean() > 0.9


def test_accumulated_batches_are_one_step() -> None:
    # Batch normalisation aside, twice 4 photos are 8: in evaluation mode the steps are the same.
    partitioning = world_partitioning()
    photos = replace(world_photos(drawn(), partitioning), augmentation=None)
    losses = []
    for batch, accumulate in ((8, 1), (4, 2)):
        phases = (Phase(32, batch, images=64),)
        settings = world_settings(phases=phases, accumulate=accumulate, warmup_images=0)
        network = world_network(settings, partitioning)
        network.eval()
        network.train = Mock()  # type: ignore[method-assign]
        run = Run(photos, settings, network, CPU)
        losses.append([run.advance().loss for _ in range(5)])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


def test_photos_that_cannot_be_read_are_skipped_and_listed_once(tmp_path: Path) -> None:
    broken = frozenset({3, 5, 9})
    trained(tmp_path, world_settings(phases=(Phase(32, 8, epochs=2),)), broken=broken)
    skipped = table(tmp_path, "skipped.csv")
    assert sorted(row[1] for row in skipped) == ["photo-3", "photo-5", "photo-9"]
    assert all("cut short" in row[2] for row in skipped)
    losses = table(tmp_path, "losses.csv")
    assert sum(int(row[1]) for row in losses) == 2 * (40 - 3)
    assert all(np.isfinite(float(row[2])) for row in losses)


def test_a_run_of_photos_none_of_which_can_be_read_ends_without_a_loss(tmp_path: Path) -> None:
    run = trained(tmp_path, world_settings(phases=(Phase(32, 8, epochs=1),)), broken=frozenset(range(48)))
    assert {row[2] for row in table(tmp_path, "losses.csv")} == {"nan"}
    state = run.network.state_dict()
    for key, value in world_network(run.settings, world_partitioning()).state_dict().items():
        assert torch.equal(state[key], value)


def test_weights_that_have_run_away_are_told() -> None:
    partitioning, settings = world_partitioning(), world_settings()
    network = world_network(settings, partitioning)
    run = Run(world_photos(drawn(), partitioning), settings, network, CPU)
    run.advance()
    next(network.head.parameters()).data.fill_(torch.inf)
    before = {key: value.clone() for key, value in run.average.items()}
    with pytest.raises(DataError, match=r"expected a finite loss, got (nan|inf) in step 2: begin again with a smaller"):
        run.advance()
    assert all(torch.equal(run.average[key], value) for key, value in before.items())


def test_photos_in_no_cell_are_left_out_and_counted() -> None:
    collection = drawn(20)
    collection.positions_deg[4] = (-60.0, -100.0)
    photos = world_photos(collection, world_partitioning(), validation=4)
    assert photos.in_no_cell == 1
    assert photos.train.tolist() == [row for row in range(16) if row != 4]
    far = drawn(20)
    far.positions_deg[:] = (-60.0, -100.0)
    with pytest.raises(DataError, match="lie in the cells of world, got 0"):
        world_photos(far, world_partitioning())


def test_part_of_the_photos_is_spread_over_all() -> None:
    assert evenly(np.arange(10) + 5, 4).tolist() == [5, 7, 10, 12]
    assert evenly(np.arange(3), 4).tolist() == [0, 1, 2]


def kill_while_training(kind: str, run_dir: Path, before_batch: int) -> None:
    """Train in a process of its own, which is killed, without warning, before it makes a batch, counted from 1."""
    code = (
        "import os, signal\n"
        "from pathlib import Path\n"
        "import geoexplain.training.run as run\n"
        "from tests.training.worlds import source_settings, world_source\n"
        "from tests.training.test_run import trained_on\n"
        f"advance, left = run.Run._next, [{before_batch}]\n"
        "def killing(self):\n"
        "    left[0] -= 1\n"
        "    if not left[0]:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return advance(self)\n"
        "run.Run._next = killing\n"
        f"trained_on(world_source({kind!r}), Path({str(run_dir)!r}), source_settings({kind!r}, accumulate=2))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert process.wait() == -signal.SIGKILL


@pytest.fixture
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("kind", SOURCES)
def test_a_killed_run_goes_on_with_the_very_next_losses(tmp_path: Path, kind: str) -> None:
    settings = source_settings(kind, accumulate=2)
    whole = trained_on(world_source(kind), tmp_path / "whole", settings)
    # In the second batch of the third step: two of six are saved, the first validation and the next size to come.
    kill_while_training(kind, tmp_path / "killed", before_batch=2 * 2 + 2)
    assert load_checkpoint(tmp_path / "killed" / "checkpoint.pt")["step"] == 2
    resumed = trained_on(world_source(kind), tmp_path / "killed", settings, resume=True)
    for name in ("losses.csv", "accuracy.csv", "skipped.csv"):
        assert table(tmp_path / "killed", name) == table(tmp_path / "whole", name)
    assert [row[0] for row in table(tmp_path / "whole", "losses.csv")] == list("012345")
    for key, value in whole.network.state_dict().items():
        assert torch.equal(resumed.network.state_dict()[key], value)
        assert torch.equal(resumed.average[key], whole.average[key])


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("steps", range(1, 6))
@pytest.mark.parametrize("kind", SOURCES)
def test_from_any_checkpoint_a_run_goes_on_with_the_very_next_losses(tmp_path: Path, kind: str, steps: int) -> None:
    settings = source_settings(kind, accumulate=2)
    whole = made(kind, settings)
    for _ in range(steps):
        whole.advance()
    whole.save(tmp_path / "checkpoint.pt")
    resumed = made(kind, settings, load_checkpoint(tmp_path / "checkpoint.pt"))
    assert losses_of(resumed) == losses_of(whole)
    assert all(torch.equal(resumed.average[key], value) for key, value in whole.average.items())


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("kind", SOURCES)
def test_a_training_that_is_cancelled_is_saved_and_resumed(tmp_path: Path, kind: str) -> None:
    settings, heard = source_settings(kind, accumulate=2), []
    asked = iter([False, False, True])
    with pytest.raises(TrainingCancelledError, match="the run is saved: resume it"):
        trained_on(
            world_source(kind),
            tmp_path,
            settings,
            checkpoint_every_s=1e6,
            report_every_s=0.0,
            report=heard.append,
            cancelled=lambda: next(asked),
        )
    assert load_checkpoint(tmp_path / "checkpoint.pt")["step"] == 3
    with pytest.raises(DataError, match="expected a folder without a run, found one: add --resume"):
        trained_on(world_source(kind), tmp_path, settings)
    resumed = trained_on(world_source(kind), tmp_path, settings, resume=True)
    whole = made(kind, settings)
    losses = losses_of(whole)
    assert [float(row[2]) for row in table(tmp_path, "losses.csv")] == pytest.approx(losses, rel=1e-6)
    assert all(torch.equal(resumed.average[key], value) for key, value in whole.average.items())
    assert all(isinstance(progress, Progress) for progress in heard)
    assert [(progress.seen, progress.total, progress.size_px) for progress in heard] == [
        (16, 96, 32),
        (32, 96, 32),
        (48, 96, 32),
    ]


@pytest.mark.parametrize("kind", SOURCES)
def test_a_run_may_become_longer(tmp_path: Path, kind: str) -> None:
    settings = source_settings(kind, phases=(Phase(32, 8, images=16),), warmup_images=1000)
    trained_on(world_source(kind), tmp_path, settings)
    longer = replace(settings, phases=(Phase(32, 8, images=32),))
    resumed, whole = trained_on(world_source(kind), tmp_path, longer, resume=True), made(kind, longer)
    losses_of(whole)
    assert resumed.step == 4
    # The rate is still rising, so that it does not matter when the run was to end.
    assert all(torch.equal(resumed.network.state_dict()[k], value) for k, value in whole.network.state_dict().items())


def test_rows_after_the_last_checkpoint_are_written_again(tmp_path: Path) -> None:
    settings = world_settings()
    trained(tmp_path, settings)
    before = table(tmp_path, "losses.csv")
    with (tmp_path / "losses.csv").open("a", encoding="utf-8") as file:
        file.write("12,8,0.5,0.1,48\n13,8,0.")  # two steps that no checkpoint knows of, the second cut short
    trained(tmp_path, settings, resume=True)
    assert table(tmp_path, "losses.csv") == before


def test_a_validation_that_no_checkpoint_knows_of_stands_there_once(tmp_path: Path) -> None:
    settings = world_settings()
    trained(tmp_path, settings)
    before = table(tmp_path, "accuracy.csv")
    # As a kill leaves it between the table and the checkpoint that says that the last validation is done.
    file = tmp_path / "checkpoint.pt"
    saved = load_checkpoint(file)
    torch.save({**saved, "validated": 6}, file)
    trained(tmp_path, settings, resume=True)
    assert table(tmp_path, "accuracy.csv") == before


@pytest.mark.parametrize("kind", SOURCES)
def test_the_best_weights_are_kept(tmp_path: Path, kind: str) -> None:
    scores = iter([(0.2,), (0.9,), (0.1,), (0.3,)])
    seen: list[dict[str, torch.Tensor]] = []

    def validate(network: Network, _size_px: int) -> tuple[dict[str, dict[int, float]], tuple[float, ...]]:
        seen.append({key: value.clone() for key, value in network.state_dict().items()})
        return {}, next(scores)

    settings = source_settings(kind, phases=(Phase(32, 8, images=128),))
    source = world_source(kind)
    run = trained_on(source, tmp_path, settings, validate=validate, validate_every=32)
    chosen = read_run(tmp_path, source.partitioning).network.state_dict()
    in_memory = read_run(run, source.partitioning).network.state_dict()
    assert all(torch.equal(chosen[key], value) for key, value in in_memory.items())
    assert len(seen) == 4
    assert all(torch.equal(chosen[key], value) for key, value in seen[1].items())
    assert not torch.equal(chosen["backbone.stem.0.weight"], seen[3]["backbone.stem.0.weight"])


@pytest.mark.parametrize("kind", SOURCES)
def test_scores_at_a_smaller_resolution_do_not_compete(kind: str) -> None:
    run = made(kind, source_settings(kind, phases=(Phase(48, 8, images=8), Phase(32, 8, images=8))))
    for score in ((0.2,), (0.9,)):
        run.advance()
        run.scored(score)
    assert (run.size_px, run.best_size_px, run.best_score) == (32, 48, (0.2,))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device without room")
def test_a_disk_without_room_is_told_and_the_last_checkpoint_stays(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.pt"
    file.write_bytes(b"the last good one")
    (tmp_path / "checkpoint.partial").symlink_to("/dev/full")
    with pytest.raises(CheckpointError, match="expected to write a checkpoint, could not"):
        save_atomically({"weights": torch.zeros(100_000)}, file)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]
    assert file.read_bytes() == b"the last good one"


def test_resuming_with_others_is_refused(tmp_path: Path) -> None:
    settings = world_settings()
    with pytest.raises(CheckpointError, match="expected a training checkpoint at"):
        trained(tmp_path, settings, resume=True)
    trained(tmp_path, settings)
    with pytest.raises(CheckpointError, match=r"expected learning_rate 0\.002, as the run was begun with, got 0\.1"):
        trained(tmp_path, replace(settings, learning_rate=0.1), resume=True)
    with pytest.raises(CheckpointError, match="expected the photos that the run was begun with"):
        trained(tmp_path, settings, resume=True, photos=50)
    photos = world_photos(drawn(), world_partitioning())
    with pytest.raises(CheckpointError, match=r"expected augmentation \{.*'area': \[0\.66, 1\.0\].*got None"):
        trained_on(replace(photos, augmentation=None), tmp_path, settings, resume=True)
    linear = replace(settings, head="linear")
    trained(tmp_path / "linear", linear)
    with pytest.raises(CheckpointError, match="expected the partitioning that the run was begun with"):
        trained_on(world_photos(drawn(), world_partitioning(levels=1)), tmp_path / "linear", linear, resume=True)
    with pytest.raises(CheckpointError, match="expected the partitioning that the run was trained with"):
        read_run(tmp_path, world_partitioning(levels=1))
    views = source_settings("views")
    with pytest.raises(CheckpointError, match="expected a run on views, got one on photos"):
        trained_on(world_source("views"), tmp_path, views, resume=True)
    torch.save({"format": "geoexplain-run/2"}, tmp_path / "checkpoint.pt")
    with pytest.raises(CheckpointError, match=r"expected the checkpoint of a run \(geoexplain-run/2\)"):
        trained(tmp_path, settings, resume=True)
    (tmp_path / "checkpoint.pt").write_bytes(b"half a checkpoint")
    with pytest.raises(CheckpointError, match="could not read it"):
        trained(tmp_path, settings, resume=True)


def test_views_of_other_images_or_drawn_otherwise_do_not_go_on(tmp_path: Path) -> None:
    settings = source_settings("views", phases=(Phase(32, 8, images=8),))
    source = world_source("views")
    trained_on(source, tmp_path, settings)
    fewer = replace(source, others=())
    with pytest.raises(CheckpointError, match="expected the views that the run was begun with"):
        trained_on(fewer, tmp_path, settings, resume=True)
    with pytest.raises(CheckpointError, match=r"expected others 0\.25, as the run was begun with, got 0\.5"):
        trained_on(replace(source, others_share=0.5), tmp_path, settings, resume=True)


@pytest.mark.parametrize(
    "old",
    [
        {"format": "geoexplain-photo-run/1", "settings": "{}", "photos": "", "step": 3},
        {"settings": "{}", "centers_deg": torch.zeros(4, 2), "seen": 960, "points": torch.zeros(8)},
    ],
    ids=SOURCES,
)
def test_runs_begun_before_there_was_one_trainer_are_refused(tmp_path: Path, old: dict[str, Any]) -> None:
    torch.save(old, tmp_path / "checkpoint.pt")
    said = "got one that was begun before photos and views had one trainer, and that cannot go on here: begin again"
    with pytest.raises(CheckpointError, match=said):
        trained(tmp_path, world_settings(), resume=True)
    with pytest.raises(CheckpointError, match=said):
        read_run(tmp_path, world_partitioning())
