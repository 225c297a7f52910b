"""What the gate says, on the command line and in records, before any answer."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from geoexplain.cli.batch import describe_prediction
from geoexplain.explainer.explanation import explain, locate
from geoexplain.locator.prediction import Prediction
from geoexplain.view.export import prediction_record
from geoexplain.view.gate_words import MEANING, gate_fact, gate_sentence
from tests.locator.gates import BLUE, RED, flat_picture, red_gate, red_model

OTHER = "This does not seem to be a red picture."


def score_of(color: tuple[int, int, int]) -> float:
    red, _, blue = (2 * value / 255 - 1 for value in color)
    return 1 / (1 + math.exp(-4 * (red - blue)))


@pytest.mark.parametrize("color", [RED, BLUE, (128, 128, 120)])
def test_the_score_is_that_of_the_picture(color: tuple[int, int, int]) -> None:
    model = red_model(red_gate())
    located = locate(flat_picture(color), model)
    explained = explain(flat_picture(color), model).prediction
    for found in (located, explained, locate(flat_picture(color), model, crops=5)):
        assert found.domain_score == pytest.approx(score_of(color), abs=1e-6)
        assert found.in_domain is (score_of(color) >= 0.5)


def test_nothing_of_another_kind_is_localizable() -> None:
    model = red_model(red_gate())
    assert locate(flat_picture(RED), model).localizable
    blue = locate(flat_picture(BLUE), model)
    assert blue.density > 0.99
    assert not blue.localizable
    ungated = locate(flat_picture(BLUE), red_model())
    assert ungated.localizable
    assert (ungated.in_domain, ungated.domain_score) == (None, None)


def test_the_sentence_stands_only_where_it_is_true() -> None:
    model = red_model(red_gate())
    assert gate_sentence(model, locate(flat_picture(BLUE), model)) == OTHER
    assert gate_sentence(model, locate(flat_picture(RED), model)) == ""
    plain = red_model()
    unknown = locate(flat_picture(BLUE), plain)
    assert gate_sentence(plain, unknown) == ""
    assert gate_fact(plain, unknown).endswith("is unknown: it has no gate")
    plain.ungated = "red.gate.json: damaged."
    assert gate_fact(plain, unknown).endswith("is unknown: its gate cannot be used. red.gate.json: damaged.")


@pytest.mark.parametrize(
    ("score", "words"),
    [(0.0, "0 %"), (1e-5, "< 0.1 %"), (0.5, "50.0 %"), (0.9994, "> 99.9 %"), (1.0, "100 %"), (0.01, "1.0 %")],
)
def test_how_sure_it_is_is_never_rounded_to_certainty(score: float, words: str) -> None:
    model = red_model(red_gate())
    found: Prediction = replace(locate(flat_picture(RED), model), domain_score=score)
    assert gate_fact(model, found).endswith(f"a red picture: {words}")


def test_the_command_line_says_it_first(tmp_path: Path) -> None:
    model = red_model(red_gate())
    first, second = describe_prediction("a.png", model, locate(flat_picture(BLUE), model)).splitlines()[:2]
    assert first == f"a.png: {OTHER} {MEANING}"
    assert second.startswith("a.png: ")
    assert OTHER not in describe_prediction("a.png", model, locate(flat_picture(RED), model))


def test_the_record_says_it_before_the_answer() -> None:
    model = red_model(red_gate())
    record = json.loads(json.dumps(prediction_record("a.png", model, locate(flat_picture(BLUE), model))))
    assert record["in_domain"] is False
    assert record["domain_score"] == pytest.approx(score_of(BLUE))
    keys = list(record)
    assert keys.index("in_domain") < keys.index("latitude")
    plain = red_model()
    without = prediction_record("a.png", plain, locate(flat_picture(RED), plain))
    assert (without["in_domain"], without["domain_score"]) == (None, None)
