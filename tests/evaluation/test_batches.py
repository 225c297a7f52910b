"""Batches: every photo once, of one shape, no more held than allowed, whatever the threads do."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from geoexplain.evaluation import batches
from geoexplain.evaluation.batches import Sample, by_shape, network_input, read_ahead, read_sample
from geoexplain.images import Preprocess, open_image
from tests.evaluation.photos import write_photos

PREPROCESS = Preprocess(size_px=64)
SHAPES = [(64, 82), (82, 64), (64, 64), None]


def samples(shapes: list) -> list[Sample]:
    return [Sample(index, shape) for index, shape in enumerate(shapes)]


def test_batches_by_hand() -> None:
    a, b, c = SHAPES[:3]
    formed = by_shape(samples([a, b, a, c, b, a, b, b]), 2, 3)
    # 0 and 2 fill up; so do 1 and 4, 6 and 7; 3 and 5 are left at the end, in the order they came
    assert [[s.index for s in batch] for batch in formed] == [[0, 2], [1, 4], [6, 7], [3], [5]]


def test_whoever_waits_longest_goes_first_when_too_many_wait() -> None:
    a, b, c = SHAPES[:3]
    formed = by_shape(samples([a, b, a, b, c, c]), 3, 3)
    assert [[s.index for s in batch] for batch in formed] == [[0, 2], [1, 3], [4, 5]]


@given(shapes=st.lists(st.sampled_from(SHAPES), max_size=60), size=st.integers(1, 6), held=st.integers(0, 20))
def test_every_sample_once_and_never_too_many_held(shapes: list, size: int, held: int) -> None:
    taken = 0

    def counted() -> object:
        nonlocal taken
        for sample in samples(shapes):
            taken += 1
            yield sample

    seen: list[int] = []
    for batch in by_shape(counted(), size, held):
        assert 1 <= len(batch) <= size
        assert len({sample.shape for sample in batch}) == 1
        assert [s.index for s in batch] == sorted(s.index for s in batch)
        seen += [sample.index for sample in batch]
        assert taken - len(seen) <= held
    assert sorted(seen) == list(range(len(shapes)))


def test_a_batch_holds_what_preprocessing_gives_bit_by_bit(tmp_path: Path) -> None:
    write_photos(tmp_path, 12)
    files = sorted((tmp_path / "images").iterdir())
    read = [read_sample(i, file, PREPROCESS, 1) for i, file in enumerate(files)]
    for batch in by_shape(read, 4, 100):
        x = network_input([s.pixels for s in batch if s.pixels is not None], PREPROCESS, torch.device("cpu"))
        assert x.is_contiguous(memory_format=torch.channels_last)
        expected = torch.cat([PREPROCESS.tensor(open_image(files[s.index])) for s in batch])
        assert torch.equal(x, expected)
        assert tuple(x.shape[2:]) == batch[0].shape


def test_five_crops_of_a_photo_stay_together(tmp_path: Path) -> None:
    write_photos(tmp_path, 2)
    files = sorted((tmp_path / "images").iterdir())
    read = [read_sample(i, file, PREPROCESS, 5) for i, file in enumerate(files)]
    assert {sample.shape for sample in read} == {(64, 64)}
    x = network_input([s.pixels for s in read if s.pixels is not None], PREPROCESS, torch.device("cpu"))
    assert torch.equal(x, torch.cat([PREPROCESS.five_crops(open_image(file)) for file in files]))


@pytest.mark.parametrize("workers", [1, 3])
def test_samples_come_in_order_and_known_ones_are_not_opened(workers: int, tmp_path: Path) -> None:
    write_photos(tmp_path, 12, unreadable=(5,))
    files = [tmp_path / "images" / f"{i}.png" for i in range(12)]
    files[3].unlink()
    known = {3: (64, 82), 7: None}
    read = list(read_ahead(files, PREPROCESS, crops=1, workers=workers, ahead=4, known=known))
    assert [sample.index for sample in read] == list(range(12))
    assert [s.index for s in read if s.pixels is None] == [3, 5, 7]
    assert (read[3].shape, read[3].reason) == ((64, 82), "")
    assert read[5].shape is None
    assert read[5].reason.startswith("5.png: expected a JPEG, PNG")


def test_no_more_is_decoded_ahead_than_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_photos(tmp_path, 12)
    opened: list[int] = []

    def counted(index: int, file: Path, preprocess: Preprocess, crops: int) -> Sample:
        opened.append(index)
        return read_sample(index, file, preprocess, crops)

    monkeypatch.setattr(batches, "read_sample", counted)
    files = [tmp_path / "images" / f"{i}.png" for i in range(12)]
    stream = read_ahead(files, PREPROCESS, crops=1, workers=2, ahead=3, known={})
    for taken in range(1, 6):
        next(stream)
        assert len(opened) <= taken + 3
    stream.close()
    assert len(opened) <= 5 + 3
