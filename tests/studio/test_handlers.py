"""The handlers, called as Gradio calls them, against the Python API."""

import gc
import importlib
import os
import re
import threading
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image
from torch import Tensor

from geoexplain.explainer.cams import score_cam
from geoexplain.explainer.combine import combine
from geoexplain.explainer.explanation import explain, locate
from geoexplain.images import open_image
from geoexplain.locator.model import GeoModel, LocalizableRule
from geoexplain.locator.zoo import BUNDLED
from geoexplain.studio.answer import EXPLAINING, LOCATING, QUIET, REFUSED, WORDS_EMPTY, answer_payload
from geoexplain.studio.examples import examples
from geoexplain.studio.handlers import Handlers
from geoexplain.studio.models import Loaded, Models
from geoexplain.studio.payload import explanation_payload, on_demand_payload
from geoexplain.studio.places import places_payload
from geoexplain.view.export import prediction_record
from geoexplain.view.overlay import overlay
from tests.studio.conftest import event, props

NAME = "random"
"""The only model that these handlers offer, besides the bundled one."""


@pytest.fixture(scope="module")
def handlers(models: Models) -> Handlers:
    return Handlers(models, assets_url="gradio_api/file=/assets")


def test_no_image_empties_everything(handlers: Handlers) -> None:
    ((world, answer, explanation, record, name),) = handlers.show(None, None, NAME)
    assert props(world)["value"] is None
    assert props(answer)["value"] == {"words": WORDS_EMPTY}
    assert props(answer)["status"] == QUIET
    assert props(explanation)["value"] is None
    assert record is None
    assert name == gr.skip()


def test_an_image_is_announced_and_then_answered(handlers: Handlers, model: GeoModel, image: Image.Image) -> None:
    came = {"path": "/somewhere/picture.png"}
    first, last = handlers.show(image, came, NAME)
    assert props(first[1])["status"] == LOCATING
    assert "value" not in {k for k, v in props(first[1]).items() if v is not None}
    expected = explain(image, model)
    world, answer, explanation, record, name = last
    assert props(world)["target"] == expected.target
    assert "gradio_api/file=/assets/leaflet" in props(world)["value"]["page"]
    assert props(answer)["value"] == answer_payload(NAME, Loaded(model), expected, expected.prediction)
    assert props(answer)["status"] == QUIET
    assert props(explanation)["value"] == explanation_payload(NAME, model, expected)
    assert record is came
    assert name == NAME


def test_an_example_is_shown_with_its_truth(handlers: Handlers) -> None:
    example = examples()[3]
    *_, last = handlers.show(open_image(example.file), None, NAME)
    assert any(f"Truth: {example.title}" in fact for fact in props(last[1])["value"]["facts"])
    assert re.search(r'"truth": ?\{"point": ?\[-1.4, ?-51', props(last[0])["value"]["page"])


def test_a_cell_is_chosen_by_its_number(handlers: Handlers, model: GeoModel, image: Image.Image) -> None:
    first, last = handlers.show_cell(image, NAME, event(cell=4, score="logit"))
    assert props(first[1])["status"] == EXPLAINING
    world, answer, explanation = last
    expected = explain(image, model, target=4, score="logit")
    assert props(world)["target"] == 4
    assert "page" not in (props(world).get("value") or {})  # the map stays where it was moved to
    assert props(answer)["value"]["target"] == 4
    assert props(explanation)["value"] == explanation_payload(NAME, model, expected)


@pytest.mark.parametrize("lng", [12.0, 372.0, -348.0, 170.0, 190.0, -190.0])
def test_a_cell_is_chosen_by_a_place_on_any_turn_of_the_earth(
    handlers: Handlers, model: GeoModel, image: Image.Image, lng: float
) -> None:
    *_, (world, _, _) = handlers.show_cell(image, NAME, event(lat=-20.0, lng=lng))
    lat, lon = np.radians(model.partition.centers_deg).T
    point = np.radians([-20.0, lng])
    cosines = np.sin(lat) * np.sin(point[0]) + np.cos(lat) * np.cos(point[0]) * np.cos(lon - point[1])
    assert props(world)["target"] == int(cosines.argmax())


@pytest.mark.parametrize(
    "data",
    [
        {"cell": 12},
        {"cell": -1},
        {"cell": 1.5},
        {"cell": "x"},
        {"cell": None},
        {"cell": float("nan")},
        {"cell": float("inf")},
        pytest.param({"cell": 10**400}, id="a number of 401 digits"),
        {"cell": [1]},
        {"cell": 1, "score": "vibes"},
        {"lat": 91, "lng": 0},
        {"lat": float("nan"), "lng": 0},
        {"lat": 0, "lng": float("inf")},
        {"lat": "<b>", "lng": 0},
        {"lat": 5},
        {},
    ],
)
def test_a_wrong_choice_is_one_plain_sentence(handlers: Handlers, image: Image.Image, data: dict[str, Any]) -> None:
    with pytest.raises(gr.Error) as refusal:
        list(handlers.show_cell(image, NAME, event(**data)))
    sentence = str(refusal.value.message)
    assert "xpected" in sentence
    assert "\n" not in sentence
    assert len(sentence) < 300
    assert not refusal.value.print_exception


def test_without_an_image_a_choice_changes_nothing(handlers: Handlers) -> None:
    ((world, answer, explanation),) = handlers.show_cell(None, NAME, event(cell=1))
    assert world == answer == explanation == gr.skip()
    with pytest.raises(gr.Error, match="not shown any more"):
        list(handlers.run_score_cam(None, NAME, event(method="score-cam", cell=1, run=1, score="logit")))


def test_a_refusal_says_that_nothing_changed(handlers: Handlers) -> None:
    assert props(handlers.refused())["status"] == REFUSED


def test_an_example_is_picked_by_its_place_in_the_gallery(handlers: Handlers) -> None:
    assert handlers.pick_example(event(index=2)) == str(examples()[2].file)
    for index in (-1, len(examples()), 0.5, "../../secret.png", None):
        with pytest.raises(gr.Error):
            handlers.pick_example(event(index=index))


def test_score_cam_reports_and_ends_with_its_map(handlers: Handlers, model: GeoModel, image: Image.Image) -> None:
    *reports, last = [
        props(update)["score_cam"]
        for update in handlers.run_score_cam(image, NAME, event(method="score-cam", cell=3, run=77, score="logit"))
    ]
    counts = [report["done"] for report in reports]
    assert counts == sorted(counts)
    assert counts[-1] == reports[-1]["total"] == 320
    assert all(report["run"] == 77 and report["state"] == "running" for report in reports)
    expected = explain(image, model, target=3, score="logit")
    stage_map = score_cam(model, expected.tensor, expected.trace, expected.trace.stages[-1])
    assert last == {
        "run": 77,
        "state": "done",
        **on_demand_payload(combine([stage_map], (1.0,), "sum", expected.size_hw)),
    }


def test_score_cam_stops_when_nobody_listens(
    handlers: Handlers, model: GeoModel, image: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunks, gone = [], threading.Event()

    def logits(x: Tensor) -> Tensor:
        chunks.append(len(x))
        assert len(chunks) == 1 or gone.wait(30)
        return GeoModel.logits(model, x)

    monkeypatch.setattr(model, "logits", logits)
    before = set(threading.enumerate())
    run = handlers.run_score_cam(image, NAME, event(method="score-cam", cell=3, run=1, score="probability"))
    next(run)
    (worker,) = set(threading.enumerate()) - before
    run.close()
    gone.set()
    worker.join(30)
    assert not worker.is_alive()
    assert chunks in ([16], [16, 16])  # the second may have been under way


def test_score_cam_of_no_cell_is_refused_and_leaves_no_thread(handlers: Handlers, image: Image.Image) -> None:
    before = threading.active_count()
    with pytest.raises(gr.Error):
        list(handlers.run_score_cam(image, NAME, event(method="score-cam", cell=99, run=1, score="logit")))
    assert threading.active_count() == before


def test_scripts_get_the_record_of_the_command_line(handlers: Handlers, model: GeoModel, image: Image.Image) -> None:
    assert handlers.api_locate(image) == prediction_record("", model, locate(image, model))
    with pytest.raises(gr.Error):
        handlers.api_locate(None)


def test_scripts_get_the_picture_of_the_browser(handlers: Handlers, model: GeoModel, image: Image.Image) -> None:
    drawn = handlers.api_combi_cam(image, 5, "layer-cam", "stage", "logit", "tanh", "[1, 0.5, 0, 0, 2, 1, 1]")
    explanation = explain(image, model, target=5, score="logit")
    heatmap = explanation.combi_cam((1, 0.5, 0, 0, 2, 1, 1), method="layer-cam", level="stage", how="tanh")
    expected = overlay(model.preprocess.view(image), heatmap.values)
    assert np.array_equal(np.asarray(drawn), np.asarray(expected))


def test_without_weights_every_block_has_the_same_say(handlers: Handlers, model: GeoModel, image: Image.Image) -> None:
    drawn = handlers.api_combi_cam(image, None, "grad-cam", "block", "probability", "sum", "")
    maps = explain(image, model).maps("grad-cam", "block")
    ones = handlers.api_combi_cam(image, None, "grad-cam", "block", "probability", "sum", str([1] * len(maps)))
    assert np.array_equal(np.asarray(drawn), np.asarray(ones))


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        (1, 12),
        (1, 2.5),
        (2, "score-cam"),
        (2, "magic"),
        (3, "pixel"),
        (4, "vibes"),
        (5, "product"),
        (6, "[1, 2"),
        (6, "12"),
        (6, '{"a": 1}'),
        (6, "[1]"),
        (6, '["x"]'),
        (6, "[null, 1, 1, 1, 1, 1, 1]"),
        (6, "[NaN, 1, 1, 1, 1, 1, 1]"),
        (6, "[-1, 1, 1, 1, 1, 1, 1]"),
        (6, "[" * 100_000),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_wrong_argument_is_one_plain_sentence(
    handlers: Handlers, image: Image.Image, argument: int, value: Any
) -> None:
    arguments: list[Any] = [image, None, "grad-cam", "stage", "probability", "sum", ""]
    arguments[argument] = value
    with pytest.raises(gr.Error) as refusal:
        handlers.api_combi_cam(*arguments)
    assert "xpected" in str(refusal.value.message)
    assert "\n" not in str(refusal.value.message)


def test_a_script_may_name_a_model_and_a_rule(handlers: Handlers, model: GeoModel, image: Image.Image) -> None:
    record = handlers.api_locate(image, NAME, 2500, 0.001)
    assert record == prediction_record("", model, locate(image, model, rule=LocalizableRule(2500, 0.001)))
    assert record["rule"] == {"scale_km": 2500.0, "threshold": 0.001}
    assert record["localizable"] is True
    assert handlers.api_locate(image, "", None, 1.0)["localizable"] is False
    drawn = handlers.api_combi_cam(image, None, "grad-cam", "block", "probability", "sum", "", NAME)
    default = handlers.api_combi_cam(image, None, "grad-cam", "block", "probability", "sum", "")
    assert np.array_equal(np.asarray(drawn), np.asarray(default))


HOSTILE = [None, "", 7, [NAME], {"name": NAME}, "nobody", "../random", "certh-b4-mvmf", "<b>random</b>", "random\0"]


@pytest.mark.parametrize("name", HOSTILE, ids=repr)
def test_a_model_that_is_not_ready_is_one_plain_sentence(handlers: Handlers, image: Image.Image, name: Any) -> None:
    asked = [
        lambda: list(handlers.show(image, None, name)),
        lambda: list(handlers.switch(image, name)),
        lambda: list(handlers.switch(None, name)),
        lambda: list(handlers.show_cell(image, name, event(cell=1))),
        lambda: list(handlers.run_score_cam(image, name, event(method="score-cam", cell=1, run=1, score="logit"))),
    ]
    if name:  # for scripts, none is the one that the server was started with
        asked.append(lambda: handlers.api_locate(image, name))
        asked.append(lambda: handlers.api_combi_cam(image, None, "grad-cam", "block", "logit", "sum", "", name))
    for ask in asked:
        with pytest.raises(gr.Error) as refusal:
            ask()
        assert "expected a model that is ready, got another name" in str(refusal.value.message)
        assert not refusal.value.print_exception


@pytest.mark.parametrize(
    ("scale_km", "threshold"),
    [
        *((scale_km, None) for scale_km in (-1, 20101, float("nan"), float("inf"), "far", 10**400, [1])),
        *((None, threshold) for threshold in (-0.1, 1.1, float("nan"), "high", {})),
    ],
    ids=lambda value: str(value)[:10],
)
def test_a_rule_that_cannot_be_is_one_plain_sentence(
    handlers: Handlers, image: Image.Image, scale_km: Any, threshold: Any
) -> None:
    with pytest.raises(gr.Error) as refusal:
        handlers.api_locate(image, NAME, scale_km, threshold)
    assert "xpected" in str(refusal.value.message)
    assert "\n" not in str(refusal.value.message)


def test_what_was_asked_about_another_model_is_left_unanswered(handlers: Handlers, image: Image.Image) -> None:
    # The page has changed the model since: the answer of the new one is on its way.
    ((world, answer, explanation),) = handlers.show_cell(image, NAME, event(cell=1, model="another"))
    assert world == answer == explanation == gr.skip()
    with pytest.raises(gr.Error, match="not shown any more"):
        list(
            handlers.run_score_cam(
                image, NAME, event(method="score-cam", cell=1, run=1, score="logit", model="another")
            )
        )


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads the memory of a process as Linux tells it")
def test_explaining_leaves_nothing_behind(handlers: Handlers, image: Image.Image) -> None:
    def resident_bytes() -> int:
        gc.collect()
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def explain_often(times: int) -> None:
        for index in range(times):
            list(handlers.show_cell(image, NAME, event(cell=index % 12)))

    explain_often(10)
    before = resident_bytes()
    explain_often(40)
    # What one explanation holds: kept once in four times, it would show.
    trace = explain(image, handlers.models[NAME].model).trace
    held = sum(4 * (block.activation.numel() + block.gradient.numel()) for block in trace.blocks)
    assert resident_bytes() - before < 10 * held


def count_calls(monkeypatch: pytest.MonkeyPatch, name: str) -> list[Any]:
    """The first arguments of every call of a function, by its full name, which goes on to do what it does."""
    module, _, attribute = name.rpartition(".")
    function, calls = getattr(importlib.import_module(module), attribute), []
    monkeypatch.setattr(name, lambda *given, **named: (calls.append(given[0]), function(*given, **named))[1])
    return calls


def test_an_image_is_hashed_once_and_only_if_it_has_the_size_of_an_example(
    handlers: Handlers, monkeypatch: pytest.MonkeyPatch
) -> None:
    example = open_image(examples()[0].file)
    list(handlers.show(example, None, NAME))  # the examples themselves have been read after this
    hashed = count_calls(monkeypatch, "geoexplain.studio.examples._fingerprint")
    list(handlers.show(example, None, NAME))
    assert len(hashed) == 1
    list(handlers.show(example.resize((example.width + 1, example.height)), None, NAME))
    assert len(hashed) == 1


def test_the_outline_of_a_place_is_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    models = Models(BUNDLED)
    image = open_image(examples()[0].file)
    drawn = count_calls(monkeypatch, "geoexplain.view.cell_borders.outline_data")
    first = places_payload(models[BUNDLED], locate(image, models[BUNDLED].model), None)
    once = len(drawn)
    assert once > 0
    assert places_payload(models[BUNDLED], locate(image, models[BUNDLED].model), None) == first
    assert len(drawn) == once


def test_warming_up_answers_once_with_the_model_that_people_meet_first(
    handlers: Handlers, monkeypatch: pytest.MonkeyPatch
) -> None:
    explained = count_calls(monkeypatch, "geoexplain.studio.handlers.explain")
    fresh = Handlers(handlers.models, assets_url="")
    fresh.warm_up()
    fresh.warm_up()
    assert len(explained) == 1
