"""Copies are found, other photos are not, and plain photos are compared by the digests of their files alone."""

import hashlib
import itertools
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from geoexplain.errors import DataError, ImageError
from geoexplain.photos import duplicate_groups, fingerprints, open_collection, write_shards
from geoexplain.photos import fingerprint as module
from geoexplain.photos.collection import PhotoCollection
from geoexplain.photos.fingerprint import Fingerprints, FingerprintsCancelledError, difference_hash, near_pairs
from tests.photos.pictures import encoded, jpeg, picture


def collection_of(folder: Path, photos: list[bytes]) -> PhotoCollection:
    write_shards(((f"{i}.jpg", photo, 1.0, 2.0, "") for i, photo in enumerate(photos)), folder)
    return open_collection(folder)


def groups_of(folder: Path, photos: list[bytes], distance: int = 2) -> list[int]:
    """Return for each photo the first one in its group."""
    names = duplicate_groups(fingerprints(collection_of(folder, photos)), distance)
    return [names.index(name) for name in names]


def test_a_hash_worked_out_by_hand() -> None:
    # Nine columns of grey: up, down, up, equal, down, up, up, down; every second row is reversed.
    row = [10, 60, 20, 90, 90, 30, 70, 200, 0]
    grey = np.array([row, row[::-1]] * 4, dtype=np.uint8)
    image = Image.fromarray(grey).convert("RGB")
    up, turned = 0b10100110, 0b10010010
    assert difference_hash(image) == (int.from_bytes(bytes([up, turned] * 4), "big"), True)
    assert difference_hash(image.resize((900, 800), Image.Resampling.NEAREST))[0] == difference_hash(image)[0]


def test_copies_share_a_group_and_others_do_not(tmp_path: Path) -> None:
    big = picture(0, (800, 600))
    photos = [
        encoded(big, quality=95),
        jpeg(1),
        encoded(big, quality=95),  # the same bytes
        encoded(big, quality=40),
        encoded(big.resize((330, 247), Image.Resampling.LANCZOS), quality=80),
        encoded(big.filter(ImageFilter.GaussianBlur(3)).point(lambda value: round(value * 0.9) + 10)),
        encoded(big.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
        *(jpeg(seed) for seed in range(2, 60)),
    ]
    assert groups_of(tmp_path, photos) == [0, 1, 0, 0, 0, 0, *range(6, len(photos))]


def flat(seed: int) -> bytes:
    """Return a grey sea under a sky that brightens towards one side, with the noise of a camera."""
    rng = np.random.default_rng(seed)
    sky = np.linspace(120, 120 + rng.integers(0, 90), 64)[None, :, None]
    sea = np.full((1, 64, 1), rng.integers(60, 90))
    rows = np.repeat(np.concatenate([sky, sea]), 24, axis=0) + rng.normal(0, 2, (48, 64, 3))
    return encoded(Image.fromarray(rows.clip(0, 255).astype(np.uint8)))


def test_photos_of_the_sea_do_not_form_one_group(tmp_path: Path) -> None:
    black = encoded(Image.new("RGB", (64, 48)))
    photos = [*(flat(seed) for seed in range(40)), black, encoded(Image.new("RGB", (64, 48), "white")), black]
    found = fingerprints(collection_of(tmp_path, photos))
    assert not found.counts.any()
    assert not found.hashes.any()
    names = duplicate_groups(found)
    assert len(set(names)) == 42
    assert names[40] == names[42]


def test_unreadable_photos_form_groups_of_their_own(tmp_path: Path) -> None:
    photos = [jpeg(0), b"no picture", b"no picture", jpeg(1)]
    collection = collection_of(tmp_path, photos)
    found = fingerprints(collection)
    assert found.digests[0].tobytes() == hashlib.sha256(photos[0]).digest()
    assert found.counts.tolist() == [True, False, False, True]
    names = duplicate_groups(found)
    assert [names.index(name) for name in names] == [0, 1, 1, 3]
    next(tmp_path.glob("*.msg")).unlink()
    assert len(set(duplicate_groups(fingerprints(collection)))) == 4


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 3), st.integers(1, 80))
def test_near_pairs_match_a_comparison_of_all_pairs(seed: int, distance: int, count: int) -> None:
    rng = random.Random(seed)
    centers = [rng.getrandbits(64) for _ in range(4)]
    made = set()
    for _ in range(count):
        value = rng.choice(centers)
        for bit in rng.choices(range(64), k=rng.randint(0, 4)):
            value ^= 1 << bit
        made.add(value)
    hashes = np.array(sorted(made), dtype=np.uint64)
    wanted = {
        (a, b)
        for a, b in itertools.combinations(range(len(hashes)), 2)
        if (int(hashes[a]) ^ int(hashes[b])).bit_count() <= distance
    }
    assert {tuple(sorted(pair)) for pair in near_pairs(hashes, distance).tolist()} == wanted


def test_groups_neither_depend_on_the_order_nor_on_other_photos() -> None:
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**63, 30, dtype=np.uint64)
    hashes[10:20] = hashes[:10] ^ np.uint64(1 << 40)
    hashes[20:22] = hashes[10] ^ np.uint64(6)  # three bits from photo 0, two from photo 10: one group through it
    digests = rng.integers(0, 256, (30, 32), dtype=np.uint8)
    digests[29] = digests[28]
    counts = np.ones(30, dtype=np.bool_)
    counts[5] = counts[28] = counts[29] = False
    names = duplicate_groups(Fingerprints(digests, hashes, counts))
    assert len({names[0], names[10], names[20], names[21]}) == 1
    assert names[5] != names[15]
    assert names[28] == names[29] == digests[28].tobytes().hex()
    assert len(set(names)) == 30 - 3 - 8 - 1
    order = rng.permutation(30)
    shuffled = duplicate_groups(Fingerprints(digests[order], hashes[order], counts[order]))
    assert list(shuffled) == [names[row] for row in order]
    fewer = [*range(5), *range(10, 15), 20, 21]
    assert list(duplicate_groups(Fingerprints(digests[fewer], hashes[fewer], counts[fewer]))) == [
        names[row] for row in fewer
    ]
    with pytest.raises(DataError, match="0 to 3 bits"):
        duplicate_groups(Fingerprints(digests, hashes, counts), distance=4)


def test_threads_give_the_same_result_and_report_progress(tmp_path: Path) -> None:
    collection = collection_of(tmp_path, [jpeg(seed) for seed in range(12)])
    heard: list[tuple[int, int]] = []
    one = fingerprints(collection, progress=lambda done, total: heard.append((done, total)))
    several = fingerprints(collection, workers=3)
    assert heard == [(done, 12) for done in range(1, 13)]
    for name in ("digests", "hashes", "counts"):
        assert np.array_equal(getattr(one, name), getattr(several, name))


def test_cached_photos_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "fingerprints.npz"
    photos = [jpeg(seed) for seed in range(6)]
    collection = collection_of(tmp_path / "shards", photos)
    heard: list[int] = []

    def seen(done: int, total: int) -> None:
        heard.append(done)

    with pytest.raises(FingerprintsCancelledError, match="start it again"):
        fingerprints(collection, cache=cache, progress=seen, cancelled=lambda: len(heard) == 4)
    assert heard == [1, 2, 3, 4]
    whole = fingerprints(collection, cache=cache, progress=seen)
    assert heard[4:] == [5, 6]
    monkeypatch.setattr(module, "_fingerprint", None)  # computing a fingerprint now fails
    again = fingerprints(collection, cache=cache)
    for name in ("digests", "hashes", "counts"):
        assert np.array_equal(getattr(again, name), getattr(whole, name))
    monkeypatch.undo()
    cache.write_bytes(b"damaged")
    assert np.array_equal(fingerprints(collection, cache=cache).digests, whole.digests)


def test_a_photo_that_changed_is_read_again(tmp_path: Path) -> None:
    cache, table = tmp_path / "fingerprints.npz", tmp_path / "photos.csv"
    (tmp_path / "photos").mkdir()
    table.write_text("path,lat,lon\na.jpg,1,2\nb.jpg,3,4\n")
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "photos" / name).write_bytes(jpeg(0))
    collection = open_collection(tmp_path / "photos", manifest=table)
    assert len(set(duplicate_groups(fingerprints(collection, cache=cache)))) == 1
    (tmp_path / "photos" / "b.jpg").write_bytes(jpeg(1))
    assert len(set(duplicate_groups(fingerprints(collection, cache=cache)))) == 2
    (tmp_path / "photos" / "b.jpg").unlink()
    with pytest.raises(ImageError):
        collection.encoded(1)
    assert len(set(duplicate_groups(fingerprints(collection, cache=cache)))) == 2
