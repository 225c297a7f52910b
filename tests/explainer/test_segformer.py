"""SegFormer: masks worked out by hand, and refused input. No test uses the internet."""

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from geoexplain.errors import DataError, ImageError
from geoexplain.explainer.segformer import load_segformer
from tests.explainer.segformers import save_segformer

pytest.importorskip("transformers")

RED, BLUE = (200, 50, 20), (20, 50, 200)


def two_halves(width: int, height: int) -> Image.Image:
    """The left half is red, the right half is blue."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(BLUE, (width // 2, 0, width, height))
    return image


def test_the_class_is_chosen_after_interpolation(tmp_path: Path) -> None:
    # Patches at the columns 0, 4 | 8, 12 have the logits of red 3 3 0 0 and of blue 0 0 1 1. Column x lies at
    # (x + ½)/4 − ½ among them: at 1.625 for x = 8, where red is 3 · 0.375 > 0.625, at 1.875 for x = 9, where it is not.
    # The class of the nearest patch would change at 8.
    masks = load_segformer(save_segformer(tmp_path), least_px=0)(two_halves(16, 16))
    red = np.broadcast_to(np.arange(16) <= 8, (16, 16))
    assert list(masks) == ["red", "blue"]
    np.testing.assert_array_equal(masks["red"], red)
    np.testing.assert_array_equal(masks["blue"], ~red)


@pytest.mark.parametrize(("width", "height"), [(64, 64), (96, 32), (23, 50)])
def test_masks_have_the_size_of_the_image(width: int, height: int, tmp_path: Path) -> None:
    masks = load_segformer(save_segformer(tmp_path), least_px=1)(two_halves(width, height))
    assert masks["red"].shape == (height, width)
    assert masks["red"][:, : width // 4].all()
    assert masks["blue"][:, -(width // 4) :].all()
    np.testing.assert_array_equal(masks["red"], ~masks["blue"])


def test_classes_of_one_name_are_one_concept_and_small_ones_are_left_out(tmp_path: Path) -> None:
    names = {"0": "colour", "1": " colour ", "2": "never"}
    masks = load_segformer(save_segformer(tmp_path, config={"id2label": names}))(two_halves(16, 16))
    assert list(masks) == ["colour"]
    assert masks["colour"].all()
    folder = save_segformer(tmp_path)
    assert list(load_segformer(folder, least_px=9 * 16)(two_halves(16, 16))) == ["red"]
    assert list(load_segformer(folder, least_px=7 * 16)(two_halves(16, 16))) == ["red", "blue"]


def test_mean_and_deviation_are_those_of_the_folder(tmp_path: Path) -> None:
    # After subtraction of the mean, red is below blue everywhere.
    folder = save_segformer(tmp_path, preprocessing={"image_mean": [1, 0, 0], "size": 16})
    masks = load_segformer(folder)(two_halves(16, 16))
    assert list(masks) == ["blue"]
    (folder / "preprocessor_config.json").unlink()
    assert load_segformer(folder).preprocess.size_px == 512


def test_loading_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load_segformer(save_segformer(tmp_path))(two_halves(16, 16))
    assert capfd.readouterr() == ("", "")


def test_only_rgb(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="mode L"):
        load_segformer(save_segformer(tmp_path))(Image.new("L", (16, 16)))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "vit"}, "for semantic segmentation, got SegformerForSemanticSegmentation"),
        ({"architectures": ["SegformerForImageClassification"]}, "got SegformerForImageClassification: choose one"),
        ({"architectures": None}, "got segformer"),
        ({"architectures": 5}, "got segformer"),
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, "plain weights, got quantised"),
        ({"id2label": None}, "names in id2label"),
        ({"id2label": {}}, "names in id2label"),
        ({"id2label": {"0": "red", "2": "blue"}}, "a name for every class from 0 to 1"),
        ({"id2label": {"0": "red", "1": 5, "2": ""}}, "a name for every class"),
        ({"id2label": {"0": "red", "1": "blue"}}, "could not be loaded"),
        ({"hidden_sizes": [4]}, "could not be loaded"),
        ({"hidden_sizes": "many"}, "could not be loaded"),
        ({"num_encoder_blocks": 2}, "could not be loaded"),
        ({"hidden_act": "os.system"}, "could not be loaded"),
    ],
)
def test_other_models_are_refused(config: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message) as refusal:
        load_segformer(save_segformer(tmp_path, config=config))
    assert str(tmp_path) not in str(refusal.value)


@pytest.mark.parametrize(
    "settings",
    [{"size": {}}, {"size": 0}, {"size": 99_999}, {"size": "big"}, {"image_mean": [0, 0]}, {"image_std": [1, 1, None]}],
)
def test_other_preprocessing_is_refused(settings: dict, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a size of 1 to 2048 px and three means"):
        load_segformer(save_segformer(tmp_path, preprocessing=settings))


def test_damaged_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"config\.json: expected a readable file"):
        load_segformer(tmp_path)
    folder = save_segformer(tmp_path)
    (folder / "config.json").write_text("{")
    with pytest.raises(DataError, match=r"JSON in config\.json"):
        load_segformer(folder)
    (folder / "config.json").write_text("[1]")
    with pytest.raises(DataError, match=r"one JSON object in config\.json"):
        load_segformer(folder)
    save_segformer(folder)
    whole = load_file(folder / "model.safetensors")
    for name, change, message in (
        ("decode_head.classifier.bias", None, "1 of its weights are missing or unknown, such as decode_head.classif"),
        ("decode_head.classifier.bias", torch.tensor([0, float("nan"), 0]), "not finite"),
        ("something.else", torch.zeros(3), "missing or unknown, such as something.else"),
    ):
        changed = {**whole, name: change}
        save_file({key: values for key, values in changed.items() if values is not None}, folder / "model.safetensors")
        with pytest.raises(DataError, match=message):
            load_segformer(folder)
    (folder / "model.safetensors").write_bytes(b"\x80\x04")
    with pytest.raises(DataError, match="could not be loaded"):
        load_segformer(folder)


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    folder = save_segformer(tmp_path)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(DataError, match=r"expected a file model\.safetensors, got none"):
        load_segformer(folder)


def test_code_in_the_folder_does_not_run(tmp_path: Path) -> None:
    folder = save_segformer(tmp_path, config={"auto_map": {"AutoModel": "evil.Model", "AutoConfig": "evil.Config"}})
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    load_segformer(folder)(two_halves(16, 16))
    assert not (tmp_path / "ran").exists()


def test_without_the_package_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(DataError, match=r'pip install "geoexplain\[segformer\]"'):
        load_segformer(save_segformer(tmp_path))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Run an empty hub on this machine, with an empty cache of downloads; yield the list of requests."""
    calls: list[str] = []

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            calls.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield calls
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_hub_is_contacted_only_when_allowed(hub: list[str], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="downloaded before, got 'owner/model': allow the download, or give a folder"):
        load_segformer("owner/model")
    assert hub == []
    with pytest.raises(DataError, match="expected to download 'owner/model' from the Hugging Face hub, but it failed"):
        load_segformer("owner/model", allow_download=True)
    assert any("owner/model" in path for path in hub)


def test_a_downloaded_model_is_used_again(hub: list[str], tmp_path: Path) -> None:
    kept = tmp_path / "cache" / "models--owner--model"
    save_segformer(kept / "snapshots" / ("a" * 40))
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text("a" * 40)
    assert list(load_segformer("owner/model")(two_halves(64, 64))) == ["red", "blue"]
    assert hub == []


@pytest.mark.parametrize("name", ["nowhere", "a/b/c", "../x", "https://h/x", "owner/", "owner/x y", "~/model", ""])
def test_a_source_that_is_neither_folder_nor_name_is_refused(
    name: str, hub: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if name:
        with pytest.raises(DataError, match="expected a folder, or a model of the hub such as owner/model"):
            load_segformer(name, allow_download=True)
    with pytest.raises(DataError, match="expected a folder"):
        load_segformer(Path("nowhere/at-all"), allow_download=True)
    assert hub == []


def test_the_written_settings_are_read(tmp_path: Path) -> None:
    # Guards the test's own network: transformers must accept the configuration as complete.
    folder = save_segformer(tmp_path)
    segmenter = load_segformer(folder)
    assert segmenter.labels == tuple(json.loads((folder / "config.json").read_text())["id2label"].values())
    assert not segmenter.network.training
    assert not any(values.requires_grad for values in segmenter.network.parameters())
