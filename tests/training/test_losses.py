"""Losses worked out by hand, and their gradients by differences."""

import math

import numpy as np
import pytest
import torch

from geoexplain.geography.sphere import destination, unit_vectors
from geoexplain.locator.heads import VonMisesFisherHead
from geoexplain.training.losses import (
    geolocation_losses,
    mixture_negative_log_likelihood,
    soft_cell_targets,
    soft_cross_entropy,
    uniform_cross_entropy,
)

CENTERS = np.array([(0.0, 0.0), (0.0, 3.0), (40.0, -100.0), (-60.0, 170.0)])


def head_of(log_kappas: list[float]) -> VonMisesFisherHead:
    head = VonMisesFisherHead(2, torch.from_numpy(CENTERS))
    head.mvmf.kappas.data = torch.tensor(log_kappas) - 16
    return head


def vectors(points_deg: object) -> torch.Tensor:
    return torch.from_numpy(unit_vectors(points_deg)).float()


def test_soft_targets_of_two_neighbours_by_hand() -> None:
    # 100 km east of the first centre, so 233.58 km west of the second; bandwidth 150 km
    position = vectors(destination((0.0, 0.0), 90, 100.0))[None]
    to_second = 3 * math.pi / 180 * 6371 - 100
    weights = [math.exp(-((100 / 150) ** 2)), math.exp(-((to_second / 150) ** 2))]
    expected = torch.tensor([weights[0] / sum(weights), weights[1] / sum(weights), 0, 0])
    torch.testing.assert_close(soft_cell_targets(position, vectors(CENTERS), 150)[0], expected, atol=2e-4, rtol=0)


def test_soft_targets_sum_to_one_and_favour_the_nearest() -> None:
    rng = np.random.default_rng(0)
    points = np.stack([rng.uniform(-90, 90, 50), rng.uniform(-180, 180, 50)], axis=-1)
    targets = soft_cell_targets(vectors(points), vectors(CENTERS), 400)
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(50))
    assert targets.argmax(dim=1).tolist() == (unit_vectors(points) @ unit_vectors(CENTERS).T).argmax(axis=1).tolist()


def test_a_wider_bandwidth_shares_more() -> None:
    position = vectors([(0.0, 1.0)])
    shares = [soft_cell_targets(position, vectors(CENTERS), km)[0, 1].item() for km in (50, 100, 200, 400)]
    assert shares == sorted(shares)
    assert shares[0] < 1e-4
    torch.testing.assert_close(
        soft_cell_targets(position, vectors(CENTERS), 1e6), torch.full((1, 4), 0.25), atol=1e-3, rtol=0
    )


def test_cross_entropy_by_hand() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]])) + 5
    targets = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.0, 0.5]])
    expected = (math.log(2) + 0.5 * math.log(10) + 0.5 * math.log(1.25)) / 2
    assert soft_cross_entropy(logits, targets).mean().item() == pytest.approx(expected)


def test_cross_entropy_is_least_where_the_targets_are_met() -> None:
    targets = torch.tensor([[0.7, 0.2, 0.1]])
    logits = targets.log().requires_grad_()
    loss = soft_cross_entropy(logits, targets).mean()
    loss.backward()
    assert loss.item() == pytest.approx(-(0.7 * math.log(0.7) + 0.2 * math.log(0.2) + 0.1 * math.log(0.1)))
    torch.testing.assert_close(logits.grad, torch.zeros(1, 3), atol=1e-6, rtol=0)


def test_distance_from_uniform_by_hand() -> None:
    assert uniform_cross_entropy(torch.full((3, 7), 2.5)).mean().item() == pytest.approx(0, abs=1e-6)
    # shares 1/2, 1/4, 1/4: (ln 2 + 2 ln 4) / 3 − ln 3; and of two rows the mean
    shares = torch.log(torch.tensor([[0.5, 0.25, 0.25], [1 / 3, 1 / 3, 1 / 3]]))
    one = 5 / 3 * math.log(2) - math.log(3)
    assert uniform_cross_entropy(shares[:1] + 9).mean().item() == pytest.approx(one, abs=1e-6)
    assert uniform_cross_entropy(shares).mean().item() == pytest.approx(one / 2, abs=1e-6)
    # one logit ahead of K − 1 others by a: its share is nearly all, theirs e^−a
    sure = torch.zeros(1, 2000)
    sure[0, 7] = 30
    assert uniform_cross_entropy(sure).mean().item() == pytest.approx(30 * 1999 / 2000 - math.log(2000), abs=1e-3)


def test_descending_the_distance_from_uniform_makes_shares_alike() -> None:
    logits = torch.tensor([[4.0, 0.0, -2.0]], requires_grad=True)
    for _ in range(200):
        (gradient,) = torch.autograd.grad(uniform_cross_entropy(logits).mean(), logits)
        logits = (logits - gradient).detach().requires_grad_()
    torch.testing.assert_close(torch.softmax(logits, dim=1), torch.full((1, 3), 1 / 3), atol=1e-3, rtol=0)


def test_likelihood_by_hand() -> None:
    # all the weight on the first, sharp component, and the position at its centre: the density is κ / 2π
    head, logits = head_of([8.0, 8.0, 8.0, 8.0]), torch.tensor([[50.0, 0.0, 0.0, 0.0]])
    at_center = mixture_negative_log_likelihood(head, logits, vectors([(0.0, 0.0)])).mean().item()
    assert at_center == pytest.approx(-(8 - math.log(2 * math.pi)), abs=1e-4)
    # one degree off it falls by κ (1 − cos 1°)
    off = mixture_negative_log_likelihood(head, logits, vectors([(1.0, 0.0)])).mean().item()
    assert off - at_center == pytest.approx(math.exp(8) * (1 - math.cos(math.radians(1))), rel=1e-3)


def test_likelihood_is_the_mean_over_the_batch() -> None:
    head, logits = head_of([3.0, 4.0, 5.0, 6.0]), torch.tensor([[1.0, 0.0, 2.0, 0.0], [0.0, 3.0, 0.0, 0.0]])
    positions = vectors([(10.0, 10.0), (-50.0, 160.0)])
    each = [mixture_negative_log_likelihood(head, logits[i : i + 1], positions[i : i + 1]).mean() for i in range(2)]
    torch.testing.assert_close(mixture_negative_log_likelihood(head, logits, positions).mean(), sum(each) / 2)


def test_gradients_of_the_likelihood_are_its_differences() -> None:
    head, logits = head_of([1.0, 2.0, 0.5, 1.5]), torch.tensor([[0.5, -0.5, 1.0, 0.0], [2.0, 0.0, 0.0, 1.0]])
    positions = vectors([(10.0, 30.0), (-50.0, 160.0)])
    logits.requires_grad_()
    mixture_negative_log_likelihood(head, logits, positions).mean().backward()

    def loss_at(of: torch.Tensor, place: tuple, step: float) -> float:
        with torch.no_grad():
            of[place] += step
            value = mixture_negative_log_likelihood(head, logits, positions).mean().item()
            of[place] -= step
        return value

    step = 0.01  # wide, for float32
    for of in (logits, head.mvmf.kappas):
        assert of.grad is not None
        for place in np.ndindex(*of.shape):
            difference = (loss_at(of, place, step) - loss_at(of, place, -step)) / (2 * step)
            assert of.grad[place].item() == pytest.approx(difference, abs=2e-4)


def test_the_loss_is_likelihood_plus_auxiliary() -> None:
    head, logits = head_of([5.0] * 4), torch.tensor([[1.0, 2.0, 0.0, 0.0]])
    positions = vectors([(0.0, 1.2)])
    likelihood = mixture_negative_log_likelihood(head, logits, positions).mean()
    auxiliary = soft_cross_entropy(logits, soft_cell_targets(positions, vectors(CENTERS), 300.0)).mean()
    whole = geolocation_losses(head, logits, positions, bandwidth_km=300.0, auxiliary=0.4).mean()
    torch.testing.assert_close(whole, likelihood + 0.4 * auxiliary)
    torch.testing.assert_close(geolocation_losses(head, logits, positions, auxiliary=0.0).mean(), likelihood)


def test_descending_the_loss_points_at_the_truth() -> None:
    head, logits = head_of([4.0] * 4), torch.zeros(1, 4, requires_grad=True)
    for _ in range(60):
        (gradient,) = torch.autograd.grad(geolocation_losses(head, logits, vectors([(39.0, -99.0)])).mean(), logits)
        logits = (logits - 0.5 * gradient).detach().requires_grad_()
    assert torch.softmax(logits, dim=1)[0, 2] > 0.9
