"""Integrated Gradients and SmoothGrad²: values by hand, completeness, comparison with captum, chunks, threads."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients, NoiseTunnel
from torch import Tensor, nn

from geoexplain.errors import DataError
from geoexplain.explainer.attribution import (
    BYTES_PER_PIXEL,
    Attribution,
    integrated_gradients,
    smoothgrad_squared,
)
from geoexplain.explainer.cams import ExplanationCancelledError
from geoexplain.explainer.explanation import explain
from geoexplain.explainer.target import target_score
from geoexplain.locator.zoo import load_model
from geoexplain.studio.examples import examples
from tests.explainer.networks import image_tensor, model_of, plain_network

SIZE_HW = (32, 32)
ONE_IMAGE = BYTES_PER_PIXEL * 32 * 32


class Squares(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.square()


class Flattened(nn.Module):
    """Activation (N, C, h, w) → every value as a channel (N, C h w, 1, 1), so that the mean changes nothing."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, :, None, None]


def linear(weights: list[float], *, squared: bool = False):
    """Images of 1 × 2 px: logit 0 is w · x, or w · x² with `squared`; logit 1 is 0."""
    classifier = nn.Linear(6, 2, bias=False)
    classifier.weight.data = torch.tensor([weights, [0.0] * 6])
    stages = [[Squares() if squared else nn.Identity()]]
    return model_of(nn.Identity(), stages, Flattened(), classifier)


@pytest.fixture(scope="module")
def tensor():
    return image_tensor(1, SIZE_HW)


def test_a_linear_model_gives_weight_times_input() -> None:
    # S = w · x, so that the gradient is w everywhere and IG = w (x − x₀), whatever the number of steps.
    weights = [1.0, -2.0, 0.5, 3.0, 0.0, -1.0]
    image = torch.tensor([[[[2.0, 1.0]], [[-4.0, 1.0]], [[7.0, 5.0]]]])
    from_zero = integrated_gradients(linear(weights), image, 0, "logit", steps=1)
    np.testing.assert_allclose(from_zero.values, [[[2, -2]], [[-2, 3]], [[0, -5]]], rtol=1e-6)
    np.testing.assert_array_equal(from_zero.saliency, [[2, 5]])
    assert from_zero.score_change == pytest.approx(-4)
    assert from_zero.completeness_error == pytest.approx(0, abs=1e-5)
    from_one = integrated_gradients(linear(weights), image, 0, "logit", steps=7, baseline=torch.ones_like(image))
    np.testing.assert_allclose(from_one.values, [[[1, 0]], [[-2.5, 0]], [[0, -4]]], rtol=1e-6, atol=1e-6)
    assert from_one.score_change == pytest.approx(-5.5)


def test_a_square_worked_out_by_hand() -> None:
    # S = Σ w x², gradient 2 w x; along x₀ + α (x − x₀) its mean is w (x + x₀), so IG = w (x² − x₀²).
    # From 1: x = 3, w = 2 gives 2 (9 − 1) = 16; x = −2, w = 1 gives 3; x = 1 gives 0; x = 0, w = −1 gives 1.
    image = torch.tensor([[[[3.0, -2.0]], [[1.0, 0.0]], [[0.0, 0.0]]]])
    model = linear([2.0, 1.0, 5.0, -1.0, 0.0, 0.0], squared=True)
    result = integrated_gradients(model, image, 0, "logit", baseline=torch.ones_like(image))
    np.testing.assert_allclose(result.values, [[[16, 3]], [[0, 1]], [[0, 0]]], atol=1e-5)
    assert result.completeness_error == pytest.approx(0, abs=1e-5)
    assert (result.method, result.target, result.score, result.flat) == ("integrated-gradients", 0, "logit", False)


def test_the_completeness_error_is_the_error_of_one_step() -> None:
    # One Gauss–Legendre step takes the gradient of x⁴ at x/2: 4 (x/2)³ x = x⁴/2. At x = 2 it gives 8 of 16.
    classifier = nn.Linear(6, 2, bias=False)
    classifier.weight.data = torch.tensor([[1.0, 0, 0, 0, 0, 0], [0.0] * 6])
    model = model_of(nn.Identity(), [[Squares()], [Squares()]], Flattened(), classifier)
    image = torch.zeros(1, 3, 1, 2)
    image[0, 0, 0, 0] = 2
    result = integrated_gradients(model, image, 0, "logit", steps=1)
    assert result.values[0, 0, 0] == pytest.approx(8)
    assert result.score_change == pytest.approx(16)
    assert result.completeness_error == pytest.approx(8)
    # Two steps are exact up to x³ of the gradient.
    assert integrated_gradients(model, image, 0, "logit", steps=2).completeness_error == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("score", ["probability", "logit"])
def test_the_bundled_model_is_complete(score: str) -> None:
    model = load_model()
    explanation = explain(examples()[0].file, model)
    # The path is steep: 24 steps miss the change of the probability by 17 %.
    few, many = (integrated_gradients(model, explanation.tensor, score=score, steps=n) for n in (4, 200))
    probability = torch.softmax(explanation.trace.logits[0].double(), dim=0)
    if score == "probability":
        blank = torch.softmax(model.logits(torch.zeros_like(explanation.tensor))[0].double(), dim=0)
        target = explanation.target
        assert many.score_change == pytest.approx(float(probability[target] - blank[target]), abs=1e-6)
    assert many.target == int(probability.argmax())
    assert many.completeness_error < few.completeness_error
    assert many.completeness_error < 0.05 * abs(many.score_change)


@pytest.mark.parametrize("score", ["probability", "logit"])
def test_it_equals_captum_on_the_whole_network(model, tensor, score: str) -> None:
    ours = integrated_gradients(model, tensor, 4, score, steps=8)
    theirs, delta = IntegratedGradients(lambda x: target_score(model.network(x), 4, score)).attribute(
        tensor, torch.zeros_like(tensor), n_steps=8, return_convergence_delta=True
    )
    np.testing.assert_allclose(ours.values, theirs[0].detach().numpy(), atol=1e-4 * float(theirs.abs().max()))
    assert ours.completeness_error == pytest.approx(abs(float(delta)), rel=0.02, abs=1e-5)


def test_smoothgrad_squared_is_captums_noise_tunnel(model, tensor) -> None:
    ours = smoothgrad_squared(model, tensor, 4, "logit", steps=6, samples=3, seed=7)
    deviation = float(0.15 * (tensor.max() - tensor.min()))
    # The served network, since squares and noise amplify the rounding of a batch normalisation that is not folded.
    tunnel = NoiseTunnel(IntegratedGradients(lambda x: target_score(model.head(model.backbone(x)), 4, "logit")))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        theirs = tunnel.attribute(
            tensor, nt_type="smoothgrad_sq", nt_samples=3, nt_samples_batch_size=1, stdevs=deviation, n_steps=6
        )
    np.testing.assert_allclose(ours.values, theirs[0].detach().numpy(), atol=1e-4 * float(theirs.abs().max()))
    assert ours.method == "smoothgrad-squared"


def test_without_noise_it_is_the_square() -> None:
    image = torch.tensor([[[[2.0, 1.0]], [[-4.0, 1.0]], [[7.0, 5.0]]]])
    result = smoothgrad_squared(
        linear([1.0, -2.0, 0.5, 3.0, 0.0, -1.0]), image, 0, "logit", steps=1, samples=4, noise_level=0
    )
    np.testing.assert_allclose(result.values, [[[4, 4]], [[4, 9]], [[0, 25]]], rtol=1e-5)
    assert result.score_change == pytest.approx(-4)


def test_noise_has_the_documented_size() -> None:
    # S = x₁ + … + x₆ of a zero image whose one pixel is 2: IG² of the others is their noise², mean (level · 2)².
    image = torch.zeros(1, 3, 1, 2)
    image[0, 0, 0, 0] = 2
    result = smoothgrad_squared(linear([1.0] * 6), image, 0, "logit", steps=1, samples=1000, noise_level=0.3)
    assert result.values[1:].mean() == pytest.approx(0.36, rel=0.07)


def test_the_seed_determines_the_map(model, tensor) -> None:
    first, again, other = (
        smoothgrad_squared(model, tensor, 4, steps=2, samples=2, seed=seed).values for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.05 * first.max()


@pytest.mark.parametrize(("memory_bytes", "chunks"), [(0, [1, 2, 3, 4, 5]), (2 * ONE_IMAGE, [2, 4, 5])])
def test_chunks_keep_to_the_memory_and_change_nothing(model, tensor, memory_bytes, chunks) -> None:
    at_once = integrated_gradients(model, tensor, 4, steps=5).values
    seen: list[tuple[int, int]] = []
    batches: list[int] = []
    hook = model.backbone.stem.register_forward_hook(
        lambda module, given, out: batches.append(len(out)) if out.requires_grad else None
    )
    try:
        chunked = integrated_gradients(
            model, tensor, 4, steps=5, memory_bytes=memory_bytes, progress=lambda *step: seen.append(step)
        ).values
    finally:
        hook.remove()
    assert np.cumsum(batches).tolist() == chunks
    assert seen == [(done, 5) for done in chunks]
    np.testing.assert_allclose(chunked, at_once, atol=1e-5 * np.abs(at_once).max())


def test_progress_counts_the_points_of_all_copies(model, tensor) -> None:
    seen: list[tuple[int, int]] = []
    smoothgrad_squared(
        model, tensor, 4, steps=3, samples=2, memory_bytes=2 * ONE_IMAGE, progress=lambda *step: seen.append(step)
    )
    assert seen == [(2, 6), (3, 6), (5, 6), (6, 6)]


def test_it_stops_when_cancelled(model, tensor) -> None:
    seen: list[tuple[int, int]] = []
    with pytest.raises(ExplanationCancelledError, match="after 4 of 15 passes"):
        smoothgrad_squared(
            model,
            tensor,
            4,
            steps=5,
            samples=3,
            memory_bytes=2 * ONE_IMAGE,
            progress=lambda *step: seen.append(step),
            cancelled=lambda: len(seen) == 2,
        )
    assert seen == [(2, 15), (4, 15)]


def test_no_hook_or_gradient_is_left_in_the_model(model, tensor) -> None:
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    integrated_gradients(model, tensor, 4, steps=2)
    with pytest.raises(ExplanationCancelledError):
        integrated_gradients(model, tensor, 4, steps=2, cancelled=lambda: True)
    for network in (model.network, model.backbone):
        for module in network.modules():
            assert not module._forward_hooks
            assert not module._forward_pre_hooks
            assert not module._backward_hooks
            assert not module.training
        assert not any(p.requires_grad or p.grad is not None for p in network.parameters())
    for name, value in model.network.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    assert not tensor.requires_grad


def test_an_image_made_in_inference_mode_is_accepted(model, tensor) -> None:
    with torch.inference_mode():
        image = tensor * 1
    np.testing.assert_array_equal(
        integrated_gradients(model, image, 4, steps=2).values, integrated_gradients(model, tensor, 4, steps=2).values
    )


def test_threads_do_not_disturb_each_other(model) -> None:
    jobs = [(image_tensor(seed, SIZE_HW), seed % 12) for seed in range(6)]
    start = threading.Barrier(len(jobs))

    def run(job: tuple[Tensor, int], together: bool) -> Attribution:
        if together:
            start.wait(timeout=30)
        return smoothgrad_squared(model, *job, steps=3, samples=2)

    alone = [run(job, False) for job in jobs]
    with ThreadPoolExecutor(len(jobs)) as pool:
        at_once = list(pool.map(lambda job: run(job, True), jobs))
    for one, other in zip(alone, at_once, strict=True):
        np.testing.assert_array_equal(one.values, other.values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps from 1 to 1000, got 0"),
        ({"steps": 2.5}, "steps from 1 to 1000, got 2.5"),
        ({"samples": 1001}, "samples from 1 to 1000"),
        ({"noise_level": float("nan")}, "noise level"),
        ({"noise_level": -1}, "noise level"),
        ({"target": 12}, "cell from 0 to 11, got 12"),
        ({"score": "odds"}, "'probability', 'logit'"),
        ({"baseline": torch.zeros(1, 3, 4, 4)}, r"shape \(1, 3, 32, 32\), got \(1, 3, 4, 4\)"),
        ({"tensor": torch.zeros(2, 3, 32, 32)}, r"\(1, 3, H, W\), got \(2, 3, 32, 32\)"),
    ],
)
def test_wrong_settings_are_refused(model, tensor, change, message) -> None:
    settings = {"tensor": tensor, "target": 4, "score": "probability", "steps": 2, "samples": 1, **change}
    with pytest.raises(DataError, match=message):
        smoothgrad_squared(model, **settings)


def test_a_constant_score_gives_a_flat_map() -> None:
    network = plain_network([[[0, 0, 0]]], head=[[1.0], [1.0]])
    result = integrated_gradients(network, image_tensor(1, (8, 8)), 0, steps=2)
    assert result.flat
    assert result.completeness_error == 0
