"""`geoexplain explain --against` and `--agreement` against the Python interface."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.stats import spearmanr

import geoexplain
from geoexplain.cli.comparison import table
from geoexplain.explainer.agreement import Agreement
from geoexplain.explainer.cams import score_cam
from geoexplain.explainer.combine import upsample
from geoexplain.explainer.tuning_gain import untuned_kinds
from geoexplain.locator.model import GeoModel
from geoexplain.view.diverging import two_coloured
from tests.cli.conftest import Run

GRADIENT = ["grad-cam", "grad-cam++", "layer-cam"]


def read(file: Path) -> dict:
    return json.loads(file.read_text(encoding="utf-8"))


def test_pictures_record_and_words_of_two_cells(
    run: Run, model: GeoModel, model_file: Path, photos: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = ["--target", "7", "--against", "9", "--level", "stage", "--stages", "3,5,7", "--weights", "1,.5,2"]
    words += ["--how", "max", "--opacity", "0.6"]
    outcome = run("explain", photos[0], "--model", model_file, "--out", out, *words)
    assert (outcome.code, outcome.err) == (0, "")
    held = geoexplain.contrast(geoexplain.explain(photos[0], model, target=7), model, 9)
    weights = (0, 0, 1, 0, 0.5, 0, 2)
    maps = {"combi-cam": held.combi_cam(weights, level="stage", how="max")} | {m: held.heatmap(m) for m in GRADIENT}
    shares = held.here.prediction.probabilities
    record = read(out / "explanation.json")
    made = record["contrast"]
    for side, cell in (("target", 7), ("against", 9)):
        assert (made[side]["cell"], made[side]["label"]) == (cell, f"cell {cell}")
        assert made[side]["probability"] == pytest.approx(shares[cell], rel=1e-5)
        assert [made[side]["latitude"], made[side]["longitude"]] == model.partition.centers_deg[cell].tolist()
    assert made["log_odds"] == pytest.approx(math.log(shares[7] / shares[9]), abs=1e-5)
    assert list(made["maps"]) == list(maps)
    assert (made["maps"]["combi-cam"]["how"], made["maps"]["combi-cam"]["weights"]) == ("max", list(weights))
    for name, signed in maps.items():
        assert made["maps"][name]["flat"] is signed.flat is False
        with Image.open(out / made["maps"][name]["file"]) as drawn:
            expected = two_coloured(held.here.image, signed.values, 0.6)
            left = (drawn.width - 120) // 2
            found = drawn.crop((left, 0, left + 120, 90))
            assert np.abs(np.asarray(found, int) - np.asarray(expected, int)).max() <= 1
    assert f"cell 9: cell 9, {100 * shares[9]:.1f} %" in outcome.out
    odds = abs(made["log_odds"])
    ahead, behind = ("cell 7", "cell 9") if made["log_odds"] > 0 else ("cell 9", "cell 7")
    assert f"“{ahead}” is {math.exp(odds):.3g} times as probable as “{behind}”" in outcome.out


def test_raw_maps_of_both_cells(run: Run, model: GeoModel, model_file: Path, photos: list[Path]) -> None:
    file = photos[0].parent / "maps.npz"
    words = ["--target", "7", "--against", "9", "--method", "layer-cam", "--method", "combi-cam"]
    assert run("explain", photos[0], "--model", model_file, "--save-maps", file, *words).code == 0
    held = geoexplain.contrast(geoexplain.explain(photos[0], model, target=7), model, 9)
    with np.load(file) as saved:
        keys = {key for key in saved if key.startswith("contrast/")}
        assert keys == {f"contrast/{m}/{side}" for m in ("layer-cam", "combi-cam") for side in ("target", "against")}
        for method, side, explanation in (("layer-cam", "target", held.here), ("layer-cam", "against", held.there)):
            expected = upsample(explanation.maps(method, "stage")[-1].values, (64, 85))
            np.testing.assert_array_equal(saved[f"contrast/{method}/{side}"], expected)
        difference = saved["contrast/combi-cam/target"] - saved["contrast/combi-cam/against"]
        np.testing.assert_array_equal(difference, held.combi_cam().values)
        np.testing.assert_array_equal(
            saved["combi-cam"], geoexplain.explain(photos[0], model, target=7).combi_cam().values
        )


def test_json_tells_both_and_nothing_unless_asked(
    run: Run, model: GeoModel, model_file: Path, photos: list[Path]
) -> None:
    lat, lon = model.partition.centers_deg[5]
    words = ["explain", photos[0], "--model", model_file, "--json"]
    record = json.loads(run(*words, "--target", "7", "--against", f"{lat},{lon}", "--agreement").out)
    assert lat < 0  # a latitude that argparse would take for an option
    assert record["contrast"]["against"]["cell"] == 5
    assert record["agreement"]["names"] == list(untuned_kinds())
    assert not {"contrast", "agreement"} & json.loads(run(*words).out).keys()


def test_agreement_in_words_and_figures(run: Run, model: GeoModel, model_file: Path, photos: list[Path]) -> None:
    words = ["explain", photos[1], "--model", model_file, "--method", "score-cam", "--agreement"]
    outcome = run(*words)
    assert (outcome.code, outcome.err) == (0, "")
    explanation = geoexplain.explain(photos[1], model)
    masked = score_cam(model, explanation.tensor, explanation.trace, explanation.trace.stages[-1])
    grad_cam = explanation.heatmap("grad-cam").values
    expected = spearmanr(upsample(masked.values, explanation.size_hw).ravel(), grad_cam.ravel()).statistic
    rows = {line.split()[1]: line.split()[2:] for line in outcome.out.splitlines() if line.startswith("   ")}
    assert "score-cam" in rows
    assert float(rows["score-cam"][0].strip("()")) == pytest.approx(expected, abs=0.006)
    assert "may all be wrong" in outcome.out


def test_a_combi_cam_of_ones_own_takes_part(run: Run, model: GeoModel, model_file: Path, photos: list[Path]) -> None:
    words = ["explain", photos[0], "--model", model_file, "--method", "combi-cam", "--agreement", "--json"]
    published = json.loads(run(*words).out)["agreement"]["names"]
    assert json.loads(run(*words, "--weights", ",".join(16 * "1")).out)["agreement"]["names"] == published
    found = json.loads(run(*words, "--preset", "all-stages", "--weights", "0,1,0,1,0,0,.25").out)["agreement"]
    assert found["names"] == [*published, "combi-cam (as set)"]
    explanation = geoexplain.explain(photos[0], model)
    own = explanation.combi_cam((0, 1, 0, 1, 0, 0, 0.25), level="stage", how="max").values
    expected = spearmanr(own.ravel(), explanation.combi_cam().values.ravel()).statistic
    assert found["correlations"][-1][published.index("combi-cam")] == pytest.approx(expected, abs=1e-6)
    assert expected < 0.999


def test_the_table_is_aligned_and_a_flat_map_has_no_value() -> None:
    nan = math.nan
    correlations = np.array([[1, -0.25, nan], [-0.25, 1, nan], [nan, nan, nan]])
    limits = np.array([[nan, 0.2, nan], [0.2, nan, nan], [nan, nan, nan]])
    assert table(Agreement(("one", "another", "flat"), correlations, limits)) == [
        "                  1       2       3",
        " 1  one        1.00   -0.25       –",
        " 2  another   -0.25    1.00       –",
        " 3  flat          –       –       –",
    ]
    # Where unrelated maps as coarse reach as much, it stands in brackets.
    assert table(Agreement(("one", "another", "flat"), correlations, 1.5 * limits))[1:3] == [
        " 1  one        1.00 (-0.25)       –",
        " 2  another (-0.25)    1.00       –",
    ]


def test_a_contrast_without_structure_is_said_to_be_flat(
    run: Run, model_file: Path, photos: list[Path], tmp_path: Path
) -> None:
    words = ["--target", "7", "--against", "9", "--level", "stage", "--weights", "0,0,0,0,0,0,0"]
    outcome = run("explain", photos[0], "--model", model_file, "--out", tmp_path / "out", *words)
    assert "contrast     flat: combi-cam; nothing in the image speaks for one rather than the other" in outcome.out
    assert read(tmp_path / "out" / "explanation.json")["contrast"]["maps"]["combi-cam"]["flat"] is True


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--against", "50"], "--against: expected a cell from 0 to 49, got 50"),
        (["--against", "-1"], "--against: expected a cell from 0 to 49, got -1"),
        (["--against", "-91,0"], "expected a target latitude in [-90, 90]"),
        (["--against", "nowhere"], "expected a cell such as 12"),
        (["--target", "7", "--against", "7"], "--against: expected another cell than --target, got cell 7 for both"),
        (["--against", "7", "--method", "score-cam"], "--against: expected a method that can contrast, got none"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    words: list[str], sentence: str, run: Run, model_file: Path, photos: list[Path]
) -> None:
    outcome = run("explain", photos[0], "--model", model_file, "--json", *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert sentence in outcome.err


def test_the_most_probable_cell_against_itself_fails_that_image(
    run: Run, model: GeoModel, model_file: Path, photos: list[Path]
) -> None:
    top = geoexplain.locate(photos[0], model).cell
    outcome = run("explain", photos[0], "--model", model_file, "--json", "--against", top)
    assert outcome.code == 1
    assert f"expected two different cells to contrast, got cell {top} twice" in json.loads(outcome.out)["error"]
