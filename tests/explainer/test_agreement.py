"""Agreement of heatmaps: values by hand, comparison with SciPy, and heatmaps drawn from one trace."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from geoexplain.explainer.agreement import agreement, draw_all
from geoexplain.explainer.cams import ExplanationCancelledError
from geoexplain.explainer.combine import Heatmap
from geoexplain.explainer.trace import trace
from geoexplain.explainer.tuning_gain import untuned_kinds
from geoexplain.locator.model import GeoModel
from tests.explainer.networks import image_tensor


def heatmap(values: np.ndarray) -> Heatmap:
    flat = bool(np.ptp(values) == 0)
    return Heatmap(np.float32(values), "grad-cam", 0, "probability", "stage", "sum", (1.0,), flat)


def test_a_map_agrees_with_itself_and_not_with_its_inverse() -> None:
    values = np.random.default_rng(0).random((7, 9))
    maps = {"map": heatmap(values), "cubed": heatmap(values**3), "inverse": heatmap(1 - values)}
    result = agreement(maps)
    assert result.names == ("map", "cubed", "inverse")
    np.testing.assert_allclose(result.correlations, [[1, 1, -1], [1, 1, -1], [-1, -1, 1]], atol=1e-12)


def test_by_hand() -> None:
    # Ranks 1 2 3 4 and 2 1 4 3: 1 − 6 · (1 + 1 + 1 + 1) / (4 · 15) = 0.6.
    result = agreement({"a": heatmap(np.array([[1, 2], [3, 4]])), "b": heatmap(np.array([[20, 10], [40, 30]]))})
    assert result.correlations[0, 1] == pytest.approx(0.6)


def test_a_flat_map_agrees_with_nothing() -> None:
    one = np.random.default_rng(0).random((5, 5))
    result = agreement({"a": heatmap(one), "flat": heatmap(np.zeros((5, 5))), "b": heatmap(one.T)})
    assert np.isnan(result.correlations[1]).all()
    assert np.isnan(result.correlations[:, 1]).all()
    assert np.isfinite(result.correlations[np.ix_([0, 2], [0, 2])]).all()
    assert np.isnan(agreement({"flat": heatmap(np.zeros((5, 5)))}).correlations).all()
    assert agreement({"a": heatmap(one)}).correlations == pytest.approx(1)


def test_every_candidate_of_one_trace(model: GeoModel, monkeypatch: pytest.MonkeyPatch) -> None:
    tensor = image_tensor(1, (48, 64))
    traced = trace(model, tensor, 3)
    reports = []

    def run_again(*args: object) -> None:
        raise AssertionError

    with monkeypatch.context() as patch:
        patch.setattr(torch.nn.Module, "__call__", run_again)
        patch.setattr(torch.autograd, "grad", run_again)
        drawn = draw_all(model, tensor, traced, progress=lambda *counts: reports.append(counts))
    names = list(untuned_kinds())
    assert list(drawn) == names
    assert reports == [(i + 1, len(names)) for i in range(len(names))]
    result = agreement(drawn).correlations
    expected = spearmanr(np.stack([heatmap.values.ravel() for heatmap in drawn.values()]), axis=1).statistic
    np.testing.assert_allclose(result, expected, atol=1e-9)
    np.testing.assert_allclose(result, result.T)
    assert np.ptp(result) > 0.1


def test_it_can_be_cancelled(model: GeoModel) -> None:
    tensor = image_tensor(1, (48, 64))
    with pytest.raises(ExplanationCancelledError, match="cancelled"):
        draw_all(model, tensor, trace(model, tensor), cancelled=lambda: True)
