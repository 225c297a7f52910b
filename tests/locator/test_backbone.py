"""A backbone split into stages and blocks computes the same as timm's network."""

import pytest
import timm
import torch
from torch import nn

from geoexplain.errors import CheckpointError
from geoexplain.locator.backbone import RESNETS, Backbone, create_backbone, freeze, preprocess_for, stage_channels


def seeded(architecture: str) -> tuple[Backbone, nn.Module]:
    """Return a backbone and timm's network with the same random weights and normalization statistics."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        ours = create_backbone(architecture)
        torch.manual_seed(1)
        theirs = timm.create_model(architecture, pretrained=False, num_classes=0)
        for (_, mine), (_, other) in zip(ours.named_buffers(), theirs.named_buffers(), strict=True):
            if mine.is_floating_point():
                mine.uniform_(0.5, 1.5)
                other.copy_(mine)
    return freeze(ours), theirs.eval()


@pytest.mark.parametrize(
    "architecture", ["efficientnet_b0", "tf_efficientnet_b0", "test_efficientnet", "efficientnet_es"]
)
def test_features_are_timm_s(architecture: str) -> None:
    ours, theirs = seeded(architecture)
    images = torch.randn(2, 3, 64, 80, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        expected = theirs.forward_head(theirs.forward_features(images))
        features = ours(images)
    assert features.shape == (2, ours.feature_dim)
    torch.testing.assert_close(features, expected, rtol=1e-5, atol=1e-5)
    assert expected.std() > 0.01  # otherwise any values would be close


def test_running_the_parts_by_hand_gives_the_features() -> None:
    backbone, _ = seeded("test_efficientnet")
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        x = backbone.stem(images)
        for stage in backbone.stages:
            for block in stage:
                x = block(x)
        torch.testing.assert_close(backbone.head(x).mean(dim=(2, 3)), backbone(images))
        torch.testing.assert_close(backbone.pool(x), backbone(images))


def test_outputs_of_stages_come_in_the_requested_order() -> None:
    backbone, _ = seeded("test_efficientnet")
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        x, expected = backbone.stem(images), []
        for stage in backbone.stages:
            for block in stage:
                x = block(x)
            expected.append(x)
        features, outputs = backbone.forward_stages(images, (3, 1))
        assert torch.equal(features, backbone(images))
        assert len(outputs) == 2
        assert torch.equal(outputs[0], expected[2])
        assert torch.equal(outputs[1], expected[0])
        assert backbone.forward_stages(images, ())[1] == []


@pytest.mark.parametrize(
    "architecture",
    [
        "efficientnet_b0",
        "tf_efficientnet_lite0",
        "efficientnet_es",
        "efficientnet_cc_b0_4e",
        "efficientnet_b0_gn",
        "efficientnet_x_b3",
        "test_efficientnet",
        *RESNETS[1:3],
    ],
)
def test_channels_of_stages_are_those_of_their_outputs(architecture: str) -> None:
    with torch.device("meta"):
        backbone = create_backbone(architecture).eval()
        stages = range(1, len(backbone.stages) + 1)
        _, outputs = backbone.forward_stages(torch.zeros(1, 3, 64, 64), stages)
    assert stage_channels(backbone) == [output.shape[1] for output in outputs]


def test_preprocessing_is_that_of_the_imagenet_weights() -> None:
    assert preprocess_for("efficientnet_b0", 96).mean == (0.485, 0.456, 0.406)
    lite = preprocess_for("tf_efficientnet_lite0", 96)
    assert (lite.size_px, lite.mean, lite.std) == (96, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@pytest.mark.parametrize(
    ("architecture", "repeats", "feature_dim"),
    [
        ("efficientnet_b0", [1, 2, 2, 3, 3, 4, 1], 1280),  # Tan & Le 2019, table 1
        ("efficientnet_b4", [2, 4, 4, 6, 6, 8, 2], 1792),
    ],
)
def test_stages_hold_the_blocks_of_the_paper(architecture: str, repeats: list[int], feature_dim: int) -> None:
    with torch.device("meta"):
        backbone = create_backbone(architecture)
    assert [len(stage) for stage in backbone.stages] == repeats
    assert len(backbone.blocks) == sum(repeats)
    assert backbone.blocks[0] is backbone.stages[0][0]
    assert backbone.blocks[-1] is backbone.stages[-1][-1]
    assert (backbone.feature_dim, backbone.architecture) == (feature_dim, architecture)


def test_the_names_of_the_weights_are_what_the_files_hold() -> None:
    with torch.device("meta"):
        keys = create_backbone("efficientnet_b0").state_dict().keys()
    assert {key.split(".")[0] for key in keys} == {"stem", "stages", "head"}
    assert {"stem.0.weight", "stem.1.running_mean", "stages.6.0.conv_pwl.weight", "head.0.weight"} <= keys


def test_frozen_means_no_gradient_and_no_training_mode() -> None:
    frozen, _ = seeded("test_efficientnet")
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    assert not any(module.training for module in frozen.modules())


@pytest.mark.parametrize("architecture", ["efficientnet_b0", "tf_efficientnet_b0", "resnet18"])
def test_the_constant_of_every_normalisation_can_be_chosen(architecture: str) -> None:
    norms = [part for part in create_backbone(architecture, bn_eps=0.25).modules() if isinstance(part, nn.BatchNorm2d)]
    assert len(norms) >= 20
    assert {norm.eps for norm in norms} == {0.25}


@pytest.mark.parametrize("name", ["resnet50d", "efficientnet", "", "efficientnet_b0.ra_in1k", "../efficientnet_b0"])
def test_another_network_is_refused_by_name(name: str) -> None:
    with pytest.raises(CheckpointError, match="expected the name of a timm EfficientNet") as refusal:
        create_backbone(name)
    assert repr(name) in str(refusal.value)
