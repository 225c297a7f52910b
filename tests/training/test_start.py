"""What training begins with: files under the names of two libraries, with a last layer that fits or does not."""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from geoexplain.errors import CheckpointError
from geoexplain.locator.backbone import Backbone, create_backbone
from geoexplain.locator.checkpoints.foreign_names import efficientnet_pytorch_names
from geoexplain.locator.heads import VonMisesFisherHead
from geoexplain.training.start import begin_with

ARCHITECTURE, CELLS = "test_efficientnet", 6


def parts(architecture: str = ARCHITECTURE) -> tuple[Backbone, VonMisesFisherHead]:
    torch.manual_seed(1)
    backbone = create_backbone(architecture)
    centers = np.stack([np.linspace(-60, 60, CELLS), np.linspace(-150, 150, CELLS)], axis=-1)
    return backbone, VonMisesFisherHead(backbone.feature_dim, torch.from_numpy(centers))


def of_timm(classes: int, architecture: str = ARCHITECTURE) -> dict[str, torch.Tensor]:
    torch.manual_seed(2)
    network = timm.create_model(architecture, num_classes=classes)
    for buffer in network.buffers():
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 1.5)
    return network.state_dict()


def written(folder: Path, state: dict[str, torch.Tensor], suffix: str) -> Path:
    file = folder / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file({key: value.contiguous() for key, value in state.items()}, file)
    else:
        torch.save(state, file)
    return file


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("classes", [CELLS, 10])
def test_timm_s_names_are_known(tmp_path: Path, suffix: str, classes: int) -> None:
    backbone, head = parts()
    before = head.mixture_weights.weight.clone()
    state = of_timm(classes)
    assert begin_with(backbone, head, written(tmp_path, state, suffix)) == (classes == CELLS)
    network = timm.create_model(ARCHITECTURE, num_classes=classes).eval()
    network.load_state_dict(state)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        features = network.forward_head(network.forward_features(images), pre_logits=True)
        torch.testing.assert_close(backbone.eval()(images), features, rtol=1e-5, atol=1e-5)
        if classes == CELLS:
            torch.testing.assert_close(head(features), network(images), rtol=1e-5, atol=1e-5)
        else:
            assert torch.equal(head.mixture_weights.weight, before)


@pytest.mark.parametrize("classes", [CELLS, 1000])
def test_the_names_of_efficientnet_pytorch_are_known(tmp_path: Path, classes: int) -> None:
    architecture = "tf_efficientnet_lite0"
    backbone, head = parts(architecture)
    generator = torch.Generator().manual_seed(4)
    names = efficientnet_pytorch_names(backbone)
    state = {
        foreign: torch.rand(value.shape, generator=generator)
        for key, value in backbone.state_dict().items()
        if not (foreign := names[key]).endswith("num_batches_tracked")  # old files have none
    }
    assert "_blocks.0._depthwise_conv.weight" in state
    state |= {
        "_fc.weight": torch.rand(classes, backbone.feature_dim, generator=generator),
        "_fc.bias": torch.rand(classes, generator=generator),
    }
    assert begin_with(backbone, head, written(tmp_path, state, ".pt")) == (classes == CELLS)
    for key, value in backbone.state_dict().items():
        if names[key] in state:
            assert torch.equal(value, state[names[key]])
    assert torch.equal(head.mixture_weights.bias, state["_fc.bias"]) == (classes == CELLS)


def test_half_precision_is_read_as_single(tmp_path: Path) -> None:
    backbone, head = parts()
    state = {key: value.half() if value.is_floating_point() else value for key, value in of_timm(CELLS).items()}
    assert begin_with(backbone, head, written(tmp_path, state, ".safetensors"))
    assert {value.dtype for value in backbone.state_dict().values()} == {torch.float32, torch.int64}
    assert head.mixture_weights.weight.dtype == torch.float32
    assert torch.equal(head.mixture_weights.bias, state["classifier.bias"].float())


def test_what_does_not_fit_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    backbone, head = parts()
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    state = of_timm(CELLS)
    lacking = {key: value for key, value in state.items() if key != "conv_stem.weight"}
    wider = state | {"conv_stem.weight": torch.zeros(99, 3, 3, 3)}
    endless = state | {"classifier.bias": torch.full((CELLS,), float("nan"))}
    for wrong in (of_timm(10, "tf_efficientnet_lite0"), lacking, wider, {}, endless):
        with pytest.raises(CheckpointError, match=r"^weights.pth: "):
            begin_with(backbone, head, written(tmp_path, wrong, ".pth"))
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"no weights")
    with pytest.raises(CheckpointError, match=r"^damaged.safetensors: expected a safetensors file"):
        begin_with(backbone, head, damaged)
    with pytest.raises(CheckpointError, match=r"expected a file of weights at .*gone\.pth, found none"):
        begin_with(backbone, head, tmp_path / "gone.pth")
    assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())


def test_a_last_layer_of_another_shape_is_left_out(tmp_path: Path) -> None:
    backbone, head = parts()
    before = head.mixture_weights.bias.clone()
    state = of_timm(CELLS) | {"classifier.bias": torch.zeros(CELLS + 1)}
    assert not begin_with(backbone, head, written(tmp_path, state, ".pth"))
    assert torch.equal(head.mixture_weights.bias, before)
