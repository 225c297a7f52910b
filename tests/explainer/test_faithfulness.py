"""Faithfulness: values by hand, an independent computation, properties, and counts of network passes."""

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
import torch

from geoexplain.errors import DataError
from geoexplain.explainer.cams import BYTES_PER_PIXEL, LARGEST_CPU_CHUNK, ExplanationCancelledError
from geoexplain.explainer.combine import Heatmap
from geoexplain.explainer.faithfulness import METRICS, measure, metric_name
from geoexplain.explainer.imputation import linear_imputation
from geoexplain.explainer.metrics import adcc, deletion, drop_and_increase, insertion, road
from geoexplain.explainer.subject import FLAT_MAP, pixel_ranks, prepare_subject
from geoexplain.locator.model import GeoModel
from tests.explainer.drawn import baseline
from tests.explainer.networks import image_tensor, plain_network, random_model

SIZE_HW = (64, 64)


def heatmap_of(values, target: int = 0) -> Heatmap:
    array = np.asarray(values, dtype=np.float32)
    flat = bool(array.min() == array.max())
    return Heatmap(array, "grad-cam", target, "probability", "stage", "sum", (1.0,), flat)


def red_network(pixels: int) -> GeoModel:
    """p of cell 0 is 3^s / (3^s + 1), where s is the sum of red over all pixels."""
    return plain_network([[[1, 0, 0], [0, 1, 0]]], head=[[pixels * math.log(3), 0], [0, 0]])


def red_image(red) -> torch.Tensor:
    values = torch.tensor(red, dtype=torch.float32)
    return torch.stack([values, torch.full_like(values, 5.0), torch.zeros_like(values)])[None]


def p_of(red_sum: float) -> float:
    return 3**red_sum / (3**red_sum + 1)


RED = [[2.0, 0.0], [1.0, 0.0]]


@pytest.fixture
def by_hand():
    return prepare_subject(red_network(4), red_image(RED), 0)


@pytest.fixture(scope="module")
def model() -> GeoModel:
    """A less confident model than in conftest.py, so that probabilities of altered images differ."""
    return random_model(head_gain=0.05)


@pytest.fixture
def passes(model: GeoModel) -> Iterator[list[int]]:
    """Record the size of every batch that runs through the model."""
    batches: list[int] = []
    hook = model.backbone.stem.register_forward_hook(lambda m, i, o: batches.append(len(o)))
    yield batches
    hook.remove()


def test_deletion_worked_out_by_hand(by_hand) -> None:
    # Red 2 goes first, then 1, then the zeros: s = 3, 1, 0, 0, 0.
    result = deletion(by_hand, heatmap_of([[9, 0], [4, 0]]), steps=4)
    np.testing.assert_allclose(result.probabilities, [27 / 28, 3 / 4, 1 / 2, 1 / 2, 1 / 2], rtol=1e-6)
    np.testing.assert_array_equal(result.shares, [0, 0.25, 0.5, 0.75, 1])
    assert result.value == pytest.approx(((27 / 28 + 3 / 4) + (3 / 4 + 1 / 2) + 1 + 1) / 8)
    assert (result.name, result.reason) == ("deletion@4", None)


def test_insertion_worked_out_by_hand(by_hand) -> None:
    # With its border repeated, a 2 × 2 image keeps its sum when blurred; a pixel keeps the share a of its own value
    # along each axis, 2 a = 1 + the kernel's weight at its centre.
    a = (1 + 1 / sum(math.exp(-(t**2) / 50) for t in range(-5, 6))) / 2
    blurred = np.array([[a, 1 - a], [1 - a, a]]) @ np.array(RED) @ np.array([[a, 1 - a], [1 - a, a]])
    np.testing.assert_allclose(by_hand.blurred[0, 0].numpy(), blurred, rtol=1e-6)
    first, second, third = 2 - blurred[0, 0], 1 - blurred[1, 0], 0 - blurred[0, 1]
    sums = [3.0, 3 + first, 3 + first + second, 3 + first + second + third, 3.0]
    result = insertion(by_hand, heatmap_of([[9, 0], [4, 0]]), steps=4)
    np.testing.assert_allclose(result.probabilities, [p_of(s) for s in sums], rtol=1e-6)
    assert result.value == pytest.approx(sum(p_of(s) + p_of(t) for s, t in pairwise(sums)) / 8)


def test_steps_that_do_not_divide_the_pixels_have_their_true_shares(by_hand) -> None:
    result = deletion(by_hand, heatmap_of([[9, 0], [4, 0]]), steps=3)
    # 0, 1, 2 and 4 of 4 pixels
    np.testing.assert_array_equal(result.shares, [0, 0.25, 0.5, 1])
    np.testing.assert_allclose(result.probabilities, [27 / 28, 3 / 4, 1 / 2, 1 / 2], rtol=1e-6)
    assert result.value == pytest.approx((27 / 28 + 3 / 4) / 8 + (3 / 4 + 1 / 2) / 8 + 1 / 4)


def test_drop_and_increase_worked_out_by_hand(by_hand) -> None:
    # The heatmap scaled to its range is 1, 0, 0.5, 0: s = 2 + 0.5.
    drop, increase = drop_and_increase(by_hand, heatmap_of([[9, 1], [5, 1]]))
    assert drop.value == pytest.approx(100 * (27 / 28 - p_of(2.5)) / (27 / 28), rel=1e-4)
    assert increase.value == 0
    # Evidence against the cell is masked out: no drop, and an increase.
    against = prepare_subject(red_network(4), red_image([[2.0, -3.0], [1.0, 0.0]]), 0)
    drop, increase = drop_and_increase(against, heatmap_of([[9, 1], [9, 9]]))
    assert (drop.value, increase.value) == (0, 100)


def test_adcc_worked_out_by_hand(by_hand) -> None:
    seen: list[torch.Tensor] = []

    def redraw(tensor: torch.Tensor) -> Heatmap:
        seen.append(tensor)
        return heatmap_of([[0, 1], [1, 0]])

    result = adcc(by_hand, heatmap_of([[9, 1], [5, 1]]), redraw)
    np.testing.assert_allclose(seen[0][0, 0].numpy(), [[2, 0], [0.5, 0]])
    # Deviations 5, −3, 1, −3 (norm² 44) and ∓1/2 (norm² 1): r = (−5 − 3 + 1 + 3) / 2 / √44.
    coherency = (-4 / 2 / math.sqrt(44) + 1) / 2
    drop = (27 / 28 - p_of(2.5)) / (27 / 28)
    assert result.value == pytest.approx(3 / (1 / coherency + 1 / (1 - 1.5 / 4) + 1 / (1 - drop)), rel=1e-5)


def test_adcc_of_a_heatmap_that_inverts_is_0_and_of_one_that_vanishes_is_none(by_hand) -> None:
    upside_down = adcc(by_hand, heatmap_of([[9, 1], [5, 1]]), lambda _: heatmap_of([[1, 9], [5, 9]]))
    assert upside_down.value == pytest.approx(0, abs=1e-7)
    gone = adcc(by_hand, heatmap_of([[9, 1], [5, 1]]), lambda _: heatmap_of(np.zeros((2, 2))))
    assert gone.value is None
    assert "masked image is flat" in gone.reason


def test_road_worked_out_by_hand_except_for_its_noise(by_hand) -> None:
    # Two steps: a quarter and three quarters, so one pixel of four and three.
    red = np.array(RED)
    morf_1 = (0 / 6 + 1 / 6 + 0 / 12) / (5 / 12) + 1  # the 2 becomes the mean of its neighbours 0, 1 and 0
    morf_3 = 4 * red[1, 1]  # all that remains is the last zero
    lerf_1 = 3 + (1 / 6 + 0 / 6 + 2 / 12) / (5 / 12)  # the last zero, from 1, 0 and 2
    lerf_3 = 4 * red[0, 0]
    morf, lerf = road(by_hand, heatmap_of([[9, 0], [4, 0]]), steps=2)
    np.testing.assert_array_equal(morf.shares, [0.25, 0.75])
    np.testing.assert_allclose(morf.probabilities, [p_of(morf_1), p_of(morf_3)], atol=0.02)
    np.testing.assert_allclose(lerf.probabilities, [p_of(lerf_1), p_of(lerf_3)], atol=0.02)
    assert morf.value == pytest.approx(morf.probabilities.mean())
    assert (morf.name, lerf.name) == ("road-morf@2", "road-lerf@2")
    assert road(by_hand, heatmap_of([[9, 0], [4, 0]]), steps=2)[0].value == morf.value


def test_equal_pixels_come_in_the_order_of_their_index() -> None:
    np.testing.assert_array_equal(pixel_ranks(np.array([[0.0, 3, 0], [3, 0, 1]])), [[3, 0, 4], [1, 5, 2]])


def test_the_perfect_map_beats_every_other_and_its_inverse_loses_to_every_other() -> None:
    # The network is linear in the pixels, so the order by red is the best possible one.
    rng = np.random.default_rng(5)
    red = rng.normal(0, 0.5, (5, 5))
    seen = prepare_subject(red_network(25), red_image(red.tolist()), 0)
    perfect = red - red.min()
    inverse = perfect.max() - perfect
    others = [rng.permutation(perfect.ravel()).reshape(5, 5) for _ in range(20)]
    for metric, better in ((deletion, np.less), (insertion, np.greater)):
        best, worst, *rest = [metric(seen, heatmap_of(m), 25).value for m in (perfect, inverse, *others)]
        # Insertion's gains are relative to the blurred image, so the best order is that of the difference.
        if metric is insertion:
            gain = red - seen.blurred[0, 0].numpy()
            best = insertion(seen, heatmap_of(gain - gain.min()), 25).value
            worst = insertion(seen, heatmap_of(gain.max() - gain), 25).value
        assert all(better(best, other) and better(other, worst) for other in rest)
    morf, lerf = road(seen, heatmap_of(perfect))
    assert morf.value < lerf.value


def test_only_the_order_counts(model: GeoModel) -> None:
    tensor = image_tensor(3, SIZE_HW)
    seen = prepare_subject(model, tensor, 4)
    heatmap = baseline("edges", tensor, 4)
    bent = heatmap_of(np.log1p(heatmap.values.astype(np.float64)) * 7 + 2, 4)
    # A nonlinear scale may merge values that float32 does not distinguish: none here.
    np.testing.assert_array_equal(pixel_ranks(bent.values), pixel_ranks(heatmap.values))
    assert deletion(seen, bent, 10).value == deletion(seen, heatmap, 10).value
    assert road(seen, bent, 2)[0].value == road(seen, heatmap, 2)[0].value


def test_an_independent_computation_one_image_at_a_time(model: GeoModel) -> None:
    tensor = image_tensor(4, SIZE_HW)
    values = np.maximum(baseline("random", tensor, 3, seed=9).values - 0.5, 0)  # half of it zeros, as after a ReLU
    heatmap, seen = heatmap_of(values, 3), prepare_subject(model, tensor, 3)
    order = sorted(range(values.size), key=lambda i: (-float(values.ravel()[i]), i))

    def p(image: np.ndarray) -> float:
        logits = model.logits(torch.from_numpy(image.reshape(1, 3, *SIZE_HW))).double().numpy()[0]
        shares = np.exp(logits - logits.max())
        return float(shares[3] / shares.sum())

    def trapezoids(curve: list[float], shares: list[float]) -> float:
        steps = zip(pairwise(curve), pairwise(shares), strict=True)
        return sum((a + b) / 2 * (t - s) for (a, b), (s, t) in steps)

    x, soft = tensor.numpy().reshape(3, -1), seen.blurred.numpy().reshape(3, -1)
    counts = [s * values.size // 7 for s in range(8)]
    shares = [count / values.size for count in counts]
    deleted, inserted = [], []
    for count in counts:
        hidden, shown = x.copy(), soft.copy()
        hidden[:, order[:count]], shown[:, order[:count]] = 0, x[:, order[:count]]
        deleted.append(p(hidden))
        inserted.append(p(shown))
    assert deletion(seen, heatmap, 7).value == pytest.approx(trapezoids(deleted, shares), rel=1e-4)
    assert insertion(seen, heatmap, 7).value == pytest.approx(trapezoids(inserted, shares), rel=1e-4)
    morf, lerf = road(seen, heatmap, 2)
    for result, ranking in ((morf, order), (lerf, order[::-1])):
        for share, probability in zip((0.25, 0.75), result.probabilities, strict=True):
            removed = np.zeros(values.size, dtype=bool)
            removed[ranking[: int(share * values.size)]] = True
            filled = linear_imputation(tensor[0].numpy(), removed.reshape(SIZE_HW)).astype(np.float32)
            assert probability == pytest.approx(p(filled), rel=0.05)  # apart from the noise


def test_deletion_and_insertion_at_50_steps_take_no_more_than_100_images(model: GeoModel, passes: list[int]) -> None:
    tensor = image_tensor(1, SIZE_HW)
    heatmap = baseline("random", tensor, 2)
    seen = prepare_subject(model, tensor, 2)
    assert passes == [3]
    deletion(seen, heatmap, 50)
    insertion(seen, heatmap, 50)
    assert sum(passes) == 3 + 49 + 49
    assert max(passes) == LARGEST_CPU_CHUNK
    assert len(passes) == 1 + 2 * math.ceil(49 / LARGEST_CPU_CHUNK)


def test_what_the_metrics_share_runs_once(model: GeoModel, passes: list[int]) -> None:
    tensor = image_tensor(1, SIZE_HW)
    heatmap = baseline("random", tensor, 2)
    seen = prepare_subject(model, tensor, 2)
    passes.clear()
    result = measure(seen, heatmap, lambda x: baseline("edges", x, 2), steps=10, road_steps=3)
    assert sum(passes) == 9 + 9 + 1 + 2 * 3
    assert [one.name for one in result] == [metric_name(metric, 10, 3) for metric in METRICS]
    each = [
        deletion(seen, heatmap, 10),
        insertion(seen, heatmap, 10),
        *drop_and_increase(seen, heatmap),
        adcc(seen, heatmap, lambda x: baseline("edges", x, 2)),
        *road(seen, heatmap, 3),
    ]
    assert [one.value for one in result] == [one.value for one in each]
    passes.clear()
    assert [one.name for one in measure(seen, heatmap, lambda x: heatmap, ["average-increase"])] == ["average-increase"]
    assert passes == [1]


@pytest.mark.parametrize(("memory", "largest"), [(0, 1), (7 * BYTES_PER_PIXEL * 64 * 64, 7)])
def test_chunks_keep_to_the_memory_and_change_nothing(
    model: GeoModel, passes: list[int], memory: int, largest: int
) -> None:
    tensor = image_tensor(1, SIZE_HW)
    heatmap = baseline("random", tensor, 2)
    at_once = deletion(prepare_subject(model, tensor, 2), heatmap, 20)
    passes.clear()
    reports: list[int] = []
    chunked = deletion(prepare_subject(model, tensor, 2, memory_bytes=memory, progress=reports.append), heatmap, 20)
    assert max(passes) == min(largest, 19)
    assert reports == passes
    np.testing.assert_allclose(chunked.probabilities, at_once.probabilities, rtol=1e-3)


def test_a_flat_heatmap_has_no_values_and_takes_no_pass(model: GeoModel, passes: list[int]) -> None:
    seen = prepare_subject(model, image_tensor(1, SIZE_HW), 2)
    passes.clear()
    for result in measure(seen, heatmap_of(np.zeros(SIZE_HW), 2), lambda x: heatmap_of(np.zeros(SIZE_HW), 2)):
        assert (result.value, result.reason, result.probabilities) == (None, FLAT_MAP, None)
    assert passes == []


def test_a_probability_of_zero_cannot_drop() -> None:
    seen = prepare_subject(plain_network([[[1, 0, 0]]], head=[[4e6], [0]]), red_image([[-1.0, 0.0], [0.0, 0.0]]), 0)
    assert seen.probability == 0
    drop, increase = drop_and_increase(seen, heatmap_of([[1, 2], [3, 4]]))
    assert drop.value is increase.value is None
    assert "cannot drop" in drop.reason


def test_it_stops_when_cancelled(model: GeoModel, passes: list[int]) -> None:
    tensor = image_tensor(1, SIZE_HW)
    seen = prepare_subject(model, tensor, 2, cancelled=lambda: len(passes) == 3)
    with pytest.raises(ExplanationCancelledError, match="cancelled"):
        deletion(seen, baseline("random", tensor, 2), 50)
    assert passes == [3, LARGEST_CPU_CHUNK, LARGEST_CPU_CHUNK]


def test_mixed_inputs_are_refused(model: GeoModel) -> None:
    tensor = image_tensor(1, SIZE_HW)
    seen = prepare_subject(model, tensor, 2)
    heatmap = baseline("random", tensor, 2)
    with pytest.raises(DataError, match="heatmap of cell 2, got one of cell 3"):
        deletion(seen, baseline("random", tensor, 3))
    with pytest.raises(DataError, match=r"heatmap of \(64, 64\) px"):
        road(seen, heatmap_of(np.eye(5), 2))
    with pytest.raises(DataError, match="at least 1 step"):
        insertion(seen, heatmap, 0)
    with pytest.raises(DataError, match="'deletion', 'insertion'"):
        measure(seen, heatmap, lambda x: heatmap, ["delete"])
    with pytest.raises(DataError, match="from 0 to 11"):
        prepare_subject(model, tensor, 12)
    with pytest.raises(DataError, match="pass images singly"):
        prepare_subject(model, tensor.repeat(2, 1, 1, 1), 0)
