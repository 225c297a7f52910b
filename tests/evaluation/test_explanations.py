"""Explanations over a set of images: what is measured, what is left out, resuming, order."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from geoexplain.errors import DataError
from geoexplain.evaluation.evaluate import evaluate
from geoexplain.evaluation.explanations import Examination
from geoexplain.evaluation.pictures import Source, photo_source, view_source
from geoexplain.evaluation.record import ANSWERS, TABLE
from geoexplain.evaluation.views import view_logits
from geoexplain.explainer.combine import scale_to_range
from geoexplain.explainer.explanation import explain
from geoexplain.explainer.metrics import deletion
from geoexplain.explainer.subject import prepare_subject
from geoexplain.explainer.table import BASELINE, CAMS, TUNED, kinds_of_family
from geoexplain.imagery.conditions import CONDITIONS, views_under
from geoexplain.imagery.earth import load_imagery
from geoexplain.locator.model import GeoModel
from tests.evaluation.photos import counting_model, manifest_of, write_photos
from tests.explainer.drawn import baseline
from tests.imagery.earths import write_png
from tests.locator.models import small_model

QUICK = Examination(
    methods=("grad-cam", "combi-cam", "random", "edges"), metrics=("deletion", "average-drop", "adcc"), steps=4
)


@pytest.fixture(scope="module")
def model() -> GeoModel:
    return small_model()


@pytest.fixture
def photos(model: GeoModel, tmp_path: Path) -> Source:
    manifest, images = manifest_of(write_photos(tmp_path / "set", 6, unreadable=(2,), missing=1))
    return photo_source(manifest, images, model.preprocess)


def test_every_value_is_that_of_the_explainer(model: GeoModel, photos: Source, tmp_path: Path) -> None:
    answers = evaluate(QUICK, model, photos, tmp_path / "out")
    assert [answer.status for answer in answers] == ["ok", "ok", "unreadable", "ok", "ok", "ok", "missing"]
    for index in (0, 4):
        explanation = explain(tmp_path / "set" / "images" / f"{index}.png", model)
        seen = prepare_subject(model, explanation.tensor, explanation.target)
        answer = answers[index]
        assert (answer.cell, answer.label) == (explanation.target, model.partition.labels[explanation.target])
        assert answer.probability == pytest.approx(seen.probability, abs=1e-6)
        for method, heatmap in (
            ("grad-cam", explanation.heatmap("grad-cam")),
            ("combi-cam", explanation.combi_cam()),
            ("edges", baseline("edges", explanation.tensor, explanation.target)),
        ):
            assert answer.values[method]["deletion@4"] == pytest.approx(deletion(seen, heatmap, 4).value, abs=1e-6)
        assert set(answer.values) == set(QUICK.methods)
        assert list(answer.values["random"]) == ["deletion@4", "average-drop", "adcc"] == list(QUICK.columns)


def test_the_table_has_a_row_per_image_and_method(model: GeoModel, photos: Source, tmp_path: Path) -> None:
    answers = evaluate(QUICK, model, photos, tmp_path / "out")
    with (tmp_path / "out" / TABLE).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5 * 4 + 2
    assert [row["method"] for row in rows[:4]] == list(QUICK.methods)
    assert float(rows[1]["deletion@4"]) == answers[0].values["combi-cam"]["deletion@4"]
    (unreadable,) = [row for row in rows if row["status"] == "unreadable"]
    assert (unreadable["file"], unreadable["method"], unreadable["deletion@4"]) == ("2.png", "", "")
    assert "2.png" in unreadable["reason"]
    assert rows[-1]["status"] == "missing"


def test_a_resumed_run_ends_with_the_same_files_and_asks_for_nothing_twice(tmp_path: Path) -> None:
    model, passes = counting_model()
    manifest, images = manifest_of(write_photos(tmp_path / "set", 6, unreadable=(2,), missing=1))
    source = photo_source(manifest, images, model.preprocess)
    whole = evaluate(QUICK, model, source, tmp_path / "whole")
    all_passes = sum(passes)
    passes.clear()

    def stop(done: int, _total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(QUICK, model, source, tmp_path / "out", progress=stop)
    with pytest.raises(DataError, match="add --resume"):
        evaluate(QUICK, model, source, tmp_path / "out")
    heard: list[int] = []
    again = evaluate(QUICK, model, source, tmp_path / "out", resume=True, progress=lambda done, _: heard.append(done))
    assert heard == [3, 4, 5, 6]
    assert again == whole
    assert sum(passes) == all_passes
    for name in (TABLE, ANSWERS):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    other = Examination(methods=QUICK.methods, metrics=QUICK.metrics, steps=5)
    with pytest.raises(DataError, match="expected metrics"):
        evaluate(other, model, source, tmp_path / "out", resume=True)


def test_answers_that_are_none_are_refused(model: GeoModel, photos: Source, tmp_path: Path) -> None:
    evaluate(QUICK, model, photos, tmp_path / "out")
    (tmp_path / "out" / ANSWERS).write_text(json.dumps([[0, None, {"id": "0", "surprise": 1}]]) + "\n")
    with pytest.raises(DataError, match="expected answers of this evaluation's"):
        evaluate(QUICK, model, photos, tmp_path / "out", resume=True)


def test_an_image_does_not_depend_on_those_before_it(model: GeoModel, photos: Source) -> None:
    each = {picture.index: QUICK.answer(model, picture) for picture in photos.pictures(())}
    known = {0, 1, 3}
    some = {picture.index: QUICK.answer(model, picture) for picture in photos.pictures(known)}
    assert set(some) == {2, 4, 5}
    assert all(answer == each[index] for index, answer in some.items())


def test_random_maps_are_drawn_for_each_image_and_again_for_the_masked_one(model: GeoModel, photos: Source) -> None:
    picture = next(photos.pictures(()))
    examination = Examination(methods=("random", "gaussian"), metrics=("deletion", "average-drop", "adcc"), steps=4)
    here, elsewhere = (examination.answer(model, replace(picture, index=index)).values for index in (0, 1))
    assert here["gaussian"] == elsewhere["gaussian"]
    assert here["random"]["deletion@4"] != elsewhere["random"]["deletion@4"]
    # ADCC solved for its coherency, (r + 1) / 2: no correlation with another random map, a complete one with itself.
    complexity = {
        name: float(scale_to_range(baseline(name, picture.tensor, 0, (0, 0, 0)).values).mean())
        for name in examination.methods
    }
    coherency = {
        name: 1 / (3 / found["adcc"] - 1 / (1 - complexity[name]) - 1 / (1 - found["average-drop"] / 100))
        for name, found in here.items()
    }
    assert coherency["random"] == pytest.approx(0.5, abs=0.05)
    assert coherency["gaussian"] == pytest.approx(1, abs=1e-4)


def test_views_are_those_of_evaluate_views(model: GeoModel, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 128, 3), dtype=np.uint8)
    earth = write_png(tmp_path, pixels)
    imagery = load_imagery([earth])
    settings = {"footprint_km": (400.0, 900.0), "rotation_deg": 20.0, "seed": 3}
    views = views_under(CONDITIONS["plain"], imagery, views=4, **settings)
    logits = view_logits(model.logits, views, model.preprocess)
    source = view_source(imagery, model.preprocess, views=4, **settings)
    pictures = list(source.pictures(()))
    np.testing.assert_allclose([(p.lat_deg, p.lon_deg) for p in pictures], views.truth_deg)
    found = torch.cat([model.logits(p.tensor) for p in pictures])
    np.testing.assert_allclose(found.numpy(), logits.numpy(), atol=1e-4)
    assert [p.index for p in source.pictures({0, 2})] == [1, 3]
    assert [p.id for p in pictures] == ["view-00000", "view-00001", "view-00002", "view-00003"]
    assert {p.file for p in pictures} == {earth.name}
    changed = imagery.texels.clone()
    changed[0, 0] ^= 1
    other = view_source(replace(imagery, texels=changed), model.preprocess, views=4)
    assert other.settings["imagery_sha256"] != source.settings["imagery_sha256"]


def test_what_is_compared_unless_told_otherwise() -> None:
    assert set(Examination.known_methods()) == set(kinds_of_family(*CAMS, BASELINE))
    assert set(Examination.known_methods()) - set(Examination().methods) == {"score-cam", TUNED}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"methods": ("gradcam",)}, "expected methods out of"),
        ({"methods": ()}, "got none"),
        ({"metrics": ("auc",)}, "expected metrics out of"),
        ({"steps": 0}, "at least 1 step"),
    ],
)
def test_an_examination_that_cannot_be_is_refused(options: dict, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        Examination(**options)
