"""ImageNet weights from timm: its own network is the oracle, and nothing is downloaded if a file is given."""

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from geoexplain.errors import CheckpointError
from geoexplain.locator.checkpoints.imagenet import imagenet_backbone


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
@pytest.mark.parametrize("architecture", ["test_efficientnet", "resnet18"])
def test_a_file_of_timm_gives_timm_s_features(architecture: str, suffix: str, tmp_path: Path) -> None:
    oracle = timm.create_model(architecture, num_classes=10).eval()
    file = tmp_path / f"weights.{suffix}"
    if suffix == "pth":
        torch.save(oracle.state_dict(), file)
    else:
        save_file(oracle.state_dict(), file)
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        found = imagenet_backbone(architecture, file).eval()(x)
        torch.testing.assert_close(found, oracle.forward_features(x).mean((2, 3)))


def test_a_file_of_another_network_is_refused(tmp_path: Path) -> None:
    torch.save(timm.create_model("resnet34", num_classes=0).state_dict(), tmp_path / "weights.pth")
    with pytest.raises(
        CheckpointError, match=r"weights\.pth: unexpected key 'layer1\.2.* and \d+ more: .*another network"
    ):
        imagenet_backbone("resnet18", tmp_path / "weights.pth")
    (tmp_path / "weights.safetensors").write_bytes(b"no")
    with pytest.raises(CheckpointError, match="expected a safetensors file"):
        imagenet_backbone("resnet18", tmp_path / "weights.safetensors")


def test_a_failed_download_of_weights_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(CheckpointError, match="resnet18: expected timm's ImageNet weights, could not get them"):
        imagenet_backbone("resnet18")
    with pytest.raises(CheckpointError, match="expected the name of a timm EfficientNet"):
        imagenet_backbone("mobilenetv3_large_100")
