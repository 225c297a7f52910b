"""No author and no copies of a photo are in two parts, in any order of photos and after adding others."""

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoexplain.errors import DataError
from geoexplain.photos import giant_sets, split_photos
from geoexplain.photos.splits import SHARES

PHOTOS = st.lists(
    st.tuples(st.sampled_from(["", "", "ann", "bo", "cy", "dee", "0"]), st.integers(0, 40).map(str)), max_size=60
)


def parts_of(photos: list[tuple[str, str]], seed: int = 0, **shares: float) -> list[str]:
    """Return the part of each photo."""
    split = split_photos(*zip(*photos, strict=True), shares or SHARES, seed) if photos else {}
    part_of = {row: part for part, rows in split.items() for row in rows.tolist()}
    return [part_of[row] for row in range(len(photos))]


@settings(max_examples=80, deadline=None)
@given(photos=PHOTOS, seed=st.integers(0, 5), order=st.randoms())
def test_connected_photos_stay_together_in_any_order(
    photos: list[tuple[str, str]], seed: int, order: random.Random
) -> None:
    parts = parts_of(photos, seed, train=0.5, test=0.5)
    for field in (0, 1):
        sides: dict[str, set[str]] = {}
        for photo, part in zip(photos, parts, strict=True):
            sides.setdefault(photo[field], set()).add(part)
        assert all(len(parts) == 1 for name, parts in sides.items() if name)
    mixed = list(zip(photos, parts, strict=True))
    order.shuffle(mixed)
    assert parts_of([photo for photo, _ in mixed], seed, train=0.5, test=0.5) == [part for _, part in mixed]


@settings(max_examples=80, deadline=None)
@given(photos=PHOTOS, more=PHOTOS, seed=st.integers(0, 5))
def test_adding_photos_moves_no_other_photo(
    photos: list[tuple[str, str]], more: list[tuple[str, str]], seed: int
) -> None:
    apart = [(f"new {author}" if author else "", f"new {group}") for author, group in more]
    before = parts_of(photos, seed, train=0.5, test=0.5)
    assert parts_of(photos + apart, seed, train=0.5, test=0.5)[: len(photos)] == before
    # More photos of the same authors, or more copies of the same pictures, move no photo either.
    alike = [(author, f"new {i}") for i, (author, _) in enumerate(photos) if author] + [("", g) for _, g in photos]
    assert parts_of(photos + alike, seed, train=0.5, test=0.5)[: len(photos)] == before


def test_every_photo_is_in_one_part_and_shares_are_approximate() -> None:
    authors = [f"user {i % 4000}" for i in range(20_000)]
    groups = [str(i) for i in range(20_000)]
    split = split_photos(authors, groups, {"train": 0.8, "validation": 0.15, "test": 0.05}, 7)
    assert list(split) == ["train", "validation", "test"]
    assert np.array_equal(np.sort(np.concatenate(list(split.values()))), np.arange(20_000))
    assert all(np.array_equal(rows, np.sort(rows)) for rows in split.values())
    # 4,000 sets of five: a share p of them varies by sqrt(p (1 − p) / 4000), of which four are allowed.
    for part, share in {"train": 0.8, "validation": 0.15, "test": 0.05}.items():
        assert abs(len(split[part]) / 20_000 - share) < 4 * (share * (1 - share) / 4000) ** 0.5
    other = split_photos(authors, groups, {"train": 0.8, "validation": 0.15, "test": 0.05}, 8)
    assert not np.array_equal(split["test"], other["test"])


def test_sets_that_are_too_large_are_named() -> None:
    # ann and bo share a picture; the third to fifth photos are copies without an author.
    photos = [("ann", "1"), ("ann", "2"), ("bo", "2"), ("", "7"), ("", "7"), ("", "8"), ("", "9")]
    giants = giant_sets(*zip(*photos, strict=True), share=0.2)
    assert [(giant.photos, giant.name) for giant in giants] == [(3, "ann"), (2, "7")]
    assert giant_sets(*zip(*photos, strict=True), share=0.5) == ()
    assert Counter(parts_of(photos, train=1.0)) == {"train": 7}


def test_an_author_and_a_group_of_the_same_name_are_not_connected() -> None:
    giants = giant_sets(["x", ""], ["1", "x"], share=0.6)
    assert giants == ()


@pytest.mark.parametrize("shares", [{}, {"train": 0.5}, {"train": 1.1, "test": -0.1}, {"a": 1.0, "b": 0.0}])
def test_invalid_shares_are_refused(shares: dict) -> None:
    with pytest.raises(DataError, match="shares above 0 that add up to 1"):
        split_photos(["a"], ["b"], shares)


def test_a_photo_needs_a_group() -> None:
    with pytest.raises(DataError, match="expected a group for each photo"):
        split_photos(["a", "b"], ["1", ""])
    with pytest.raises(DataError, match="got 2 authors and 1 groups"):
        split_photos(["a", "b"], ["1"])
    assert [len(rows) for rows in split_photos([], []).values()] == [0, 0, 0]
