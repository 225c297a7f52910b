"""Search within Cell, against a plain-Python oracle, a case worked out by hand, and properties of any gallery."""

import math
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from geoexplain.errors import DataError
from geoexplain.locator import retrieval
from geoexplain.locator.retrieval import SearchWithinCell, largest_cluster, search_within_cell
from tests.locator.models import small_model

KM_PER_DEG = math.pi * 6371 / 180
"""Along a meridian, R = 6371 km: 111.19."""


@dataclass(frozen=True, eq=False)
class Lists:
    """A gallery in memory that counts the rows read from it."""

    embeddings: np.ndarray
    places: np.ndarray
    cells: dict[int, list[int]]
    model: str | None = None
    name: str = "lists"
    asked: list[int] = field(default_factory=list)

    @property
    def dim(self) -> int:
        return self.embeddings.shape[1]

    def __len__(self) -> int:
        return len(self.places)

    def rows_of(self, cell: int) -> np.ndarray:
        return np.array(self.cells.get(cell, []), dtype=np.int64)

    def features(self, rows: np.ndarray) -> np.ndarray:
        self.asked.append(len(rows))
        return self.embeddings[rows].astype(np.float32)

    def positions_deg(self, rows: np.ndarray) -> np.ndarray:
        return self.places[rows]


def along_axes(similarity: list[float], places: list[tuple[float, float]], cell: int = 0) -> Lists:
    """Return a gallery of photos with given similarities to the embedding (1, 0)."""
    embeddings = np.array([(s, math.sqrt(1 - s * s)) for s in similarity])
    return Lists(embeddings, np.array(places, dtype=float), {cell: list(range(len(places)))})


FIRST_AXIS = np.array([1, 0], dtype=np.float32)


# The oracle: single linkage by union-find over all pairs, scalar haversine, the mean of the unit vectors.


def haversine_km(a: tuple[float, float], b: tuple[float, float]) -> float:
    lat_a, lon_a, lat_b, lon_b = map(math.radians, (*a, *b))
    h = math.sin((lat_b - lat_a) / 2) ** 2 + math.cos(lat_a) * math.cos(lat_b) * math.sin((lon_b - lon_a) / 2) ** 2
    return 2 * 6371 * math.asin(min(1.0, math.sqrt(h)))


def brute_force_cluster(points: list[tuple[float, float]], eps_km: float) -> set[int]:
    parent = list(range(len(points)))

    def root(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    for i in range(len(points)):
        for j in range(i):
            if haversine_km(points[i], points[j]) <= eps_km:
                parent[root(i)] = root(j)
    clusters: dict[int, set[int]] = {}
    for i in range(len(points)):
        clusters.setdefault(root(i), set()).add(i)
    return min(clusters.values(), key=lambda members: (-len(members), min(members)))


def brute_force_mean(points: list[tuple[float, float]]) -> tuple[float, float]:
    x = y = z = 0.0
    for lat, lon in (map(math.radians, point) for point in points):
        x, y, z = x + math.cos(lat) * math.cos(lon), y + math.cos(lat) * math.sin(lon), z + math.sin(lat)
    return math.degrees(math.atan2(z, math.hypot(x, y))), math.degrees(math.atan2(y, x))


def close_together(lat: float, lon: float) -> st.SearchStrategy[list[tuple[float, float]]]:
    """Draw up to 12 points a few km around a point, also near the poles and the antimeridian."""
    stretch = 1 / max(math.cos(math.radians(lat)), 1e-3)
    offset = st.integers(-30, 30).map(lambda step: step * 0.1 / KM_PER_DEG)
    return st.lists(
        st.tuples(offset, offset).map(
            lambda o: (max(-90.0, min(90.0, lat + o[0])), (lon + o[1] * stretch + 180) % 360 - 180)
        ),
        max_size=12,
    )


ANCHORS = [(0.0, 0.0), (48.9, 2.3), (-17.5, 180.0), (12.0, -180.0), (90.0, 0.0), (-90.0, 77.0), (89.99, 179.99)]


@st.composite
def scattered_points(draw: st.DrawFn) -> list[tuple[float, float]]:
    points = [
        p for anchor in draw(st.lists(st.sampled_from(ANCHORS), max_size=3)) for p in draw(close_together(*anchor))
    ]
    points += draw(st.lists(st.tuples(st.floats(-90, 90), st.floats(-180, 180)), max_size=5))
    assume(points)
    return draw(st.permutations(points))


@settings(max_examples=150, deadline=None)
@given(scattered_points(), st.floats(0.05, 5))
def test_the_cluster_is_that_of_brute_force(points: list[tuple[float, float]], eps_km: float) -> None:
    apart = [haversine_km(a, b) for i, a in enumerate(points) for b in points[:i]]
    assume(all(abs(distance - eps_km) > 1e-6 for distance in apart))  # at the boundary, rounding decides
    found = largest_cluster(np.array(points), eps_km)
    assert set(np.flatnonzero(found).tolist()) == brute_force_cluster(points, eps_km)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.sampled_from(ANCHORS), st.integers(1, 15))
def test_the_whole_search_is_that_of_brute_force(seed: int, size: int, anchor: tuple[float, float], top_k: int) -> None:
    rng = np.random.default_rng(seed)
    embeddings = rng.integers(-4, 5, (size, 6)) / 8  # few values, so that some similarities are equal, exactly
    asked = (rng.integers(-4, 5, 6) / 8).astype(np.float32)
    stretch = 1 / max(math.cos(math.radians(anchor[0])), 1e-3)
    places = np.array(anchor) + rng.normal(0, 1.5, (size, 2)) / KM_PER_DEG * (1, stretch)
    places[:, 0] = places[:, 0].clip(-90, 90)
    places[:, 1] = (places[:, 1] + 180) % 360 - 180
    in_cell = rng.permutation(size)[: rng.integers(1, size + 1)].tolist()
    found = search_within_cell(Lists(embeddings, places, {5: in_cell}), asked, 5, np.array(anchor), top_k=top_k)

    dots = {row: sum(float(a) * float(b) for a, b in zip(embeddings[row], asked, strict=True)) for row in in_cell}
    best = sorted(in_cell, key=lambda row: -dots[row])[:top_k]  # sorted() keeps equal ones in their order
    points = [tuple(places[row].tolist()) for row in best]
    members = brute_force_cluster(points, 1.0)
    answer = brute_force_mean([points[i] for i in sorted(members)])
    assert found is not None
    assert found.rows.tolist() == best
    assert found.similarity == pytest.approx([dots[row] for row in best])
    assert np.array_equal(found.positions_deg, np.array(points))
    assert set(np.flatnonzero(found.chosen).tolist()) == members
    assert haversine_km((found.lat_deg, found.lon_deg), answer) < 1e-6
    assert found.moved_km == pytest.approx(haversine_km(anchor, answer), abs=1e-6)
    assert (found.cell, found.searched) == (5, len(in_cell))


def test_a_case_worked_by_hand() -> None:
    # Best first: Lyon's opera; then three in a row 0.8 km apart, the ends 1.6 km from each other; then one far off.
    step = 0.8 / KM_PER_DEG
    gallery = along_axes(
        [0.5, 0.9, 0.8, 0.1, 0.7],
        [(45.0, 5.0), (45.7676, 4.8362), (45.0 - step, 5.0), (10.0, 10.0), (45.0 + step, 5.0)],
    )
    found = search_within_cell(gallery, FIRST_AXIS, 0, np.array([45.0, 5.0]), top_k=4)
    assert found is not None
    assert found.rows.tolist() == [1, 2, 4, 0]
    assert found.similarity == pytest.approx([0.9, 0.8, 0.7, 0.5])
    assert found.chosen.tolist() == [False, True, True, True]
    assert (found.lat_deg, found.lon_deg) == pytest.approx((45.0, 5.0))  # the middle of the three
    assert found.moved_km == pytest.approx(0, abs=1e-6)
    # Within 0.7 km no two photos form a cluster: the answer is the most similar photo.
    alone = search_within_cell(gallery, FIRST_AXIS, 0, np.array([45.7676, 4.8362 + 90]), top_k=4, eps_km=0.7)
    assert alone is not None
    assert (alone.lat_deg, alone.lon_deg) == pytest.approx((45.7676, 4.8362))
    quarter_turn = 2 * 6371 * math.asin(math.cos(math.radians(45.7676)) * math.sin(math.radians(45)))
    assert alone.moved_km == pytest.approx(quarter_turn)


def test_of_equally_large_clusters_the_one_with_the_most_similar_photo() -> None:
    pair_a, pair_b = [(1.0, 1.0), (1.001, 1.0)], [(50.0, 50.0), (50.001, 50.0)]
    for similarity, chosen in (([0.9, 0.1, 0.8, 0.7], pair_a), ([0.8, 0.7, 0.9, 0.1], pair_b)):
        found = search_within_cell(along_axes(similarity, pair_a + pair_b), FIRST_AXIS, 0, np.zeros(2))
        assert found is not None
        assert sorted(map(tuple, found.positions_deg[found.chosen].tolist())) == chosen


@pytest.mark.parametrize(
    ("place", "other", "together"),
    [
        ((0.0, 179.996), (0.0, -179.996), True),  # 0.89 km across the antimeridian
        ((0.0, 179.99), (0.0, -179.99), False),  # 2.2 km
        ((89.999, 0.0), (89.999, 180.0), True),  # 0.22 km across the pole
        ((-89.999, -90.0), (-89.999, 90.0), True),
        ((90.0, 0.0), (90.0, 123.0), True),  # one point
        ((60.0, 10.0), (60.0, 10.017), True),  # 0.95 km: a degree of longitude is half as long at 60°
        ((0.0, 10.0), (0.0, 10.017), False),  # 1.9 km
    ],
)
def test_distance_is_along_the_great_circle(
    place: tuple[float, float], other: tuple[float, float], together: bool
) -> None:
    assert largest_cluster(np.array([place, other]), 1.0).tolist() == [True, together]


def test_the_answer_of_an_antimeridian_cluster_lies_on_it() -> None:
    found = search_within_cell(along_axes([0.9, 0.8], [(2, 179.998), (2, -179.998)]), FIRST_AXIS, 0, np.array([2, 179]))
    assert found is not None
    assert abs(found.lon_deg) == pytest.approx(180)
    assert found.moved_km == pytest.approx(haversine_km((2, 179), (2, 180)), rel=1e-6)


def test_a_cell_without_photos_has_no_answer() -> None:
    gallery = along_axes([0.9], [(1, 1)], cell=3)
    assert search_within_cell(gallery, FIRST_AXIS, 4, np.zeros(2)) is None
    assert gallery.asked == []


def test_reading_a_large_cell_in_parts_gives_the_same_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    embeddings = rng.integers(-3, 4, (500, 4)) / 4
    order = rng.permutation(500).tolist()
    gallery = Lists(embeddings, rng.uniform(-80, 80, (500, 2)), {0: order})
    asked = np.array([0.5, -0.25, 1, 0], dtype=np.float32)
    whole = search_within_cell(gallery, asked, 0, np.zeros(2), top_k=25)
    monkeypatch.setattr(retrieval, "ROWS_AT_A_TIME", 64)
    gallery.asked.clear()
    parts = search_within_cell(gallery, asked, 0, np.zeros(2), top_k=25)
    assert gallery.asked == [64] * 7 + [52]
    assert whole is not None
    assert parts is not None
    assert parts.rows.tolist() == whole.rows.tolist()
    # 500 photos share few similarities: of equal ones those that come first in the cell are kept.
    dots = embeddings @ asked
    assert parts.rows.tolist() == sorted(order, key=lambda row: -dots[row])[:25]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"top_k": 0}, r"top_k: expected a whole number of at least 1, got 0"),
        ({"eps_km": 0.0}, r"eps_km: expected a distance above 0 km, got 0\.0"),
        ({"eps_km": -1.0}, "eps_km"),
        ({"eps_km": math.nan}, "eps_km"),
        ({"eps_km": math.inf}, "eps_km"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict, sentence: str) -> None:
    gallery = along_axes([0.9], [(1, 1)])
    with pytest.raises(DataError, match=sentence):
        SearchWithinCell(gallery, **settings)
    with pytest.raises(DataError, match=sentence):
        search_within_cell(gallery, FIRST_AXIS, 0, np.zeros(2), **settings)


@pytest.mark.parametrize("embedding", [[1.0, 0, 0], [1.0], [[1.0, 0]], [math.nan, 0]])
def test_an_embedding_of_another_shape_is_refused(embedding: list) -> None:
    gallery = along_axes([0.9], [(1, 1)])
    with pytest.raises(DataError, match="gallery lists: expected an embedding of 2 finite numbers, got shape"):
        search_within_cell(gallery, np.array(embedding, dtype=np.float32), 0, np.zeros(2))


def test_with_a_model_the_embedding_is_the_models() -> None:
    model = small_model()
    features = torch.rand(1, model.backbone.feature_dim)
    mine = model.embedding(features)[0].numpy()
    rng = np.random.default_rng(5)
    others = mine + rng.normal(0, 0.1, (6, len(mine)))
    gallery = Lists(others / np.linalg.norm(others, axis=1, keepdims=True), rng.uniform(-5, 5, (6, 2)), {1: [5, 0, 3]})
    center = model.partition.centers_deg[1]
    for given_features in (features, features[0]):
        found = SearchWithinCell(gallery, top_k=2)(model, 1, given_features)
        assert found is not None
        assert found.rows.tolist() == sorted([5, 0, 3], key=lambda row: -(gallery.embeddings[row] @ mine))[:2]
        assert found.moved_km == pytest.approx(haversine_km(tuple(center), (found.lat_deg, found.lon_deg)))
    assert SearchWithinCell(gallery)(model, 2, features) is None


def test_the_gallery_of_another_model_is_refused() -> None:
    model = small_model()
    features = torch.rand(1, model.backbone.feature_dim)
    gallery = Lists(np.ones((1, model.backbone.feature_dim)), np.zeros((1, 2)), {0: [0]}, model="another")
    with pytest.raises(DataError, match="gallery lists: expected embeddings by model small, got those by another"):
        SearchWithinCell(gallery)(model, 0, features)
    assert SearchWithinCell(replace(gallery, model="small"))(model, 0, features) is not None
