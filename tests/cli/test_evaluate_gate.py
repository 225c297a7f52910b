"""`geoexplain evaluate gate` against the Python interface."""

import json
from pathlib import Path

import numpy as np
import pytest

from geoexplain.evaluation.fingerprint import model_fingerprint
from geoexplain.locator.checkpoints.native import describe, save_geoexplain
from geoexplain.locator.gate import Gate
from geoexplain.locator.model import GeoModel
from geoexplain.locator.zoo import load_model
from tests.cli.conftest import Run
from tests.explainer.networks import random_model
from tests.locator.gates import BLUE, RED, flat_picture


def gate_of(model: GeoModel, bias: float) -> Gate:
    """One that decides the same of every picture."""
    return Gate((2,), np.zeros(48, dtype=np.float32), bias, 0.5, "a view of Earth from above", "nothing", {})


@pytest.fixture(scope="module")
def gated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model that takes every picture for a view, and one that takes none for one."""
    network, folder = random_model(50), tmp_path_factory.mktemp("gated")
    files = {}
    for name, bias in (("open", 5.0), ("shut", -5.0)):
        files[name] = folder / f"{name}.safetensors"
        facts = describe(network) | {"name": name}
        save_geoexplain(network.network, facts, network.partition, files[name], gate=gate_of(network, bias))
    return files


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for name, color in (("photos", RED), ("pages", BLUE)):
        (tmp_path / "others" / name).mkdir(parents=True)
        for number in range(2):
            flat_picture(color).save(tmp_path / "others" / name / f"{number}.png")
    return tmp_path / "others"


def test_every_kind_has_its_row_and_its_record(
    run: Run, gated: dict[str, Path], pictures: Path, imagery: Path, tmp_path: Path
) -> None:
    june, file = imagery / "world.200406.png", tmp_path / "figures.json"
    words = ["--imagery", june, "--others", pictures, "--views", "3", "--json", file, "--device", "cpu"]
    outcome = run("evaluate", "gate", "--model", gated["shut"], *words)
    assert (outcome.code, outcome.err) == (0, "")
    figures = json.loads(file.read_text(encoding="utf-8"))
    nothing = {"in_domain": 0.0, "localizable": 0.0}
    assert figures["own"] == {"world.200406": {"images": 3, **nothing}}
    assert figures["others"] == {name: {"images": 2, **nothing} for name in ("pages", "photos")}
    assert figures["area_under_roc"] == 0.5  # every score is the same
    assert (figures["model"], figures["threshold"]) == ("shut", 0.5)
    assert figures["model_sha256"] == model_fingerprint(load_model(gated["shut"], "cpu"))
    rows = [line.split() for line in outcome.out.splitlines()]
    assert ["not:", "all", "of", "these", "4", "0", "%", "0", "%"] in rows
    assert "shut: is it a view of Earth from above?" in outcome.out
    assert run("evaluate", "gate", "--model", gated["open"], *words).code == 0
    passed = json.loads(file.read_text(encoding="utf-8"))
    assert [part["in_domain"] for part in (*passed["own"].values(), *passed["others"].values())] == [1, 1, 1]


def test_two_sets_of_one_name_are_refused(run: Run, gated: dict[str, Path], imagery: Path, tmp_path: Path) -> None:
    (tmp_path / "world.200406").mkdir()
    flat_picture(RED).save(tmp_path / "world.200406" / "a.png")
    words = ["--imagery", imagery / "world.200406.png", "--own", tmp_path / "world.200406"]
    outcome = run("evaluate", "gate", "--model", gated["open"], *words)
    assert outcome.code == 2
    assert "--own: expected names that no other set of images has, got world.200406" in outcome.err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "expected images, got none: add --imagery, --discs, --own or --others"),
        (["--others", "nowhere"], "expected pictures in nowhere, found none"),
    ],
)
def test_without_images_it_is_refused(
    words: list[str], sentence: str, run: Run, gated: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = run("evaluate", "gate", "--model", gated["open"], *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert sentence in outcome.err


def test_a_model_without_a_gate_is_refused(run: Run, model_file: Path, pictures: Path) -> None:
    outcome = run("evaluate", "gate", "--model", model_file, "--others", pictures)
    assert outcome.code == 2
    assert "expected a model with a gate, got one without" in outcome.err


def test_a_gate_of_other_weights_is_not_used_and_said_so(run: Run, gated: dict[str, Path], pictures: Path) -> None:
    file = gated["shut"].with_suffix(".gate.json")
    data = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(data | {"weights_sha256": "0" * 64}), encoding="utf-8")
    try:
        outcome = run("evaluate", "gate", "--model", gated["shut"], "--others", pictures)
    finally:
        file.write_text(json.dumps(data), encoding="utf-8")
    assert outcome.code == 2
    assert "got one for another version: fit it again" in outcome.err
