"""Partitionings by k-means: towns by hand, invariants for a thousand inputs, outlines that hold what is in them."""

import numpy as np
import pytest
import shapely

from geoexplain.errors import DataError
from geoexplain.geography.kmeans_partitioning import build_kmeans
from geoexplain.geography.partitioning import Partitioning
from geoexplain.geography.sphere import destination, great_circle_km, spherical_mean
from tests.geography.scattered import nameless, scattered_points

SEED = 9
"""One from whose beginnings k-means finds all the towns; from others it ends with two of them in one cell."""


def towns_and_people() -> tuple[np.ndarray, np.ndarray]:
    towns = np.array([(48.9, 2.3), (51.5, -0.1), (-33.9, 151.2), (-37.8, 145.0), (66.0, 179.8), (65.5, -178.0)])
    rng = np.random.default_rng(2)
    people = [destination(town, rng.uniform(0, 360, 40), rng.uniform(0, 30, 40)) for town in towns]
    return towns, np.concatenate(people)


def test_towns_are_cells_and_pairs_of_them_the_coarser_ones() -> None:
    towns, people = towns_and_people()
    built = build_kmeans(people, [3, 6], seed=SEED)
    finest, coarse = built.levels
    owner = great_circle_km(towns[:, None], finest.centers_deg[None]).argmin(axis=1)
    assert sorted(owner.tolist()) == list(range(6))
    assert great_circle_km(towns, finest.centers_deg[owner]).max() < 15
    assert built.counts[0].tolist() == [40] * 6
    assert built.counts[1].tolist() == [80] * 3
    pairs = finest.parents[owner].reshape(3, 2)  # Paris and London, Sydney and Melbourne, both sides of 180°
    assert (pairs[:, 0] == pairs[:, 1]).all()
    assert len(set(pairs[:, 0].tolist())) == 3
    middle = np.array([spherical_mean(people[80 * pair : 80 * pair + 80]) for pair in range(3)])
    assert great_circle_km(coarse.centers_deg[pairs[:, 0]], middle).max() < 5
    assert (built.classes(people)[:, 1] == np.repeat(owner, 40)).all()
    assert built.keys[0] == ("0", "1", "2", "3", "4", "5")
    assert "Paris, France" in finest.labels[owner[0]]


def check(built: Partitioning, points: np.ndarray) -> None:
    """What holds for every k-means partitioning of points."""
    classes = built.classes(points)
    assert built.settings["in_no_cell"] == 0
    assert (classes >= 0).all()
    centers = built.levels[0].centers_deg
    assert (great_circle_km(points[:, None], centers[None]).min(axis=1) + 1e-6
            >= great_circle_km(points, centers[classes[:, -1]])).all()  # fmt: skip
    for level, counts in enumerate(built.counts):
        assert np.bincount(classes[:, -1 - level], minlength=len(counts)).tolist() == counts.tolist()
        assert counts.min() > 0
        assert counts.sum() == len(points)
        parents = built.levels[level].parents
        if level + 1 < len(built.levels):
            assert np.bincount(parents, weights=counts).tolist() == built.counts[level + 1].tolist()
            assert (parents[classes[:, -1 - level]] == classes[:, -2 - level]).all()


def test_invariants_hold_for_a_thousand_inputs() -> None:
    for seed in range(1000):
        points = scattered_points(seed, 30)
        rng = np.random.default_rng(seed)
        cells = np.unique(rng.integers(1, min(6, len(points)) + 1, rng.integers(1, 4))).tolist()
        built = build_kmeans(points, cells, seed=seed, name_by=nameless)
        check(built, points)
        if seed % 20 == 0:
            again = build_kmeans(points[rng.permutation(len(points))], cells, seed=seed, name_by=nameless)
            assert [level.centers_deg.tolist() for level in again.levels] == [
                level.centers_deg.tolist() for level in built.levels
            ]


@pytest.mark.parametrize("seed", range(6))
def test_outlines_hold_what_is_in_their_cells(seed: int) -> None:
    points = np.concatenate([scattered_points(seed, 300), scattered_points(seed + 50, 300)])
    built = build_kmeans(points, [4, 15], name_by=nameless)
    classes = built.classes(points)
    for level, borders in enumerate(built.borders):
        assert shapely.is_valid(borders).all()
        for (lat, lon), cell in zip(points.tolist(), classes[:, -1 - level].tolist(), strict=True):
            turns = [shapely.Point(lon + turn, lat) for turn in (-360, 0, 360)]
            assert min(borders[cell].distance(point) for point in turns) < 1  # edges of 5° are straight on the map


@pytest.mark.parametrize("cells", [[], [0], [5, 5], [9, 3]])
def test_numbers_that_make_no_sense_are_refused(cells: list[int]) -> None:
    with pytest.raises(DataError, match="rise from coarse to fine"):
        build_kmeans(scattered_points(1), cells)


def test_more_cells_than_points_are_refused() -> None:
    with pytest.raises(DataError, match="from 1 to 3 cells"):
        build_kmeans(np.array([(0.0, 0.0), (1.0, 1.0), (2.0, 2.0)]), [4])


def test_equal_points_make_one_cell() -> None:
    built = build_kmeans(np.array([(12.0, 34.0)] * 20), [2, 5])
    assert [len(level) for level in built.levels] == [1, 1]
    np.testing.assert_allclose(built.levels[0].centers_deg, [(12, 34)], atol=1e-4)


def test_progress_reaches_its_end() -> None:
    heard: list[tuple[int, int]] = []
    build_kmeans(scattered_points(5), [2, 4], name_by=nameless, progress=lambda *step: heard.append(step))
    assert heard == [(step, 50) for step in range(1, 51)]
