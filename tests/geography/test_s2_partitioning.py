"""The S2 partitioning: a plain recursion over another implementation as the oracle, invariants, values by hand."""

import numpy as np
import pytest
import s2sphere
import shapely

from geoexplain.errors import DataError
from geoexplain.geography import s2
from geoexplain.geography.partitioning import Partitioning
from geoexplain.geography.s2_partitioning import assign_by_tokens, build_s2
from geoexplain.geography.sphere import great_circle_km, spherical_mean
from tests.geography.scattered import nameless, scattered_points

SEEDS = range(1000)


def eastern(points: np.ndarray) -> np.ndarray:
    """The points with 180° in the place of −180°, which S2 itself tells apart."""
    return np.stack([points[:, 0], np.where(points[:, 1] == -180, 180, points[:, 1])], axis=1)


def settings_of(seed: int) -> list[tuple[int, int]]:
    rng = np.random.default_rng(seed + 10**6)
    most = np.sort(rng.integers(1, 60, rng.integers(1, 4)))[::-1].tolist()
    return [(int(rng.integers(1, min(limit, 6) + 1)), limit) for limit in most]


def recursive_cells(leaves: list[s2sphere.CellId], least: int, most: int) -> dict[str, int]:
    """Token → count of the cells of one level, as the papers say it, one cell after the other."""
    open_ = [(s2sphere.CellId.from_face_pos_level(face, 0, 0), leaves) for face in range(6)]
    found: dict[str, int] = {}
    while open_:
        cell, candidates = open_.pop()
        inside = [leaf for leaf in candidates if cell.contains(leaf)]
        if len(inside) > most and not cell.is_leaf():
            open_ += [(child, inside) for child in cell.children()]
        elif len(inside) >= least:
            found[cell.to_token()] = len(inside)
    return found


@pytest.mark.parametrize("seed", range(12))
def test_one_level_is_what_a_plain_recursion_finds(seed: int) -> None:
    points = scattered_points(seed, 400)
    leaves = [s2sphere.CellId.from_lat_lng(s2sphere.LatLng.from_degrees(*point)) for point in eastern(points).tolist()]
    expected = recursive_cells(leaves, 2, 20)
    built = build_s2(points, [(2, 20)])
    assert dict(zip(built.keys[0], built.counts[0].tolist(), strict=True)) == expected
    assert built.settings["in_no_cell"] == len(points) - sum(expected.values())


def test_two_towns_by_hand() -> None:
    # Five coordinates at (0.1, 0.1) and two at (0.1, 90.1), three alone: face 0 is cut until the five are apart from
    # the one at (-30, -30), which is after once; face 1 has two and is not cut; what is alone is dropped.
    points = np.array([(0.1, 0.1)] * 5 + [(-30.0, -30.0)] + [(0.1, 90.1)] * 2 + [(80.0, 0.0), (-80.0, 0.0)])
    built = build_s2(points, [(2, 5)], name="hand")
    assert built.keys == (("14", "3"),)
    assert built.counts[0].tolist() == [5, 2]
    assert built.settings == {"thresholds": ["2:5"], "in_no_cell": 3}
    np.testing.assert_allclose(built.levels[0].centers_deg, [(0.1, 0.1), (0.1, 90.1)], atol=1e-7)
    assert built.classes(points).ravel().tolist() == [0] * 5 + [-1] + [1, 1] + [-1, -1]
    assert built.borders[0][0].bounds == pytest.approx((0, 0, 45, 45))


def test_more_of_them_at_one_place_than_a_cell_may_hold() -> None:
    built = build_s2(np.array([(12.3, 45.6)] * 9), [(1, 3)])
    assert built.counts[0].tolist() == [9]
    assert s2.levels(s2.from_tokens(built.keys[0])).tolist() == [s2.LEAF_LEVEL]


def test_the_antimeridian_is_one_line_from_either_side() -> None:
    points = np.array([(10.0, 180.0), (10.0, -180.0)] * 3)
    built = build_s2(points, [(6, 6), (6, 6)])
    assert [len(level) for level in built.levels] == [1, 1]
    assert built.classes(points).tolist() == [[0, 0]] * 6
    assert points[1].tolist() == [10.0, -180.0]  # what was given stays as it was


def test_what_the_coarser_level_drops_the_finer_ones_drop_too() -> None:
    points = np.array([(1.0, 1.0)] * 8 + [(1.0, 91.0)] * 3)
    alone = build_s2(points, [(2, 4)])
    assert alone.counts[0].tolist() == [8, 3]
    both = build_s2(points, [(5, 10), (2, 4)])
    assert [counts.tolist() for counts in both.counts] == [[8], [8]]
    assert both.settings["in_no_cell"] == 3


def test_a_coarse_cell_without_a_finer_one_is_dropped() -> None:
    # Face 1 holds four, which the finer level cuts into single ones and drops.
    points = np.array([(1.0, 1.0)] * 8 + [(20.0, 70.0), (20.0, 110.0), (-20.0, 70.0), (-20.0, 110.0)])
    built = build_s2(points, [(2, 10), (2, 3)])
    assert built.keys[1] == ("1",)
    assert len(built.levels[0]) == 1


def check(built: Partitioning, points: np.ndarray, limits: list[tuple[int, int]]) -> None:
    """What holds for every S2 partitioning of points."""
    classes = built.classes(points)
    inside = classes[:, -1] >= 0
    assert built.settings["in_no_cell"] == (~inside).sum()
    leaves = s2.leaf_ids(eastern(points))
    for level, (keys, counts) in enumerate(zip(built.keys, built.counts, strict=True)):
        least, most = limits[::-1][level]
        cells = s2.from_tokens(keys)
        column = classes[:, -1 - level]
        own = s2.containing_cells(cells, leaves)
        assert np.bincount(own[own >= 0], minlength=len(cells)).tolist() == counts.tolist()
        assert counts.min() >= least
        assert ((counts <= most) | (s2.levels(cells) == s2.LEAF_LEVEL)).all()
        assert (own[inside] == column[inside]).all()  # the parent's number is that of the cell that holds the point
        parents = built.levels[level].parents
        if level + 1 < len(built.levels):
            assert (s2.containing_cells(s2.from_tokens(built.keys[level + 1]), cells) == parents).all()
            assert set(parents.tolist()) == set(range(len(built.levels[level + 1])))
            held = np.bincount(parents, weights=counts, minlength=len(built.levels[level + 1]))
            assert (held <= built.counts[level + 1]).all()
        else:
            assert parents is None


def built_or_none(points: np.ndarray, limits: list[tuple[int, int]]) -> Partitioning | None:
    try:
        return build_s2(points, limits, name_by=nameless)
    except DataError:
        return None


def test_invariants_hold_for_a_thousand_inputs() -> None:
    built_any = 0
    for seed in SEEDS:
        points, limits = scattered_points(seed), settings_of(seed)
        built = built_or_none(points, limits)
        if built is None:  # single coordinates would have been cells
            assert max(least for least, _ in limits) > 1
            continue
        built_any += 1
        check(built, points, limits)
        if seed % 10 == 0:
            order = np.random.default_rng(seed).permutation(len(points))
            again = build_s2(points[order], limits, name_by=nameless)
            assert again.keys == built.keys
            assert (again.classes(points) == built.classes(points)).all()
            assert all(
                np.abs(a.centers_deg - b.centers_deg).max() < 1e-6
                for a, b in zip(again.levels, built.levels, strict=True)
            )
    assert built_any > 700


def test_centres_are_means_and_labels_distinct_places() -> None:
    points = scattered_points(3, 400)
    built = build_s2(points, [(3, 40), (3, 15)])
    classes = built.classes(points)
    for level, cells in enumerate(built.levels):
        leaf = s2.containing_cells(s2.from_tokens(built.keys[level]), s2.leaf_ids(eastern(points)))
        means = np.array([spherical_mean(points[leaf == cell]) for cell in range(len(cells))])
        assert great_circle_km(cells.centers_deg, means).max() < 1e-4
        assert len(set(cells.labels)) == len(cells)
        assert cells.borders == built.borders[level]
        assert shapely.is_valid(built.borders[level]).all()
    assert classes.shape == (len(points), 2)


@pytest.mark.parametrize("limits", [[], [(0, 5)], [(6, 5)], [(1, 5), (1, 6)]])
def test_thresholds_that_make_no_sense_are_refused(limits: list[tuple[int, int]]) -> None:
    with pytest.raises(DataError, match=r"1 ≤ τ_min ≤ τ_max, coarse to fine"):
        build_s2(np.zeros((9, 2)), limits)


def test_thresholds_without_cells_are_refused() -> None:
    with pytest.raises(DataError, match="at least 50 coordinates, got none among 9"):
        build_s2(np.zeros((9, 2)))
    with pytest.raises(DataError, match="got none among 0"):
        build_s2(np.zeros((0, 2)))


def test_tokens_in_any_order_assign_to_their_row() -> None:
    assign = assign_by_tokens(["3", "0c", "04"])
    assert assign(s2.centers_deg(s2.from_tokens(["04", "3", "0b", "5"]))).tolist() == [2, 0, 1, -1]
    with pytest.raises(DataError, match="overlap"):
        assign_by_tokens(["0b", "3", "0c"])


def test_progress_reaches_its_end() -> None:
    heard: list[tuple[int, int]] = []
    build_s2(np.zeros((9, 2)), [(1, 9), (1, 5)], progress=lambda *step: heard.append(step))
    assert [done for done, _ in heard] == [1, 2, 3, 4, 5]
    assert {total for _, total in heard} == {5}
