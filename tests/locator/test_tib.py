"""TIB's tables and networks: hand-worked hierarchies, and torchvision as the oracle of its residual networks."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from geoexplain.errors import CheckpointError, DataError
from geoexplain.explainer.explanation import explain
from geoexplain.geography.partition import hierarchy
from geoexplain.geography.tib_tables import read_partitionings
from geoexplain.locator.checkpoints.tib import load_tib, read_settings
from geoexplain.locator.prediction import crop_logits, predict

S2_HEADER = ["class_label", "hex_id", "imgs_per_cell", "latitude_mean", "longitude_mean"]


def write_s2(file: Path, cells: list[tuple[str, float, float]]) -> Path:
    with file.open("w", newline="", encoding="utf-8") as text:
        rows = csv.writer(text)
        rows.writerows([["min", 50], ["max", 1000], S2_HEADER])
        rows.writerows([index, token, 60, lat, lon] for index, (token, lat, lon) in enumerate(cells))
    return file


COARSE = [("1", 0, 0), ("3", 40, 80)]
MIDDLE = [("0c", -20, -20), ("3", 40, 80), ("04", -30, 30)]
FINE = [("04", -30, 30), ("0b", -10, -10), ("3", 40, 80), ("0f", -15, -25)]


@pytest.fixture
def s2_tables(tmp_path: Path) -> list[Path]:
    named = (("cells_50_5000", COARSE), ("cells_50_2000", MIDDLE), ("cells_50_1000", FINE))
    return [write_s2(tmp_path / f"{name}.csv", cells) for name, cells in named]


def test_s2_cells_lie_in_the_cells_that_their_tokens_descend_from(s2_tables: list[Path]) -> None:
    finest, coarser = read_partitionings("s2", s2_tables, None, {}, "s2")
    assert hierarchy(finest, coarser).tolist() == [[0, 2, 0], [0, 0, 1], [1, 1, 2], [0, 0, 3]]
    assert finest.centers_deg.tolist() == [[-30, 30], [-10, -10], [40, 80], [-15, -25]]
    assert all(f"({token})" in label for (token, _, _), label in zip(FINE, finest.labels, strict=True))


def test_an_s2_cell_without_a_parent_is_reported(s2_tables: list[Path]) -> None:
    write_s2(s2_tables[2], [*FINE, ("5", 1, 2)])
    with pytest.raises(DataError, match="got '5' in none"):
        read_partitionings("s2", s2_tables, None, {}, "s2")
    write_s2(s2_tables[2], [*FINE, ("no token", 1, 2)])
    with pytest.raises(DataError, match="S2 tokens such as '89c25', got 'no token'"):
        read_partitionings("s2", s2_tables, None, {}, "s2")


def s2_model(folder: Path, arch: str = "resnet18", size: int = 64) -> nn.Module:
    """Return a folder in TIB's format with a residual network, and the same network built by torchvision."""
    torch.manual_seed(0)
    body = nn.Sequential(*list(torchvision.models.get_model(arch).children())[:-2]).eval()
    for module in body.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    sizes = (len(COARSE), len(MIDDLE), len(FINE))
    heads = nn.ModuleList(nn.Linear(512, count) for count in sizes)
    state = {f"model.{key}": value for key, value in body.state_dict().items()}
    state |= {f"classifier.{key}": value for key, value in heads.state_dict().items()}
    torch.save({"state_dict": state}, folder / "last.ckpt")
    (folder / "hparams.yaml").write_text(
        f"arch: {arch}\nimage_size: {size}\npartitionings:\n  ptype: s2\n"
        "  files: [a/cells_50_5000.csv, a/cells_50_2000.csv, a/cells_50_1000.csv]\n"
    )
    return nn.ModuleDict({"body": body, "heads": heads})


def test_a_residual_network_answers_as_torchvision_s(s2_tables: list[Path], tmp_path: Path) -> None:
    oracle = s2_model(tmp_path)
    model = load_tib(tmp_path, name="resnet", device="cpu")
    x = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        features = oracle["body"](x).mean((2, 3))
        shares = [head(features).softmax(-1) for head in oracle["heads"]]
    torch.testing.assert_close(model.features(x), features, rtol=1e-4, atol=1e-5)
    product = shares[2].clone()
    for cell, (coarse, middle) in enumerate([(0, 2), (0, 0), (1, 1), (0, 0)]):
        product[:, cell] *= shares[1][:, middle] * shares[0][:, coarse]
    expected = product / product.sum(-1, keepdim=True)
    torch.testing.assert_close(model.logits(x).softmax(-1), expected, rtol=1e-4, atol=1e-5)
    alone = load_tib(tmp_path, name="resnet", hierarchical=False, device="cpu")
    torch.testing.assert_close(alone.logits(x).softmax(-1), shares[2], rtol=1e-4, atol=1e-5)
    assert model.backbone.stage_lengths == [2, 2, 2, 2]


def test_one_crop_gives_the_prediction_of_the_logits(s2_tables: list[Path], tmp_path: Path) -> None:
    s2_model(tmp_path)
    model = load_tib(tmp_path, name="resnet", device="cpu")
    x = torch.randn(1, 3, 64, 64)
    for how in ("max", "mean"):
        by_crops = predict(model, crop_logits(model, model.features(x), how))
        np.testing.assert_allclose(by_crops.probabilities, predict(model, model.logits(x)).probabilities, rtol=1e-4)
    with pytest.raises(DataError, match="max or mean, got 'median'"):
        crop_logits(model, model.features(x), "median")


def test_a_residual_network_is_explained_at_every_stage(s2_tables: list[Path], tmp_path: Path) -> None:
    s2_model(tmp_path)
    model = load_tib(tmp_path, name="resnet", device="cpu")
    picture = np.random.default_rng(0).integers(0, 256, (80, 100, 3), dtype=np.uint8)
    explanation = explain(picture, model)
    assert len(explanation.maps("grad-cam", "stage")) == 4
    assert explanation.combi_cam().values.shape == (64, 80)


def test_settings_may_stand_under_model_params(tmp_path: Path) -> None:
    file = tmp_path / "hparams.yaml"
    file.write_text(
        "model_params:\n  arch: resnet50\n  image_size: 224\n  partitionings:\n    ptype: semp\n"
        "    h_dict: !!python/object/apply:pathlib.PosixPath [data, h_dict.json]\n    files: [data/m_3.csv, m_5.csv]\n"
        "trainer_params: {gpus: 1}\n"
    )
    settings = read_settings(file)
    assert (settings.arch, settings.image_size, settings.kind) == ("resnet50", 224, "semp")
    assert (settings.files, settings.h_dict) == (("data/m_3.csv", "m_5.csv"), "data/h_dict.json")


def test_two_files_of_one_name_are_reported(s2_tables: list[Path], tmp_path: Path) -> None:
    s2_model(tmp_path)
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "other.ckpt").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"found 2 \(last.ckpt, more/other.ckpt\): leave one"):
        load_tib(tmp_path, name="resnet")


def test_parents_of_semantic_cells_are_those_of_the_tree(tmp_path: Path) -> None:
    header = "class_index,class_label,latitude_mean,longitude_mean\n"
    (tmp_path / "m_2.csv").write_text(header + "0,R1,10,10\n1,R2,50,50\n")
    (tmp_path / "m_3.csv").write_text(header + "2,W9,51,51\n0,R2,50,50\n1,N7,9,9\n")
    (tmp_path / "h_dict.json").write_text(json.dumps({"m_3": {"W9": "R2", "R2": "R2", "N7": "R1"}}))
    files = [tmp_path / "m_2.csv", tmp_path / "m_3.csv"]
    finest, coarser = read_partitionings("semp", files, tmp_path / "h_dict.json", {}, "semp")
    assert hierarchy(finest, coarser).tolist() == [[1, 0], [0, 1], [1, 2]]
    assert finest.labels[2].endswith("(W9)")
