"""Calibration before a model is shipped."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

from geoexplain.locator.heads import VonMisesFisherHead
from geoexplain.training.calibration import fit_temperature, fold_temperatures


def overconfident(temperature: float, samples: int = 20_000, cells: int = 6) -> tuple[torch.Tensor, np.ndarray]:
    """Logits `temperature` times too large for the cells that were drawn from their softmax."""
    rng = np.random.default_rng(0)
    honest = rng.normal(0, 2, (samples, cells))
    # the largest of logits with Gumbel noise is a draw from their softmax
    truth = (honest + rng.gumbel(size=honest.shape)).argmax(axis=1)
    return torch.from_numpy(honest * temperature).float(), truth


@pytest.mark.parametrize("temperature", [0.4, 0.8, 1.0, 1.7, 3.2, 11.0])
def test_a_known_temperature_is_found(temperature: float) -> None:
    logits, truth = overconfident(temperature)
    assert fit_temperature(logits, truth) == pytest.approx(temperature, rel=0.03)


def test_the_temperature_is_scipy_s_minimum() -> None:
    logits, truth = overconfident(2.3, samples=3000)

    def loss(t: float) -> float:
        rows = logits.double().numpy() / t
        shifted = rows - rows.max(axis=1, keepdims=True)
        return float(np.mean(np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(rows)), truth]))

    theirs = minimize_scalar(loss, bounds=(0.25, 4), method="bounded", options={"xatol": 1e-6}).x
    assert fit_temperature(logits, truth) == pytest.approx(theirs, rel=1e-3)


@pytest.mark.parametrize(("temperature", "bound"), [(0.05, 0.25), (80.0, 16.0)])
def test_the_search_stays_in_its_bounds(temperature: float, bound: float) -> None:
    logits, truth = overconfident(temperature, samples=500)
    assert fit_temperature(logits, truth) == pytest.approx(bound, rel=2e-3)


def test_folding_divides_the_logits_for_good() -> None:
    head = VonMisesFisherHead(3, torch.tensor([[0.0, 0.0], [10.0, 10.0]]))
    features = torch.tensor([[1.0, -2.0, 0.5], [0.0, 0.0, 0.0]])
    with torch.no_grad():
        before = head(features)
        kappas = head.mvmf.kappas.clone()
        fold_temperatures(head, (1.6,))
        torch.testing.assert_close(head(features), before / 1.6)
    assert torch.equal(head.mvmf.kappas, kappas)
