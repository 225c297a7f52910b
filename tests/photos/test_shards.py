"""Shards in the formats of their original writers, read by offsets, and damaged shards."""

import io
import os
import random
import tracemalloc
from pathlib import Path

import msgpack
import numpy as np
import pytest

from geoexplain.errors import DataError, ImageError
from geoexplain.images import open_image
from geoexplain.photos import open_collection, write_shards
from geoexplain.photos.shard_record import RecordError, read_record
from geoexplain.photos.shards import MAX_IMAGE_BYTES, ShardCollection
from tests.photos.pictures import jpeg

PHOTOS = [(f"0a/{i}.jpg", jpeg(i), 10.5 * i - 40, -20.25 * i, f"user {i % 2}" if i % 3 else "") for i in range(7)]


def record(i: int, **more: object) -> dict:
    key, image, lat, lon, _ = PHOTOS[i]
    return {"image": image, "id": key, "latitude": lat, "longitude": lon, **more}


def shard(folder: Path, *records: object, number: int = 0, **options: object) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / f"shard_{number}.msg"
    file.write_bytes(b"".join(msgpack.packb(entry, **options) for entry in records))
    return file


def opened(folder: Path, **options: object) -> ShardCollection:
    collection = open_collection(folder, **options)
    assert isinstance(collection, ShardCollection)
    return collection


def test_msgpack_reads_what_is_written(tmp_path: Path) -> None:
    assert write_shards(PHOTOS, tmp_path, per_shard=3) == 7
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["shard_0.msg", "shard_1.msg", "shard_2.msg"]
    found = [entry for file in files for entry in msgpack.Unpacker(io.BytesIO(file.read_bytes()))]
    wanted = [record(i) | ({"author": PHOTOS[i][4]} if PHOTOS[i][4] else {}) for i in range(7)]
    assert found == wanted


@pytest.mark.parametrize("per_shard", [1, 3, 100])
def test_written_shards_hold_the_same_photos(tmp_path: Path, per_shard: int) -> None:
    write_shards(PHOTOS, tmp_path, per_shard)
    collection = opened(tmp_path)
    assert collection.keys == tuple(key for key, *_ in PHOTOS)
    assert collection.positions_deg.tolist() == [[lat, lon] for _, _, lat, lon, _ in PHOTOS]
    assert collection.authors == tuple(author for *_, author in PHOTOS)
    assert collection.left_out.count == 0
    for i in (5, 0, 6, 2):
        assert collection.encoded(i) == PHOTOS[i][1]
        assert collection.read(i).tobytes() == open_image(PHOTOS[i][1]).tobytes()


def test_shards_are_not_written_over(tmp_path: Path) -> None:
    write_shards(PHOTOS[:1], tmp_path)
    with pytest.raises(DataError, match="expected a folder without shards"):
        write_shards(PHOTOS, tmp_path)
    with pytest.raises(DataError, match="at least 1 photo"):
        write_shards(PHOTOS, tmp_path / "other", 0)


# Old versions of MessagePack wrote bytes and text as one type; some writers wrote the keys as bytes.
@pytest.mark.parametrize("options", [{}, {"use_bin_type": False}, {"use_single_float": True}])
@pytest.mark.parametrize("as_bytes", [False, True])
def test_keys_and_ids_are_text_or_bytes(tmp_path: Path, options: dict, as_bytes: bool) -> None:
    records = [record(i, Author=b"anna") for i in range(3)]
    if as_bytes:
        records = [
            {name.encode(): value.encode() if isinstance(value, str) else value for name, value in entry.items()}
            for entry in records
        ]
    shard(tmp_path / "shards", *records, **options)
    collection = opened(tmp_path / "shards")
    assert collection.keys == ("0a/0.jpg", "0a/1.jpg", "0a/2.jpg")
    assert collection.authors == ("anna",) * 3
    np.testing.assert_allclose(collection.positions_deg, [photo[2:4] for photo in PHOTOS[:3]], atol=1e-5)
    assert [collection.encoded(i) for i in range(3)] == [photo[1] for photo in PHOTOS[:3]]


def test_shards_are_sorted_by_their_numbers(tmp_path: Path) -> None:
    for number, i in ((10, 2), (9, 1), (0, 0)):
        shard(tmp_path, record(i), number=number)
    assert opened(tmp_path).keys == ("0a/0.jpg", "0a/1.jpg", "0a/2.jpg")


def test_a_shard_that_ends_within_a_record_loses_that_record_alone(tmp_path: Path) -> None:
    file = shard(tmp_path, record(0), record(1), record(2))
    whole = file.read_bytes()
    start = whole.rindex(b"\x84\xa5image")
    for end in (start + 1, start + 9, start + 200, len(whole) - 1):
        file.write_bytes(whole[:end])
        collection = opened(tmp_path)
        assert collection.keys == ("0a/0.jpg", "0a/1.jpg")
        assert collection.left_out.count == 1
        which, why = collection.left_out.listed[0]
        assert which == f"shard_0.msg, record 3 at byte {start:,}"
        assert why == f"the file ends within a record, and the {end - start:,} bytes from there on are left out"


def test_the_rest_of_a_shard_after_garbage_is_left_out(tmp_path: Path) -> None:
    file = shard(tmp_path, record(0))
    with file.open("ab") as end:
        end.write(b"no record" + msgpack.packb(record(1)))
    shard(tmp_path, record(2), number=1)
    collection = opened(tmp_path)
    assert collection.keys == ("0a/0.jpg", "0a/2.jpg")
    assert [why.split(",")[0] for _, why in collection.left_out.listed] == ["expected a record here"]


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"image": b"x", "latitude": 1.0, "longitude": 2.0}, "it has no id"),
        ({**record(1), "id": b"\xff"}, "it has no id"),
        ({**record(1), "id": "a\0b"}, "it has no id"),
        ({**record(1), "image": b""}, "it has no image"),
        ({**record(1), "image": [1]}, "it has no image"),
        ({**record(1), "when": msgpack.Timestamp(1)}, "it holds an extension type, which is not read"),
        (record(0), "the id '0a/0.jpg' came before"),
    ],
)
def test_only_the_bad_record_is_left_out(tmp_path: Path, bad: dict, why: str) -> None:
    shard(tmp_path, record(0), None, bad, record(2))
    collection = opened(tmp_path)
    assert collection.keys == ("0a/0.jpg", "0a/2.jpg")
    assert [reason for _, reason in collection.left_out.listed] == [why]


@pytest.mark.parametrize("position", [{"latitude": None}, {"longitude": 181}, {"latitude": float("nan")}])
def test_a_photo_without_a_valid_position_is_left_out(tmp_path: Path, position: dict) -> None:
    shard(tmp_path, record(0), record(1, **position))
    collection = opened(tmp_path)
    assert collection.keys == ("0a/0.jpg",)
    assert collection.left_out.listed == (("0a/1.jpg", "no position known"),)


def test_lengths_in_a_file_reserve_no_memory(tmp_path: Path) -> None:
    huge = b"\x82\xa2id\xa1a\xa5image"
    bombs = [
        huge + b"\xc6\xff\xff\xff\xff" + b"x" * 50,  # 4 GiB of image
        b"\xdf\xff\xff\xff\xff",  # a map of 4 billion
        b"\x81\xa1a\xdd\xff\xff\xff\xff" + b"\xc0" * 50_000,  # an array of 4 billion
        b"\x81\xa1a" + b"\x91" * 50_000,  # deeply nested
        b"\x81\xa1a\xc9\xff\xff\xff\xff\x01",
        b"\x81\xa1a\xc1",
    ]
    for number, bomb in enumerate(bombs):
        (tmp_path / f"shard_{number}.msg").write_bytes(bomb)
    shard(tmp_path, record(0), number=99)
    tracemalloc.start()
    collection = opened(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert collection.keys == ("0a/0.jpg",)
    assert collection.left_out.count == len(bombs)
    assert peak < 2**20


def test_large_values_of_a_shard_are_skipped_not_read(tmp_path: Path) -> None:
    with (tmp_path / "shard_0.msg").open("wb") as file:
        file.write(msgpack.packb(record(0)))
        file.write(b"\x82\xa2id\xa3big\xa5image\xc6" + (MAX_IMAGE_BYTES + 1).to_bytes(4, "big"))
        file.seek(MAX_IMAGE_BYTES + 1, os.SEEK_CUR)  # a sparse file, which takes no space on the disk
        file.write(msgpack.packb(record(1)))
    tracemalloc.start()
    collection = opened(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert collection.keys == ("0a/0.jpg", "0a/1.jpg")
    assert [why for _, why in collection.left_out.listed] == ["its image has 67,108,865 bytes, more than 67,108,864"]
    assert collection.encoded(1) == PHOTOS[1][1]
    assert peak < 2**20


def test_mutations_never_crash(tmp_path: Path) -> None:
    rng = random.Random(4)
    data = b"".join(msgpack.packb({**record(i), "image": PHOTOS[i][1][:40]}) for i in range(3))
    path = tmp_path / "shard_0.msg"
    for _ in range(500):
        mutated = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            mutated[rng.randrange(len(mutated))] = rng.randrange(256)
        path.write_bytes(mutated)
        with path.open("rb") as file:
            try:
                while read_record(file) is not None:
                    pass
            except RecordError:
                pass
        try:
            collection = opened(tmp_path)
        except DataError:
            continue
        assert all(collection.encoded(i) for i in range(len(collection)))


def test_positions_and_authors_come_from_a_table_by_id(tmp_path: Path) -> None:
    shard(tmp_path / "shards", *({"image": photo[1], "id": photo[0]} for photo in PHOTOS[:4]))
    table = tmp_path / "mp16.csv"
    table.write_text("IMG_ID,AUTHOR,LAT,LON,S3_Label\n0a/2.jpg,bo,1.5,2.5,0\nelse.jpg,x,0,0,1\n0a/0,ann,-3,4,2\n")
    collection = opened(tmp_path / "shards", manifest=table)
    assert collection.keys == ("0a/0.jpg", "0a/2.jpg")
    assert collection.positions_deg.tolist() == [[-3, 4], [1.5, 2.5]]
    assert collection.authors == ("ann", "bo")
    assert [collection.encoded(i) for i in range(2)] == [PHOTOS[0][1], PHOTOS[2][1]]
    assert collection.left_out.listed == (("0a/1.jpg", "no position known"), ("0a/3.jpg", "no position known"))

    table.write_text("id,lat,lon\n0a/2.jpg,1,2\n0a/2,1,2\n")
    with pytest.raises(DataError, match=r"mp16.csv, line 3: expected each photo once, got '0a/2' again"):
        opened(tmp_path / "shards", manifest=table)
    table.write_text("id,lat,lon\nother.jpg,1,2\n")
    with pytest.raises(
        DataError, match=r"got 4 photos and no position \(0a/0.jpg: no position known\): give a table of positions"
    ):
        opened(tmp_path / "shards", manifest=table)


def test_a_missing_shard_makes_its_photos_unreadable(tmp_path: Path) -> None:
    file = shard(tmp_path, record(0), record(1))
    collection = opened(tmp_path)
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ImageError, match=r"shard_0.msg: expected a photo of"):
        collection.read(1)
    file.unlink()
    with pytest.raises(ImageError, match=r"shard_0.msg: expected a readable shard, got 'No such file or directory'"):
        collection.read(0)


def test_an_empty_shard_has_no_photos(tmp_path: Path) -> None:
    (tmp_path / "shard_0.msg").touch()
    with pytest.raises(DataError, match="got 0 photos and no position"):
        opened(tmp_path)
    with pytest.raises(DataError, match="expected the authors of photos in shards in their records or a table"):
        open_collection(tmp_path, author_from="exif")
