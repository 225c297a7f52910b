"""`geoexplain evaluate`: every row of its tables is a command, and a new question needs one row."""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from geoexplain.cli import build_parser
from geoexplain.cli.evaluate import ANSWERS, QUESTIONS
from geoexplain.cli.questions import QuestionCommand
from geoexplain.evaluation.question import CELL, PLACE, ImageAnswer, Question, TracedImage, examined_answers
from geoexplain.evaluation.record import SUMMARY, TABLE
from geoexplain.locator.model import GeoModel
from tests.cli.conftest import Run
from tests.evaluation.photos import write_photos

DOCS = Path(__file__).parents[2] / "docs"


@dataclass(frozen=True)
class Width(ImageAnswer):
    """How wide the network's input is, in pixels."""

    width_px: int = 0


@dataclass(frozen=True, kw_only=True)
class Widths(Question[Width, int]):
    """A made-up question: how wide are the images?"""

    FORMAT = "tests-widths/1"
    ANSWER = Width
    ABOUT = (*PLACE, *CELL)
    PLOT = "widths.png"

    methods: tuple[str, ...] = ("grad-cam",)
    times: int = 1

    @classmethod
    def known_methods(cls) -> tuple[str, ...]:
        return ("grad-cam", "layer-cam")

    @property
    def columns(self) -> tuple[str, ...]:
        return ("width_px",)

    def own_settings(self) -> dict[str, Any]:
        return {"times": self.times}

    def examine(self, model: GeoModel, image: TracedImage) -> dict[str, Any]:
        return {"width_px": self.times * image.tensor.shape[3]}

    def method_rows(self, answer: Width) -> Iterator[Sequence[Any]]:
        yield from ([method, answer.width_px, None] for method in self.methods)

    def findings(self, answers: Sequence[Width]) -> int:
        return max(answer.width_px for answer in examined_answers(answers))

    def figures(self, answers: Sequence[Width], findings: int) -> dict[str, Any]:
        return {"widest_px": findings}

    def plot(self, findings: int, title: str, file: Path) -> None:
        file.write_text(f"{title}: {findings}")


@pytest.fixture
def widths(monkeypatch: pytest.MonkeyPatch) -> None:
    row = QuestionCommand(
        Widths,
        summary="how wide the images are",
        description="Measure widths.",
        epilog=lambda: "",
        views=7,
        methods="any",
        lines=lambda question, widest: [f"  {question.times} times the widest: {widest} px"],
    )
    monkeypatch.setitem(QUESTIONS, "widths", row)


@pytest.mark.usefixtures("widths")
def test_a_made_up_question_is_one_row(run: Run, model_file: Path, tmp_path: Path) -> None:
    assert "how wide the images are" in run("evaluate", "--help").out
    page = run("evaluate", "widths", "--help").out
    for option in ("--imagery", "--manifest", "--processes", "--engine", "--resume", "--out", "--methods", "--seed"):
        assert option in page
    assert "views of --imagery (default: 7)" in page
    places = write_photos(tmp_path / "set", 4, unreadable=(2,), missing=1)
    words = ["evaluate", "widths", "--manifest", places, "--images", places.parent / "images", "--model", model_file]
    out = tmp_path / "out"
    outcome = run(*words, "--device", "cpu", "--methods", "layer-cam", "grad-cam", "--out", out)
    assert (outcome.code, outcome.err) == (1, "")
    with (out / TABLE).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = {row["id"]: row["width_px"] for row in rows}
    assert [row["method"] for row in rows[:2]] == ["grad-cam", "layer-cam"]  # in the order of known_methods()
    assert (found["2.png"], found["gone0.png"]) == ("", "")
    widest = max(int(width) for width in found.values() if width)
    assert outcome.out.splitlines() == [
        "random on 4 photos",
        f"  1 times the widest: {widest} px",
        "  unreadable: 1 (2.png)",
        "  missing: 1 (gone0.png)",
    ]
    summary = json.loads((out / SUMMARY).read_text(encoding="utf-8"))
    assert (summary["widest_px"], summary["counts"]["evaluated"]) == (widest, 3)
    assert summary["settings"]["methods"] == ["grad-cam", "layer-cam"]
    assert (out / Widths.PLOT).read_text() == f"random on 4 photos: {widest}"
    again = run(*words, "--device", "cpu", "--methods", "layer-cam", "grad-cam", "--out", out, "--resume")
    assert (again.code, again.out) == (1, outcome.out)


def test_help_names_every_row(run: Run) -> None:
    page = " ".join(run("evaluate", "--help").out.split())
    rows = {name: summary for name, (summary, _) in ANSWERS.items()}
    rows |= {name: command.summary for name, command in QUESTIONS.items()}
    for name, summary in rows.items():
        assert f" {name} {summary}" in page


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_question_is_documented(name: str) -> None:
    assert f"`geoexplain evaluate {name}`" in (DOCS / "cluster.md").read_text(encoding="utf-8")
    assert f"geoexplain evaluate {name} " in (DOCS / "trust.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", QUESTIONS)
def test_what_is_asked_without_options_is_what_python_asks_without_arguments(name: str) -> None:
    words = ["evaluate", name, "--imagery", "x", "--out", "y"]
    args = build_parser(words).parse_args(words)
    command = QUESTIONS[name]
    assert command.question(methods=tuple(args.methods), seed=args.seed, **command.settings(args)) == command.question()
