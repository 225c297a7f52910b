"""Concept influence over a set: every figure against the explainer's own, places, painted masks, tables by hand."""

import csv
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from geoexplain.errors import DataError
from geoexplain.evaluation.concept_sources import (
    PREDICTION,
    LandCoverMasks,
    PaintedMasks,
    SegFormerMasks,
    rgb_image,
    without_empty,
)
from geoexplain.evaluation.concepts import ImageConcepts, Study
from geoexplain.evaluation.evaluate import evaluate, settings_of
from geoexplain.evaluation.pictures import Picture, Source, photo_source, view_source
from geoexplain.evaluation.record import TABLE
from geoexplain.explainer.attribution import integrated_gradients, smoothgrad_squared
from geoexplain.explainer.concepts import ConceptInfluence, concept_influence, dilate
from geoexplain.explainer.explanation import explain
from geoexplain.explainer.segmenters import LandCover, Masks
from geoexplain.explainer.table import ATTRIBUTION, kinds_of_family
from geoexplain.imagery.earth import load_imagery
from geoexplain.images import Preprocess, open_image
from geoexplain.locator.model import GeoModel
from tests.evaluation.photos import counting_model, manifest_of, write_photos
from tests.explainer.segformers import save_segformer, weights
from tests.imagery.earths import grid_deg, write_png
from tests.locator.models import small_model


@dataclass(frozen=True)
class Halves:
    """The left half, the upper quarter, and something that is never there."""

    def settings(self) -> dict[str, Any]:
        return {"concepts": "halves"}

    def masks(self, preprocess: Preprocess, picture: Picture, predicted_deg: tuple[float, float]) -> Masks:
        assert picture.tensor is not None
        row, column = np.indices(picture.tensor.shape[2:])
        left, upper = column < column.max() / 2, row < (row.max() + 1) // 4
        return {"left": left, "upper": upper, "nothing": np.zeros_like(left)}


QUICK = Study(concepts=Halves(), methods=("grad-cam", "combi-cam", "random", "gaussian"), k=100)


@pytest.fixture(scope="module")
def model() -> GeoModel:
    return small_model()


@pytest.fixture
def photos(model: GeoModel, tmp_path: Path) -> Source:
    manifest, images = manifest_of(write_photos(tmp_path / "set", 4, unreadable=(2,), missing=1))
    return photo_source(manifest, images, model.preprocess)


@pytest.fixture(scope="module")
def views(model: GeoModel, tmp_path_factory: pytest.TempPathFactory) -> Source:
    # North of 20° N all is dark blue, south of it green.
    pixels = np.where(grid_deg(90)[..., :1] > 20, (2, 5, 20), (30, 45, 15)).astype(np.uint8)
    earth = write_png(tmp_path_factory.mktemp("earth"), pixels)
    return view_source(load_imagery([earth]), model.preprocess, views=6, seed=5)


def influences(answer: ImageConcepts, method: str) -> Mapping[str, ConceptInfluence]:
    return {one.concept: one for one in answer.concepts[method]}


def test_every_figure_is_that_of_the_explainer(model: GeoModel, photos: Source, tmp_path: Path) -> None:
    answers = evaluate(QUICK, model, photos, tmp_path / "out")
    assert [answer.status for answer in answers] == ["ok", "ok", "unreadable", "ok", "missing"]
    for index in (0, 3):
        explanation = explain(tmp_path / "set" / "images" / f"{index}.png", model)
        answer = answers[index]
        assert (answer.cell, answer.label) == (explanation.target, model.partition.labels[explanation.target])
        height, width = explanation.tensor.shape[2:]
        row, column = np.indices((height, width))
        masks = {"left": column < (width - 1) / 2, "upper": row < height // 4}
        maps = {
            "grad-cam": explanation.heatmap("grad-cam").values,
            "combi-cam": explanation.combi_cam().values,
            "random": np.random.default_rng((0, index, 0)).random((height, width), dtype=np.float32),
        }
        for method, values in maps.items():
            expected = concept_influence(values, masks, k=100)
            found = influences(answer, method)
            assert set(found) == {"left", "upper"}
            for one in expected.concepts:
                assert found[one.concept].tki == pytest.approx(one.tki, abs=1e-9)
                assert found[one.concept].ci == pytest.approx(one.ci, abs=1e-8)
                assert found[one.concept].share == pytest.approx(one.share, abs=1e-9)
            assert answer.tied[method] == expected.tied
        # The hundred central pixels of a Gaussian lie on both sides of the middle, and none in the upper quarter.
        gaussian = influences(answer, "gaussian")
        assert gaussian["left"].ci == pytest.approx(1, abs=0.15)
        assert gaussian["upper"].ci == 0


def test_the_table_has_a_row_for_every_concept_in_an_image(model: GeoModel, photos: Source, tmp_path: Path) -> None:
    answers = evaluate(QUICK, model, photos, tmp_path / "out")
    with (tmp_path / "out" / TABLE).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 4 * 2 + 2
    for row in rows:
        if row["status"] == "ok":
            one = influences(answers[int(row["id"].partition(".")[0])], row["method"])[row["concept"]]
            assert (float(row["share"]), float(row["tki"]), float(row["ci"])) == (one.share, one.tki, one.ci)
    assert {row["status"] for row in rows if not row["method"]} == {"unreadable", "missing"}
    kind = QUICK.kind()
    for answer in answers:
        assert kind.read(json.loads(json.dumps(kind.plain(answer)))) == answer


def test_all_gradient_methods_take_one_pass(tmp_path: Path) -> None:
    model, passes = counting_model()
    manifest, images = manifest_of(write_photos(tmp_path / "set", 1))
    source = photo_source(manifest, images, model.preprocess)
    evaluate(Study(concepts=Halves(), k=10), model, source, tmp_path / "out")
    assert passes == [1]


def test_attributions_are_those_of_the_explainer(model: GeoModel, photos: Source) -> None:
    methods = tuple(kinds_of_family(ATTRIBUTION))
    study = Study(concepts=Halves(), methods=methods, k=50, smallest_share=0, steps=2, samples=2, seed=3)
    picture = photos.picture(1)
    answer = study.answer(model, picture)
    masks = without_empty(Halves().masks(model.preprocess, picture, (0, 0)))
    assert picture.tensor is not None
    assert answer.cell is not None
    expected = integrated_gradients(model, picture.tensor, answer.cell, steps=2).saliency
    for one in concept_influence(expected, masks, k=50, smallest_share=0).concepts:
        assert influences(answer, "integrated-gradients")[one.concept].tki == pytest.approx(one.tki)
    again, other = study.answer(model, picture), replace(study, seed=4)
    assert again == answer
    seed = int(np.random.SeedSequence((3, 1)).generate_state(1)[0])
    squared = smoothgrad_squared(model, picture.tensor, answer.cell, steps=2, samples=2, seed=seed).saliency
    for one in concept_influence(squared, masks, k=50, smallest_share=0).concepts:
        assert influences(answer, "smoothgrad-squared")[one.concept].tki == pytest.approx(one.tki)
    assert other.settings() != study.settings()


def test_masks_are_dilated_before_they_are_counted(model: GeoModel, photos: Source) -> None:
    picture = photos.picture(0)
    masks = Halves().masks(model.preprocess, picture, (0, 0))
    found = influences(replace(QUICK, dilation_px=5).answer(model, picture), "random")
    for concept in ("left", "upper"):
        assert found[concept].share == pytest.approx(dilate(masks[concept], 5).mean(), abs=1e-9)
        assert found[concept].share > masks[concept].mean() + 0.05


def test_a_view_lies_where_it_is_told_to(model: GeoModel, views: Source) -> None:
    picture = views.picture(0)
    position = picture.footprint
    assert position is not None
    assert (position.lat_deg, position.lon_deg) == (picture.lat_deg, picture.lon_deg)
    image = rgb_image(picture, model.preprocess)
    elsewhere = (48.0, -88.0)  # Lake Superior
    for at, place in (("truth", position), (PREDICTION, replace(position, lat_deg=48.0, lon_deg=-88.0))):
        masks, expected = LandCoverMasks(at).masks(model.preprocess, picture, elsewhere), LandCover()(image, place)
        assert list(masks) == list(expected)
        assert all((masks[concept] == expected[concept]).all() for concept in expected)
    assert LandCoverMasks(PREDICTION).masks(model.preprocess, picture, elsewhere)["lake"].any()
    by_colour = LandCoverMasks().masks(model.preprocess, replace(picture, footprint=None), elsewhere)
    assert "ocean" not in by_colour
    assert "water" in by_colour


def test_a_picture_is_seen_as_it_was(model: GeoModel) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    picture = Picture(
        0, "x", None, 0, 0, model.preprocess.normalize(torch.from_numpy(pixels).permute(2, 0, 1) / 255)[None]
    )
    np.testing.assert_array_equal(np.asarray(rgb_image(picture, model.preprocess)), pixels)


def test_footprints_change_no_fingerprint(views: Source, model: GeoModel) -> None:
    # Evaluations that were begun before views told what they cover go on.
    assert set(views.settings) == {"imagery", "imagery_sha256", "views", "footprint_km", "rotation_deg", "seed"}
    assert views.about(3).footprint == views.picture(3).footprint
    assert settings_of(QUICK, model, views, "cpu")["source"] == views.settings


def test_painted_masks_go_with_their_photos(model: GeoModel, tmp_path: Path) -> None:
    file = write_photos(tmp_path / "set", 3)
    manifest, images = manifest_of(file)
    (tmp_path / "masks").mkdir()
    for index in (0, 1):
        size = open_image(images / f"{index}.png").size
        mask = Image.new("RGB", size, "black")
        mask.paste((255, 0, 0), (0, 0, size[0] // 2 + 10 * index, size[1]))
        mask.save(tmp_path / "masks" / f"{index}.png")
    (tmp_path / "legend.csv").write_text("color,name\n#ff0000,tower\n#000000,\n")
    source = photo_source(manifest, images, model.preprocess)
    painted = PaintedMasks(tmp_path / "masks", tmp_path / "legend.csv", images)
    answers = evaluate(replace(QUICK, concepts=painted), model, source, tmp_path / "out")
    assert [answer.status for answer in answers] == ["ok", "ok", "failed"]
    assert "2.png: expected a readable image file" in (answers[2].reason or "")
    for index in (0, 1):
        width = open_image(images / f"{index}.png").width
        (tower,) = answers[index].concepts["random"]
        assert tower.share == pytest.approx((width // 2 + 10 * index) / width, abs=0.02)
    before = painted.settings()
    (tmp_path / "masks" / "2.png").write_bytes(b"another")
    assert painted.settings() != before


def answer_of(error_km: float, **ci: float) -> ImageConcepts:
    ones = tuple(ConceptInfluence(concept, 0.5, value / 2, value, "") for concept, value in ci.items())
    return ImageConcepts("x", status="ok", error_km=error_km, concepts={"grad-cam": ones}, tied={"grad-cam": 0})


def test_tables_by_hand() -> None:
    study = Study(concepts=Halves(), methods=("grad-cam",), bins_km=((0.0, 100.0), (100.0, 800.0)), smallest_count=2)
    answers = [
        answer_of(10, sea=1.0),
        answer_of(20, sea=3.0, ice=9.0),
        answer_of(99.9, sea=2.0),
        answer_of(100, sea=5.0),
        answer_of(900, sea=7.0),
        ImageConcepts("gone"),
    ]
    tables = study.findings(answers)
    assert (tables["grad-cam"].images, tables["grad-cam"].outside) == ((3, 1), 1)
    summary = study.summary(answers, tables, {"k": 7})
    assert summary["images_by_bin"] == [3, 1]
    assert (summary["images_in_no_bin"], summary["counts"]["evaluated"], summary["counts"]["missing"]) == (1, 5, 1)
    found = summary["methods"]["grad-cam"]["concepts"]
    assert [(row["images"], row["median"] and row["median"]["value"]) for row in found["sea"]] == [(3, 2.0), (1, None)]
    assert [(row["images"], row["mean"]) for row in found["ice"]] == [(1, None), (0, None)]
    assert json.loads(json.dumps(summary)) == summary


def test_a_flat_map_counts_nowhere_and_is_told() -> None:
    flat = (ConceptInfluence("sea", 0.5, None, None, "the explanation is flat"),)
    answer = ImageConcepts("x", status="ok", error_km=1.0, concepts={"grad-cam": flat}, tied={"grad-cam": 0})
    study = Study(concepts=Halves(), methods=("grad-cam",), bins_km=((0.0, 100.0),), smallest_count=1)
    tables = study.findings([answer])
    assert tables["grad-cam"].rows == ()
    assert study.summary([answer], tables, {})["methods"]["grad-cam"]["flat"] == 1


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"methods": ()}, "expected methods out of"),
        ({"methods": ("gradcam",)}, "got gradcam"),
        ({"k": 0}, "at least 1"),
        ({"steps": 0}, "at least 1"),
        ({"smallest_share": float("nan")}, "from 0 to 1"),
        ({"dilation_px": -1}, "a dilation from 0"),
    ],
)
def test_a_wrong_study_is_refused(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        replace(QUICK, **change)


def test_more_pixels_than_there_are_are_refused_at_once(model: GeoModel, views: Source, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected k from 1 to 4,096"):
        evaluate(replace(QUICK, k=4097), model, views, tmp_path / "out")
    with pytest.raises(DataError, match="truth, prediction"):
        LandCoverMasks("there")
    assert not (tmp_path / "out").exists()


def test_all_that_can_be_drawn_can_be_named() -> None:
    assert {"integrated-gradients", "smoothgrad-squared", "combi-cam", "random"} <= set(Study.known_methods())
    assert not set(Study().methods) & {"score-cam", *kinds_of_family(ATTRIBUTION)}


def test_other_weights_of_a_segformer_are_other_settings(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    folder, other = save_segformer(tmp_path / "one"), save_segformer(tmp_path / "other")

    def settings(of: Path) -> dict[str, Any]:
        return json.loads(json.dumps(SegFormerMasks(str(of)).settings()))

    before = settings(folder)
    assert before["weights_sha256"] == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert settings(other) == before | {"segformer": str(other)}
    changed = weights() | {"decode_head.classifier.bias": torch.tensor([0, 0.5, -9.0])}
    save_file(changed, folder / "model.safetensors", {"format": "pt"})
    assert settings(folder) != before
    settings(other)  # only the last that was loaded is remembered
    save_segformer(folder, preprocessing={"image_mean": [0.5, 0, 0]})
    assert settings(folder) != before
    assert settings(folder)["weights_sha256"] == before["weights_sha256"]
