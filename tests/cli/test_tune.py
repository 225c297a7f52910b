"""`geoexplain tune` from its options to its words, and to the preset that its file becomes."""

import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from geoexplain.cli.tune import held_out_lines, text_of
from geoexplain.evaluation.tuning import REFERENCES
from geoexplain.explainer.tuned import presets
from geoexplain.explainer.tuning import Setting, Tuning
from geoexplain.locator.tuned import HeldOut, Interval
from geoexplain.locator.zoo import load_model
from tests.cli.conftest import Run, Terminal

QUICK = ["--device", "cpu", "--how", "max", "--steps", 2, "--held-out-steps", 2]


@pytest.fixture
def own_model(model_file: Path, tmp_path: Path) -> Path:
    """A copy of the model, so that something can lie beside it."""
    folder = tmp_path / "model"
    folder.mkdir()
    for file in model_file.parent.glob(f"{model_file.stem}.*"):
        shutil.copy(file, folder)
    return folder / model_file.name


def test_one_image_is_tuned_for_itself_alone(run: Run, photos: list[Path], own_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "found.json"
    outcome = run("tune", photos[0], "--model", own_model, *QUICK, "--out", out)
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0].startswith("Grad-CAM tuned on one image, photo.png, for cell ")
    assert "  Weights tuned on one image say nothing of others." in lines
    begin = next(place for place, line in enumerate(lines) if line.endswith("heatmaps measured:"))
    tuned, *others = lines[begin + 1 : begin + 2 + len(presets()) + 7]
    assert tuned.endswith("tuned: max of 7 stages")
    values = [line.split()[0] for line in others]
    assert values == sorted(values, key=lambda value: -np.inf if value == "–" else float(value), reverse=True)
    assert all(value == "–" or float(value) <= float(tuned.split()[0]) for value in values)
    assert [line.endswith(", flat") for line in others] == [value == "–" for value in values]
    assert "-1.0000" not in outcome.out  # a flat map is no score
    gain = next(line for line in lines if "needs no tuning" in line)
    assert re.match(r"  (A gain of \+\d\.\d{3} over|No gain over) ", gain)
    assert "By another measure, which it was not tuned for, it is " in gain
    told = json.loads(out.read_text(encoding="utf-8"))
    assert f"--weights {','.join(f'{weight:g}' for weight in told['weights'])}" in lines[1]
    assert (told["images"], told["held_out"], told["objective"]) == (1, None, "insertion-deletion@2")
    assert lines[-1].endswith("as random.tuned.json next to random.safetensors it is combi-cam-tuned of random")


def test_what_a_set_gives_becomes_the_preset_of_its_model(
    run: Run, own_model: Path, imagery: Path, photos: list[Path], tmp_path: Path
) -> None:
    maps = tmp_path / "maps.npz"
    explain = ["explain", photos[0], "--model", own_model, "--method", "combi-cam", "--preset", "tuned"]
    before = run(*explain, "--out", tmp_path / "out")
    assert (before.code, before.out) == (2, "")
    assert "model random: expected weights tuned for it, got none" in before.err
    out = own_model.with_suffix(".tuned.json")
    views = ["--imagery", imagery / "world.200406.png", "--views", 4, "--held-out", 0.25, "--seed", 5]
    outcome = run("tune", *views, "--model", own_model, *QUICK, "--level", "block", "--out", out)
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0] == "Grad-CAM tuned on 3 of 4 views of world.200406.png, seed 5"
    assert lines[-1] == f"written to {out}"
    found = load_model(own_model, "cpu").tuned
    assert found is not None
    assert found.held_out is not None
    assert (found.images, found.held_out.images) == (3, 1)
    assert found.cross_check is not None
    assert (found.held_out.objective, found.cross_check.objective) == ("insertion-deletion@2", "road@5")
    assert tuple(found.held_out.gains) == tuple(found.cross_check.gains) == REFERENCES
    for name in REFERENCES:
        said = [line.split()[2] for line in lines if line.split()[:2] == ["over", name]]
        assert said == [f"{one.gains[name].mean:+.4f}" for one in (found.held_out, found.cross_check)]
    assert sum("measured on too few images to be held against grad-cam" in line for line in lines) == 2
    again = run(*explain, "--out", tmp_path / "out", "--save-maps", maps)
    assert (again.code, again.err) == (0, "")
    made = json.loads((tmp_path / "out" / "explanation.json").read_text())["explanation"]["heatmaps"]["combi-cam"]
    assert made["weights"] == list(found.weights)
    assert (made["method"], made["level"], made["how"]) == (found.method, found.level, found.how)
    for level, words in (("stage", "its 16 weights are for, got stage"), ("block", "")):
        outcome = run(*explain, "--level", level, "--save-maps", maps)
        assert (outcome.code, outcome.err.count("\n")) == ((2, 1) if words else (0, 0))
        assert words in outcome.err
    assert run(*explain, "--level", "stage", "--stages", "7", "--save-maps", maps).code == 0
    examined = [
        "evaluate",
        "explanations",
        *views[:4],
        "--model",
        own_model,
        "--device",
        "cpu",
        "--metrics",
        "deletion",
    ]
    examined += ["--steps", 2, "--methods", "combi-cam-tuned", "grad-cam", "--out", tmp_path / "table"]
    outcome = run(*examined)
    assert (outcome.code, outcome.err) == (0, "")
    assert "combi-cam-tuned" in outcome.out
    settings = json.loads((tmp_path / "table" / "settings.json").read_text())
    assert settings["tuned"]["weights"] == list(found.weights)
    out.unlink()
    refused = run(*examined[:-1], tmp_path / "other")
    assert (refused.code, "expected weights tuned for it" in refused.err) == (2, True)
    assert not (tmp_path / "other").exists()


def test_nothing_is_held_out_where_nothing_is_to_be(run: Run, own_model: Path, imagery: Path) -> None:
    views = ["--imagery", imagery / "world.200406.png", "--views", 1, "--held-out", 0]
    outcome = run("tune", *views, "--model", own_model, *QUICK, "--method", "layer-cam")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("LayerCAM tuned on 1 of 1 views")
    assert "over grad-cam" not in outcome.out


def test_ctrl_c_is_one_sentence_and_leaves_nothing(
    run: Run, own_model: Path, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "found.json"
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", screen := Terminal(cue="3/"))
        assert run("tune", photos[0], "--model", own_model, *QUICK, "--out", out).code == 130
    assert screen.getvalue().splitlines()[-1].endswith("geoexplain: interrupted.")
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "one of the arguments"),
        (["a.png", "--imagery", "x"], "not allowed with"),
        (["a.png", "--images", "x"], "expected it with --manifest"),
        (["nowhere.png"], "nowhere.png"),
        (["--manifest", "x"], "expected --manifest and --images together"),
        (["--imagery", "nowhere"], "--imagery nowhere: expected a file, a folder"),
        (["--imagery", "x", "--held-out", "1"], "expected a share from 0 to 0.95"),
        (["a.png", "--method", "score-cam"], "invalid choice: 'score-cam'"),
        (["a.png", "--steps", "0"], "expected a whole number of at least 1"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(
    run: Run, words: list[str], sentence: str, model_file: Path
) -> None:
    outcome = run("tune", *words, "--model", model_file)
    assert (outcome.code, outcome.out) == (2, "")
    assert sentence in outcome.err
    assert outcome.err.count("\n") == 1


def test_the_words_by_hand() -> None:
    starts = {"grad-cam": 0.25, "stage 1 alone": 0.5, "stage 2 alone": None, "stage 3 alone": -0.1}
    without = {"stage 2 alone": 20, "stage 3 alone": 4}
    setting = Setting("stage", "max", (1.0, 0.25, 0.0))
    tuning = Tuning("grad-cam", setting, "insertion-deletion@9", 0.5, starts, without, 20, 7, 1234)
    assert text_of(tuning, "20 photos").splitlines() == [
        "Grad-CAM tuned on 20 photos",
        "  --level stage --how max --weights 1,0.25,0",
        "  insertion-deletion@9, higher is better; 7 settings, 1,234 heatmaps measured:",
        "    0.5000  tuned: max of 3 stages",
        "    0.5000  stage 1 alone",
        "    0.2500  Grad-CAM",
        "   -0.1000  stage 3 alone, without a value on 4 of 20 images",
        "         –  stage 2 alone, flat",
        "  Nothing that was tried is better than the best of these.",
    ]
    gains = {
        "grad-cam": Interval(0.2, 0.1, 0.3),
        "combi-cam": Interval(0.1, 0.01, 0.3),
        "combi-cam-all": Interval(0, -0.1, 0.1),
        "gaussian": Interval(-0.2, -0.3, -0.1),
    }
    held_out = HeldOut("30 other photos", 30, "insertion-deletion@50", Interval(0.5, 0.4, 0.6), gains)
    *lines, reading = held_out_lines(held_out)
    assert lines == [
        "On 30 other photos: insertion-deletion@50 0.5000 (0.4000 to 0.6000)",
        "  over grad-cam         +0.2000 (+0.1000 to +0.3000)  better",
        "  over combi-cam        +0.1000 (+0.0100 to +0.3000)  better",
        "  over combi-cam-all    +0.0000 (-0.1000 to +0.1000)  no gain",
        "  over gaussian         -0.2000 (-0.3000 to -0.1000)  worse",
    ]
    assert reading == (
        "  On images that they were not tuned on, these weights are better than grad-cam, combi-cam; no better, beyond "
        "chance, than combi-cam-all; worse than gaussian."
    )
