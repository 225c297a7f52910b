"""`geoexplain train`: the same weights for the same seed, interrupted or not; a release that is what it says."""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from geoexplain.cli import main
from geoexplain.cli.release import split_imagery
from geoexplain.cli.train import parse_weights
from geoexplain.cli.train_run import describe_progress, parse_phases
from geoexplain.geography.addresses import place_trees
from geoexplain.geography.addresses.cell_names import name_cells
from geoexplain.imagery.mixture import ViewMixture
from geoexplain.locator.zoo import load_model
from geoexplain.training import heads
from geoexplain.training.loop import Progress
from geoexplain.training.settings import Phase
from geoexplain.words import percent
from tests.cli.conftest import Run, smooth_colours
from tests.imagery.discs import write_disc
from tests.test_architecture import ROOT

SMALL = ["--phases", "32:10:30,40:10:30", "--cells", "64", "--device", "cpu"]
SMALL += ["--validate-every", "30", "--validation-views", "8", "--release-views", "16"]

NAME = "earth-views-lite0"

NUMBERS = ("step", "seen", "validated", "best_score", "best_size_px", "settings", "source")


def command(imagery: Path, out: Path, *more: str) -> list[str]:
    return ["train", "views", "--imagery", str(imagery), "--out", str(out), *SMALL, *more]


def checkpoint(run_dir: Path) -> dict[str, Any]:
    return torch.load(run_dir / "checkpoint.pt", weights_only=True)


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    # Threads would wait for each other longer than such small networks compute.
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def sky(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options for a map of clouds and a folder of pictures that are no views."""
    folder = tmp_path_factory.mktemp("sky")
    smooth_colours(5, 128, 64).convert("L").save(folder / "clouds.png")
    (folder / "others").mkdir()
    for number in range(4):
        smooth_colours(10 + number, 60, 40).save(folder / "others" / f"{number}.png")
    (folder / "others" / "damaged.jpg").write_text("no picture")
    return ["--clouds", str(folder / "clouds.png"), "--others", str(folder / "others")]


@pytest.fixture(scope="module")
def finished(one_thread: None, imagery: Path, sky: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of six steps under clouds, with one picture in ten that is no view, released."""
    out = tmp_path_factory.mktemp("runs") / "first"
    assert main(command(imagery, out, *sky)) == 0
    return out


def test_interrupted_twice_and_resumed_the_weights_are_the_same(
    finished: Path, imagery: Path, sky: list[str], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = 0

    def loss_and_ctrl_c(*inputs: object, **options: object) -> torch.Tensor:
        nonlocal steps
        steps += 1
        if steps == 2:
            signal.raise_signal(signal.SIGINT)
        return loss(*inputs, **options)

    def ctrl_c(*_inputs: object, **_options: object) -> None:
        signal.raise_signal(signal.SIGINT)

    loss, out = heads.geolocation_losses, tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(heads, "geolocation_losses", loss_and_ctrl_c)
        outcome = run(*command(imagery, out, *sky))
    assert outcome.code == 130
    assert outcome.err.endswith("run the same command with --resume to continue.\n")
    assert steps == 2
    assert checkpoint(out)["seen"] == 20  # the step was finished
    with monkeypatch.context() as patch:
        patch.setattr("geoexplain.training.views.view_logits", ctrl_c)
        assert run(*command(imagery, out, *sky, "--resume")).code == 130
    assert checkpoint(out)["seen"] == 30
    assert checkpoint(out)["best"] is None
    outcome = run(*command(imagery, out, *sky, "--resume"))
    assert outcome.code == 0
    # At the end of each phase, of plain views and of the mixture.
    sizes = re.findall(r"^validation at (\d+) px", outcome.out, flags=re.MULTILINE)
    assert sizes == ["32", "32", "40", "40"]
    one, other = checkpoint(finished), checkpoint(out)
    for part in ("network", "average", "best"):
        assert same(one[part], other[part])
    assert [one[key] for key in NUMBERS] == [other[key] for key in NUMBERS]
    released = [next((folder / "release").glob("*.safetensors")) for folder in (finished, out)]
    assert same(*(load_file(file) for file in released))


def test_the_release_is_what_its_card_says(
    finished: Path, imagery: Path, sky: list[str], run: Run, tmp_path: Path
) -> None:
    folder = finished / "release"
    name = NAME
    assert {file.name for file in folder.iterdir()} == {
        f"{name}.{ending}" for ending in ("safetensors", "cells.csv", "places.json", "card.json")
    }
    card = json.loads((folder / f"{name}.card.json").read_text(encoding="utf-8"))
    tensors = load_file(folder / f"{name}.safetensors")
    assert {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()} == {torch.float16}
    assert len((folder / f"{name}.cells.csv").read_text(encoding="utf-8").splitlines()) == 1 + 64 == 1 + card["cells"]
    released = load_model(folder / f"{name}.safetensors", "cpu")
    (kept,), (made,) = released.own_trees, place_trees(released.partition)
    assert (kept.labels, kept.of_cell.tolist()) == (made.labels, made.of_cell.tolist())
    assert released.partition.labels == name_cells(released.partition).labels
    assert card["bytes"] == (folder / f"{name}.safetensors").stat().st_size
    assert (card["name"], card["architecture"], card["size_px"]) == (name, "tf_efficientnet_lite0", 40)
    assert (card["mean"], card["std"]) == ([0.5] * 3, [0.5] * 3)  # as that network's ImageNet weights want it
    loaded = load_model(folder / f"{name}.safetensors", "cpu")
    assert (loaded.preprocess.mean, loaded.preprocess.std) == ((0.5,) * 3, (0.5,) * 3)
    training = card["training"]
    assert training["imagery"] == ["world.200401.png", "world.200402.png"]
    assert training["phases"] == [{"size_px": 32, "batch": 10, "views": 30}, {"size_px": 40, "batch": 10, "views": 30}]
    assert (training["views_seen"], training["seed"], training["cells"]) == (60, 0, 64)
    assert (training["warmup_views"], training["others"], training["processes"]) == (15_000, 0.1, 1)
    assert training["mixture"] == json.loads(json.dumps(asdict(ViewMixture())))
    assert card["libraries"]["torch"] == metadata.version("torch")
    assert 0.25 <= card["temperature"] <= 16
    assert card["calibration_views"] == {"plain": 16, "mixture": 16}
    assert card["gate"] is None  # 8 views are too few for one
    with safe_open(folder / f"{name}.safetensors", "pt") as weights:
        assert json.loads(weights.metadata()["description"])["sigma_km"] == card["sigma_km"] > 0
    for report in card["validation"].values():
        assert set(report["coverage"]) == {"half", "ninety", "median_half_radius_km", "median_radius_90_km"}
    # The head was divided by the temperature and nothing else was changed.
    best = checkpoint(finished)["best"]
    for key in ("head.mixture_weights.weight", "head.mixture_weights.bias"):
        expected = (best[key] / card["temperature"]).half()
        torch.testing.assert_close(tensors[key], expected, rtol=1e-3, atol=1e-7)
    assert torch.equal(tensors["backbone.stem.0.weight"], best["backbone.stem.0.weight"].half())
    # Whoever asks again gets the figures of the card.
    words = ["--imagery", imagery / "world.200406.png", "--views", 8, "--json", tmp_path / "again.json"]
    words += ["--condition", "plain", "mixture", *sky[:2]]
    model = folder / f"{name}.safetensors"
    assert run("evaluate", "views", *words, "--model", model, "--device", "cpu").code == 0
    again = json.loads((tmp_path / "again.json").read_text(encoding="utf-8"))
    for (name, report), asked in zip(card["validation"].items(), again["reports"], strict=True):
        assert asked.pop("condition") == name
        assert asked.pop("imagery").endswith("world.200406.png")
        assert {key: report.pop(key) for key in asked} == asked
        drawn = {key: again[key] for key in ("seed", "footprint_km", "rotation_deg")}
        asked_for = {"seed": again["seed"]} if name == "mixture" else drawn  # the mixture has widths of its own
        assert report == {"imagery": "world.200406.png"} | asked_for


def test_a_checkpoint_can_be_released_later(
    finished: Path, imagery: Path, sky: list[str], run: Run, tmp_path: Path
) -> None:
    words = ["--imagery", imagery, "--out", tmp_path, "--device", "cpu", "--release-views", "16", *sky]
    outcome = run("train", "release", finished, *words)
    assert outcome.code == 0
    assert outcome.err.startswith(f"geoexplain: {NAME} gets no gate, which would recognise images of another kind.")
    assert "expected at least 50 images" in outcome.err
    assert outcome.err.count("\n") == 1
    for file in (finished / "release").iterdir():
        if file.suffix == ".safetensors":  # which stores its metadata in any order
            assert same(load_file(tmp_path / file.name), load_file(file))
        else:
            assert (tmp_path / file.name).read_bytes() == file.read_bytes()
    assert str(tmp_path / f"{NAME}.safetensors") in outcome.out


def test_what_was_trained_on_releases_nothing(finished: Path, imagery: Path, run: Run) -> None:
    words = ["--imagery", imagery, "--device", "cpu", "--release-views", "16", "--validation", "200401"]
    outcome = run("train", "release", finished, *words)
    assert outcome.code == 2
    assert "--validation: expected images that the run was not trained on, got world.200401.png" in outcome.err


def test_a_model_may_look_at_another_size_than_that_of_the_last_phase(
    finished: Path, imagery: Path, run: Run, tmp_path: Path
) -> None:
    words = ["--imagery", imagery, "--out", tmp_path, "--device", "cpu", "--release-views", "16", "--size", "40"]
    assert run("train", "release", finished, *words).code == 0
    assert load_model(tmp_path / f"{NAME}.safetensors", "cpu").preprocess.size_px == 40


def test_a_gate_is_fitted_where_there_are_enough_views(
    finished: Path, imagery: Path, sky: list[str], run: Run, tmp_path: Path
) -> None:
    write_disc(tmp_path / "discs")
    words = ["--imagery", imagery, "--out", tmp_path, "--device", "cpu", "--release-views", "100"]
    outcome = run("train", "release", finished, *words, *sky, "--discs", tmp_path / "discs")
    assert (outcome.code, outcome.err) == (0, "")
    card = json.loads((tmp_path / f"{NAME}.card.json").read_text(encoding="utf-8"))
    gate = load_model(tmp_path / f"{NAME}.safetensors", "cpu").gate
    assert gate is not None
    assert gate.stages == (2, 4, 6)
    assert dict(gate.figures) == card["gate"]
    # of five files the first and the fourth measure
    assert gate.fitted_on == "views (plain, mixture, discs) against 3 pictures from files and 480 generated pictures"
    assert card["gate"]["others"] == 480 + 2
    shares = {f"turned away: {name}" for name in ("plain", "mixture", "discs")} | {"others recognised"}
    assert set(card["gate"]) == shares | {"others", "area under ROC"}
    assert all(0 <= card["gate"][name] <= 1 for name in shares)
    # seven in ten generated pictures are nothing like a view, even for a network that has learnt nothing
    assert card["gate"]["area under ROC"] > 0.8
    assert f"gate: turned away: plain {percent(card['gate']['turned away: plain'])}, " in outcome.out
    assert list(card["validation"]) == ["plain", "mixture", "discs"]
    assert card["validation"]["discs"]["imagery"] == "epic.png"
    assert card["validation"]["plain"]["in_domain"] > 0.7


def test_training_begins_with_the_weights_given(imagery: Path, run: Run, tmp_path: Path) -> None:
    torch.manual_seed(9)
    network = timm.create_model("tf_efficientnet_lite0", num_classes=10)
    torch.save(network.state_dict(), tmp_path / "imagenet.pth")
    words = ["--start", str(tmp_path / "imagenet.pth"), "--learning-rate", "0.000001"]
    assert run(*command(imagery, tmp_path / "run", *words)).code == 0
    found = checkpoint(tmp_path / "run")["network"]["backbone.stem.0.weight"]
    torch.testing.assert_close(found, network.conv_stem.weight.detach(), atol=1e-4, rtol=0)
    settings = json.loads(checkpoint(tmp_path / "run")["settings"])
    assert settings["learning_rate"] == 1e-6
    outcome = run(*command(imagery, tmp_path / "other", "--start", str(tmp_path / "gone.pth")))
    assert outcome.code == 2
    assert "expected a file of weights" in outcome.err


def test_a_checkpoint_of_a_run_that_was_never_validated(
    finished: Path, imagery: Path, sky: list[str], run: Run, tmp_path: Path
) -> None:
    saved = checkpoint(finished)
    saved["average"]["head.mixture_weights.bias"] += 0.5
    saved |= {"best": None, "best_score": [], "best_size_px": 0, "step": 5, "validated": 5, "seen": 50}
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    torch.save(saved, run_dir / "checkpoint.pt")
    words = ["--imagery", imagery, "--device", "cpu", "--release-views", "16"]
    assert run("train", "release", run_dir, *words).code == 0
    card = json.loads((run_dir / "release" / f"{NAME}.card.json").read_text(encoding="utf-8"))
    bias = load_file(run_dir / "release" / f"{NAME}.safetensors")["head.mixture_weights.bias"]
    expected = saved["average"]["head.mixture_weights.bias"] / card["temperature"]
    torch.testing.assert_close(bias, expected.half(), rtol=1e-3, atol=1e-4)
    assert run(*command(imagery, run_dir, *sky, "--resume")).code == 0
    assert checkpoint(run_dir)["seen"] == 60


def test_runs_of_other_versions_are_refused(finished: Path, imagery: Path, run: Run, tmp_path: Path) -> None:
    saved = checkpoint(finished)
    before = {"settings": "{}", "centers_deg": torch.zeros(64, 2), "network": saved["network"], "seen": 30}
    changed = saved | {"settings": json.dumps(json.loads(saved["settings"]) | {"temperature": 1})}
    for state, said in (
        (before, "expected a run of this version (geoexplain-run/2), got one that was begun before photos and views"),
        (changed, "expected the settings of a run of this version, got architecture, "),
    ):
        torch.save(state, tmp_path / "checkpoint.pt")
        for words in (
            ["train", "release", tmp_path, "--imagery", imagery, "--device", "cpu"],
            command(imagery, tmp_path, "--resume"),
        ):
            outcome = run(*words)
            assert (outcome.code, outcome.out) == (2, "")
            assert said in outcome.err
            assert outcome.err.count("\n") == 1


def test_a_run_is_not_overwritten_nor_resumed_as_another(
    finished: Path, imagery: Path, run: Run, tmp_path: Path
) -> None:
    before = (finished / "checkpoint.pt").read_bytes()
    for words, sentence in [
        (command(imagery, finished), "expected a folder without a run, found one: add --resume"),
        (command(imagery, finished, "--resume", "--seed", "5"), "expected seed 0, as the run was begun with, got 5"),
        (
            command(imagery, finished, "--resume", "--cells", "65"),
            "expected cells 64, as the run was begun with",
        ),
        (command(imagery, tmp_path, "--resume"), "found none: check the folder, or start without --resume"),
        (command(tmp_path, tmp_path / "run"), "expected equirectangular JPEG, PNG or TIFF images, found none"),
        (command(imagery, tmp_path, "--validation", "200407"), "match '200407', found none among 3"),
        (command(imagery, tmp_path, "--held-out", "2004"), "match '200406', found none among 0"),
        (command(imagery, tmp_path, "--held-out", "20040[1239]"), "expected images to train on besides validation"),
        (["train", "release", str(tmp_path), "--imagery", str(imagery)], "expected a training checkpoint"),
        (
            command(imagery, tmp_path, "--weights", "2004=3,etopo1=2"),
            "expected a part of the name of a training image, got 'etopo1'",
        ),
        (command(imagery, tmp_path, "--discs", str(tmp_path)), "--discs: expected pictures, each next to a JSON file"),
        (command(imagery, tmp_path, "--others", str(tmp_path)), "expected pictures that are no views of Earth"),
        (command(imagery, tmp_path, "--clouds", str(tmp_path / "no.png")), "no.png: expected a readable image"),
    ]:
        outcome = run(*words)
        assert (outcome.code, outcome.out) == (2, "")
        assert sentence in outcome.err
        assert outcome.err.count("\n") == 1
    assert (finished / "checkpoint.pt").read_bytes() == before


def test_patterns_are_parts_of_names_or_globs() -> None:
    files = [Path(f"/200406/world.2004{month:02}.jpg") for month in range(1, 13)]
    training, validation = split_imagery(files, "200406", ["200403", "*09.jpg"])
    assert [file.name[10:12] for file in training] == ["01", "02", "04", "05", "07", "08", "10", "11", "12"]
    assert [file.name[10:12] for file in validation] == ["06"]


def test_phases_are_read_as_written() -> None:
    found = parse_phases("96:96:240000,224:64:20000", unit="views", epochs=False)
    assert found == (Phase(96, 96, images=240_000), Phase(224, 64, images=20_000))
    for text in ("96:96:2.5e", "96:96", "16:96:10", "96:1:10", "96:96:0"):
        with pytest.raises(argparse.ArgumentTypeError, match="expected PX:BATCH:VIEWS for each phase"):
            parse_phases(text, unit="views", epochs=False)


def test_weights_are_read_as_written() -> None:
    assert parse_weights("etopo1=2,natural_earth_3=0.5") == (("etopo1", 2.0), ("natural_earth_3", 0.5))
    for text in ("", "etopo1", "=2", "etopo1=-1", "etopo1=nan", "etopo1=2,", "etopo1=1001"):
        with pytest.raises(argparse.ArgumentTypeError, match="expected parts of names with weights from 0 to 1000"):
            parse_weights(text)


def test_the_time_left_is_said_in_hours_and_minutes() -> None:
    said = describe_progress(Progress(seen=1, total=2, loss=4.5, per_s=99.6, left_s=7500, size_px=96), "views")
    assert said == "96 px, loss 4.500, 100 views/s, 2 h 5 min left"
    assert describe_progress(Progress(1, 2, 4.5, 99.6, 95, 96, 3), "views").endswith("2 min left, 3 skipped")


WITHOUT = """
import sys
sys.modules["gradio"] = sys.modules["folium"] = sys.modules["matplotlib"] = None  # importing them fails
from geoexplain.cli import main
split = sys.argv.index("evaluate")
for words in (sys.argv[1:split], sys.argv[split:]):
    code = main(words)
    if code:
        sys.exit(code)
"""


def test_training_and_evaluating_need_neither_gradio_nor_folium(finished: Path, imagery: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    june, model = imagery / "world.200406.png", out / "release" / f"{NAME}.safetensors"
    evaluate = ["evaluate", "views", "--imagery", june, "--views", "4", "--model", model]
    words = [sys.executable, "-c", WITHOUT, *command(imagery, out, "--seed", "1"), *evaluate]
    done = subprocess.run(
        words, capture_output=True, text=True, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"{NAME} on {june}, as the imagery shows it: 4 views" in done.stdout
    # Another seed: other cells and other weights.
    key = "head.mixture_weights.weight"
    assert checkpoint(out)["cells"] != checkpoint(finished)["cells"]
    assert not torch.equal(checkpoint(out)["network"][key], checkpoint(finished)["network"][key])
