"""`geoexplain explain` against the Python interface, and what it writes."""

import json
import math
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import geoexplain
from geoexplain.cli.batch import unique_names
from geoexplain.explainer.cams import score_cam
from geoexplain.explainer.combine import upsample
from geoexplain.explainer.tuned import presets
from geoexplain.locator.model import GeoModel
from geoexplain.view.export import prediction_record
from geoexplain.view.overlay import overlay
from tests.cli.conftest import Run, Terminal, smooth_colours

GRADIENT = ["grad-cam", "grad-cam++", "layer-cam"]


def read(file: Path) -> dict:
    return json.loads(file.read_text(encoding="utf-8"))


def test_overlays_record_and_map_of_one_image(
    run: Run, model: GeoModel, model_file: Path, photos: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "new" / "folder"
    outcome = run("explain", photos[0], "--model", model_file, "--out", out, "--colormap", "viridis", "--opacity", ".3")
    assert (outcome.code, outcome.err) == (0, "")
    names = ["combi-cam", *GRADIENT]
    assert {file.name for file in out.iterdir()} == {"explanation.json", "map.html", *(f"{name}.png" for name in names)}
    explanation = geoexplain.explain(photos[0], model)
    heatmaps = {name: explanation.heatmap(name) for name in GRADIENT} | {"combi-cam": explanation.combi_cam()}
    record = read(out / "explanation.json")
    made = record.pop("explanation")
    assert record == prediction_record(str(photos[0]), model, explanation.prediction)
    target = explanation.target
    assert target == explanation.prediction.cell
    assert made["target"] == record["top"][0]
    assert (made["score"], made["colormap"], made["opacity"], made["map"]) == (
        "probability",
        "viridis",
        0.3,
        "map.html",
    )
    assert (made["input_height_px"], made["input_width_px"]) == explanation.size_hw == (64, 85)
    assert list(made["heatmaps"]) == names
    for name, heatmap in heatmaps.items():
        one = made["heatmaps"][name]
        assert (one["file"], one["flat"]) == (f"{name}.png", heatmap.flat)
        assert (one["method"], one["level"], one["how"]) == (heatmap.method, heatmap.level, heatmap.how)
        assert one["weights"] == list(heatmap.weights)
        with Image.open(out / one["file"]) as drawn:
            expected = overlay(explanation.image, heatmap.values, 0.3, "viridis")
            assert drawn.size == (120, 90)
            assert np.array_equal(np.asarray(drawn), np.asarray(expected))
    assert made["heatmaps"]["combi-cam"]["weights"] == [1.0] * 16
    assert made["heatmaps"]["layer-cam"]["weights"] == [0.0] * 6 + [1.0]


def test_a_long_image_is_drawn_as_far_as_the_network_sees_it(run: Run, model_file: Path, photos: list[Path]) -> None:
    out = photos[2].parent / "out"
    run("explain", photos[2], "--model", model_file, "--out", out, "--method", "grad-cam", "--opacity", "0")
    with Image.open(out / "grad-cam.png") as drawn, Image.open(photos[2]) as whole:
        # 50 × 200 px, cropped to 3 : 1 around its centre
        assert np.array_equal(np.asarray(drawn), np.asarray(whole)[25:175])


def test_raw_maps_are_those_of_the_library(run: Run, model: GeoModel, model_file: Path, photos: list[Path]) -> None:
    file = photos[0].parent / "maps.npz"
    words = ["--method", "combi-cam", "--method", "layer-cam", "--level", "stage", "--stages", "3,5,7"]
    words += ["--weights", "1,.5,2", "--how", "max", "--score", "logit", "--target", "7"]
    outcome = run("explain", photos[0], "--model", model_file, "--save-maps", file, *words)
    assert outcome.code == 0
    explanation = geoexplain.explain(photos[0], model, target=7, score="logit")
    with np.load(file) as saved:
        arrays = dict(saved)
    counts = {"stage": 7, "block": 16}
    keys = {f"{name}/{level}/{i}" for name in GRADIENT for level, n in counts.items() for i in range(1, n + 1)}
    assert arrays.keys() == keys | {"combi-cam", "layer-cam"}
    for name in GRADIENT:
        for level in counts:
            for one in explanation.maps(name, level):
                found = arrays[f"{name}/{level}/{one.index}"]
                assert found.dtype == np.float32
                assert np.array_equal(found, one.values)
    deepest = explanation.maps("layer-cam", "stage")[-1].values
    assert np.array_equal(arrays["layer-cam"], upsample(deepest, (64, 85)))
    # Combi-CAM by hand: each map over its maximum, upsampled, weighted, summed.
    maps = [explanation.maps("grad-cam", "stage")[i - 1].values for i in (3, 5, 7)]
    parts = [w * upsample(m / m.max(), (64, 85)) for m, w in zip(maps, (1, 0.5, 2), strict=True) if m.max() > 0]
    assert arrays["combi-cam"] == pytest.approx(sum(parts), abs=1e-6)
    assert arrays["combi-cam"].shape == (64, 85)


@pytest.mark.parametrize("preset", presets())
def test_a_preset_is_that_of_the_library(
    preset: str, run: Run, model: GeoModel, model_file: Path, photos: list[Path]
) -> None:
    file = photos[0].parent / "maps.npz"
    run("explain", photos[1], "--model", model_file, "--save-maps", file, "--method", "combi-cam", "--preset", preset)
    row = presets()[preset]
    explanation = geoexplain.explain(photos[1], model, score=row.score)
    weights = row.weights({"stage": 7, "block": 16}[row.level])
    expected = explanation.combi_cam(weights, level=row.level, how=row.how)
    with np.load(file) as saved:
        assert np.array_equal(saved["combi-cam"], expected.values)
        if preset == "grad-cam":
            assert np.array_equal(saved["combi-cam"], explanation.heatmap("grad-cam").values)


def test_stages_are_stages_unless_blocks_are_asked_for(
    run: Run, model_file: Path, photos: list[Path], tmp_path: Path
) -> None:
    def weights(*words: str) -> list[float]:
        run("explain", photos[0], "--model", model_file, "--out", tmp_path, "--method", "combi-cam", *words)
        return read(tmp_path / "explanation.json")["explanation"]["heatmaps"]["combi-cam"]["weights"]

    assert weights("--stages", "7,3") == [0, 0, 1, 0, 0, 0, 1]
    assert weights("--stages", "7,3", "--weights", "2,.5") == [0, 0, 0.5, 0, 0, 0, 2]
    assert weights("--stages", "16", "--level", "block") == [0] * 15 + [1]
    assert weights("--stages", "16", "--preset", "as-published") == [0] * 15 + [1]
    assert weights("--weights", ",".join("0123456"), "--level", "stage") == [0, 1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("spelling", [["--target=-12.5,30"], ["--target", "-12.5,30"], ["--target", "-12.5, 30"]])
def test_a_point_is_explained_by_the_nearest_cell(
    spelling: list[str], run: Run, model: GeoModel, model_file: Path, photos: list[Path], tmp_path: Path
) -> None:
    def central_angle(lat: float, lon: float) -> float:
        a, b = math.radians(lat), math.radians(-12.5)
        cosine = math.sin(a) * math.sin(b) + math.cos(a) * math.cos(b) * math.cos(math.radians(lon - 30))
        return math.acos(cosine)

    nearest = min(range(50), key=lambda cell: central_angle(*model.partition.centers_deg[cell]))
    words = ["explain", photos[0], "--model", model_file, "--out", tmp_path, "--method", "grad-cam"]
    outcome = run(*words, *spelling)
    assert outcome.code == 0
    assert read(tmp_path / "explanation.json")["explanation"]["target"]["cell"] == nearest
    assert f"cell {nearest}: cell {nearest}," in outcome.out


def test_a_flat_heatmap_is_said_to_be_flat(run: Run, model_file: Path, photos: list[Path], tmp_path: Path) -> None:
    words = ["--method", "combi-cam", "--method", "grad-cam", "--level", "stage", "--weights", "0,0,0,0,0,0,0"]
    outcome = run("explain", photos[0], "--model", model_file, "--out", tmp_path, *words)
    made = read(tmp_path / "explanation.json")["explanation"]["heatmaps"]
    assert made["combi-cam"]["flat"] is True
    assert made["grad-cam"]["flat"] is False
    said = {line.split()[0]: line for line in outcome.out.splitlines()[2:]}
    assert "flat" in said["combi-cam"]
    assert said["grad-cam"].endswith("sum of stage 7")


def test_images_of_one_name_do_not_overwrite_each_other(
    run: Run, model: GeoModel, model_file: Path, photos: list[Path], tmp_path: Path
) -> None:
    out, bad = tmp_path / "out", tmp_path / "bad.png"
    bad.write_text("no image")
    words = ["--model", model_file, "--out", out, "--save-maps", tmp_path / "maps.npz", "--method", "grad-cam"]
    outcome = run("explain", photos[0], bad, photos[1], photos[2], photos[0], *words, "--json")
    assert outcome.code == 1
    lines = [json.loads(line) for line in outcome.out.splitlines()]
    assert [line["image"] for line in lines] == [str(p) for p in (photos[0], bad, photos[1], photos[2], photos[0])]
    assert list(lines[1]) == ["image", "error"]
    folders = {"photo": photos[0], "Photo-2": photos[1], "tall": photos[2], "photo-3": photos[0]}
    assert {file.name for file in out.iterdir()} == folders.keys()
    assert {file.name for file in tmp_path.glob("*.npz")} == {f"maps-{name}.npz" for name in folders}
    for name, photo in folders.items():
        expected = geoexplain.explain(photo, model).heatmap("grad-cam").values
        assert read(out / name / "explanation.json")["image"] == str(photo)
        with np.load(tmp_path / f"maps-{name}.npz") as saved:
            assert np.array_equal(saved["grad-cam"], expected)


def test_names_are_unique_whatever_the_files_are_called() -> None:
    images = ["a/x.jpg", "b/x.png", "x-2.jpg", "X.gif", "..", "...", "c/.png", "y.tar.gz"]
    assert unique_names(images) == ["x", "x-2", "x-2-2", "X-3", "image", "image-2", "png", "y.tar"]


def test_json_alone_writes_no_file(
    run: Run, model: GeoModel, model_file: Path, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path)
    outcome = run("explain", photos[0], "--model", model_file, "--json")
    prediction = geoexplain.locate(photos[0], model)
    found = json.loads(outcome.out)
    expected = prediction_record(str(photos[0]), model, prediction)
    assert list(found) == list(expected)
    # The forward pass that is explained does not run in inference mode, which may round differently.
    assert found["probability"] == pytest.approx(expected["probability"], rel=1e-5)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "expected something to write, got none: add --out DIR, --save-maps FILE.npz, --json or "),
        (["--json", "--weights", "1,2"], "--weights: expected 16 weights, one per block (see --level), got 2"),
        (["--json", "--stages", "3,5", "--weights", "1"], "expected 2 weights, one for each of --stages 3,5, got 1"),
        (["--json", "--stages", "3,8"], "--stages: expected numbers from 1 to 7, the stages of this model, got 8"),
        (["--json", "--stages", "0", "--level", "block"], "from 1 to 16, the blocks of this model, got 0"),
        (["--json", "--stages", "3,3"], "--stages: expected each stage once, got 3,3"),
        (["--json", "--stages", "three"], "--stages: expected numbers such as 3,5,7, got 'three'"),
        (["--json", "--stages", "3", "--weights", "nan"], "--weights: expected finite numbers of at least 0, got nan"),
        (["--json", "--stages", "3", "--weights=-1"], "--weights: expected finite numbers of at least 0, got -1"),
        (["--json", "--method", "grad-cam", "--stages", "3"], "--stages: expected --method combi-cam, got grad-cam"),
        (["--json", "--target", "50"], "--target: expected a cell from 0 to 49, got 50"),
        (["--json", "--target", "-1"], "--target: expected a cell from 0 to 49, got -1"),
        (["--json", "--target", "91,0"], "expected a target latitude in [-90, 90] and longitude in [-180, 180]"),
        (["--json", "--target", "nan,0"], "expected a target latitude in [-90, 90]"),
        (["--out", "photo.png"], "photo.png: expected a folder that can be written to"),
    ],
)
def test_what_cannot_be_explained_is_refused_before_anything_is_written(
    words: list[str], sentence: str, run: Run, model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    smooth_colours(0, 80, 80).save("photo.png")
    outcome = run("explain", "photo.png", "--model", model_file, *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert sentence in outcome.err
    assert outcome.err.startswith("geoexplain: ")
    assert outcome.err.count("\n") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["photo.png"]


def test_a_file_in_the_way_fails_one_image(run: Run, model_file: Path, photos: list[Path], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "photo").write_text("in the way")
    words = ["--model", model_file, "--out", tmp_path / "out", "--method", "grad-cam"]
    outcome = run("explain", photos[0], photos[2], *words)
    assert outcome.code == 1
    assert outcome.err.startswith(f"geoexplain: {photos[0]}: ")
    assert "expected a folder that can be written to" in outcome.err
    assert (tmp_path / "out" / "tall" / "grad-cam.png").is_file()


class Addresses(HTMLParser):
    """Every address that a page would ask for."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "poster")]


def test_the_map_asks_for_nothing(run: Run, model_file: Path, photos: list[Path], tmp_path: Path) -> None:
    run("explain", photos[0], "--model", model_file, "--out", tmp_path, "--method", "grad-cam", "--target", "9")
    page = (tmp_path / "map.html").read_text(encoding="utf-8")
    parser = Addresses()
    parser.feed(page)
    sheets = re.findall(r"<style>(.*?)</style>", page, flags=re.DOTALL)
    asked = parser.found + re.findall(r"url\(['\"]?([^)'\"]+)", " ".join(sheets)) + re.findall(r"@import\s+(\S+)", page)
    assert [address for address in asked if not address.startswith(("data:", "#"))] == []
    assert '"target":9' in page


def test_score_cam_on_demand(run: Run, model: GeoModel, model_file: Path, photos: list[Path], tmp_path: Path) -> None:
    file = tmp_path / "maps.npz"
    words = ["explain", photos[1], "--model", model_file, "--save-maps", file, "--out", tmp_path]
    assert run(*words, "--method", "score-cam").code == 0
    explanation = geoexplain.explain(photos[1], model)
    expected = score_cam(model, explanation.tensor, explanation.trace, explanation.trace.stages[-1])
    with np.load(file) as saved:
        assert [key for key in saved if key.startswith("score-cam/")] == ["score-cam/stage/7"]
        assert np.array_equal(saved["score-cam/stage/7"], expected.values)
        assert np.array_equal(saved["score-cam"], upsample(expected.values, (64, 64)))
    made = read(tmp_path / "explanation.json")["explanation"]["heatmaps"]
    assert made["score-cam"]["weights"] == [0, 0, 0, 0, 0, 0, 1]


def test_score_cam_shows_progress_and_stops_at_once(
    run: Run, model_file: Path, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", Terminal("Score-CAM"))
        outcome = run("explain", photos[1], "--model", model_file, "--out", out, "--method", "score-cam")
        shown = sys.stderr.getvalue()
    assert outcome.code == 130
    assert shown.splitlines()[-1].endswith("geoexplain: interrupted.")
    assert list(out.iterdir()) == []


def test_a_place_is_explained_by_the_sum_of_its_cells(
    run: Run, model: GeoModel, model_file: Path, photos: list[Path], tmp_path: Path
) -> None:
    (tree,) = model.trees
    place = int(tree.of_cell[3])
    cells = tree.cells(int(tree.path(place)[-1])).tolist()
    name = tree.labels[tree.path(place)[-1]]
    outcome = run("explain", photos[0], "--model", model_file, "--target", name, "--out", tmp_path / "out")
    assert (outcome.code, outcome.err) == (0, "")
    target = read(tmp_path / "out" / "explanation.json")["explanation"]["target"]
    shares = geoexplain.locate(photos[0], model).probabilities
    assert (target["place"], target["cells"]) == (name, cells)
    assert target["probability"] == pytest.approx(shares[cells].sum())
    assert f"explained    {name} (" in outcome.out
    explanation = geoexplain.explain(photos[0], model, target=geoexplain.CellGroup(name, tuple(cells)))
    with Image.open(tmp_path / "out" / "combi-cam.png") as drawn:
        assert np.array_equal(np.asarray(drawn), np.asarray(overlay(explanation.image, explanation.combi_cam().values)))

    against = run("explain", photos[0], "--model", model_file, "--target", name, "--against", "1", "--out", tmp_path)
    assert against.code == 2
    assert f"expected --target to be a cell, got {name}" in against.err
    unknown = run("explain", photos[0], "--model", model_file, "--target", "Atlantis", "--out", tmp_path)
    assert unknown.code == 2
    assert "expected a place that cells of" in unknown.err
