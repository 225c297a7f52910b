"""The von Mises–Fisher head against quadrature, SciPy and the formula written out."""

import numpy as np
import pytest
import torch
from scipy.stats import vonmises_fisher

from geoexplain.geography.sphere import destination, unit_vectors
from geoexplain.locator.heads import (
    MultiPartitionHead,
    RetrievalEmbedding,
    VonMisesFisherComponents,
    VonMisesFisherHead,
)

CENTERS = np.array([(10.0, 20.0), (-33.0, 151.0), (89.0, -70.0), (0.0, 180.0)])


def components(log_kappas: list[float], centers: np.ndarray = CENTERS) -> VonMisesFisherComponents:
    made = VonMisesFisherComponents(torch.from_numpy(centers))
    made.kappas.data = torch.tensor(log_kappas) - 16
    return made


def density(made: VonMisesFisherComponents, points_deg: np.ndarray) -> np.ndarray:
    """Return the log density (N, K) at points (N, 2) in degrees."""
    with torch.no_grad():
        return made.log_density(torch.from_numpy(unit_vectors(points_deg))).double().numpy()


def whole_sphere(rings: int) -> tuple[np.ndarray, np.ndarray]:
    """Return points (N, 2) and weights (N,) of a product rule: Gauss–Legendre in sin(latitude), even in longitude."""
    sines, weights = np.polynomial.legendre.leggauss(rings)
    lon = np.linspace(-180, 180, 2 * rings, endpoint=False)
    grid = np.stack(np.meshgrid(np.degrees(np.arcsin(sines)), lon, indexing="ij"), axis=-1).reshape(-1, 2)
    return grid, np.repeat(weights, 2 * rings) * np.pi / rings


def test_directions_are_unit_vectors() -> None:
    torch.testing.assert_close(components([1.0] * 4).directions(), torch.from_numpy(unit_vectors(CENTERS)).float())


@pytest.mark.parametrize("log_kappa", [-30.0, -2.0, 0.0, 3.0, 5.0])
def test_every_component_holds_a_probability_of_one(log_kappa: float) -> None:
    points, weights = whole_sphere(80)
    total = weights @ np.exp(density(components([log_kappa] * 4), points))
    np.testing.assert_allclose(total, 1, rtol=2e-5)


@pytest.mark.parametrize("log_kappa", [-1.0, 2.0, 6.0, 9.0])
def test_density_is_scipy_s(log_kappa: float) -> None:
    near = np.concatenate([destination(center, [0, 75, 200], [5, 60, 150]) for center in CENTERS])
    far = np.array([(-90.0, 0.0), (45.0, 45.0), (0.0, 0.0)])
    points = np.concatenate([near, far])
    ours = density(components([log_kappa] * 4), points)
    for k, center in enumerate(CENTERS):
        theirs = vonmises_fisher(unit_vectors(center), np.exp(log_kappa)).logpdf(unit_vectors(points))
        # float32: the cosine is known to 6e-8, and κ multiplies that
        np.testing.assert_allclose(ours[:, k], theirs, rtol=1e-5, atol=1e-4 + 3e-7 * np.exp(log_kappa))


def test_a_flat_component_is_uniform() -> None:
    np.testing.assert_allclose(density(components([-40.0] * 4), CENTERS), -np.log(4 * np.pi), rtol=1e-5)


def test_concentrations_are_stored_less_sixteen() -> None:
    made = VonMisesFisherComponents(torch.from_numpy(CENTERS), log_kappa=7.5)
    np.testing.assert_allclose(made.kappas.detach(), 7.5 - 16)
    # at its centre a sharp component is κ / 2π high: the published e^(kappas + 16)
    peak = density(made, CENTERS).diagonal()
    np.testing.assert_allclose(peak, 7.5 - np.log(2 * np.pi), rtol=1e-4)


def test_a_mixture_is_the_weighted_sum_written_out() -> None:
    made = VonMisesFisherHead(3, torch.from_numpy(CENTERS))
    kappas = np.array([1.0, 2.5, 0.2, 1.7])
    made.mvmf.kappas.data = torch.from_numpy(kappas - 16).float()
    logits = np.array([[0.3, -1.0, 2.0, 0.0], [5.0, 0.0, 0.0, -2.0]])
    positions = unit_vectors([(5.0, 60.0), (-20.0, -170.0)])
    weights = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    kappa = np.exp(kappas)
    # reference formula: Σ_k w_k κ_k exp(κ_k (μ_k·y − 1)) / (2π (1 − exp(−2 κ_k)))
    terms = kappa * np.exp(kappa * (positions @ unit_vectors(CENTERS).T - 1)) / (2 * np.pi * (1 - np.exp(-2 * kappa)))
    with torch.no_grad():
        ours = made.log_density(torch.from_numpy(logits), torch.from_numpy(positions))
    np.testing.assert_allclose(ours, np.log((weights * terms).sum(axis=1)), rtol=1e-5)


def test_logits_are_the_linear_layer_s() -> None:
    made = VonMisesFisherHead(2, torch.from_numpy(CENTERS))
    made.mixture_weights.weight.data = torch.tensor([[1.0, 0.0], [0.0, 2.0], [-1.0, 1.0], [0.5, 0.5]])
    made.mixture_weights.bias.data = torch.tensor([0.0, 0.0, 1.0, 0.0])
    with torch.no_grad():
        assert made(torch.tensor([[2.0, 3.0]])).tolist() == [[2.0, 6.0, 2.0, 2.5]]


def test_keys_are_those_of_the_published_head() -> None:
    made = VonMisesFisherHead(5, torch.from_numpy(CENTERS)).state_dict()
    assert {key: tuple(value.shape) for key, value in made.items()} == {
        "mvmf.kappas": (4,),
        "mvmf.mus": (2, 4),
        "mixture_weights.weight": (4, 5),
        "mixture_weights.bias": (4,),
    }
    np.testing.assert_array_equal(made["mvmf.mus"].numpy(), CENTERS.T)


def test_sharp_components_give_gradients_that_are_numbers() -> None:
    made = components([12.0, 0.0, -20.0, 16.0])
    made.log_density(torch.from_numpy(unit_vectors([(-80.0, 3.0), (10.0, 20.0)]))).sum().backward()
    assert torch.isfinite(made.kappas.grad).all()


def multi(*, product: bool) -> MultiPartitionHead:
    """Two coarse cells over three fine ones; the features are the logits themselves."""
    head = MultiPartitionHead(5, (2, 3), torch.tensor([[0, 0], [1, 1], [1, 2]]), product=product)
    weights = torch.eye(5)
    for layer, rows in zip(head.classifier, (weights[:2], weights[2:]), strict=True):
        layer.weight.data, layer.bias.data = rows.clone(), torch.zeros(len(rows))
    return head


def test_the_product_along_a_hierarchy_by_hand() -> None:
    # coarse shares 1/4 and 3/4, fine shares 1/2, 1/3, 1/6: products 1/8, 1/4, 1/8
    features = torch.tensor([[1 / 4, 3 / 4, 1 / 2, 1 / 3, 1 / 6]]).log()
    with torch.no_grad():
        np.testing.assert_allclose(multi(product=True)(features).exp(), [[1 / 8, 1 / 4, 1 / 8]], rtol=1e-6)
        np.testing.assert_allclose(multi(product=False)(features).exp(), [[1 / 2, 1 / 3, 1 / 6]], rtol=1e-6)


def test_a_hierarchy_of_one_level_changes_nothing() -> None:
    head = MultiPartitionHead(4, (3,), torch.arange(3)[:, None], product=True)
    x = torch.randn(2, 4)
    with torch.no_grad():
        np.testing.assert_allclose(head(x).softmax(-1), head.classifier[0](x).softmax(-1), rtol=1e-5)


def test_an_embedding_by_hand() -> None:
    embed = RetrievalEmbedding(2, hidden_dim=1)
    embed.res.fc1.weight.data, embed.res.fc1.bias.data = torch.tensor([[1.0, 0.0]]), torch.tensor([0.0])
    embed.res.fc2.weight.data, embed.res.fc2.bias.data = torch.tensor([[0.0], [4.0]]), torch.tensor([0.0, 0.0])
    embed.res.norm.weight.data = torch.tensor([3.0, 4.0])
    # (5, 1) is normed to (1, -1); relu(1) · (0, 4) + (1, -1) = (1, 3) is normed to (-1, 1), scaled to (-3, 4), length 5
    with torch.no_grad():
        np.testing.assert_allclose(embed(torch.tensor([[5.0, 1.0]])), [[-0.6, 0.8]], atol=1e-4)
        # (1, 5) is normed to (-1, 1); the hidden unit is silent, and (-1, 1) stays
        np.testing.assert_allclose(embed(torch.tensor([[1.0, 5.0]])), [[-0.6, 0.8]], atol=1e-4)
