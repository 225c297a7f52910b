"""How a gate is measured: with a model whose gate is known, and areas worked out by hand."""

from pathlib import Path

import numpy as np
import pytest

from geoexplain.errors import DataError
from geoexplain.evaluation.gate import GateAnswers, ask_gate, gate_area, merge_answers, pictures_by_kind
from tests.locator.gates import BLUE, RED, flat_picture, red_gate, red_model


def answers(*scores: float) -> GateAnswers:
    found = np.array(scores)
    return GateAnswers(found, found >= 0.5, found >= 0.9, found)


def test_the_area_by_hand() -> None:
    # of the four pairs (own, other) three are in order
    assert gate_area({"a": answers(0.9), "b": answers(0.4)}, {"c": answers(0.5, 0.1)}) == 0.75
    assert gate_area({"a": answers(0.9)}, {"c": answers(0.1)}) == 1
    assert gate_area({"a": answers(0.3)}, {"c": answers(0.3)}) == 0.5
    assert np.isnan(gate_area({}, {"c": answers(0.3)}))


def test_several_kinds_together_are_all_their_images() -> None:
    both = merge_answers([answers(0.2, 0.95), answers(0.6)])
    np.testing.assert_array_equal(both.scores, [0.2, 0.95, 0.6])
    np.testing.assert_array_equal(both.in_domain, [False, True, True])
    np.testing.assert_array_equal(both.localizable, [False, True, False])


def test_pictures_are_asked_and_damaged_ones_are_left_out(tmp_path: Path) -> None:
    for name, color in (("red", RED), ("blue", BLUE)):
        (tmp_path / name).mkdir()
        for number in range(3):
            flat_picture(color).save(tmp_path / name / f"{number}.png")
    (tmp_path / "blue" / "broken.png").write_bytes(b"no picture")
    (tmp_path / "blue" / "notes.txt").write_text("no picture either")
    kinds = pictures_by_kind([tmp_path], (".png",))
    assert {name: len(files) for name, files in kinds.items()} == {"blue": 4, "red": 3}
    model = red_model(red_gate())
    red, unread = ask_gate(model, kinds["red"])
    assert (red.in_domain.all(), red.localizable.all(), unread) == (True, True, [])
    blue, unread = ask_gate(model, kinds["blue"])
    assert len(blue) == 3
    assert not blue.in_domain.any()
    assert not blue.localizable.any()
    assert unread == [tmp_path / "blue" / "broken.png"]


def test_what_cannot_be_measured_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found none"):
        pictures_by_kind([tmp_path], (".png",))
    flat_picture(RED).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="model red: expected a model with a gate, got one without"):
        ask_gate(red_model(), [tmp_path / "a.png"])
