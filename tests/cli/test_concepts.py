"""`geoexplain concepts` against the library, and against concepts whose place is known."""

import argparse
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import geoexplain
from geoexplain.cli.concepts import mask_files
from geoexplain.cli.position import parse_position
from geoexplain.explainer.segmenters import LandCover
from geoexplain.geography.footprint import Footprint
from geoexplain.images import Preprocess
from geoexplain.locator.model import GeoModel
from geoexplain.view.influence import TOP_COLOUR
from geoexplain.words import percent
from tests.cli.conftest import Run, Terminal
from tests.explainer.segformers import save_segformer
from tests.geography.maps import square, write_geojson

LEGEND = "color,name\n#ff0000,west\n#0000ff,east: <b>\n#000000,\n#00ff00,nowhere\n"


@pytest.fixture
def painted(photos: list[Path]) -> tuple[Path, Path]:
    """A mask for the second photo, 96 px wide: west is its left half, east its right quarter; and the legend."""
    pixels = np.zeros((96, 96, 3), dtype=np.uint8)
    pixels[:, :48, 0] = pixels[:, 72:, 2] = 255
    mask, legend = photos[1].parent / "mask.png", photos[1].parent / "legend.csv"
    Image.fromarray(pixels).save(mask)
    legend.write_text(LEGEND)
    return mask, legend


def test_the_table_is_worked_out_from_the_strongest_pixels(
    run: Run, model: GeoModel, model_file: Path, photos: list[Path], painted: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = ["--model", model_file, "--mask", painted[0], "--legend", painted[1], "--target", "3", "--k", "100"]
    words += ["--method", "grad-cam", "--smallest-share", "0.3"]
    outcome = run("concepts", photos[1], *words, "--json", "--out", out)
    assert (outcome.code, outcome.err) == (0, "")
    record = json.loads(outcome.out)
    assert record == json.loads((out / "concepts.json").read_text())
    heatmap = geoexplain.explain(photos[1], model, target=3).heatmap("grad-cam").values  # (64, 64)
    columns = np.argsort(-heatmap.ravel(), kind="stable")[:100] % 64
    west, east = (columns < 32).mean(), (columns >= 48).mean()
    ranges = [one.pop("chance") for one in record["concepts"]]
    assert ranges[1:] == [None, None]  # of what does not count nothing is said
    low, high = ranges[0]
    assert record["concepts"] == [
        {"concept": "west", "share": 0.5, "tki": west, "ci": west / 0.5, "ignored": ""},
        {
            "concept": "east: <b>",
            "share": 0.25,
            "tki": east,
            "ci": east / 0.25,
            "ignored": "covers 25.0 % of the image, less than 30 %",
        },
        {"concept": "nowhere", "share": 0.0, "tki": 0.0, "ci": None, "ignored": "not in the image"},
    ]
    assert (record["target"]["cell"], record["method"], record["segmenter"]) == (3, "grad-cam", "mask")
    assert (record["k"], record["dilation_px"], record["flat"], record["position"]) == (100, 0, False, None)
    said = run("concepts", photos[1], *words).out.splitlines()
    verdict = "  more" if west / 0.5 > high else "  fewer" if west / 0.5 < low else ""
    figures = f"{percent(west):>10}  {west / 0.5:>9.2f}  {f'{low:.2f} to {high:.2f}':>12}"
    assert f"  west                50.0 %  {figures}{verdict}" in said
    assert "  east: <b>           25.0 %  ignored: covers 25.0 % of the image, less than 30 %" in said
    assert "  concepts     as painted" in said

    assert {file.name for file in out.iterdir()} == {
        *("concepts.json", "influence.png", "top.png", "explanation.png"),
        *("mask-1-west.png", "mask-2-east-b.png"),
    }
    top = np.asarray(Image.open(out / "top.png"))
    assert top.shape == (192, 192, 3)
    assert (top == TOP_COLOUR).all(axis=-1).sum() == 9 * 100


def test_of_a_flat_explanation_nothing_is_said(
    run: Run, model_file: Path, photos: list[Path], painted: tuple[Path, Path], tmp_path: Path
) -> None:
    words = ["--model", model_file, "--mask", painted[0], "--legend", painted[1], "--method", "grad-cam"]
    outcome = run("concepts", photos[1], *words, "--target", "7", "--out", tmp_path)  # which speaks for no stage
    assert outcome.code == 0
    assert "no concept covers enough" in outcome.out
    assert outcome.out.count("ignored: the explanation is flat") == 2
    assert "  not in the image: nowhere\n" in outcome.out
    record = json.loads((tmp_path / "concepts.json").read_text())
    assert record["flat"] is True
    assert [one["ci"] for one in record["concepts"]] == [None] * 3


def test_masks_grow_before_they_are_counted(
    run: Run, model_file: Path, photos: list[Path], painted: tuple[Path, Path], tmp_path: Path
) -> None:
    words = ["--model", model_file, "--mask", painted[0], "--legend", painted[1], "--dilate", "5", "--out", tmp_path]
    record = json.loads(run("concepts", photos[1], *words, "--method", "grad-cam", "--json").out)
    # West ends at column 32 of 64 and grows to 37, east begins at 48 and grows to 43.
    assert [one["share"] for one in record["concepts"]] == [37 / 64, 21 / 64, 0]
    bright = np.asarray(Image.open(tmp_path / "mask-1-west.png")).astype(int)
    plain = np.asarray(Image.open(photos[1]).resize((192, 192), Image.Resampling.BILINEAR)).astype(int)
    np.testing.assert_array_equal(bright[:, : 3 * 37], plain[:, : 3 * 37])
    np.testing.assert_array_equal(bright[:, 3 * 37 + 1 :], plain[:, 3 * 37 + 1 :] // 4)


def test_land_cover_at_a_position(run: Run, model: GeoModel, model_file: Path, photos: list[Path]) -> None:
    words = ["concepts", photos[1], "--model", model_file, "--segmenter", "landcover", "--method", "grad-cam"]
    view = model.preprocess.view(Image.open(photos[1]))
    plain = json.loads(run(*words, "--json").out)
    assert {one["concept"]: one["share"] for one in plain["concepts"]} == {
        name: mask.mean() for name, mask in LandCover()(view).items()
    }
    placed = json.loads(run(*words, "--json", "--position", "-33.9,151.2,800,20").out)
    position = Footprint(-33.9, 151.2, 800, 20)
    assert placed["position"] == {"lat_deg": -33.9, "lon_deg": 151.2, "width_km": 800, "rotation_deg": 20}
    assert {one["concept"]: one["share"] for one in placed["concepts"]} == {
        name: mask.mean() for name, mask in LandCover()(view, position).items()
    }
    found = geoexplain.locate(photos[1], model)
    predicted = json.loads(run(*words, "--json", "--position", "predicted,800").out)["position"]
    assert (predicted["lat_deg"], predicted["lon_deg"]) == pytest.approx((found.lat_deg, found.lon_deg), abs=1e-4)
    assert "by colour alone; --position distinguishes ocean from lake" in run(*words).out
    assert "by the map at -33.9000,151.2000, 800 km wide" in run(*words, "--position=-33.9,151.2,800").out


def test_natural_earth_names_what_lies_there(run: Run, model_file: Path, photos: list[Path], tmp_path: Path) -> None:
    # A desert over all of a view in the Sahara, and a city in its lower left quarter.
    desert = ({"FEATURECLA": "Desert"}, [square(5, 15, 15, 25)])
    write_geojson(tmp_path / "ne_50m_geography_regions_polys.json", [desert])
    write_geojson(tmp_path / "ne_50m_urban_areas.json", [({}, [square(5, 15, 10, 20)])])
    words = ["concepts", photos[1], "--model", model_file, "--segmenter", "landcover", "--method", "grad-cam"]
    words += ["--naturalearth", tmp_path, "--position", "20,10,100"]
    shares = {one["concept"]: one["share"] for one in json.loads(run(*words, "--json").out)["concepts"]}
    assert shares["named desert"] == 1
    assert shares["urban area"] == pytest.approx(0.25, abs=0.01)
    assert re.search("not in the image: .*plateau", run(*words).out)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("42.3,12.9,1150", ((42.3, 12.9), 1150, 0)),
        ("-42.3, 12.9, 1150, -30", ((-42.3, 12.9), 1150, -30)),
        ("predicted,1150", (None, 1150, 0)),
        ("predicted, 1150, 90", (None, 1150, 90)),
    ],
)
def test_positions(text: str, expected: tuple) -> None:
    found = parse_position(text)
    assert (found.center_deg, found.width_km, found.rotation_deg) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected LAT,LON,WIDTH_KM"),
        ("42,12", "expected LAT,LON,WIDTH_KM"),
        ("42,12,1,2,3", "expected LAT,LON,WIDTH_KM"),
        ("predicted", "expected LAT,LON,WIDTH_KM"),
        ("somewhere,3", "expected LAT,LON,WIDTH_KM"),
        ("91,0,5", "expected a latitude in"),
        ("0,0,0", "a width above 0"),
        ("predicted,30000", "a width above 0"),
        ("nan,0,5", "expected a latitude in"),
    ],
)
def test_other_positions_are_refused(text: str, message: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=message):
        parse_position(text)


def test_a_cropped_picture_covers_less() -> None:
    # 200 × 50 px are cropped to 150 × 50 around the centre.
    position = parse_position("10,20,800,30")
    whole, wide = Image.new("RGB", (50, 50)), Image.new("RGB", (200, 50))
    assert position.of_view((0, 0), whole, Preprocess(size_px=8)) == Footprint(10, 20, 800, 30)
    assert position.of_view((0, 0), wide, Preprocess(size_px=8)) == Footprint(10, 20, 600, 30)
    assert parse_position("predicted,80").of_view((1, 2), wide, Preprocess(size_px=8)) == Footprint(1, 2, 60)


def test_segformer_from_a_folder(run: Run, model_file: Path, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    image = Image.new("RGB", (64, 64), (200, 50, 20))
    image.paste((20, 50, 200), (32, 0, 64, 64))
    image.save(tmp_path / "halves.png")
    words = ["--model", model_file, "--segformer", save_segformer(tmp_path / "net"), "--method", "grad-cam", "--json"]
    record = json.loads(run("concepts", tmp_path / "halves.png", *words).out)
    # As in tests/explainer/test_segformer.py, red reaches 1/4 of a patch, that is 4 of 64 px, beyond the middle.
    assert {one["concept"]: one["share"] for one in record["concepts"]} == {"red": 36 / 64, "blue": 28 / 64}
    assert record["segmenter"] == "segformer"


def test_integrated_gradients_report_their_error(
    run: Run, model_file: Path, photos: list[Path], painted: tuple[Path, Path]
) -> None:
    words = ["concepts", photos[1], "--model", model_file, "--mask", painted[0], "--legend", painted[1]]
    record = json.loads(run(*words, "--json").out)
    assert record["method"] == "integrated-gradients"
    assert 0 <= record["completeness_error"] < 0.05 * abs(record["score_change"])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "expected --segmenter for a model other than earth-views-lite0, got none: choose landcover for views"),
        (["--segmenter", "mask"], "--segmenter mask: expected --mask with it, got none: add --mask"),
        (["--segmenter", "segformer"], "--segmenter segformer: expected --segformer with it, got none"),
        (["--mask", "m.png"], "expected --mask and --legend together, got --mask alone: add --legend"),
        (["--segmenter", "landcover", "--legend", "l.csv"], "together, got --legend alone: add --mask"),
        (["--mask", "m.png", "--legend", "l", "--segformer", "d"], "expected one source of concepts, got --segformer"),
        (["--mask", "m.png", "--legend", "l", "--segmenter", "landcover"], "got --mask with landcover"),
        (["--segmenter", "landcover", "--allow-download"], "--allow-download: expected --segformer with it"),
        (
            ["--mask", "m.png", "--legend", "l", "--position", "1,2,3"],
            "--position: expected --segmenter landcover, got mask",
        ),
        (["--segmenter", "landcover", "--naturalearth", "."], "--naturalearth: expected --position with it"),
        (["--segmenter", "landcover", "--position", "1,2"], "expected LAT,LON,WIDTH_KM such as"),
        (["--segmenter", "landcover", "--target", "50"], "--target: expected a cell from 0 to 49, got 50"),
        (["--segmenter", "landcover", "--smallest-share", "2"], "expected a share from 0 to 1"),
        (["--segmenter", "landcover", "--method", "guess"], "invalid choice: 'guess'"),
        (["--segformer", "nowhere"], "expected a folder, or a model of the hub such as owner/model"),
    ],
)
def test_what_cannot_be_counted_is_refused_at_once(
    words: list[str], sentence: str, run: Run, model_file: Path, photos: list[Path]
) -> None:
    if "--segformer" in words:
        pytest.importorskip("transformers")
    outcome = run("concepts", photos[1], "--model", model_file, *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert sentence in outcome.err
    assert outcome.err.count("\n") == 1


def test_a_mask_that_does_not_fit_is_said_in_a_sentence(
    run: Run, model_file: Path, photos: list[Path], painted: tuple[Path, Path]
) -> None:
    words = ["--model", model_file, "--mask", painted[0], "--legend", painted[1], "--method", "grad-cam"]
    outcome = run("concepts", photos[0], *words)
    assert outcome.code == 1
    assert "mask: expected the size of the image, 120 × 90 px, got 96 × 96 px" in outcome.err
    too_many = run("concepts", photos[1], *words, "--k", "5000")
    assert too_many.code == 1
    assert "expected k from 1 to the image's 4096 pixels, got 5000" in too_many.err


def test_interrupted_it_says_one_sentence(
    run: Run, model_file: Path, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", Terminal(" 8/500"))
        words = ["--segmenter", "landcover", "--method", "smoothgrad-squared", "--out", out]
        outcome = run("concepts", photos[1], "--model", model_file, *words)
        said = sys.stderr.getvalue()
    assert outcome.code == 130
    assert "SmoothGrad²: " in said
    assert said.splitlines()[-1].endswith("geoexplain: interrupted.")
    assert list(out.iterdir()) == []


def test_every_concept_has_a_file_of_its_own() -> None:
    names = mask_files(["ice and snow", "Ice & Snow", "../../x", "ñ", "a" * 80])
    assert names == [
        *("mask-1-ice-and-snow.png", "mask-2-ice-snow.png", "mask-3-x.png", "mask-4-concept.png"),
        f"mask-5-{'a' * 40}.png",
    ]
