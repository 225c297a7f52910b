"""One question over a set: here, by processes that are killed meanwhile, and one after the other in one folder."""

import csv
import json
import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from geoexplain.errors import DataError
from geoexplain.evaluation.concepts import Study
from geoexplain.evaluation.engines.processes import Processes
from geoexplain.evaluation.evaluate import KILLED, Work, Workers, answers_of_workers, evaluate, settings_of
from geoexplain.evaluation.explanations import Examination
from geoexplain.evaluation.pictures import Source
from geoexplain.evaluation.question import Question
from geoexplain.evaluation.record import SETTINGS, TABLE
from geoexplain.evaluation.sanity import Randomisation
from geoexplain.locator.model import GeoModel
from tests.evaluation.recipes import photos_recipe, views_recipe

QUICK = Examination(
    methods=("grad-cam", "random"), metrics=("deletion", "average-drop", "road-morf"), steps=3, road_steps=2
)


def assert_same_table(one: Path, other: Path) -> None:
    """Equal cells, numbers to 1e-6."""
    tables = []
    for out in (one, other):
        with (out / TABLE).open(encoding="utf-8", newline="") as file:
            tables.append(list(csv.reader(file)))
    assert len(tables[0]) == len(tables[1])
    for rows in zip(*tables, strict=True):
        for cells in zip(*rows, strict=True):
            try:
                numbers = [float(cell) for cell in cells]
            except ValueError:
                assert cells[0] == cells[1]
            else:
                assert numbers[0] == pytest.approx(numbers[1], rel=1e-6, abs=1e-6)


@pytest.mark.usefixtures("threads_of_one_in_two")
def test_processes_give_the_same_table_though_one_is_killed_and_the_run_is_interrupted(tmp_path: Path) -> None:
    recipe = views_recipe(tmp_path)
    model, source = recipe.open()
    evaluate(QUICK, model, source, tmp_path / "alone")
    workers = Workers(Processes(2, "cpu"), recipe)
    killed = []

    def kill_then_interrupt(done: int, _total: int) -> None:
        if done == 1:
            killed.extend(multiprocessing.active_children()[:1])
            os.kill(killed[0].pid, signal.SIGKILL)
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(QUICK, model, source, tmp_path / "out", workers=workers, progress=kill_then_interrupt)
    assert killed
    assert multiprocessing.active_children() == []
    # Another engine goes on: who answers is no setting.
    heard: list[int] = []
    evaluate(QUICK, model, source, tmp_path / "out", resume=True, progress=lambda done, _total: heard.append(done))
    assert heard == [4, 5, 6]
    assert_same_table(tmp_path / "out", tmp_path / "alone")
    assert (tmp_path / "out" / SETTINGS).read_bytes() == (tmp_path / "alone" / SETTINGS).read_bytes()


def test_an_image_that_breaks_the_examination_is_an_answer_and_asked_for_again(tmp_path: Path) -> None:
    recipe = photos_recipe(tmp_path)
    model, source = recipe.open()
    evaluate(QUICK, model, source, tmp_path / "whole")

    def breaking(known):
        for picture in source.pictures(known):
            yield replace(picture, tensor=torch.zeros(1, 5, 64, 64)) if picture.index == 1 else picture

    answers = evaluate(QUICK, model, replace(source, pictures=breaking), tmp_path / "out")
    assert [answer.status for answer in answers] == ["ok", "failed", "ok", "ok"]
    assert "got (1, 5, 64, 64)" in (answers[1].reason or "")
    assert (answers[1].id, answers[1].values) == ("1.png", {})
    heard: list[int] = []
    again = evaluate(
        QUICK, model, source, tmp_path / "out", resume=True, progress=lambda done, _total: heard.append(done)
    )
    assert heard == [3, 4]
    assert [answer.status for answer in again] == ["ok"] * 4
    assert (tmp_path / "out" / TABLE).read_bytes() == (tmp_path / "whole" / TABLE).read_bytes()


def opened(tmp_path: Path, **flaws) -> tuple[Work, GeoModel, Source]:
    recipe = photos_recipe(tmp_path, **flaws)
    model, source = recipe.open()
    return Work(QUICK, recipe, settings_of(QUICK, model, source, "cpu")), model, source


def test_a_worker_answers_as_this_process_does_whatever_is_wrong_with_an_image(tmp_path: Path) -> None:
    work, model, source = opened(tmp_path, unreadable=(2,))
    here = evaluate(QUICK, model, source, tmp_path / "here")
    answer = work.open(1)
    kind = QUICK.kind()
    for index in (3, 2, 0):
        shape, plain = json.loads(answer(index))
        assert kind.read(plain) == here[index]
        assert (shape is None) == (here[index].status == "unreadable")
    (tmp_path / "set" / "images" / "1.png").unlink()
    assert kind.read(json.loads(answer(1))[1]).status == "unreadable"


@pytest.mark.parametrize(("key", "value"), [("model_sha256", "another"), ("device", "cuda"), ("source", {})])
def test_a_worker_with_another_model_or_other_images_refuses(key: str, value: object, tmp_path: Path) -> None:
    work, _, _ = opened(tmp_path)
    with pytest.raises(DataError, match=f"^a worker: expected {key} "):
        replace(work, settings={**work.settings, key: value}).open(0)


def test_an_image_that_kills_its_workers_is_named_without_being_looked_at(tmp_path: Path) -> None:
    class Deadly:
        device = "cpu"

        def answers(self, opener, indices):
            yield from ((index, None) for index in indices)

    recipe = photos_recipe(tmp_path)
    _, source = recipe.open()
    (entry,) = answers_of_workers(Workers(Deadly(), recipe), QUICK, source, {0, 1, 3}, {})
    assert (entry.index, entry.shape) == (2, None)
    assert (entry.result.id, entry.result.file, entry.result.status) == ("2.png", "2.png", "failed")
    assert entry.result.reason == KILLED


def test_single_pictures_are_those_of_the_row(tmp_path: Path) -> None:
    for recipe in (views_recipe(tmp_path, 4), photos_recipe(tmp_path, unreadable=(1,))):
        _, source = recipe.open()
        for picture in source.pictures({2}):
            alone, about = source.picture(picture.index), source.about(picture.index)
            assert (alone.id, alone.file, alone.lat_deg, alone.reason) == (
                picture.id,
                picture.file,
                picture.lat_deg,
                picture.reason,
            )
            assert (about.id, about.file, about.lon_deg) == (picture.id, picture.file, picture.lon_deg)
            assert about.tensor is None
            if picture.tensor is None:
                assert alone.tensor is None
            else:
                assert torch.equal(alone.tensor, picture.tensor)


RECORDED = {
    Examination: """{"id": "a", "file": "a.png", "status": "ok", "lat_deg": 1.5, "lon_deg": -2.0, "cell": 7,
        "label": "Chad", "probability": 0.25, "error_km": 12.5, "values": {"grad-cam": {"adcc": null}},
        "reasons": {"grad-cam": {"adcc": "flat"}}, "reason": null}""",
    Randomisation: """{"id": "a", "file": "a.png", "status": "ok", "lat_deg": 1.5, "lon_deg": -2.0, "cell": 7,
        "label": "Chad", "probability": 0.25, "steps": ["head"], "correlations": {"grad-cam": [[null], [0.5]]},
        "chances": {"grad-cam": [[null], [0.25]]}, "similarities": {"grad-cam": [[null], [1.0]]},
        "verdicts": {"grad-cam": "too few"}, "reason": null}""",
    Study: """{"id": "a", "file": "a.png", "status": "ok", "lat_deg": 1.5, "lon_deg": -2.0, "predicted_lat_deg": 3.0,
        "predicted_lon_deg": 4.0, "error_km": 12.5, "cell": 7, "label": "Chad", "probability": 0.25,
        "concepts": {"grad-cam": [{"concept": "sea", "share": 0.5, "tki": 0.75, "ci": 1.5, "ignored": ""}]},
        "tied": {"grad-cam": 2}, "reason": null}""",
}
"""A line of answers.jsonl as it was written before all questions shared a frame."""


@pytest.mark.parametrize("question", RECORDED, ids=lambda question: question.__name__)
def test_records_stay_as_they_were(question: type[Question]) -> None:
    """An evaluation that was begun earlier can be resumed, and ends with the bytes of one that was not interrupted."""
    kind = question().kind()
    line = json.dumps(json.loads(RECORDED[question]))
    answer = kind.read(json.loads(line))
    assert json.dumps(kind.plain(answer)) == line
    assert (answer.id, answer.lat_deg, answer.label, answer.probability) == ("a", 1.5, "Chad", 0.25)
