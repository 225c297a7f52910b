"""CONTRIBUTING's table keeps its promise: what is added in one place is found everywhere.

A made-up entry per row of the table "To add | change"; a row without a test here fails.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import geoexplain
from geoexplain.cli import build_parser
from geoexplain.evaluation.evaluate import evaluate
from geoexplain.evaluation.explanations import Examination
from geoexplain.evaluation.pictures import photo_source
from geoexplain.evaluation.record import TABLE
from geoexplain.explainer.combine import COMBINATIONS, Combination, Preset, combine, deepest_weights
from geoexplain.explainer.concepts import concept_influence
from geoexplain.explainer.faithfulness import METRICS, Measuring, Metric
from geoexplain.explainer.subject import Measure, Subject, prepare_subject
from geoexplain.explainer.table import EXPLANATIONS, baseline, combination, draw, gradient_cam
from geoexplain.explainer.trace import Stage, trace
from geoexplain.explainer.trial import try_explanations
from geoexplain.locator.checkpoints import FORMATS, Format
from geoexplain.locator.model import GeoModel
from geoexplain.locator.zoo import ZOO
from geoexplain.studio import panels
from geoexplain.studio.app import styles
from geoexplain.studio.markup import explanation_frame
from geoexplain.studio.models import Loaded
from geoexplain.studio.panels.panel import Question
from geoexplain.studio.payload import explanation_payload, menu
from tests.evaluation.photos import manifest_of, write_photos
from tests.locator.models import small_model
from tests.test_architecture import ROOT

MADE_UP, TITLE = "made-up", "Made up for a test"


def rows() -> dict[str, str]:
    """What is to be added → where, as CONTRIBUTING.md says."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    lines = text.partition("| To add | change |\n|---|---|\n")[2].partition("\n\n")[0].splitlines()
    return dict(tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines)  # type: ignore[misc]


PROVED: dict[str, Callable[..., None]] = {}


def proves(row: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Mark a test as the one of a row."""

    def note(test: Callable[..., None]) -> Callable[..., None]:
        PROVED[row] = test
        return test

    return note


def registry(row: str) -> Any:
    """The table that a row of CONTRIBUTING names, from the module that it names."""
    names = rows()[row].split("`")[1::2]
    name = next(name for name in names if name.isupper())
    file = names[names.index(name) + 1].removesuffix(".py")
    return getattr(import_module(file.removesuffix("/__init__").replace("/", ".")), name)


def help_of(*words: str, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit):
        build_parser(words).parse_args([*words, "--help"])
    return " ".join(capsys.readouterr().out.split())


@pytest.fixture(scope="module")
def model() -> GeoModel:
    return small_model()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    file = tmp_path / "photo.png"
    values = np.random.default_rng(4).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    Image.fromarray(values).resize((96, 96), Image.Resampling.BICUBIC).save(file)
    return file


def test_every_row_of_the_table_has_a_test() -> None:
    assert rows().keys() == PROVED.keys()


def first_channel(stage: Stage) -> Tensor:
    """A CAM that nobody would publish: the first channel, rectified."""
    return stage.activation[0].relu()


def measured_over_a_set(model: GeoModel, folder: Path, **settings: Any) -> dict[str, dict[str, float | None]]:
    manifest, images = manifest_of(write_photos(folder / "set", 1))
    examination = Examination(steps=2, **settings)
    (answer,) = evaluate(examination, model, photo_source(manifest, images, model.preprocess), folder / "out")
    assert answer.status == "ok"
    return answer.values


def measured_on_the_page(model: GeoModel, photo: Path, steps: int = 10) -> dict[str, Any]:
    """What the panel "Faithfulness" gets."""
    weights = [1] * len(model.backbone.blocks)
    asked = {"steps": steps, "combi": {"method": "grad-cam", "level": "block", "how": "sum", "weights": weights}}
    question = Question(Loaded(model), Image.open(photo), 1, asked)
    (panel,) = (one for one in panels.PANELS if one.name == "faithfulness")
    return panel.answer(question, lambda _done, _total: None, lambda: False)


@proves("a CAM method")
def test_a_cam_method(
    model: GeoModel, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(EXPLANATIONS, MADE_UP, gradient_cam(MADE_UP, TITLE, "nobody", first_channel))
    explanation = geoexplain.explain(photo, model)
    deepest = explanation.trace.stages[-1].activation[0].relu().numpy()
    # In Python: on its own, at every stage, and in a Combi-CAM.
    np.testing.assert_array_equal(explanation.maps(MADE_UP, "stage")[-1].values, deepest)
    np.testing.assert_array_equal(explanation.heatmap(MADE_UP).maps[-1].values, deepest)
    np.testing.assert_array_equal(explanation.draw(MADE_UP, model).values, explanation.heatmap(MADE_UP).values)
    assert explanation.combi_cam(method=MADE_UP).method == MADE_UP
    # In menus, and in what the browser draws from.
    assert {"name": MADE_UP, "title": TITLE} in menu()["methods"]
    assert f'data-panel="{MADE_UP}"' in explanation_frame()
    assert MADE_UP in explanation_payload("small", model, explanation)["maps"]
    for panel in panels.PANELS:
        if panel.name in {"contrast", "concepts"}:
            assert f'value="{MADE_UP}"' in panel.frame()
            assert TITLE in panel.frame()
    # On the command line.
    for words in (("explain",), ("concepts",)):
        assert MADE_UP in build_parser(words).parse_args([*words, str(photo), "--method", MADE_UP]).method
        assert MADE_UP in help_of(*words, capsys=capsys)
    for kind in ("explanations", "sanity", "concepts"):
        assert MADE_UP in help_of("evaluate", kind, capsys=capsys)
    # In the evaluation and its tables.
    values = measured_over_a_set(model, tmp_path, methods=(MADE_UP, "random"), metrics=("deletion",))
    assert isinstance(values[MADE_UP]["deletion@2"], float)
    assert f",{MADE_UP}," in (tmp_path / "out" / TABLE).read_text(encoding="utf-8")
    page = measured_on_the_page(model, photo)
    assert (MADE_UP, TITLE) in [(row["name"], row["title"]) for row in page["rows"]]


@proves("a way of combining stage maps")
def test_a_way_of_combining(
    model: GeoModel, photo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The browser blends by the same row: tests/scripts/blend.test.js holds every row that the table could hold.
    monkeypatch.setitem(COMBINATIONS, MADE_UP, Combination(TITLE, "range", 3.0, "maximum"))
    explanation = geoexplain.explain(photo, model)
    found = explanation.combi_cam(deepest_weights(len(explanation.trace.stages)), level="stage", how=MADE_UP)
    raw = explanation.maps("grad-cam", "stage")[-1]
    scaled = (raw.values - raw.values.min()) / (raw.values.max() - raw.values.min())
    by_hand = combine([replace(raw, values=np.tanh(3 * scaled))], (1.0,), "sum", explanation.size_hw)
    np.testing.assert_allclose(found.values, by_hand.values, rtol=1e-6, atol=1e-7)
    row = {"name": MADE_UP, "title": TITLE, "divide": "range", "gamma": 3.0, "fold": "maximum"}
    assert row in menu()["combinations"]
    assert f'<option value="{MADE_UP}">{TITLE}</option>' in explanation_frame()
    (panel,) = (one for one in panels.PANELS if one.name == "contrast")
    assert f'value="{MADE_UP}"' in panel.frame()
    for command in ("explain", "tune"):
        assert MADE_UP in help_of(command, capsys=capsys)
    # Measured: a preset of it is one more row.
    monkeypatch.setitem(
        EXPLANATIONS,
        MADE_UP,
        combination(TITLE, "nobody", Preset("stage", "probability", MADE_UP, lambda n: (1.0,) * n)),
    )
    trial = try_explanations(
        model, explanation.tensor, 1, {MADE_UP: EXPLANATIONS[MADE_UP]}, metrics=("deletion",), steps=2, chance=0
    )
    assert trial.explanations[0].heatmap.how == MADE_UP
    assert trial.explanations[0].measures[0].value is not None


def share_above_half(it: Measuring) -> Measure:
    """A metric that nobody would publish: the share of pixels above half of the maximum."""
    values = it.heatmap.values
    return Measure("any name", float((values > values.max() / 2).mean()))


@proves("a faithfulness metric")
def test_a_faithfulness_metric(
    model: GeoModel, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(METRICS, MADE_UP, Metric(TITLE, True, "nobody", share_above_half, lambda _steps: 0))
    values = measured_over_a_set(model, tmp_path, methods=("gaussian",), metrics=(MADE_UP,))
    # exp(-r²/2) > 1/2 within r = sqrt(2 ln 2) quarters of each side: an ellipse of π r² / 16 of the image.
    assert values["gaussian"][MADE_UP] == pytest.approx(np.pi * 2 * np.log(2) / 16, abs=0.02)
    assert MADE_UP in Examination().columns
    assert MADE_UP in help_of("evaluate", "explanations", capsys=capsys)
    page = measured_on_the_page(model, photo)
    assert page["limit_words"][MADE_UP].startswith("above ")
    assert all(MADE_UP in row["values"] for row in page["rows"])
    (panel,) = (one for one in panels.PANELS if one.name == "faithfulness")
    assert f'data-metric="{MADE_UP}"' in panel.frame()


def to_the_right(image: np.ndarray, _seed: object) -> np.ndarray:
    """A map (H, W) that knows nothing of the network, and grows from left to right."""
    return np.broadcast_to(np.arange(image.shape[2], dtype=np.float32), image.shape[1:]).copy()


@proves("any other explanation: a Combi-CAM, an attribution, a baseline")
def test_any_other_explanation(model: GeoModel, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    preset = Preset("stage", "logit", "minmax", lambda n: (0.5,) * n, "layer-cam")
    monkeypatch.setitem(EXPLANATIONS, MADE_UP, combination(TITLE, "nobody", preset))
    monkeypatch.setitem(EXPLANATIONS, "left", baseline("left", TITLE, "nobody", to_the_right))
    # A preset's own method and score count, in Python and in the evaluation.
    explanation = geoexplain.explain(photo, model)
    logit = geoexplain.explain(photo, model, score="logit", target=explanation.target)
    wanted = combine(logit.maps("layer-cam", "stage"), preset.weights(len(logit.trace.stages)), "minmax", logit.size_hw)
    for found in (
        explanation.draw(MADE_UP, model),
        draw(MADE_UP, Subject(model, explanation.tensor, trace(model, explanation.tensor))),
    ):
        assert (found.method, found.score) == ("layer-cam", "logit")
        np.testing.assert_array_equal(found.values, wanted.values)
    row = {"name": MADE_UP, "title": TITLE, "method": "layer-cam", "level": "stage", "score": "logit", "how": "minmax"}
    assert row in menu()["presets"]
    assert f'data-preset="{MADE_UP}"' in explanation_frame()
    assert MADE_UP in explanation_payload("small", model, explanation)["preset_weights"]
    values = measured_over_a_set(model, tmp_path, methods=(MADE_UP, "left"), metrics=("deletion",))
    assert values.keys() == {MADE_UP, "left"}
    page = measured_on_the_page(model, photo)
    assert [row["name"] for row in page["rows"] if row["title"] == TITLE] == [MADE_UP, "left"]
    assert [row["baseline"] for row in page["rows"] if row["title"] == TITLE] == [False, True]


@proves("a source of concepts")
def test_a_source_of_concepts(model: GeoModel, photo: Path) -> None:
    def left_half(image: Image.Image, position: object = None) -> dict[str, np.ndarray]:
        mask = np.zeros((image.height, image.width), dtype=bool)
        mask[:, : image.width // 2] = True
        return {"left": mask}

    explanation = geoexplain.explain(photo, model)
    masks = left_half(model.preprocess.view(explanation.image))
    heatmap = replace(explanation.combi_cam(), values=masks["left"].astype(np.float32))
    (one,) = concept_influence(heatmap.values, masks, k=10).concepts
    assert (one.concept, one.share, one.tki, one.ci) == ("left", 0.5, 1.0, 2.0)


@proves("a panel of the studio")
def test_a_panel(monkeypatch: pytest.MonkeyPatch) -> None:
    made_up = panels.Panel(MADE_UP, TITLE, lambda: "<p></p>", lambda _question, _progress, _cancelled: {})
    monkeypatch.setattr(panels, "PANELS", (*panels.PANELS, made_up))
    assert f"panels/{MADE_UP}.css" in styles()


@proves("an evaluation over a set")
def test_an_evaluation_over_a_set(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    questions = import_module("geoexplain.cli.evaluate").QUESTIONS
    monkeypatch.setitem(questions, MADE_UP, replace(questions["sanity"], summary=TITLE))
    assert TITLE in help_of("evaluate", capsys=capsys)
    assert "--resume" in help_of("evaluate", MADE_UP, capsys=capsys)


@proves("a kind of partitioning")
def test_a_kind_of_partitioning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from geoexplain.cli import main
    from geoexplain.geography.kmeans_partitioning import build_kmeans
    from geoexplain.geography.partition_files import read_partitioning, write_partitioning
    from tests.geography.scattered import nameless, scattered_points

    kinds = registry("a kind of partitioning")
    monkeypatch.setitem(kinds, MADE_UP, kinds["kmeans"])
    made = replace(build_kmeans(scattered_points(3, 60), [2, 4], name_by=nameless), kind=MADE_UP)
    write_partitioning(made, tmp_path / "cells")
    assert read_partitioning(tmp_path / "cells").kind == MADE_UP
    assert main(["partition", "show", str(tmp_path / "cells")]) == 0
    assert MADE_UP in capsys.readouterr().out


@proves("a head to train")
def test_a_head(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    heads = registry("a head to train")
    monkeypatch.setitem(heads, MADE_UP, replace(heads["linear"], summary=TITLE))
    said = help_of("train", "photos", capsys=capsys)
    assert f"{MADE_UP}: {TITLE}" in said


@proves("settings of a paper")
def test_settings_of_a_paper(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    presets = registry("settings of a paper")
    monkeypatch.setitem(presets, MADE_UP, next(iter(presets.values())))
    assert MADE_UP in help_of("train", "photos", capsys=capsys)


@proves("a model")
def test_a_model(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from geoexplain.cli import main

    row = replace(ZOO["certh-b4-mvmf"], title=TITLE)
    monkeypatch.setitem(ZOO, MADE_UP, row)
    assert main(["models", "--json"]) == 0
    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["title"] for one in listed if one["name"] == MADE_UP] == [TITLE]
    assert MADE_UP in help_of("models", "add", capsys=capsys)


@proves("a checkpoint format")
def test_a_checkpoint_format(
    model: GeoModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from geoexplain.cli import main

    monkeypatch.setenv("GEOEXPLAIN_HOME", str(tmp_path / "home"))
    monkeypatch.setitem(FORMATS, MADE_UP, Format(TITLE, "nothing", lambda _folder, _name, _cells: model))
    assert MADE_UP in help_of("models", "add", capsys=capsys)
    assert main(["models", "add", "mine", "--from", str(tmp_path), "--format", MADE_UP]) == 0


@pytest.mark.parametrize(
    ("former", "present"),
    [
        ("as-published", "combi-cam"),
        ("all-stages", "combi-cam-all"),
        ("shallow-only", "combi-cam-shallow"),
        ("deep-only", "grad-cam"),
        ("tuned", "combi-cam-tuned"),
    ],
)
def test_a_former_name_is_answered_with_the_present_one(
    former: str, present: str, model: GeoModel, photo: Path
) -> None:
    for words in (
        ["explain", str(photo), "--preset", former],
        ["explain", str(photo), "--method", former],
        ["concepts", str(photo), "--method", former],
    ):
        args = build_parser(words).parse_args(words)
        assert present in (args.preset if "--preset" in words else args.method)
    words = ["evaluate", "explanations", "--imagery", "x", "--out", "y", "--methods", former]
    assert build_parser(words).parse_args(words).methods == [present]
    if present != "combi-cam-tuned":
        explanation = geoexplain.explain(photo, model)
        np.testing.assert_array_equal(explanation.draw(former, model).values, explanation.draw(present, model).values)


def test_a_row_of_the_subject_is_measured_with_no_network_attached_to_a_stage(model: GeoModel) -> None:
    # Score-CAM is a row like any other: it gets the subject, and reports how far it is.
    tensor = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    heard: list[tuple[int, int]] = []
    found = draw("score-cam", Subject(model, tensor, trace(model, tensor), progress=lambda *step: heard.append(step)))
    assert heard[-1][0] == heard[-1][1] == len(trace(model, tensor).stages[-1].activation)
    assert prepare_subject(model, tensor, found.target).target == found.target
