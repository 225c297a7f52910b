"""Training on photos: it learns, it goes on exactly after a kill, and what fails is written down."""

import csv
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from geoexplain.errors import CheckpointError, DataError
from geoexplain.locator.model import Network
from geoexplain.training.distributed import alone
from geoexplain.training.optimisation import save_atomically
from geoexplain.training.photo_checkpoint import check_resumable, load_photo_checkpoint
from geoexplain.training.photo_loop import train_photos
from geoexplain.training.photo_run import PhotoRun, restored_network
from geoexplain.training.photo_set import cells_fingerprint, evenly
from geoexplain.training.photo_settings import PhotoPhase, PhotoTraining
from geoexplain.training.photo_validation import validation_errors
from tests.training.photo_worlds import (
    CENTERS,
    drawn,
    world_network,
    world_partitioning,
    world_photos,
    world_settings,
)

CPU = alone(torch.device("cpu"))
ROOT = Path(__file__).parents[2]


def scored(_network: Network, size_px: int) -> tuple[dict[str, dict[int, float]], tuple[float, ...]]:
    return {"f": {25: 0.25, 200: 0.5}}, (float(size_px),)


def trained(
    run_dir: Path,
    settings: PhotoTraining,
    *,
    broken: frozenset[int] = frozenset(),
    resume: bool = False,
    photos: int = 48,
) -> PhotoRun:
    partitioning = world_partitioning()
    return train_photos(
        world_photos(drawn(photos, broken), partitioning),
        partitioning,
        settings,
        world_network(settings, partitioning),
        run_dir,
        processes=CPU,
        validate=scored,
        resume=resume,
        checkpoint_every_s=0.0,
        validate_every_photos=48,
    )


def table(run_dir: Path, name: str) -> list[list[str]]:
    with (run_dir / name).open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))[1:]


@pytest.mark.parametrize("head", ["linear", "multi", "mvmf"])
def test_every_head_learns_where_a_colour_is(head: str) -> None:
    partitioning = world_partitioning()
    settings = world_settings(head=head, phases=(PhotoPhase(32, 16, photos=1120),), learning_rate=5e-3)
    photos = world_photos(drawn(80), partitioning, validation=24)
    run = PhotoRun(photos, partitioning, settings, world_network(settings, partitioning), CPU)
    losses = [run.advance().loss for _ in range(run.schedule.steps)]
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:3]) or head == "mvmf"
    assert np.mean(losses[-10:]) < np.mean(losses[:3]) - 1
    errors = validation_errors(run.averaged(), photos, CENTERS, 32)
    assert list(errors) == (["f", "f*"] if head == "multi" else ["f"])
    for error_km in errors.values():
        assert len(error_km) == 24
        assert (error_km < 100).mean() > 0.9


def test_accumulated_batches_are_one_step() -> None:
    # Batch normalisation aside, twice 4 photos are 8: in evaluation mode the steps are the same.
    partitioning = world_partitioning()
    photos = world_photos(drawn(), partitioning)
    losses = []
    for batch, accumulate in ((8, 1), (4, 2)):
        phases = (PhotoPhase(32, batch, photos=64),)
        settings = world_settings(phases=phases, accumulate=accumulate, warmup_photos=0, augmentation=None)
        network = world_network(settings, partitioning)
        network.eval()
        network.train = Mock()  # type: ignore[method-assign]
        run = PhotoRun(photos, partitioning, settings, network, CPU)
        losses.append([run.advance().loss for _ in range(5)])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


def test_photos_that_cannot_be_read_are_skipped_and_listed_once(tmp_path: Path) -> None:
    broken = frozenset({3, 5, 9})
    trained(tmp_path, world_settings(phases=(PhotoPhase(32, 8, epochs=2),)), broken=broken)
    skipped = table(tmp_path, "skipped.csv")
    assert sorted(row[1] for row in skipped) == ["photo-3", "photo-5", "photo-9"]
    assert all("cut short" in row[2] for row in skipped)
    losses = table(tmp_path, "losses.csv")
    assert sum(int(row[1]) for row in losses) == 2 * (40 - 3)
    assert all(np.isfinite(float(row[2])) for row in losses)


def test_a_run_of_photos_none_of_which_can_be_read_ends_without_a_loss(tmp_path: Path) -> None:
    run = trained(tmp_path, world_settings(phases=(PhotoPhase(32, 8, epochs=1),)), broken=frozenset(range(48)))
    assert {row[2] for row in table(tmp_path, "losses.csv")} == {"nan"}
    state = run.network.state_dict()
    for key, value in world_network(run.settings, world_partitioning()).state_dict().items():
        assert torch.equal(state[key], value)


def test_weights_that_have_run_away_are_told() -> None:
    partitioning, settings = world_partitioning(), world_settings()
    network = world_network(settings, partitioning)
    run = PhotoRun(world_photos(drawn(), partitioning), partitioning, settings, network, CPU)
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


def kill_while_training(run_dir: Path, before_read: int) -> None:
    """Train in a process of its own, which is killed, without warning, before it reads its so manieth photo."""
    code = (
        "import os, signal\n"
        "from pathlib import Path\n"
        "from tests.training.photo_worlds import DrawnPhotos, world_settings\n"
        "from tests.training.test_photo_run import trained\n"
        f"read, left = DrawnPhotos.read, [{before_read}]\n"
        "def killing(self, i, **options):\n"
        "    left[0] -= 1\n"
        "    if not left[0]:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return read(self, i, **options)\n"
        "DrawnPhotos.read = killing\n"
        f"trained(Path({str(run_dir)!r}), world_settings(accumulate=2), broken=frozenset({{3}}))\n"
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
def test_a_killed_run_goes_on_with_the_very_next_losses(tmp_path: Path) -> None:
    settings = world_settings(accumulate=2)
    whole = trained(tmp_path / "whole", settings, broken=frozenset({3}))
    # In the second batch of the third step: two of six are saved, the first validation and the next size to come.
    kill_while_training(tmp_path / "killed", before_read=2 * 16 + 8 + 5)
    assert load_photo_checkpoint(tmp_path / "killed" / "checkpoint.pt")["step"] == 2
    resumed = trained(tmp_path / "killed", settings, broken=frozenset({3}), resume=True)
    for name in ("losses.csv", "accuracy.csv", "skipped.csv"):
        assert table(tmp_path / "killed", name) == table(tmp_path / "whole", name)
    for key, value in whole.network.state_dict().items():
        assert torch.equal(resumed.network.state_dict()[key], value)
        assert torch.equal(resumed.average[key], whole.average[key])


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("steps", range(1, 6))
def test_from_any_checkpoint_a_run_goes_on_with_the_very_next_losses(tmp_path: Path, steps: int) -> None:
    partitioning, settings = world_partitioning(), world_settings(accumulate=2)
    photos = world_photos(drawn(48, frozenset({3})), partitioning)

    def run(saved: dict | None = None) -> PhotoRun:
        return PhotoRun(photos, partitioning, settings, world_network(settings, partitioning), CPU, saved=saved)

    def losses(moved: PhotoRun) -> list[float]:
        return [moved.advance().loss for _ in range(moved.schedule.steps - moved.step)]

    whole = run()
    for _ in range(steps):
        whole.advance()
    whole.save(tmp_path / "checkpoint.pt")
    resumed = run(load_photo_checkpoint(tmp_path / "checkpoint.pt"))
    assert losses(resumed) == losses(whole)
    assert all(torch.equal(resumed.average[key], value) for key, value in whole.average.items())


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
    saved = load_photo_checkpoint(file)
    torch.save({**saved, "validated": 6}, file)
    trained(tmp_path, settings, resume=True)
    assert table(tmp_path, "accuracy.csv") == before


def test_the_best_weights_are_kept(tmp_path: Path) -> None:
    scores = iter([(0.2,), (0.9,), (0.1,), (0.3,)])
    seen: list[dict[str, torch.Tensor]] = []

    def validate(network: Network, _size_px: int) -> tuple[dict[str, dict[int, float]], tuple[float, ...]]:
        seen.append({key: value.clone() for key, value in network.state_dict().items()})
        return {}, next(scores)

    partitioning, settings = world_partitioning(), world_settings(phases=(PhotoPhase(32, 8, photos=128),))
    photos = world_photos(drawn(), partitioning)
    network = world_network(settings, partitioning)
    train_photos(
        photos, partitioning, settings, network, tmp_path, processes=CPU, validate=validate, validate_every_photos=32
    )
    chosen = restored_network(load_photo_checkpoint(tmp_path / "checkpoint.pt"), partitioning).state_dict()
    assert len(seen) == 4
    assert all(torch.equal(chosen[key], value) for key, value in seen[1].items())
    assert not torch.equal(chosen["head.classifier.0.weight"], seen[3]["head.classifier.0.weight"])


def test_scores_at_a_smaller_resolution_do_not_compete() -> None:
    partitioning = world_partitioning()
    settings = world_settings(phases=(PhotoPhase(48, 8, photos=8), PhotoPhase(32, 8, photos=8)))
    photos = world_photos(drawn(), partitioning)
    run = PhotoRun(photos, partitioning, settings, world_network(settings, partitioning), CPU)
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
    cells = world_partitioning(levels=1)
    with pytest.raises(CheckpointError, match="expected the partitioning that the run was begun with"):
        check_resumable(
            load_photo_checkpoint(tmp_path / "checkpoint.pt"), {"cells": cells_fingerprint(cells)}, settings
        )
    with pytest.raises(CheckpointError, match="expected the photos that the run was begun with"):
        trained(tmp_path, settings, resume=True, photos=50)
    torch.save({"format": "geoexplain-photo-run/1"}, tmp_path / "checkpoint.pt")
    with pytest.raises(CheckpointError, match="expected the checkpoint of a run on photos, got another"):
        trained(tmp_path, settings, resume=True)
    (tmp_path / "checkpoint.pt").write_bytes(b"half a checkpoint")
    with pytest.raises(CheckpointError, match="could not read it"):
        trained(tmp_path, settings, resume=True)
