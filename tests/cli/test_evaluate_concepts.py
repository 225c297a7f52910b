"""`geoexplain evaluate concepts` from its options to its files and its words."""

import csv
import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from geoexplain.cli.evaluate_concepts import PLOT
from geoexplain.evaluation.record import ANSWERS, SETTINGS, SUMMARY, TABLE
from tests.cli.conftest import Run, Terminal
from tests.evaluation.photos import write_photos
from tests.geography.maps import square, write_geojson

QUICK = ["--methods", "grad-cam", "combi-cam", "random", "--k", 100, "--smallest-count", 1, "--smallest-share", 0.01]
BINS = ["--bins", 0, 5000, 21000]


@pytest.fixture
def on_views(model_file: Path, imagery: Path) -> list[object]:
    words = ["evaluate", "concepts", "--imagery", imagery / "world.200401.png", imagery / "world.200406.png"]
    return [*words, "--views", 5, "--seed", 3, "--model", model_file, "--device", "cpu", *QUICK]


def test_views_are_looked_at_written_and_said(run: Run, on_views: list[object], tmp_path: Path) -> None:
    outcome = run(*on_views, *BINS, "--out", tmp_path / "out")
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0] == "random on 5 views of world.200401.png, world.200406.png"
    assert [line.strip() for line in lines if line.startswith("  ") and line[2] not in " ci"] == [
        "grad-cam",
        "(random)",
    ]
    assert "  combi-cam" in lines
    summary = json.loads((tmp_path / "out" / SUMMARY).read_text(encoding="utf-8"))
    assert sum(summary["images_by_bin"]) == 5
    with (tmp_path / "out" / TABLE).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["method"] for row in rows} == {"grad-cam", "combi-cam", "random"}
    for method, found in summary["methods"].items():
        for concept, bins in found["concepts"].items():
            for one in bins:
                values = [
                    float(row["ci"])
                    for row in rows
                    if (row["method"], row["concept"], row["ignored"]) == (method, concept, "")
                    and one["low_km"] <= float(row["error_km"]) < one["high_km"]
                ]
                assert len(values) == one["images"]
                if values:
                    assert one["mean"]["value"] == pytest.approx(sum(values) / len(values))
                    assert one["mean"]["low"] is one["mean"]["high"] is None  # five views have no interval
                    assert any(f"{one['mean']['value']:.2f} [too few]" in line for line in lines)
    with Image.open(tmp_path / "out" / PLOT) as picture:
        assert picture.format == "PNG"


def test_ctrl_c_saves_and_resume_takes_other_bins(
    run: Run, on_views: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(*on_views, *BINS, "--out", tmp_path / "whole")
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", screen := Terminal(cue="2/5"))
        assert run(*on_views, "--out", tmp_path / "out").code == 130
    assert "images are saved in" in screen.getvalue()
    again = run(*on_views, *BINS, "--out", tmp_path / "out", "--resume")
    assert (again.code, again.out, again.err) == (0, whole.out, "")
    for name in (SETTINGS, ANSWERS, TABLE, SUMMARY):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    refused = run(*on_views, "--out", tmp_path / "out", "--resume", "--dilate", 2)
    assert refused.code == 2
    assert "expected dilation_px 2, got 0" in refused.err


def test_natural_earth_adds_what_it_names(run: Run, on_views: list[object], tmp_path: Path) -> None:
    everywhere = [({"featurecla": "Plateau"}, [square(-180, -90, 180, 90)])]
    write_geojson(tmp_path / "ne_50m_geography_regions_polys.json", everywhere)
    outcome = run(*on_views, *BINS, "--naturalearth", tmp_path, "--out", tmp_path / "out")
    assert (outcome.code, outcome.err) == (0, "")
    assert "plateau" in outcome.out
    empty = tmp_path / "empty"
    empty.mkdir()
    refused = run(*on_views, "--naturalearth", empty, "--out", tmp_path / "other")
    assert refused.code == 2
    assert "expected Natural Earth's files" in refused.err
    assert not (tmp_path / "other").exists()


def test_photos_with_painted_masks(run: Run, model_file: Path, tmp_path: Path) -> None:
    file = write_photos(tmp_path / "set", 3, unreadable=(2,), missing=1)
    images, masks = file.parent / "images", tmp_path / "masks"
    masks.mkdir()
    for index in (0, 1):
        with Image.open(images / f"{index}.png") as photo:
            Image.new("RGB", photo.size, (0, 0, 255)).save(masks / f"{index}.png")
    legend = tmp_path / "legend.json"
    legend.write_text('{"#0000ff": "sky"}')
    words = ["evaluate", "concepts", "--manifest", file, "--images", images, "--masks", masks, "--legend", legend]
    outcome = run(*words, "--model", model_file, "--device", "cpu", *QUICK, *BINS, "--out", tmp_path / "out")
    assert (outcome.code, outcome.err) == (1, "")
    lines = outcome.out.splitlines()
    assert lines[-2:] == ["  unreadable: 1 (2.png)", "  missing: 1 (gone0.png)"]
    # Whatever covers everything holds exactly its share.
    assert sum("1.00 [too few]" in line for line in lines) >= 3


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--imagery", "x", "--bins", "5"], "--bins: expected at least two increasing distances, got 5"),
        (["--imagery", "x", "--bins", "5", "5"], "--bins: expected at least two increasing distances, got 5 5"),
        (["--imagery", "x", "--bins", "-1", "5"], "expected a distance from 0 to 21000 km"),
        (["--imagery", "x", "--methods", "gradcam"], "invalid choice: 'gradcam'"),
        (["--imagery", "x", "--masks", "y"], "--masks and --legend together, got --masks alone: add --legend"),
        (
            ["--imagery", "x", "--masks", "y", "--legend", "z"],
            "--masks: expected the photos of a --manifest, got --imagery",
        ),
        (["--imagery", "x", "--at", "home"], "invalid choice: 'home'"),
        (["--imagery", "x", "--allow-download"], "--allow-download: expected --segformer with it"),
        (["--imagery", "x", "--naturalearth", "nowhere"], "expected a folder of Natural Earth's files"),
        (["--imagery", "nowhere"], "--imagery nowhere: expected a file, a folder"),
        (["--manifest", "x", "--images", "y"], "add --masks and --legend, or --segformer"),
        (
            ["--manifest", "x", "--images", "y", "--naturalearth", "z"],
            "--naturalearth: expected the views of --imagery, got a --manifest",
        ),
        (["--manifest", "x", "--images", "y", "--masks", "nowhere", "--legend", "z"], "expected a folder of masks"),
        (["--imagery", "x", "--segformer", "a", "--masks", "y", "--legend", "z"], "choose one of them"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_begun(
    run: Run, words: list[str], sentence: str, model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = run("evaluate", "concepts", *words, "--model", model_file, "--out", tmp_path / "out")
    assert (outcome.code, outcome.out) == (2, "")
    assert sentence in outcome.err
    assert outcome.err.count("\n") == 1
    assert not (tmp_path / "out").exists()
