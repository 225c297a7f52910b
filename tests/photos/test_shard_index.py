"""The index replaces reading the shards only as long as it matches them."""

import os
import random
from pathlib import Path

import numpy as np

from geoexplain.errors import DataError
from geoexplain.photos.shards import ShardCollection
from tests.photos.test_shards import opened, record, shard


def test_an_index_is_used_until_a_shard_changes(tmp_path: Path) -> None:
    folder, index = tmp_path / "shards", tmp_path / "index.npz"
    shard(folder, record(0), {"id": "x"}, record(1, latitude=None))
    shard(folder, record(2), number=1)
    passes: list[tuple[int, int]] = []

    def open_again() -> ShardCollection:
        passes.clear()
        return opened(folder, index=index, progress=lambda done, total: passes.append((done, total)))

    first = open_again()
    assert passes == [(1, 2), (2, 2)]
    second = open_again()
    assert passes == []
    for name in ("keys", "authors", "left_out", "files", "modified_ns"):
        assert getattr(second, name) == getattr(first, name)
    assert np.array_equal(second.places, first.places)
    assert np.array_equal(second.positions_deg, first.positions_deg)

    file = shard(folder, record(2), record(3), number=1)
    assert len(open_again()) == 3
    assert passes
    os.utime(file, ns=(1, 1))
    open_again()
    assert passes
    shard(folder, record(4), number=2)
    assert len(open_again()) == 4


def test_a_damaged_index_is_rewritten(tmp_path: Path) -> None:
    folder, index = tmp_path / "shards", tmp_path / "index.npz"
    shard(folder, record(0), record(1))
    whole = opened(folder, index=index)
    good = index.read_bytes()
    rng = random.Random(1)
    for _ in range(60):
        damaged = bytearray(good)
        for _ in range(3):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        index.write_bytes(damaged[: rng.choice([None, len(good) // 2])])
        try:
            collection = opened(folder, index=index)
        except DataError:  # positions that are NaN by chance
            continue
        assert len(collection) <= 2
        for i in range(len(collection)):
            collection.encoded(i)
    index.write_bytes(b"")
    assert opened(folder, index=index).keys == whole.keys
