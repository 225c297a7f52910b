"""Sanity checks: which weights are drawn when, the served model stays unchanged, and verdicts on known maps."""

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from geoexplain.errors import DataError
from geoexplain.explainer.cams import ExplanationCancelledError
from geoexplain.explainer.explanation import Explanation
from geoexplain.explainer.sanity import (
    draw_heatmaps,
    draw_seed,
    judge_candidate,
    randomized_models,
    sanity_checks,
    weighted_parts,
)
from geoexplain.explainer.sanity_verdict import Comparisons
from geoexplain.explainer.table import BASELINE, GRADIENT_CAM, ExplanationKind, kinds_of_family
from geoexplain.explainer.trace import trace
from geoexplain.explainer.tuned import candidates_of, presets, traced_candidates
from geoexplain.explainer.tuning_gain import untuned_kinds
from geoexplain.locator.model import GeoModel
from tests.explainer.drawn import baseline
from tests.explainer.networks import image_tensor, random_model

SIZE_HW = (64, 64)
STEPS = ["head", "last convolution", *(f"stage {i}" for i in range(7, 0, -1)), "stem"]


@pytest.fixture(scope="module")
def model() -> GeoModel:
    return random_model(head_gain=0.05)


def edges(subject):
    return baseline("edges", subject.tensor, subject.target)


def of_the_head(subject):
    """Return a map of the head's weights alone."""
    weights = subject.model.head.mixture_weights.weight.detach().abs().numpy()[:, : SIZE_HW[0] * SIZE_HW[1] // 12]
    values = np.resize(weights, SIZE_HW).astype(np.float32)
    return replace(edges(subject), values=values)


def vanishing(subject):
    """Return a map that is flat unless the network is the original."""
    heatmap = edges(subject)
    return heatmap if subject.model.title == "Random weights" else replace(heatmap, values=np.zeros(SIZE_HW), flat=True)


def every_tensor(model: GeoModel) -> dict[str, torch.Tensor]:
    served = {f"served {name}": value for name, value in model.backbone.state_dict().items()}
    return {name: value.clone() for name, value in (model.network.state_dict() | served).items()}


def test_the_candidates_are_the_heatmaps_of_the_studio(model: GeoModel) -> None:
    tensor = image_tensor(1, SIZE_HW)
    explanation = Explanation(None, tensor, None, trace(model, tensor, 3))
    drawn = draw_heatmaps(model, tensor, 3, untuned_kinds())
    for name in kinds_of_family(GRADIENT_CAM):
        np.testing.assert_array_equal(drawn[name].values, explanation.heatmap(name).values)
    np.testing.assert_array_equal(drawn["combi-cam"].values, explanation.combi_cam().values)
    assert {preset.score for preset in presets().values()} == {"probability"}
    assert set(candidates_of(model)) - set(untuned_kinds()) == {"score-cam"}
    assert traced_candidates(model) == untuned_kinds()
    score_cam = explanation.draw("score-cam", model)
    assert (score_cam.method, score_cam.target, score_cam.values.shape) == ("score-cam", 3, SIZE_HW)


def test_weights_are_drawn_from_the_head_down_and_stay_drawn(model: GeoModel) -> None:
    original = every_tensor(model)
    before = original
    seen = []
    for step, changed in randomized_models(model, 0):
        seen.append(weighted_parts(model)[step][0])
        now = {key: value.clone() for key, value in changed.network.state_dict().items()}
        prefix = ["head.", "backbone.head.", *(f"backbone.stages.{i}." for i in range(6, -1, -1)), "backbone.stem."][
            step
        ]
        moved = {key for key, value in now.items() if not torch.equal(value, before[key])}
        assert moved
        assert all(key.startswith(prefix) for key in moved)
        convolutions = {key for key, value in now.items() if key.startswith(prefix) and value.dim() > 1}
        assert {key for key in convolutions if "mus" not in key} <= moved
        before = now
    assert seen == STEPS == [name for name, _ in weighted_parts(model)]


def test_drawn_weights_have_the_variance_of_he_and_keep_signals_alive(model: GeoModel) -> None:
    *_, (_, changed) = randomized_models(model, 0)
    weight = changed.network.head.mixture_weights.weight
    assert float(weight.std()) == pytest.approx((2 / weight.shape[1]) ** 0.5, rel=0.03)
    drawn = draw_heatmaps(changed, image_tensor(1, SIZE_HW), 3, untuned_kinds())
    assert not any(heatmap.flat for heatmap in drawn.values())
    assert not any(p.requires_grad for p in changed.network.parameters())
    assert not changed.network.training


def test_the_served_model_stays_unchanged_while_others_use_it(model: GeoModel) -> None:
    tensor = image_tensor(1, SIZE_HW)
    before, alone = every_tensor(model), draw_heatmaps(model, tensor, 3, untuned_kinds())
    random_state = torch.random.get_rng_state()
    differing: list[str] = []
    done = threading.Event()

    def use() -> None:
        while not done.is_set():
            for name, heatmap in draw_heatmaps(model, tensor, 3, untuned_kinds()).items():
                if not np.allclose(heatmap.values, alone[name].values, rtol=1e-4, atol=1e-5 * alone[name].values.max()):
                    differing.append(name)

    others = [threading.Thread(target=use) for _ in range(2)]
    for other in others:
        other.start()
    try:
        sanity_checks(model, tensor, 3, draws=1)
    finally:
        done.set()
        for other in others:
            other.join()
    assert differing == []
    after = every_tensor(model)
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert torch.equal(random_state, torch.random.get_rng_state())


def test_a_map_of_edges_survives_and_one_of_weights_does_not(model: GeoModel) -> None:
    kinds = {"edges": edges, "weights": of_the_head, "gone": vanishing}
    candidates = {name: ExplanationKind(name, BASELINE, "", "", draw) for name, draw in kinds.items()}
    reports: list[tuple[int, int]] = []
    result = sanity_checks(
        model, image_tensor(2, SIZE_HW), 3, candidates, draws=5, cascades=2, progress=lambda *step: reports.append(step)
    )
    networks = 2 * len(STEPS) + 3
    assert reports == [(i, networks) for i in range(1, networks + 1)]
    compared = result["edges"].compared
    for figure in (compared.correlations, compared.similarities, compared.resemblances()):
        np.testing.assert_allclose(figure[:2], 1)
        np.testing.assert_allclose(figure[2:, -1], 1)
        assert np.isnan(figure[2:, :-1]).all()  # only the last step of these draws was examined
    assert result["edges"].verdict == "survives"
    assert result["edges"].sentence.startswith(
        "edges: it survives random weights: it shows the image, not what was learnt. With all weights random the "
        "resemblance is 1.00 (95 %: 1.00 to 1.00; 5 draws; mean |ρ| 1.00, of unrelated maps 0."
    )
    assert (
        np.abs(result["weights"].compared.correlations[:2]).max() < 0.1
    )  # no correlation once the head is random, at the first step
    assert result["weights"].verdict == "depends"
    assert np.isnan(result["gone"].compared.correlations).all()
    assert np.isnan(result["gone"].compared.mean_similarities()).all()
    np.testing.assert_array_equal(result["gone"].compared.mean_resemblances(), 0)
    assert result["gone"].verdict == "depends"
    assert "every map is flat" in result["gone"].sentence


def test_a_network_of_random_weights_is_the_last_of_its_cascade(model: GeoModel) -> None:
    *_, (step, cascaded) = randomized_models(model, 7)
    ((whole, at_once),) = randomized_models(model, 7, whole=True)
    assert (step, whole) == (len(STEPS) - 1,) * 2
    expected = cascaded.network.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in at_once.network.state_dict().items())
    assert draw_seed(0, 1) != draw_seed(0, 2) != draw_seed((0, 1), 2)
    assert draw_seed(3, 1) == draw_seed((3,), 1)


def test_every_gradient_method_and_combi_cam_is_checked_and_repeats_itself(model: GeoModel) -> None:
    tensor = image_tensor(1, SIZE_HW)
    one, same = (sanity_checks(model, tensor, 3, draws=1, seed=5) for _ in range(2))
    assert set(one) == {*kinds_of_family(GRADIENT_CAM), "combi-cam", "combi-cam-all", "combi-cam-shallow"}
    for name, check in one.items():
        assert list(check.steps) == STEPS
        np.testing.assert_array_equal(check.compared.correlations, same[name].compared.correlations)
        assert check.verdict in {"too few", "none"}  # one draw gives no verdict
        assert check.sentence.endswith("At least 4 more draws are needed." if check.verdict != "none" else "to check.")
    assert [check.verdict for check in one.values()].count("too few") >= 3
    other = sanity_checks(model, tensor, 3, draws=1, seed=6)
    assert any(
        not np.array_equal(check.compared.correlations, other[name].compared.correlations)
        for name, check in one.items()
    )


def compared(correlations: list[float], chance: float) -> Comparisons:
    """Return draws of two steps, of which the first does not matter."""
    column = np.array([[0.99, value] for value in correlations])
    return Comparisons(column, np.full_like(column, chance), np.full_like(column, 0.5))


def test_resemblances_by_hand() -> None:
    left = compared([0.6, -0.6, 0.2, 0.1, np.nan], 0.2).resemblances()[:, -1]
    np.testing.assert_allclose(left, [0.5, 0.5, 0, -0.125, 0])
    assert np.isnan(compared([np.nan], np.nan).resemblances()[:, -1]).all()


NEAR = [0.01, -0.01, 0.02, -0.02, 0.015]


@pytest.mark.parametrize(
    ("correlations", "chance", "verdict", "words"),
    [
        ([0.8, -0.85, 0.9, -0.8, 0.85], 0.0, "survives", "(95 %: 0.77 to 0.91; 5 draws; mean |ρ| 0.84, of unrelated"),
        ([0.34, -0.35, 0.36, -0.34, 0.36], 0.0, "partly", "it is partly the image's own. With all weights random the"),
        (NEAR, 0.0, "depends", "it depends on what was learnt. With all weights random the resemblance is 0.01"),
        # The same correlations are "partly" for fine maps, and chance for coarse ones.
        ([0.34, -0.35, 0.36, -0.34, 0.36], 0.3, "depends", "resemblance is 0.07"),
        # Few scattered draws, signs that cancel, four equal draws: none of these gives a verdict in favour.
        (
            [-0.44, 0.1, -0.8, 0.5, -0.9],
            0.1,
            "too few",
            "learnt, is partly the image's own or survives random weights.",
        ),
        ([0.6, -0.6], 0.0, "too few", "3 more draws should tell"),
        (NEAR[:4], 0.0, "too few", "One more draw should tell."),
        ([0.1, 0.1, 0.1, 0.29, 0.29, 0.29, 0.2, 0.2], 0.0, "too few", "too few draws to tell whether it depends on"),
        ([0.2, 0.19, 0.21] * 3, 0.0, "too few", "Even 1,000 draws would not tell: it lies on the border."),
        ([np.nan] * 5, 0.0, "depends", "5 draws; every map is flat"),
    ],
)
def test_verdicts_by_hand(correlations: list[float], chance: float, verdict: str, words: str) -> None:
    check = judge_candidate("x", "X", ("head", "stem"), compared(correlations, chance), flat=False)
    assert check.verdict == verdict
    assert words in check.sentence


def test_a_flat_map_is_not_checked() -> None:
    check = judge_candidate("x", "X", ("head", "stem"), compared([np.nan] * 5, np.nan), flat=True)
    assert (check.verdict, check.sentence) == ("none", "X: the map is flat, so there is nothing to check.")


def test_it_stops_when_cancelled_and_refuses_what_cannot_be(model: GeoModel) -> None:
    tensor = image_tensor(1, SIZE_HW)
    reports: list[int] = []
    with pytest.raises(ExplanationCancelledError, match="cancelled"):
        sanity_checks(
            model, tensor, 3, progress=lambda done, _: reports.append(done), cancelled=lambda: len(reports) == 2
        )
    assert reports == [1, 2]
    for draws, cascades in ((0, 1), (1, -1)):
        with pytest.raises(DataError, match="at least 1 draw"):
            sanity_checks(model, tensor, 3, draws=draws, cascades=cascades)
    with pytest.raises(DataError, match="from 0 to 11"):
        sanity_checks(model, tensor, 12)
