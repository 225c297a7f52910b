"""Concept influence: values by hand, an independent implementation, and properties for any map and mask."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import distance_transform_cdt

from geoexplain.errors import DataError
from geoexplain.explainer.concepts import (
    ConceptInfluence,
    bootstrap,
    concept_influence,
    concept_table,
    dilate,
    top_pixels,
)

# 4 × 5 = 20 pixels; the five strongest are 9, 8, 7, 6, 5.
MAP = np.array([[9, 1, 1, 0, 0], [8, 7, 1, 0, 0], [0, 0, 0, 6, 0], [0, 0, 0, 0, 5]], dtype=np.float32)


def mask_of(*rows: str) -> np.ndarray:
    return np.array([[letter == "#" for letter in row] for row in rows])


def test_worked_out_by_hand() -> None:
    # The left block, 4 of 20 pixels, holds 9, 8 and 7: tki 3/5, ci (3/5) / (4/20) = 3.
    # The lower half, 10 of 20, holds 6 and 5: tki 2/5, ci 0.8. The last pixel of the first row holds none.
    masks = {
        "tower": mask_of("##...", "##...", ".....", "....."),
        "grass": mask_of(".....", ".....", "#####", "#####"),
        "cloud": mask_of("....#", ".....", ".....", "....."),
    }
    result = concept_influence(MAP, masks, k=5)
    tower, grass, cloud = result.concepts
    assert (tower.concept, tower.share, tower.tki, tower.ci) == ("tower", 0.2, 0.6, pytest.approx(3))
    assert (grass.share, grass.tki, grass.ci, grass.ignored) == (0.5, 0.4, pytest.approx(0.8), "")
    assert (cloud.share, cloud.tki, cloud.ci, cloud.ignored) == (0.05, 0, 0, "")
    np.testing.assert_array_equal(result.top, MAP >= 5)
    assert (result.tied, result.flat) == (0, False)


def test_small_concepts_are_ignored_with_a_reason() -> None:
    masks = {"hut": mask_of("#....", ".....", ".....", "....."), "moon": np.zeros((4, 5), dtype=bool)}
    hut, moon = concept_influence(MAP, masks, k=5, smallest_share=0.06).concepts
    assert (hut.tki, hut.ci) == (0.2, pytest.approx(4))
    assert hut.ignored == "covers 5.0 % of the image, less than 6 %"
    assert (moon.share, moon.tki, moon.ci, moon.ignored) == (0, 0, None, "not in the image")


def test_ties_are_broken_by_index() -> None:
    # Five are positive, three are 1 and two of these fill k = 7: the first two of them, by index.
    result = concept_influence(MAP, {"row": mask_of(".##..", ".....", ".....", ".....")}, k=7)
    assert result.concepts[0].tki == pytest.approx(2 / 7)
    assert result.tied == 2
    assert not result.top[1, 2]
    assert concept_influence(MAP, {}, k=8).tied == 0


def test_all_concepts_of_a_flat_map_are_ignored() -> None:
    result = concept_influence(np.full((4, 5), 0.3), {"all": np.ones((4, 5), dtype=bool)}, k=5)
    assert result.flat
    assert result.concepts == (ConceptInfluence("all", 1.0, None, None, "the explanation is flat"),)


def test_dilation_worked_out_by_hand() -> None:
    grown = dilate(mask_of("#....", ".....", ".....", "....."), 1)
    np.testing.assert_array_equal(grown, mask_of("##...", "##...", ".....", "....."))
    np.testing.assert_array_equal(dilate(grown, 0), grown)
    # The dilated corner is the tower above.
    (corner,) = concept_influence(
        MAP, {"corner": mask_of("#....", ".....", ".....", ".....")}, k=5, dilation_px=1
    ).concepts
    assert (corner.share, corner.ci) == (0.2, pytest.approx(3))


@given(arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12))), st.integers(1, 6))
def test_dilation_is_by_chessboard_distance(mask: np.ndarray, pixels: int) -> None:
    near = distance_transform_cdt(~mask, "chessboard") <= pixels if mask.any() else mask
    np.testing.assert_array_equal(dilate(mask, pixels), near)


def by_loops(values: np.ndarray, mask: np.ndarray, k: int) -> tuple[float, float]:
    """(tki, share), one pixel at a time: a pixel is in the top k if fewer than k pixels rank before it."""
    flat, inside = values.ravel().tolist(), mask.ravel().tolist()
    hits = 0
    for i, value in enumerate(flat):
        before = sum(other > value or (other == value and j < i) for j, other in enumerate(flat))
        hits += before < k and inside[i]
    return hits / k, sum(inside) / len(inside)


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    shape = draw(st.tuples(st.integers(1, 7), st.integers(2, 7)))
    # Few distinct values, so that ties are common.
    values = draw(arrays(np.float32, shape, elements=st.sampled_from([0.0, 0.25, 0.5, 3.0])))
    mask = draw(arrays(np.bool_, shape))
    return values, mask, draw(st.integers(1, values.size))


@given(cases())
@settings(max_examples=200)
def test_another_implementation_agrees(case: tuple[np.ndarray, np.ndarray, int]) -> None:
    values, mask, k = case
    result = concept_influence(values, {"it": mask}, k=k, smallest_share=0)
    (one,) = result.concepts
    tki, share = by_loops(values, mask, k)
    assert np.count_nonzero(result.top) == k
    assert one.share == pytest.approx(share)
    if result.flat:
        assert one.tki is None
    else:
        assert one.tki == pytest.approx(tki)
        assert one.ci == (pytest.approx(tki / share) if share else None)


@given(cases())
def test_ties_are_counted(case: tuple[np.ndarray, np.ndarray, int]) -> None:
    values, _, k = case
    limit = np.sort(values.ravel())[::-1][k - 1]
    above, equal = int((values > limit).sum()), int((values == limit).sum())
    assert concept_influence(values, {}, k=k).tied == (k - above if equal > k - above else 0)


@given(cases())
def test_whole_disjoint_and_divided_masks(case: tuple[np.ndarray, np.ndarray, int]) -> None:
    values, mask, k = case
    top = top_pixels(values, k)
    masks = {"whole": np.ones_like(mask), "elsewhere": ~top, "top": top, "part": mask, "rest": ~mask}
    result = concept_influence(values, masks, k=k, smallest_share=0)
    if result.flat:
        return
    whole, elsewhere, exact, part, rest = result.concepts
    assert (whole.tki, whole.ci) == (1, 1)
    assert elsewhere.tki == 0
    assert exact.ci == pytest.approx(values.size / k)
    assert part.tki + rest.tki == pytest.approx(1)  # type: ignore[operator]


def test_random_maps_average_to_one() -> None:
    generator = np.random.default_rng(0)
    mask = np.zeros((40, 50), dtype=bool)
    mask[5:20, 30:] = True
    influences = [
        concept_influence(generator.random((40, 50)), {"it": mask}, k=200, dilation_px=2).concepts[0].ci
        for _ in range(300)
    ]
    # Hypergeometric: 437 of 2,000 pixels, 200 drawn: the mean of 300 has a standard error of 0.007.
    assert np.mean(influences) == pytest.approx(1, abs=0.03)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": np.ones(5)}, r"\(H, W\) of floats"),
        ({"values": np.ones((4, 5), dtype=int)}, r"\(H, W\) of floats"),
        ({"values": np.full((4, 5), np.nan)}, "finite values ≥ 0"),
        ({"values": -MAP}, "finite values ≥ 0"),
        ({"k": 21}, "k from 1 to the image's 20 pixels, got 21"),
        ({"k": 0}, "k from 1"),
        ({"masks": {"sea": np.ones((5, 4), dtype=bool)}}, r"'sea': expected a mask of bool \(4, 5\)"),
        ({"masks": {"sea": np.ones((4, 5))}}, "'sea': expected a mask of bool"),
        ({"smallest_share": float("nan")}, "smallest share"),
        ({"dilation_px": -1}, "dilation from 0 to 1000 px, got -1"),
    ],
)
def test_wrong_input_is_refused(change, message) -> None:
    arguments = {"values": MAP, "masks": {"all": np.ones((4, 5), dtype=bool)}, "k": 5, **change}
    with pytest.raises(DataError, match=message):
        concept_influence(arguments.pop("values"), arguments.pop("masks"), **arguments)


def influence_of(**ci: float | None) -> tuple[ConceptInfluence, ...]:
    return tuple(
        ConceptInfluence(concept, 0.5, None if value is None else value / 2, value, "" if value is not None else "flat")
        for concept, value in ci.items()
    )


def test_a_table_worked_out_by_hand() -> None:
    results = [
        (0.0, influence_of(sea=1.0, ice=4.0)),
        (24.9, influence_of(sea=2.0, ice=None)),
        (3.0, influence_of(sea=6.0)),
        (25.0, influence_of(sea=5.0)),
        (2499.9, influence_of(ice=1.0)),
        (2500.0, influence_of(sea=9.0)),
    ]
    table = concept_table(results, smallest_count=3)
    assert (table.images, table.outside) == ((3, 1, 1), 1)
    assert [(row.concept, row.low_km, row.high_km, row.images) for row in table.rows] == [
        ("ice", 0, 25, 1),
        ("ice", 25, 750, 0),
        ("ice", 750, 2500, 1),
        ("sea", 0, 25, 3),
        ("sea", 25, 750, 1),
        ("sea", 750, 2500, 0),
    ]
    assert [row.concept for row in table.rows if row.median is not None] == ["sea"]
    sea = table.rows[3]
    assert sea.median is not None
    assert sea.mean is not None
    assert (sea.median.value, sea.mean.value) == (2, 3)
    # Three values have only 27 resamples, so there is no interval.
    assert all(np.isnan(end) for one in (sea.median, sea.mean) for end in (one.low, one.high))


def test_an_interval_needs_twenty_images() -> None:
    values = [1.0] * 10 + [2.0] * 10
    few, enough = bootstrap(values[:19], 500, 0.95, 0), bootstrap(values, 500, 0.95, 0)
    assert np.isnan([few[0].low, few[1].high]).all()
    # The number of twos among twenty draws is binomial: 6 to 14 in 95.9 % of cases.
    assert (enough[1].low, enough[1].high) == pytest.approx((1.3, 1.7), abs=0.051)


def test_an_ignored_concept_does_not_count() -> None:
    small = ConceptInfluence("hut", 0.01, 0.5, 50.0, "too small")
    assert concept_table([(1.0, [small])]).rows == ()


def test_the_order_of_images_does_not_matter() -> None:
    generator = np.random.default_rng(3)
    results = [(float(e), influence_of(sea=float(v))) for e, v in generator.random((200, 2)) * (100, 2)]
    assert concept_table(results, resamples=50) == concept_table(results[::-1], resamples=50)


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution() -> None:
    # 400 values of mean 5 and standard deviation 2: the mean is known to ± 1.96 · 2 / √400 = 0.196.
    values = np.random.default_rng(1).normal(size=400)
    values = 5 + 2 * (values - values.mean()) / values.std()
    median, mean = bootstrap(values.tolist(), 4000, 0.95, 0)
    assert (mean.value - mean.low, mean.high - mean.value) == pytest.approx((0.196, 0.196), rel=0.08)
    # The median is known to √(π/2) times as much.
    assert median.high - median.low == pytest.approx(2 * 0.196 * np.sqrt(np.pi / 2), rel=0.3)


@pytest.mark.parametrize(
    ("results", "change", "message"),
    [
        ([(float("nan"), influence_of(sea=1.0))], {}, "finite and at least 0, got nan"),
        ([(-1.0, influence_of(sea=1.0))], {}, "finite and at least 0"),
        ([], {"bins_km": [(0, 25), (20, 30)]}, "do not overlap"),
        ([], {"bins_km": [(25, 25)]}, "bins .low, high. in km, 0 ≤ low < high"),
        ([], {"bins_km": []}, "bins .low, high. in km, 0 ≤ low < high"),
        ([], {"smallest_count": 0}, "at least 1"),
        ([], {"confidence": 1.0}, "between 0 and 1"),
    ],
)
def test_a_wrong_table_is_refused(results, change, message) -> None:
    with pytest.raises(DataError, match=message):
        concept_table(results, **change)
