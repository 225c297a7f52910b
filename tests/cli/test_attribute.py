"""Attributions on the command line: the library's figures, their picture, their bar, and Ctrl-C."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import geoexplain
from geoexplain.cli.attribute import completeness, shown
from geoexplain.explainer.attribution import Attribution, integrated_gradients
from geoexplain.explainer.table import ATTRIBUTION, FAMILIES, TUNED, kinds_of_family, slow_kinds
from geoexplain.locator.model import GeoModel
from geoexplain.view.overlay import overlay
from tests.cli.conftest import Run, Terminal

IG = "integrated-gradients"


@pytest.mark.parametrize("score", ["probability", "logit"])
def test_an_attribution_is_that_of_the_library(
    score: str, run: Run, model: GeoModel, model_file: Path, photos: list[Path], tmp_path: Path
) -> None:
    words = ["--method", IG, "--method", "grad-cam", "--score", score, "--target", "7", "--save-maps", "maps.npz"]
    words[-1] = str(tmp_path / "maps.npz")
    outcome = run("explain", photos[1], "--model", model_file, "--out", tmp_path, *words)
    assert (outcome.code, outcome.err) == (0, "")
    expected = integrated_gradients(model, model.tensor(Image.open(photos[1])), 7, score)
    with np.load(tmp_path / "maps.npz") as saved:
        found = saved[IG]
    np.testing.assert_allclose(found, np.abs(expected.values).max(axis=0), rtol=1e-4, atol=1e-7)
    made = json.loads((tmp_path / "explanation.json").read_text())["explanation"]["heatmaps"]
    assert list(made) == ["grad-cam", IG]
    assert "score_change" not in made["grad-cam"]
    assert made[IG]["score_change"] == pytest.approx(expected.score_change, rel=1e-4)
    assert made[IG]["completeness_error"] == pytest.approx(expected.completeness_error, rel=0.02, abs=1e-5)
    # An independent look at completeness: the change is that of the score itself, the sum that of the values.
    tensors = (model.tensor(Image.open(photos[1])), 0 * model.tensor(Image.open(photos[1])))
    scores = [model.logits(one)[0] if score == "logit" else model.logits(one).softmax(-1)[0] for one in tensors]
    assert made[IG]["score_change"] == pytest.approx(float(scores[0][7] - scores[1][7]), rel=1e-4)
    assert f"the {score}'s change of {expected.score_change:+.3g} from an image of mean colour" in outcome.out


def test_the_picture_ends_at_the_99th_percentile(
    run: Run, model: GeoModel, model_file: Path, photos: list[Path], tmp_path: Path
) -> None:
    words = ["--method", IG, "--save-maps", tmp_path / "maps.npz", "--opacity", "1"]
    run("explain", photos[1], "--model", model_file, "--out", tmp_path, *words)
    with np.load(tmp_path / "maps.npz") as saved:
        values = saved[IG]
    limit = np.quantile(values, 0.99)
    picture = overlay(Image.open(photos[1]), np.where(values > limit, limit, values).astype(np.float32), 1.0)
    with Image.open(tmp_path / f"{IG}.png") as drawn:
        np.testing.assert_array_equal(np.asarray(drawn), np.asarray(picture))


def test_a_cam_is_shown_as_it_is(model: GeoModel, photos: list[Path]) -> None:
    heatmap = geoexplain.explain(photos[1], model).heatmap("grad-cam")
    assert shown(heatmap) is heatmap.values


def test_smoothgrad_squared_speaks_of_its_copies() -> None:
    values = np.ones((3, 2, 2), dtype=np.float32)
    said = completeness(Attribution(values, "smoothgrad-squared", 0, "logit", -1.25, 0.004))
    assert said.startswith(
        "sums to the logit's change of -1.25 from an image of mean colour, up to an error of 0.004, on av"
    )


def test_every_drawing_shows_the_cell_that_was_traced(model: GeoModel, photos: list[Path]) -> None:
    explanation = geoexplain.explain(photos[1], model, target=3)
    for name in kinds_of_family(*FAMILIES):
        if name in {"smoothgrad-squared", TUNED}:  # 500 passes, and no model's by itself
            continue
        heard: list[tuple[int, int]] = []
        heatmap = explanation.draw(name, model, progress=lambda done, total, to=heard: to.append((done, total)))
        assert (heatmap.target, heatmap.values.shape) == (3, explanation.size_hw)
        assert (heatmap.attribution is not None) == (name in kinds_of_family(ATTRIBUTION))
        assert bool(heard) == (name in slow_kinds())
        if heard:
            assert heard[-1][0] == heard[-1][1]
    np.testing.assert_array_equal(explanation.draw("grad-cam", model).values, explanation.heatmap("grad-cam").values)
    with pytest.raises(geoexplain.errors.DataError, match="got 'saliency'"):
        explanation.draw("saliency", model)


@pytest.mark.parametrize(
    ("method", "title"), [(name, kind.title) for name, kind in kinds_of_family(ATTRIBUTION).items()]
)
def test_progress_and_one_sentence_when_interrupted(
    method: str, title: str, run: Run, model_file: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = 500 if method == "smoothgrad-squared" else 50
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", Terminal(f" 8/{passes}"))
        outcome = run("explain", photos[1], "--model", model_file, "--json", "--method", method)
        said = sys.stderr.getvalue()
    assert outcome.code == 130
    assert re.search(rf"{title}: .* 4/{passes}", said)
    assert said.splitlines()[-1].endswith("geoexplain: interrupted.")
