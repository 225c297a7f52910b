"""The chain of docs/training.md, from positions to a studio that explains the trained model, as there but smaller."""

import csv
import json
import re
import shlex
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import geoexplain
from geoexplain.cli import build_parser, main
from geoexplain.explainer.place import place_group
from geoexplain.geography.partition_files import read_partitioning
from geoexplain.studio.app import build
from geoexplain.studio.models import Models
from tests.imagery.earths import grid_deg, write_png
from tests.test_commands import CHAIN as PAGE
from tests.test_commands import blocks

CHAIN = [line.removeprefix("geoexplain ") for block in blocks(PAGE, "sh") for line in block]

SMALLER = {
    "practice": "practice --imagery earth --coordinates 4000 --photos 240 --size 40",
    "50:5000 50:2000 50:1000": "5:800 5:400 5:200",
    "100 125 250": "60 90 200",
    "128:64:12800": "32:16:64 --shares .6,.2,.2",
}
"""What takes minutes as it stands there → the same in seconds."""


def shorter(command: str) -> list[str]:
    for words, fewer in SMALLER.items():
        command = re.sub(rf"(?<![\w/-]){re.escape(words)}(?![\w/])(?= --out practice$| --out|$)", fewer, command)
    return shlex.split(command)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the chain has run, but for the studio at its end."""
    folder = tmp_path_factory.mktemp("own models")
    (folder / "earth").mkdir()
    lat, lon = np.moveaxis(grid_deg(90), -1, 0)
    waves = [np.sin(np.radians(lon * k)) * np.cos(np.radians(lat * (k + 1))) for k in (1, 2, 3)]
    write_png(folder / "earth", np.stack([(wave + 1) * 127 for wave in waves], axis=-1).astype(np.uint8))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in CHAIN[:-1]:
            words = shorter(command)
            assert words != shlex.split(command) or command.startswith("evaluate")
            assert main(words) == 0, command
    return folder


def test_the_chain_is_the_one_that_is_promised() -> None:
    kinds = [" ".join(re.findall(r"[a-z][a-z\d]*", command)[:3]) for command in CHAIN]
    assert kinds == [
        "practice out practice",
        "partition build s2",
        "partition build semantic",
        "train photos practice",
        "train photos practice",
        "evaluate photos manifest",
        "evaluate photos manifest",
        "studio model practice",
    ]


@pytest.mark.parametrize("kind", ["s2", "places"])
def test_both_ways_of_answering_are_measured(folder: Path, kind: str) -> None:
    test = folder / "practice" / f"run-{kind}" / "test.csv"
    with test.open(encoding="utf-8") as file:
        photos = len(list(csv.DictReader(file)))
    for way in ("f", "f-star"):
        summary = json.loads((folder / "practice" / f"on-{kind}" / way / "summary.json").read_text(encoding="utf-8"))
        assert summary["counts"]["evaluated"] == photos > 0


def test_the_cells_of_the_model_are_those_that_were_built(folder: Path) -> None:
    for kind in ("s2", "places"):
        cells = read_partitioning(folder / "practice" / kind)
        model = geoexplain.load_model(str(folder / "practice" / f"run-{kind}" / "release" / f"run-{kind}.safetensors"))
        assert model.partition.labels == cells.levels[0].labels
        assert [len(level) for level in model.coarser] == [len(level) for level in cells.levels[1:]]
        assert model.partition.borders is not None


def test_the_studio_opens_on_it_and_a_place_is_explained(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    args = build_parser(shlex.split(CHAIN[-1])).parse_args(shlex.split(CHAIN[-1]))
    model = geoexplain.load_model(args.model)
    assert build(Models(model)).blocks
    photo = folder / "practice" / "photos" / "0000" / "0000007.jpg"
    prediction = geoexplain.locate(photo, model)
    (tree,) = model.trees
    shares = tree.shares(prediction.probabilities)
    path = tree.path(int(tree.of_cell[prediction.cell]))
    assert path
    assert (tree.parents >= 0).any()
    assert all(shares[fine] <= shares[coarse] + 1e-12 for fine, coarse in pairwise(path))
    explanation = geoexplain.explain(photo, model, target=place_group(tree, path[-1]))
    assert explanation.share == pytest.approx(shares[path[-1]])
