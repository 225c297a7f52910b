"""The hierarchy: worked out by hand, and against plain dictionaries on generated addresses."""

import numpy as np
import pytest

from geoexplain.errors import DataError
from geoexplain.geography.address import Addresses, Location
from geoexplain.geography.hierarchy import Hierarchy, build_hierarchy
from tests.geography.hand_addresses import addresses_of, generated, slow_images, slow_parents, slow_path, words


def path_of(hierarchy: Hierarchy, key: str) -> str:
    keys = [location.key for location in hierarchy.locations]
    return " < ".join(keys[step] for step in hierarchy.path(keys.index(key)))


def images_of(hierarchy: Hierarchy) -> dict[str, int]:
    return {each.key: int(count) for each, count in zip(hierarchy.locations, hierarchy.images, strict=True)}


def test_a_location_keeps_its_most_frequent_parent() -> None:
    found = build_hierarchy(addresses_of(["road < A < X"] * 2 + ["road < B < X"] * 3 + ["A < X", "B < X"]))
    assert path_of(found, "road") == "road < B < X"
    assert images_of(found) == {"road": 5, "A": 1, "B": 6, "X": 7}


def test_of_equally_frequent_parents_the_smaller_key_is_kept() -> None:
    for texts in (["road < B < X", "road < A < X"], ["road < A < X", "road < B < X"]):
        assert path_of(build_hierarchy(addresses_of(texts)), "road") == "road < A < X"


def test_every_address_becomes_the_path_of_its_finest_location() -> None:
    found = build_hierarchy(addresses_of(["road < A < X", "road < B < Y", "road < B < Y", "", "Y"]))
    keys = [location.key for location in found.locations]
    assert [path_of(found, keys[each]) if each >= 0 else "" for each in found.finest] == [
        "road < B < Y",
        "road < B < Y",
        "road < B < Y",
        "",
        "Y",
    ]
    assert images_of(found) == {"road": 3, "A": 0, "X": 0, "B": 3, "Y": 4}


def test_an_edge_that_skips_a_missing_level_does_not_win_over_the_usual_one() -> None:
    found = build_hierarchy(addresses_of(["road < town < land"] * 3 + ["road < land"] * 2))
    assert path_of(found, "road") == "road < town < land"


def test_an_edge_that_skips_a_level_wins_where_it_is_the_usual_one() -> None:
    """The path is the shortest one in what is left of the graph; it is not shorter than the addresses usually are."""
    found = build_hierarchy(addresses_of(["road < town < land"] * 2 + ["road < land"] * 3))
    assert path_of(found, "road") == "road < land"


def test_an_address_may_be_a_part_of_another() -> None:
    found = build_hierarchy(addresses_of(["road < town < land", "road < town", "town < land < world", "land"]))
    assert path_of(found, "road") == "road < town < land < world"
    assert images_of(found) == {"road": 2, "town": 3, "land": 4, "world": 4}


def test_a_location_that_follows_itself_counts_once() -> None:
    found = build_hierarchy(addresses_of(["Berlin < Berlin < Germany", "Berlin < Germany"]))
    assert path_of(found, "Berlin") == "Berlin < Germany"
    assert images_of(found) == {"Berlin": 2, "Germany": 2}


def test_a_circle_that_equal_neighbours_do_not_show_is_broken_at_its_least_frequent_edge() -> None:
    """The authors' code for circles drops equal neighbours only; A in B in A goes on for ever."""
    found = build_hierarchy(addresses_of(["A < B"] * 5 + ["B < A < X"] * 2))
    # A keeps B (5) over X (2); B → A (2) closes the circle and goes; B has no other parent.
    assert path_of(found, "A") == "A < B"
    assert images_of(found) == {"A": 5, "B": 7, "X": 0}


def test_where_a_circle_is_broken_the_next_most_frequent_parent_follows() -> None:
    found = build_hierarchy(addresses_of(["A < B < X", *["A < B"] * 4, *["B < A"] * 3]))
    assert path_of(found, "A") == "A < B < X"


def test_circles_are_broken_until_none_is_left() -> None:
    found = build_hierarchy(addresses_of(["A < B"] * 9 + ["B < A"] * 5 + ["B < C"] * 4 + ["C < A"] * 6 + ["C < Z"]))
    # A→B, B→A (5) is cut; then A→B→C→A, where B→C (4) is cut; B is a root.
    assert path_of(found, "C") == "C < A < B"


def test_of_equally_frequent_edges_of_a_circle_that_from_the_smaller_key_goes() -> None:
    for texts in (["A < B", "B < A"], ["B < A", "A < B"]):
        found = build_hierarchy(addresses_of(texts))
        assert path_of(found, "B") == "B < A"
        assert path_of(found, "A") == "A"


def test_two_circles_are_broken_apart_from_each_other() -> None:
    found = build_hierarchy(addresses_of(["A < B"] * 3 + ["B < A"] * 2 + ["M < N"] * 2 + ["N < M"] * 3))
    assert path_of(found, "A") == "A < B"
    assert path_of(found, "N") == "N < M"


def test_every_image_counts_once_in_each_location_above_it() -> None:
    """The authors' code puts a location before its shared list of parents for every image again, and counts that."""
    found = build_hierarchy(addresses_of(["road < town < land"] * 4))
    assert images_of(found) == {"road": 4, "town": 4, "land": 4}


def test_an_address_that_is_only_a_root_is_kept() -> None:
    """The authors' code knows no location without parents, and drops such an image."""
    found = build_hierarchy(addresses_of(["land", "road < land"]))
    assert images_of(found) == {"land": 2, "road": 1}


def test_an_empty_address_counts_nowhere() -> None:
    """The authors' code counts a location None."""
    found = build_hierarchy(addresses_of(["", "land", ""]))
    assert found.finest.tolist() == [-1, 0, -1]
    assert images_of(found) == {"land": 1}


def test_no_addresses_make_no_hierarchy() -> None:
    assert len(build_hierarchy(Addresses(np.empty((0, 2)), (), np.empty((0, 3), np.int32)))) == 0
    nowhere = Addresses(np.zeros((2, 2)), (Location("x", "x", "city"),), np.empty((2, 0), np.int32))
    assert build_hierarchy(nowhere).finest.tolist() == [-1, -1]


def test_a_gap_in_an_address_is_refused() -> None:
    locations = tuple(Location(key, key, "city") for key in "ab")
    with pytest.raises(DataError, match="only after the last location"):
        build_hierarchy(Addresses(np.zeros((1, 2)), locations, np.array([[0, -1, 1]], dtype=np.int32)))


@pytest.mark.parametrize(
    ("parents", "finest", "complaint"),
    [
        ([1, 0], [0], "got a cycle"),
        ([0, -1], [0], "got a cycle"),
        ([5, -1], [0], "from -1 to 1"),
        ([-1, -1], [2], "from -1 to 1"),
        ([-1], [0], "one parent for each of 2"),
    ],
)
def test_what_is_no_tree_is_refused(parents: list[int], finest: list[int], complaint: str) -> None:
    locations = tuple(Location(key, key, "city") for key in "ab")
    with pytest.raises(DataError, match=complaint):
        Hierarchy(locations, np.array(parents), np.array(finest))


def test_a_chain_as_long_as_there_are_locations_is_walked_to_its_end() -> None:
    count = 1000
    parents = np.append(np.arange(1, count), -1)
    chain = Hierarchy(tuple(Location(str(i), "", "") for i in range(count)), parents, np.array([0, 0, 500]))
    assert chain.depth.tolist() == list(range(count - 1, -1, -1))
    assert chain.images.tolist() == [2] * 500 + [3] * 500
    kept = np.zeros(count, dtype=bool)
    kept[[700, 30]] = True
    assert chain.nearest_kept(kept).tolist() == [30] * 31 + [700] * 670 + [-1] * 299


@pytest.mark.parametrize("hundred", range(10))
def test_generated_addresses_give_what_plain_dictionaries_give(hundred: int) -> None:
    for seed in range(100 * hundred, 100 * hundred + 100):
        texts, points = generated(seed)
        paths = [words(text) for text in texts]
        parents = slow_parents(paths)
        images = slow_images(paths, parents)
        found = build_hierarchy(addresses_of(texts, points))
        for location in found.locations:
            assert path_of(found, location.key) == " < ".join(slow_path(location.key, parents)), seed
        assert images_of(found) == {location.key: images[location.key] for location in found.locations}, seed
        assert [found.locations[i].key if i >= 0 else None for i in found.finest] == [
            path[0] if path else None for path in paths
        ], seed
