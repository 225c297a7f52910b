"""`geoexplain evaluate photos` from its options to its files and its words."""

import csv
import json
import pickle
import sys
from pathlib import Path

import pytest
from PIL import Image

from geoexplain.cli.evaluate_photos import PLOT, comparison, figures_table
from geoexplain.cli.image_set import names_text
from geoexplain.evaluation.figures import figures_of
from geoexplain.evaluation.published import PublishedFigures
from geoexplain.evaluation.record import ANSWERS, SETTINGS, SUMMARY, TABLE
from geoexplain.words import percent
from tests.cli.conftest import Run, Terminal
from tests.evaluation.photos import write_photos

FILES = (SETTINGS, ANSWERS, TABLE, SUMMARY, PLOT)


@pytest.fixture
def words(model_file: Path, tmp_path: Path) -> list[object]:
    file = write_photos(tmp_path / "set", 14, unreadable=(2,), missing=7)
    return [
        *("evaluate", "photos", "--manifest", file, "--images", file.parent / "images"),
        *("--model", model_file, "--device", "cpu", "--batch", 3),
    ]


def test_everything_is_written_and_said(run: Run, words: list[object], tmp_path: Path) -> None:
    outcome = run(*words, "--out", tmp_path / "out", "--published", "im2gps")
    assert (outcome.code, outcome.err) == (1, "")  # not all could be evaluated
    lines = outcome.out.splitlines()
    assert lines[0].startswith(
        "random on places.csv: 13 photos, one crop; localizable: density above 20 % within 25 km"
    )
    assert "  unreadable: 1 (2.png)" in lines
    shown = ", ".join(f"gone{i}.png" for i in range(5))
    assert f"  missing (no file): 7 ({shown}, … all in summary.json)" in lines
    summary = json.loads((tmp_path / "out" / SUMMARY).read_text(encoding="utf-8"))
    assert summary["counts"] == {"evaluated": 13, "unreadable": 1, "missing": 7, "unknown": 0}
    assert summary["missing"] == [f"gone{i}.png" for i in range(7)]
    assert [row["file"] for row in summary["unreadable"]] == ["2.png"]
    assert sum(row["photos"] for row in summary["by_density"]) == 13
    everything = summary["figures"]["predicted point"]["all"]
    with (tmp_path / "out" / TABLE).open(encoding="utf-8", newline="") as file:
        errors = [float(row["error_km"]) for row in csv.DictReader(file) if row["status"] == "ok"]
    for radius, share in everything["accuracy_by_km"].items():
        assert share == sum(error < float(radius) for error in errors) / 13
    assert everything["median_error_km"] == sorted(errors)[6]
    (paper,) = [line for line in lines if line.strip().startswith("humans")]
    here = 100 * everything["accuracy_by_km"]["2500"]
    assert f"39.3 / {percent(here / 100).removesuffix(' %')}" in paper
    assert "– / " in paper
    with Image.open(tmp_path / "out" / PLOT) as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 700


def test_ctrl_c_saves_and_resume_ends_with_the_same_files(
    run: Run, words: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(*words, "--out", tmp_path / "whole")
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", screen := Terminal(cue="6/14"))
        assert run(*words, "--out", tmp_path / "out").code == 130
    assert "interrupted; " in screen.getvalue()
    assert "photos are saved in" in screen.getvalue()
    assert "--resume" in screen.getvalue()
    answered = sum(len(json.loads(line)) for line in (tmp_path / "out" / ANSWERS).read_text().splitlines())
    assert 0 < answered < 14
    refused = run(*words, "--out", tmp_path / "out")
    assert refused.code == 2
    assert "expected a folder without an evaluation, found one: add --resume" in refused.err
    again = run(*words, "--out", tmp_path / "out", "--resume")
    assert (again.code, again.out, again.err) == (whole.code, whole.out, "")
    for name in FILES:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_other_settings_are_refused_in_one_sentence(run: Run, words: list[object], tmp_path: Path) -> None:
    run(*words, "--out", tmp_path / "out")
    outcome = run(*words, "--out", tmp_path / "out", "--resume", "--crops", 5)
    assert (outcome.code, outcome.out) == (2, "")
    assert "settings.json: expected crops 5, got 1 when the evaluation was begun" in outcome.err
    assert outcome.err.count("\n") == 1


def test_five_crops_and_a_rule_of_ones_own(run: Run, words: list[object], tmp_path: Path) -> None:
    options = ["--crops", 5, "--crop-rule", "mean", "--scale-km", 750, "--threshold", 0]
    outcome = run(*words, "--out", tmp_path / "out", *options)
    assert "13 photos, five crops (mean); localizable: density above 0 % within 750 km" in outcome.out
    assert "    localizable (13)" in outcome.out
    assert "    not localizable (0)" in outcome.out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--published", "im2gps9k"], "expected a set with published figures (im2gps, im2gps3k, yfcc4k)"),
        (["--crops", 3], "argument --crops"),
        (["--top-k", 3], "expected a gallery for Search within Cell, got none: add --gallery PATH"),
        (["--images", "/nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_begun(
    run: Run, words: list[object], sentence: str, model_file: Path, tmp_path: Path
) -> None:
    file = write_photos(tmp_path / "set", 1)
    given = ["--manifest", file, "--images", file.parent / "images", "--model", model_file, "--out", tmp_path / "out"]
    outcome = run("evaluate", "photos", *given, *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert sentence in outcome.err
    assert outcome.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_names_of_strangers_cannot_command_the_terminal(run: Run, model_file: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (70, 70), "red").save(tmp_path / "images" / "a.png")
    (tmp_path / "m.csv").write_text("id,lat,lon\na,1,2\n\x1b[31mred,3,4\n")
    given = ["--manifest", tmp_path / "m.csv", "--images", tmp_path / "images", "--model", model_file]
    outcome = run("evaluate", "photos", *given, "--device", "cpu", "--out", tmp_path / "out")
    assert "\x1b" not in outcome.out + outcome.err


def test_the_tables_by_hand() -> None:
    here = figures_of([0.5, 30.0, 300.0, 3000.0])
    rows = figures_table({"predicted point": {"all": here, "localizable": figures_of([])}}).splitlines()
    assert " ".join(rows[0].split()) == "within 0.1 km 1 km 25 km 200 km 750 km 2,500 km median"
    assert " ".join(rows[2].split()) == "all (4) 0 % 25.0 % 25.0 % 50.0 % 75.0 % 75.0 % 165 km"
    assert " ".join(rows[3].split()) == "localizable (0) – – – – – – –"
    paper = PublishedFigures("A", "theirs", "somebody", {1: 15.0, 750: 52.3, 300: 40.0})
    title, row = comparison([paper], here).splitlines()
    assert " ".join(title.split()) == "paper / here, % 1 km 300 km 750 km"
    assert " ".join(row.split()) == "theirs 15.0 / 25.0 40.0 / – 52.3 / 75.0 somebody"


def test_an_original_pickle_finds_its_photos_and_names_the_strangers(
    run: Run, model_file: Path, tmp_path: Path
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for name in ("bafg_34_12345.jpg", "777.jpg", "stranger.jpg"):
        Image.new("RGB", (70, 80), "green").save(images / name)
    positions = {key: {"lat": "45.76", "lon": "4.83"} for key in ("12345.jpg", "777", "8888")}
    (tmp_path / "metadata.pkl").write_bytes(pickle.dumps(positions))
    given = ["--manifest", tmp_path / "metadata.pkl", "--images", images, "--model", model_file, "--device", "cpu"]
    outcome = run("evaluate", "photos", *given, "--out", tmp_path / "out")
    assert outcome.code == 1
    assert "  missing (no file): 1 (8888)" in outcome.out.splitlines()
    assert "  unknown (files in no row): 1 (stranger.jpg)" in outcome.out.splitlines()
    with (tmp_path / "out" / TABLE).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["id"], row["file"]) for row in rows[:2]] == [("12345.jpg", "bafg_34_12345.jpg"), ("777", "777.jpg")]
    assert {(row["lat_deg"], row["lon_deg"]) for row in rows[:2]} == {("45.76", "4.83")}


def test_few_names_are_all_shown() -> None:
    assert names_text(["a", "b"]) == "a, b"
    assert names_text(list("abcdef")) == "a, b, c, d, e, … all in summary.json"
