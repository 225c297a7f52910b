"""Fitting a gate: what can be told apart is, what cannot is not, and the threshold keeps its promise."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from geoexplain.errors import DataError
from geoexplain.locator.backbone import Backbone, create_backbone
from geoexplain.locator.gate import channel_statistics
from geoexplain.training.gate import (
    FEWEST,
    TURNED_AWAY,
    fit_gate,
    gate_figures,
    gate_stages,
    image_statistics,
)

FEATURES = 8


def cloud(count: int, middle: float, seed: int) -> NDArray[np.float64]:
    """Gaussian statistics (count, 8) around one value, each on a scale of its own."""
    return (np.random.default_rng(seed).normal(middle, 1, (count, FEATURES))) * 10.0 ** np.arange(-3, 5)


def fitted(middle: float, *, count: int = 400, kinds: int = 1):
    """A gate of one kind around `middle` against another around 0."""
    return fit_gate(
        {f"kind {i}": cloud(count, middle + i, 10 + i) for i in range(kinds)},
        cloud(count, 0, 1),
        held_out={f"kind {i}": cloud(count, middle + i, 20 + i) for i in range(kinds)},
        others_held_out=cloud(count, 0, 2),
        stages=(2, 4),
        kind="a test",
        fitted_on="made-up numbers",
    )


def scores(gate, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([gate.score(torch.from_numpy(row)) for row in rows])


def test_what_is_far_apart_is_told_apart() -> None:
    gate = fitted(6.0)
    assert gate.figures["area under ROC"] == 1
    assert gate.figures["others recognised"] == 1
    assert gate.figures["others"] == 400
    assert 0.005 <= gate.figures["turned away: kind 0"] <= 0.08
    assert (gate.stages, gate.kind, gate.fitted_on) == ((2, 4), "a test", "made-up numbers")
    assert gate.weights.dtype == np.float32
    assert scores(gate, cloud(50, 6.0, 30)).min() > scores(gate, cloud(50, 0, 31)).max()


def test_what_is_alike_is_not_told_apart() -> None:
    gate = fitted(0.0, count=2000)
    assert gate.figures["area under ROC"] == pytest.approx(0.5, abs=0.04)
    # nearly none of its own kind are turned away all the same, and so nearly none of the others
    assert gate.figures["turned away: kind 0"] == pytest.approx(TURNED_AWAY, abs=0.02)
    assert gate.figures["others recognised"] == pytest.approx(TURNED_AWAY, abs=0.02)


def test_the_threshold_lets_nearly_all_of_every_kind_pass() -> None:
    gate = fitted(2.0, count=1000, kinds=3)
    away = [gate.figures[f"turned away: kind {i}"] for i in range(3)]
    assert max(away) <= 0.06  # 4 % of those that set it, of which there are 500
    assert away[0] == pytest.approx(TURNED_AWAY, abs=0.02)  # the nearest to the others
    assert away[2] < 0.01
    # the threshold is the score below which 4 % of the half that sets it lie
    setting = scores(gate, cloud(1000, 2.0, 20)[::2])
    assert gate.threshold == pytest.approx(np.quantile(setting, TURNED_AWAY), rel=1e-3)
    measuring = scores(gate, cloud(1000, 2.0, 20)[1::2])
    assert away[0] == pytest.approx((measuring < gate.threshold).mean(), abs=0.003)


def test_a_kind_of_few_weighs_as_much_as_one_of_many() -> None:
    # one kind lies above the others, one below: only a gate that minds both leaves both
    def areas(counts: tuple[int, int]) -> list[float]:
        many, few = cloud(counts[0], 0, 3), cloud(counts[1], 0, 4)
        many[:, 0] += 3e-3
        few[:, 1] += 3e-2
        gate = fit_gate(
            {"many": many, "few": few},
            cloud(1000, 0, 1),
            held_out={"many": many, "few": few},
            others_held_out=cloud(1000, 0, 2),
            stages=(2,),
            kind="a test",
            fitted_on="made-up numbers",
        )
        return [float(gate.weights[i] * 10.0 ** (i - 3)) for i in range(2)]

    alike, uneven = areas((1000, 1000)), areas((2000, 100))
    assert uneven[1] / uneven[0] == pytest.approx(alike[1] / alike[0], rel=0.35)


def test_figures_by_hand() -> None:
    own = {"a": np.array([0.2, 0.6, 0.8, 0.9]), "b": np.array([0.7])}
    figures = gate_figures(own, np.array([0.1, 0.65, 0.3]), 0.5)
    assert figures["turned away: a"] == 0.25
    assert figures["turned away: b"] == 0
    assert figures["others recognised"] == pytest.approx(2 / 3, abs=1e-4)
    # of 15 pairs 0.2 is below 0.3 and 0.65, 0.6 is below 0.65
    assert figures["area under ROC"] == pytest.approx(12 / 15)
    assert figures["others"] == 3


@pytest.mark.parametrize("which", ["own", "others", "held_out", "others_held_out"])
@pytest.mark.parametrize("count", [0, FEWEST - 1])
def test_too_few_images_are_refused(which: str, count: int) -> None:
    parts = {name: cloud(FEWEST, 0, 1) for name in ("own", "others", "held_out", "others_held_out")}
    options = {"stages": (2,), "kind": "a test", "fitted_on": "x"}

    def fit(rows: dict):
        return fit_gate(
            {"a": rows["own"]},
            rows["others"],
            held_out={"a": rows["held_out"]},
            others_held_out=rows["others_held_out"],
            **options,
        )

    assert fit(parts).stages == (2,)
    with pytest.raises(DataError, match=f"gate: expected at least {FEWEST} images .*, got {count}: give more"):
        fit(parts | {which: parts[which][:count]})


@pytest.mark.parametrize(
    ("architecture", "stages"),
    [("tf_efficientnet_lite0", (2, 4, 6)), ("test_efficientnet", (2, 4)), ("resnet50", (2,))],
)
def test_a_gate_reads_every_other_stage_but_the_ends(architecture: str, stages: tuple[int, ...]) -> None:
    with torch.device("meta"):
        assert gate_stages(create_backbone(architecture)) == stages


def test_statistics_of_batches_are_those_of_their_images() -> None:
    scaled = [nn.Conv2d(3, 3, 1, bias=False) for _ in range(3)]
    for factor, convolution in zip((2.0, 3.0, 5.0), scaled, strict=True):
        convolution.weight.data = factor * torch.eye(3)[:, :, None, None]
    stages = nn.ModuleList(nn.ModuleList([convolution]) for convolution in scaled)
    backbone = Backbone(nn.Identity(), stages, nn.Identity(), 3, "scaling")
    images = torch.randn(5, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    found = image_statistics(backbone, iter([images[:2], images[2:]]), (2, 3))
    assert found.shape == (5, 12)
    np.testing.assert_allclose(found, channel_statistics([6 * images, 30 * images]), rtol=1e-5)
    assert len(image_statistics(backbone, [], (2,))) == 0
