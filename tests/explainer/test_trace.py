"""Tracing: what the single pass computes, how often it runs the network, and that it leaves nothing in the model."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from geoexplain.errors import DataError
from geoexplain.explainer.combine import combine
from geoexplain.explainer.table import GRADIENT_CAM, kinds_of_family, stage_maps
from geoexplain.explainer.target import SCORES
from geoexplain.explainer.trace import trace
from geoexplain.explainer.tuned import presets
from tests.explainer.networks import image_tensor, model_of, plain_network

GRADIENT_METHODS = list(kinds_of_family(GRADIENT_CAM))
SIZE_HW = (96, 128)


@pytest.fixture(scope="module")
def tensor():
    return image_tensor(1, SIZE_HW)


def test_a_network_worked_out_by_hand() -> None:
    # Block 1 computes red - green and blue; block 2 doubles the first and halves the second; the logits are
    # 3 * the first feature, the difference of both, and 0.
    network = plain_network([[[1, -1, 0], [0, 0, 1]], [[2, 0], [0, 0.5]]], head=[[3, 0], [1, -1], [0, 0]])
    pixels = torch.tensor([[[5.0, 1.0], [0.0, 2.0]], [[1.0, 1.0], [1.0, 1.0]], [[8.0, 0.0], [0.0, 0.0]]])
    result = trace(network, pixels[None], target=1, score="logit")
    first, second = result.blocks
    assert first.activation.tolist() == [[[4, 0], [-1, 1]], [[8, 0], [0, 0]]]
    assert second.activation.tolist() == [[[8, 0], [-2, 2]], [[4, 0], [0, 0]]]
    assert result.features.tolist() == [[2, 1]]
    assert result.logits.tolist() == [[6, 1, 0]]
    assert second.gradient.tolist() == [[[0.25, 0.25]] * 2, [[-0.25, -0.25]] * 2]
    assert first.gradient.tolist() == [[[0.5, 0.5]] * 2, [[-0.125, -0.125]] * 2]
    assert [(s.level, s.index) for s in result.stages] == [("stage", 1), ("stage", 2)]
    assert (result.target, result.score, result.size_hw) == (1, "logit", (2, 2))
    # Grad-CAM of block 1: 0.5 * [[4, 0], [-1, 1]] - 0.125 * [[8, 0], [0, 0]].
    assert stage_maps(result, "grad-cam", "block")[0].values.tolist() == [[1, 0], [0, 0.5]]


def test_blocks_and_stages_of_an_efficientnet(model, tensor) -> None:
    result = trace(model, tensor)
    assert [tuple(stage.activation.shape) for stage in result.at("stage")] == [
        (16, 48, 64), (24, 24, 32), (40, 12, 16), (80, 6, 8), (112, 6, 8), (192, 3, 4), (320, 3, 4),
    ]  # fmt: skip
    assert [block.index for block in result.at("block")] == list(range(1, 17))
    last_blocks = [0, 2, 4, 7, 10, 14, 15]
    for stage, last in zip(result.stages, last_blocks, strict=True):
        assert stage.gradient is result.blocks[last].gradient
    with torch.no_grad():
        torch.testing.assert_close(result.logits, model.network(tensor), rtol=1e-4, atol=1e-4)


def test_the_probability_gradient_follows_from_the_logit_gradients(model, tensor) -> None:
    by_logit = [trace(model, tensor, cell, "logit") for cell in range(len(model.partition))]
    probabilities = by_logit[0].logits.softmax(-1)[0]
    result = trace(model, tensor, 4, "probability")
    for i, block in enumerate(result.blocks):
        logit_gradients = torch.stack([t.blocks[i].gradient for t in by_logit])  # (K, C, h, w)
        mean = torch.einsum("k,kchw->chw", probabilities, logit_gradients)
        expected = probabilities[4] * (logit_gradients[4] - mean)
        torch.testing.assert_close(block.gradient, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


def published_combi_cam(model, tensor, target: int) -> np.ndarray:
    """Compute Combi-CAM with a full forward and backward pass per block, as in the authors' code."""
    total = torch.zeros(SIZE_HW)
    blocks = [block for stage in model.backbone.stages for block in stage]
    for chosen in blocks:
        x = model.backbone.stem(tensor.clone().requires_grad_())
        for block in blocks:
            x = block(x)
            if block is chosen:
                kept = x
                kept.retain_grad()
        probability = model.head(model.backbone.head(x).mean((2, 3))).softmax(-1)[0, target]
        probability.backward()
        weights = kept.grad.mean((2, 3), keepdim=True)
        cam = (weights * kept).sum(1, keepdim=True).clamp(min=0)
        total += nn.functional.interpolate(cam, SIZE_HW, mode="bilinear", align_corners=True)[0, 0].detach()
    return total.numpy()


@pytest.mark.parametrize("target", [None, 3])
def test_combi_cam_as_published(model, tensor, target) -> None:
    preset = presets()["combi-cam"]
    result = trace(model, tensor, target, preset.score)
    maps = stage_maps(result, "grad-cam", preset.level)
    heatmap = combine(maps, preset.weights(len(maps)), preset.how, result.size_hw)
    expected = published_combi_cam(model, tensor, result.target)
    assert expected.max() > 0
    np.testing.assert_allclose(heatmap.values, expected, atol=1e-5 * expected.max())


def test_deep_only_is_grad_cam_of_the_last_stage(model, tensor) -> None:
    preset = presets()["grad-cam"]
    result = trace(model, tensor, score=preset.score)
    maps = stage_maps(result, "grad-cam", preset.level)
    heatmap = combine(maps, preset.weights(len(maps)), preset.how, result.size_hw)
    last = nn.functional.interpolate(
        torch.tensor(maps[-1].values)[None, None], SIZE_HW, mode="bilinear", align_corners=True
    )
    np.testing.assert_array_equal(heatmap.values, last[0, 0])
    assert not heatmap.flat


def test_one_forward_and_one_gradient_for_every_map(model, tensor, monkeypatch) -> None:
    calls: list[nn.Module] = []
    gradients = []
    modules = [model.backbone.stem, *model.backbone.blocks, model.backbone.head, model.head]
    hooks = [module.register_forward_hook(lambda m, i, o: calls.append(m)) for module in modules]
    real_grad = torch.autograd.grad
    monkeypatch.setattr(torch.autograd, "grad", lambda *a, **k: gradients.append(1) or real_grad(*a, **k))
    monkeypatch.setattr(torch.Tensor, "backward", lambda *a, **k: pytest.fail("backward() fills .grad of parameters"))
    try:
        result = trace(model, tensor)
        assert calls == modules
        assert len(gradients) == 1
        maps = [stage_maps(result, method, level) for method in GRADIENT_METHODS for level in ("stage", "block")]
        for weight in (0.0, 0.5, 2.0):
            combine(maps[0], [weight] * 7, "sum", SIZE_HW)
    finally:
        for hook in hooks:
            hook.remove()
    assert calls == modules, "maps and weights must not run the network"
    assert len(gradients) == 1


def test_no_hook_or_gradient_is_left_in_model_or_image(model) -> None:
    image = image_tensor(2, SIZE_HW)
    result = trace(model, image)
    for parameter in model.network.parameters():
        assert parameter.grad is None
        assert not parameter.requires_grad
    assert image.grad is None
    assert not image.requires_grad
    for module in model.network.modules():
        assert not module._forward_hooks
        assert not module._backward_hooks
    for stage in result.blocks:
        assert stage.activation.grad_fn is None
        assert not stage.activation.requires_grad
        assert not stage.gradient.requires_grad
    assert not result.logits.requires_grad
    assert not result.features.requires_grad


def test_it_works_when_the_caller_has_disabled_gradients(model, tensor) -> None:
    expected = trace(model, tensor, 2)
    with torch.no_grad():
        result = trace(model, tensor, 2)
    torch.testing.assert_close(result.blocks[0].gradient, expected.blocks[0].gradient)


@pytest.fixture
def one_thread_each():
    """Limit PyTorch to one thread each: eight threads with several more inside would mostly wait for one another."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_eight_threads_agree_with_one(model, one_thread_each) -> None:
    jobs = [
        (image_tensor(seed, (64, 64)), seed % len(model.partition), ("logit", "probability")[seed % 2])
        for seed in range(8)
    ]

    def explain(job: tuple) -> list[np.ndarray]:
        result = trace(model, *job)
        return [m.values for method in GRADIENT_METHODS for m in stage_maps(result, method, "block")]

    serial = [explain(job) for job in jobs]

    def in_own_order(thread: int) -> list[list[np.ndarray]]:
        order = np.random.default_rng(thread).permutation(len(jobs))
        done = {int(i): explain(jobs[i]) for i in order}
        return [done[i] for i in range(len(jobs))]

    with ThreadPoolExecutor(8) as pool:
        for parallel in pool.map(in_own_order, range(8)):
            for expected_maps, maps in zip(serial, parallel, strict=True):
                for expected, values in zip(expected_maps, maps, strict=True):
                    np.testing.assert_allclose(values, expected, rtol=1e-3, atol=1e-4 * expected.max())


@pytest.mark.parametrize("method", GRADIENT_METHODS)
@pytest.mark.parametrize("score", SCORES)
def test_another_target_gives_another_map(model, tensor, method, score) -> None:
    for one, other in zip(
        *(stage_maps(trace(model, tensor, cell, score), method, "stage") for cell in (1, 2)), strict=True
    ):
        assert (one.target, other.target) == (1, 2)
        assert np.abs(one.values - other.values).max() > 0.01 * max(one.values.max(), other.values.max())


@pytest.mark.parametrize("method", GRADIENT_METHODS)
def test_a_mirrored_network_sees_a_mirrored_image_in_mirrored_maps(method) -> None:
    generator = torch.Generator().manual_seed(4)
    kernels = [torch.randn(6, 3, 3, 3, generator=generator), torch.randn(5, 6, 3, 3, generator=generator)]
    head = torch.randn(4, 5, generator=generator)
    image = image_tensor(3, (9, 8))
    straight = trace(plain_network(kernels, head, rectified=True), image, 0, "logit")
    mirrored_network = plain_network([kernel.flip(-1) for kernel in kernels], head, rectified=True)
    mirrored = trace(mirrored_network, image.flip(-1), 0, "logit")
    for one, other in zip(*(stage_maps(t, method, "block") for t in (straight, mirrored)), strict=True):
        np.testing.assert_allclose(other.values, one.values[:, ::-1], rtol=1e-3, atol=1e-4 * one.values.max())
    assert not all(m.flat for m in stage_maps(straight, method, "block"))


def test_a_cell_that_does_not_matter_has_flat_maps() -> None:
    network = plain_network([[[1, 0, 0], [0, 1, 0]]], head=[[1, 1], [0, 0]])
    for method in GRADIENT_METHODS:
        (stage_map,) = stage_maps(trace(network, image_tensor(5, (4, 4)), 1, "logit"), method, "stage")
        assert stage_map.flat
        assert not stage_map.values.any()


def test_the_default_target_is_the_most_probable_cell(model, tensor) -> None:
    with torch.no_grad():
        assert trace(model, tensor).target == int(model.network(tensor).argmax())
    assert trace(model, tensor, np.int64(3)).target == 3


@pytest.mark.parametrize("target", [-1, 12, 10**9, True, 1.0, "3"])
def test_a_cell_that_does_not_exist_is_refused(model, tensor, target) -> None:
    with pytest.raises(DataError, match="from 0 to 11, got"):
        trace(model, tensor, target)


def test_other_wrong_arguments_are_refused(model, tensor) -> None:
    with pytest.raises(DataError, match=r"\('probability', 'logit'\), got 'softmax'"):
        trace(model, tensor, score="softmax")
    with pytest.raises(DataError, match=r"got \(2, 3, 96, 128\)"):
        trace(model, tensor.repeat(2, 1, 1, 1))
    with pytest.raises(DataError, match="'layer'"):
        trace(model, tensor).at("layer")
    with pytest.raises(DataError, match="'cam'"):
        stage_maps(trace(model, tensor), "cam", "stage")


def test_a_network_with_one_stage_is_explained_too() -> None:
    network = model_of(nn.Conv2d(3, 4, 1), [[nn.Conv2d(4, 5, 1)]], nn.Identity(), nn.Linear(5, 3))
    result = trace(network, image_tensor(6, (4, 6)))
    (stage_map,) = stage_maps(result, "grad-cam", "stage")
    for name, preset in presets().items():
        heatmap = combine([stage_map], preset.weights(1), preset.how, (8, 12))
        assert heatmap.values.shape == (8, 12), name
