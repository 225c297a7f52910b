"""Batches are the same whoever makes them, whole, and poorer by nothing but the photos that cannot be read."""

import itertools
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from geoexplain.errors import DataError
from geoexplain.images import Preprocess, open_image
from geoexplain.photos import PhotoCollection, open_collection, write_shards
from geoexplain.training.photo_augmentation import Augmentation, evaluation_view
from geoexplain.training.photo_batches import Batch, PhotoBatches, evaluation_batches
from tests.photos.pictures import jpeg

STRONG = Augmentation(area=(0.3, 1.0), brightness=0.3, contrast=0.3, saturation=0.3)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> PhotoCollection:
    """Fourteen photos, high and wide."""
    folder = tmp_path_factory.mktemp("shards")
    sizes = [(60, 45), (45, 60), (50, 50)]
    write_shards(((f"{i}.jpg", jpeg(i, sizes[i % 3]), 1.0, 2.0, "") for i in range(14)), folder)
    return open_collection(folder)


def take(photos: PhotoCollection, count: int, **options: object) -> list[Batch]:
    settings = {"size_px": 32, "batch": 4, "workers": 0, "seed": 3, "augment": STRONG, **options}
    rows = settings.pop("rows") if "rows" in settings else np.arange(len(photos))
    batches = iter(PhotoBatches(photos, rows, **settings))
    found = list(itertools.islice(batches, count))
    batches.close()
    return found


def same(one: Batch, other: Batch) -> bool:
    return torch.equal(one.images, other.images) and np.array_equal(one.rows, other.rows) and one.failed == other.failed


@pytest.mark.parametrize("world", [2, 4])
def test_ranks_together_have_the_batches_of_one_process(photos: PhotoCollection, world: int) -> None:
    alone = take(photos, 9)  # two epochs and a half
    ranks = [take(photos, 9, rank=rank, world=world) for rank in range(world)]
    for whole, parts in zip(alone, zip(*ranks, strict=True), strict=True):
        assert {len(part.rows) for part in parts} == {4 // world}
        together = Batch(
            torch.cat([part.images for part in parts]),
            np.concatenate([part.rows for part in parts]),
            [one for part in parts for one in part.failed],
        )
        assert same(together, whole)


@pytest.mark.parametrize("start", [1, 3, 4, 8])
def test_a_later_start_leaves_out_the_first_batches(photos: PhotoCollection, start: int) -> None:
    assert all(map(same, take(photos, 9 - start, start=start), take(photos, 9)[start:]))


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_threads_change_nothing(photos: PhotoCollection, workers: int) -> None:
    assert all(map(same, take(photos, 9, workers=workers), take(photos, 9)))


@pytest.mark.parametrize("batch", [1, 4, 5, 14, 32])
def test_every_photo_once_an_epoch_and_every_batch_full(photos: PhotoCollection, batch: int) -> None:
    found = take(photos, -(-14 * 3 // batch), batch=batch)
    assert all(len(one.rows) == batch for one in found)
    order = np.concatenate([one.rows for one in found])
    epochs = [order[first : first + 14].tolist() for first in (0, 14, 28)]
    assert all(sorted(epoch) == list(range(14)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert epochs[0] == PhotoBatches(photos, np.arange(14), size_px=32, batch=1, seed=3).order(0).tolist()


def test_the_order_of_photos_and_their_changes_follow_the_seed(photos: PhotoCollection) -> None:
    one, other = take(photos, 3), take(photos, 3, seed=4)
    assert [batch.rows.tolist() for batch in one] != [batch.rows.tolist() for batch in other]
    first, second = take(photos, 2, rows=np.array([5]), batch=1)  # one photo, two epochs
    assert not torch.equal(first.images, second.images)


def test_the_order_is_that_of_all_time() -> None:
    # An epoch's order sorts the raw numbers of Philox, seeded with (seed, 0, epoch); those NumPy never changes.
    raw = np.random.Philox(np.random.SeedSequence((3, 0, 1))).random_raw(5).tolist()
    rows = np.array([10, 20, 30, 40, 50])
    batches = PhotoBatches(None, rows, size_px=8, batch=1, seed=3)  # type: ignore[arg-type]
    assert batches.order(1).tolist() == [int(rows[i]) for i in sorted(range(5), key=lambda i: raw[i])]


def test_an_unchanged_photo_is_normalised_as_at_serving(photos: PhotoCollection) -> None:
    # A square photo needs no cropping, so what is trained on is what Preprocess makes at serving, bit by bit.
    (batch,) = take(photos, 1, rows=np.array([2, 5]), batch=2, augment=False)
    for row, image in zip(batch.rows.tolist(), batch.images, strict=True):
        assert torch.equal(image, Preprocess(32).tensor(photos.read(row))[0])
    assert batch.images.dtype == torch.float32
    assert batch.rows.dtype == np.int64


@pytest.mark.parametrize("workers", [0, 2])
def test_validation_has_every_photo_once_in_order(photos: PhotoCollection, workers: int) -> None:
    rows = np.array([13, 2, 7, 0, 5])
    found = list(evaluation_batches(photos, rows, size_px=24, batch=2, workers=workers))
    assert [batch.rows.tolist() for batch in found] == [[13, 2], [7, 0], [5]]
    images = torch.cat([batch.images for batch in found])
    for row, image in zip(rows.tolist(), images, strict=True):
        seen = evaluation_view(photos.read(row), 24)
        assert torch.equal(image, Preprocess(24).tensor(seen)[0])
    ranks = [list(evaluation_batches(photos, rows, size_px=24, batch=2, workers=0, rank=r, world=2)) for r in (0, 1)]
    assert [[batch.rows.tolist() for batch in rank] for rank in ranks] == [[[13, 7], [5]], [[2, 0]]]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_photo_that_cannot_be_read_only_shrinks_its_batches(tmp_path: Path, workers: int) -> None:
    def collection(name: str, bad: bytes | None) -> PhotoCollection:
        made = [(f"{i}.jpg", bad if bad is not None and i in (3, 8) else jpeg(i), 1.0, 2.0, "") for i in range(10)]
        write_shards(made, tmp_path / name)
        return open_collection(tmp_path / name)

    whole = take(collection("whole", None), 5, workers=workers)
    poorer = take(collection("poorer", jpeg(3)[:-300]), 5, workers=workers)
    told: Counter[str] = Counter()
    for one, other in zip(whole, poorer, strict=True):
        kept = ~np.isin(one.rows, [3, 8])
        assert other.rows.tolist() == one.rows[kept].tolist()
        assert torch.equal(other.images, one.images[torch.from_numpy(kept)])
        assert sorted(key for key, _ in other.failed) == sorted(f"{row}.jpg" for row in one.rows[~kept])
        assert all(reason.startswith("the image: expected a whole image") for _, reason in other.failed)
        told.update(key for key, _ in other.failed)
    assert told == {"3.jpg": 2, "8.jpg": 2}  # once in each of the two epochs

    empty = take(collection("bad", b"no picture"), 1, rows=np.array([3]), batch=2, workers=workers)[0]
    assert tuple(empty.images.shape) == (0, 3, 32, 32)
    assert (empty.rows.tolist(), [key for key, _ in empty.failed]) == ([], ["3.jpg"])


def test_an_error_that_is_not_the_photo_s_is_not_hidden(photos: PhotoCollection) -> None:
    class Broken:
        keys = photos.keys

        def read(self, i: int, *, shorter_px: int | None = None) -> Image.Image:
            raise ZeroDivisionError

    for workers in (0, 2):
        with pytest.raises(ZeroDivisionError):
            take(Broken(), 1, workers=workers, rows=np.arange(3))  # type: ignore[arg-type]


def test_threads_end_with_the_batches(photos: PhotoCollection) -> None:
    others = set(threading.enumerate())
    batches = iter(PhotoBatches(photos, np.arange(14), size_px=32, batch=4, workers=3))
    next(batches)
    started = set(threading.enumerate()) - others
    assert started
    batches.close()
    for thread in started:
        thread.join(60)
    assert not any(thread.is_alive() for thread in started)


def test_no_more_is_read_than_a_few_batches_ahead(photos: PhotoCollection) -> None:
    read: list[int] = []

    class Counting:
        keys = photos.keys

        def read(self, i: int, *, shorter_px: int | None = None) -> Image.Image:
            read.append(i)
            return photos.read(i, shorter_px=shorter_px)

    batches = iter(PhotoBatches(Counting(), np.arange(14), size_px=32, batch=4, workers=2))  # type: ignore[arg-type]
    for taken in range(1, 4):
        next(batches)
        assert len(read) <= 4 * (taken + 2)
    batches.close()


STUBBORN = """
import itertools, sys
import numpy as np
from pathlib import Path
from geoexplain.photos import open_collection
from geoexplain.training.photo_batches import PhotoBatches
photos = open_collection(Path(sys.argv[1]))
for number, batch in enumerate(PhotoBatches(photos, np.arange(14), size_px=32, batch=8, workers=2)):
    if number == 3:
        print("ready", flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C as a signal")
def test_ctrl_c_ends_it(photos: PhotoCollection) -> None:
    run = subprocess.Popen(
        [sys.executable, "-c", STUBBORN, str(photos.files[0].parent)],  # type: ignore[attr-defined]
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        start_new_session=True,
    )
    assert run.stdout is not None
    assert run.stdout.readline() == "ready\n"
    run.send_signal(signal.SIGINT)
    _, complaints = run.communicate(timeout=60)
    assert run.returncode != 0
    assert complaints.strip().endswith("KeyboardInterrupt")
    with pytest.raises(ProcessLookupError):
        os.killpg(run.pid, 0)  # nobody of its group is left


@pytest.mark.parametrize(
    "options",
    [
        {"rows": np.array([], dtype=np.int64)},
        {"size_px": 0},
        {"batch": 0},
        {"seed": -1},
        {"workers": -1},
        {"start": -1},
        {"world": 3},
        {"world": 2, "rank": 2},
        {"rank": -1},
    ],
)
def test_settings_that_make_no_sense_are_refused(photos: PhotoCollection, options: dict) -> None:
    with pytest.raises(DataError, match="expected"):
        take(photos, 1, **options)


def test_large_photos_are_decoded_small_and_look_the_same(tmp_path: Path) -> None:
    write_shards([("a.jpg", jpeg(1, (1200, 900), 95), 1.0, 2.0, "")], tmp_path)
    collection = open_collection(tmp_path)
    assert collection.read(0, shorter_px=Augmentation().shorter_px(32)).size == (150, 113)
    (batch,) = take(collection, 1, batch=1, augment=Augmentation(area=(1.0, 1.0), aspect=(4 / 3, 4 / 3), flip=0.0))
    whole = open_image(collection.encoded(0)).resize((32, 32), Image.Resampling.BILINEAR)
    wanted = Preprocess(32).tensor(whole)
    assert (batch.images - wanted).abs().max() < 0.12  # 7 of 255 grey levels, at the steepest edge
