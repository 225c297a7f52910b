"""Semantic partitionings: small ones worked out by hand, and what must hold of any, against plain dictionaries."""

from collections import Counter, defaultdict

import numpy as np
import pytest

from geoexplain.errors import DataError
from geoexplain.geography.address import Addresses, Location
from geoexplain.geography.partitioning import Partitioning
from geoexplain.geography.semantic_partitioning import build_semantic
from geoexplain.geography.sphere import great_circle_km, unit_vectors
from tests.geography.hand_addresses import (
    addresses_of,
    generated,
    slow_class,
    slow_images,
    slow_parents,
    slow_path,
    words,
)

JORDAN = ["Wadi Rum < Ma'an < Jordan < Asia"] * 4 + ["Petra < Ma'an < Jordan < Asia"] * 3 + ["Jordan < Asia"] * 2
KINDS = {"Jordan": "country", "Asia": "continent", "Ma'an": "region"}


def jordan(*thresholds: int) -> Partitioning:
    return build_semantic(addresses_of(JORDAN, kinds=KINDS), thresholds, name="jordan")


def keys_of(found: Partitioning, level: int = 0) -> list[tuple[str, int]]:
    return list(zip(found.keys[level], found.counts[level].tolist(), strict=True))


def test_the_finest_location_that_remains_is_the_class_of_an_image() -> None:
    assert keys_of(jordan(1)) == [("Jordan", 2), ("Petra", 3), ("Wadi Rum", 4)]
    assert keys_of(jordan(4)) == [("Jordan", 2), ("Ma'an", 3), ("Wadi Rum", 4)]
    assert keys_of(jordan(5)) == [("Jordan", 2), ("Ma'an", 7)]
    assert keys_of(jordan(8)) == [("Jordan", 9)]


def test_labels_are_paths_to_the_country_and_say_where_a_class_is_what_is_left() -> None:
    assert jordan(1).levels[0].labels == ("rest of Jordan", "Petra, Ma'an, Jordan", "Wadi Rum, Ma'an, Jordan")
    assert jordan(4).levels[0].labels == ("rest of Jordan", "rest of Ma'an, Jordan", "Wadi Rum, Ma'an, Jordan")
    assert jordan(8).levels[0].labels == ("Jordan",)


def test_a_label_says_equal_neighbours_once_and_namesakes_apart() -> None:
    places = [("a", "Berlin"), ("b", "Berlin"), ("c", "Germany"), ("d", "Springfield"), ("e", "Springfield")]
    locations = tuple(Location(key, name, "place") for key, name in places)
    paths = np.array([[0, 1, 2], [3, 2, -1], [4, 2, -1]], dtype=np.int32)
    found = build_semantic(
        Addresses(np.array([(52.0, 13.0), (40.0, 10.0), (60.0, 10.0)]), locations, paths), [1], name="x"
    )
    assert found.levels[0].labels == ("Berlin, Germany", "Springfield, Germany (south)", "Springfield, Germany (north)")


def test_thresholds_in_any_order_make_levels_finest_first() -> None:
    found = jordan(8, 1, 5)
    assert found.settings["thresholds"] == [1, 5, 8]
    assert [keys_of(found, level) for level in range(3)] == [keys_of(jordan(t)) for t in (1, 5, 8)]
    assert found.levels[0].parents.tolist() == [0, 1, 1]  # Jordan in Jordan, Petra and Wadi Rum in Ma'an
    assert found.levels[1].parents.tolist() == [0, 0]
    assert found.levels[2].parents is None
    assert found.classes(np.array([(0.0, 0.0)])).tolist() == [[0, 1, 2]]  # coarse to fine; the first image: Wadi Rum


def test_the_tree_holds_the_finest_classes_and_all_that_holds_them() -> None:
    found = jordan(4, 9)
    tree = found.tree
    assert sorted(tree.labels) == ["Asia", "Jordan", "Ma'an", "Wadi Rum"]
    assert [tree.labels[place] for place in tree.of_cell] == ["Jordan", "Ma'an", "Wadi Rum"]
    assert [tree.words(place) for place in tree.of_cell] == [
        "Jordan, Asia",
        "Ma'an, Jordan, Asia",
        "Wadi Rum, Ma'an, Jordan, Asia",
    ]
    assert tree.kinds[tree.labels.index("Jordan")] == "country"
    shares = tree.shares([0.2, 0.3, 0.5])
    assert {label: round(float(share), 9) for label, share in zip(tree.labels, shares, strict=True)} == {
        "Asia": 1.0,
        "Jordan": 1.0,
        "Ma'an": 0.8,
        "Wadi Rum": 0.5,
    }


def test_a_root_with_fewer_images_than_the_lowest_threshold_is_in_no_cell() -> None:
    texts = ["Monaco", "Lyon < France", "Lyon < France", "Nice < France", ""]
    found = build_semantic(addresses_of(texts), [2, 3], name="x")
    assert [keys_of(found, level) for level in (0, 1)] == [[("France", 1), ("Lyon", 2)], [("France", 3)]]
    assert found.settings["in_no_cell"] == 2
    assert found.assign(np.array([(1.0 * i, 2.0 * i) for i in range(5)])).tolist() == [-1, 1, 1, 0, -1]


def test_a_fine_class_without_a_coarser_one_is_not_a_child_of_class_0() -> None:
    """The authors' matrix of classes is made of zeros; what has no parent there is a child of class 0."""
    found = build_semantic(addresses_of(["Andorra"] * 2 + ["Lyon < France"] * 5 + ["San Marino"] * 3), [2, 4], name="x")
    assert keys_of(found, 0) == [("Andorra", 2), ("Lyon", 5), ("San Marino", 3)]
    assert keys_of(found, 1) == [("Andorra", 2), ("Lyon", 5), ("San Marino", 3)]  # roots remain with fewer than 4
    assert found.levels[0].parents.tolist() == [0, 1, 2]


def test_levels_with_equally_many_classes_are_not_confused() -> None:
    """The authors' file of parents tells levels apart by their numbers of classes only."""
    texts = ["a < A"] * 2 + ["b < A"] + ["c < C"] * 4
    found = build_semantic(addresses_of(texts), [2, 3], name="x")
    assert keys_of(found, 0) == [("A", 1), ("a", 2), ("c", 4)]
    assert keys_of(found, 1) == [("A", 3), ("c", 4)]
    again = build_semantic(addresses_of(["a < A"] * 2 + ["c < C"] * 4), [2, 3], name="x")
    assert again.keys == (("a", "c"), ("A", "c"))
    assert again.levels[0].parents.tolist() == [0, 1]


def test_images_are_counted_after_addresses_are_replaced() -> None:
    """The authors' addresses are thinned out by counts from before: A has three images there, and none in the end."""
    texts = ["road < A < X"] * 3 + ["road < B < X"] * 4
    assert keys_of(build_semantic(addresses_of(texts), [3], name="x")) == [("road", 7)]
    assert keys_of(build_semantic(addresses_of([*texts, "B < X", "A < X"]), [8], name="x")) == [("B", 8), ("X", 1)]


def test_a_class_at_the_antimeridian_has_its_centre_there() -> None:
    found = build_semantic(addresses_of(["Taveuni"] * 2, [(-17.0, 179.0), (-17.0, -179.0)]), [1], name="x")
    assert great_circle_km(found.levels[0].centers_deg[0], (-17.0, 180.0)) < 1


@pytest.mark.parametrize("pole", [90.0, -90.0])
def test_a_class_around_a_pole_has_its_centre_there(pole: float) -> None:
    around = [(pole - np.copysign(5, pole), lon) for lon in (-180.0, -90.0, 0.0, 90.0)]
    found = build_semantic(addresses_of(["ice"] * 4, around), [1], name="x")
    assert great_circle_km(found.levels[0].centers_deg[0], (pole, 0.0)) < 0.001


def test_images_that_cancel_out_lie_at_the_southernmost_of_them() -> None:
    found = build_semantic(addresses_of(["sea"] * 2, [(20.0, 40.0), (-20.0, -140.0)]), [1], name="x")
    assert found.levels[0].centers_deg.tolist() == [[-20.0, -140.0]]


@pytest.mark.parametrize("thresholds", [[], [0, 5], [2, 2], [-1]])
def test_thresholds_that_make_no_levels_are_refused(thresholds: list[int]) -> None:
    with pytest.raises(DataError, match="distinct numbers of images from 1 up"):
        build_semantic(addresses_of(JORDAN), thresholds, name="x")


def test_no_location_with_enough_images_is_refused_with_the_most_there_are() -> None:
    with pytest.raises(DataError, match="at least 10 images, got at most 9"):
        jordan(10, 20)
    with pytest.raises(DataError, match="got at most 0"):
        build_semantic(addresses_of(["", ""]), [1], name="x")


def by_address(points_deg: np.ndarray) -> Addresses:
    """North of 50° Wadi Rum, of 40° a camp of Ma'an that no image has, of 30° Petra's, of 20° Zarqa, else Mars."""
    texts = ["Wadi Rum < Ma'an < Jordan < Asia", "camp < Ma'an < Jordan < Asia", "Zarqa < Jordan < Asia", "Mars", ""]
    which = np.searchsorted([-50, -40, -20, 0], -points_deg[:, 0], side="right")
    return addresses_of([texts[i] for i in which], points_deg)


def test_points_are_sorted_by_their_address_where_there_is_one() -> None:
    found = build_semantic(addresses_of(JORDAN), [3], name="x", address_of=by_address)
    assert found.keys[0] == ("Jordan", "Petra", "Wadi Rum")
    petra, wadi_rum = found.levels[0].centers_deg[1:]
    # The camp lies in Ma'an, which is no class: Petra (10°, 5 km off) or Wadi Rum, whichever centre is nearer.
    camps = np.array([(45.0, petra[1]), (45.0, petra[1] + 1.0)])
    nearer = [1 if great_circle_km(camp, petra) < great_circle_km(camp, wadi_rum) else 2 for camp in camps]
    points = np.array([(60.0, 0.0), *camps, (25.0, 0.0), (10.0, 0.0), (-5.0, 0.0)])
    assert found.assign(points).tolist() == [2, *nearer, 0, -1, -1]
    assert found.settings["assign"] == "offline address"
    assert found.assign(points[:0]).tolist() == []


def test_points_without_addresses_go_with_the_nearest_coordinate() -> None:
    found = build_semantic(addresses_of(["a", "b", "b"], [(0.0, 179.9), (0.0, 170.0), (0.0, 160.0)]), [1], name="x")
    assert found.assign(np.array([(0.0, -179.0), (0.0, 174.0), (0.0, 176.0), (-90.0, 0.0)]))[:3].tolist() == [0, 1, 0]
    assert found.settings["assign"] == "nearest coordinate"


def test_at_one_coordinate_the_more_frequent_class_counts_and_of_equals_the_first() -> None:
    place = (10.0, 180.0)
    found = build_semantic(addresses_of(["b", "b", "a"], [place, place, (10.0, -180.0)]), [1], name="x")
    assert found.assign(np.array([place])).tolist() == [1]
    found = build_semantic(addresses_of(["b", "a"], [place, place]), [1], name="x")
    assert found.assign(np.array([place])).tolist() == [0]
    assert len(found.assign.steps) == 1


@pytest.mark.parametrize("hundred", range(10))
def test_what_must_hold_of_any_partitioning_holds(hundred: int) -> None:
    for seed in range(100 * hundred, 100 * hundred + 100):
        texts, points = generated(seed)
        thresholds = sorted(np.random.default_rng(seed).choice(np.arange(1, 9), 3, replace=False).tolist())
        paths = [words(text) for text in texts]
        parents = slow_parents(paths)
        images = slow_images(paths, parents)
        if max(images.values(), default=0) < thresholds[0]:
            with pytest.raises(DataError, match="lower the thresholds"):
                build_semantic(addresses_of(texts, points), thresholds, name="x")
            continue
        found = build_semantic(addresses_of(texts, points), thresholds, name="x")
        _check_against_dictionaries(found, paths, points, thresholds)
        _check_that_order_does_not_matter(found, texts, points, thresholds, seed)


def _check_against_dictionaries(
    found: Partitioning, paths: list[list[str]], points: list[tuple[float, float]], thresholds: list[int]
) -> None:
    parents = slow_parents(paths)
    images = slow_images(paths, parents)
    expected = []
    for fewest in thresholds:
        classes = [slow_class(path, parents, images, fewest) for path in paths]
        roots = [slow_path(path[0], parents)[-1] if path else None for path in paths]
        in_a_cell = [root is not None and images[root] >= thresholds[0] for root in roots]
        # A root that remains at the lowest threshold remains at all.
        expected.append(
            [each or (root if kept else None) for each, root, kept in zip(classes, roots, in_a_cell, strict=True)]
        )
    for level, (partition, wanted) in enumerate(zip(found.levels, expected, strict=True)):
        # Every image has a class at every level, or at none.
        assert [each is None for each in wanted] == [each is None for each in expected[0]]
        assert found.keys[level] == tuple(sorted({each for each in wanted if each is not None}))
        tally = Counter(wanted)
        assert found.counts[level].tolist() == [tally[key] for key in found.keys[level]]
        assert len(set(partition.labels)) == len(partition)
        for key, center in zip(found.keys[level], partition.centers_deg, strict=True):
            # No class stands for a location with fewer images than its threshold, but for a root without finer ones.
            assert images[key] >= thresholds[level] or (key not in parents and tally[key] == images[key])
            own = np.array([point for point, each in zip(points, wanted, strict=True) if each == key])
            mean = unit_vectors(own).mean(axis=0)
            np.testing.assert_allclose(unit_vectors(center), mean / np.linalg.norm(mean), atol=1e-8)
        if level + 1 < len(found.levels):
            _check_parents(found, level, wanted, expected[level + 1])
    _check_assign(found, points, expected)
    assert found.settings["in_no_cell"] == expected[0].count(None)
    tree = found.tree
    named = [[tree.labels[step] for step in tree.path(place)] for place in tree.of_cell]
    assert named == [slow_path(key, parents) for key in found.keys[0]]
    assert set(tree.labels) == {step for path in named for step in path}


def _check_parents(found: Partitioning, level: int, fine: list[str | None], coarse: list[str | None]) -> None:
    """The images of a coarser class are those of its children and of no other."""
    children = defaultdict(set)
    for cell, parent in enumerate(found.levels[level].parents):
        children[found.keys[level + 1][parent]].add(found.keys[level][cell])
    for key in found.keys[level + 1]:
        inside = {i for i, each in enumerate(coarse) if each == key}
        assert children[key]
        assert inside == {i for i, each in enumerate(fine) if each in children[key]}


def _check_assign(found: Partitioning, points: list[tuple[float, float]], expected: list[list[str | None]]) -> None:
    """Where one coordinate is one image, it has its own class at every level."""
    alone = [i for i, point in enumerate(points) if points.count(point) == 1 and abs(point[0]) < 90]
    rows = found.classes(np.array(points)[alone].reshape(-1, 2))
    for level, wanted in enumerate(expected):
        cells = rows[:, len(expected) - 1 - level]
        assert [found.keys[level][cell] if cell >= 0 else None for cell in cells] == [wanted[i] for i in alone]


def _check_that_order_does_not_matter(
    found: Partitioning, texts: list[str], points: list[tuple[float, float]], thresholds: list[int], seed: int
) -> None:
    order = np.random.default_rng(seed + 10_000).permutation(len(texts))
    again = build_semantic(
        addresses_of([texts[i] for i in order], [points[i] for i in order]), thresholds[::-1], name="x"
    )
    assert again.keys == found.keys
    assert again.tree.labels == found.tree.labels
    assert again.tree.parents.tolist() == found.tree.parents.tolist()
    assert again.settings == found.settings
    for one, other in zip(again.levels, found.levels, strict=True):
        assert one.labels == other.labels
        assert one.centers_deg.tolist() == other.centers_deg.tolist()  # to the last bit
        assert (one.parents is None) == (other.parents is None)
        assert one.parents is None or one.parents.tolist() == other.parents.tolist()
    assert [each.tolist() for each in again.counts] == [each.tolist() for each in found.counts]
    assert again.assign(np.array(points)).tolist() == found.assign(np.array(points)).tolist()
