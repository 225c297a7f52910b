"""`geoexplain evaluate sanity` from its options to its files and its words."""

import csv
import json
import sys
from pathlib import Path

import pytest

from geoexplain.cli.evaluate_sanity import PLOT
from geoexplain.evaluation.record import ANSWERS, SUMMARY, TABLE
from tests.cli.conftest import Run, Terminal


@pytest.fixture
def on_views(model_file: Path, imagery: Path) -> list[object]:
    words = ["evaluate", "sanity", "--imagery", imagery / "world.200401.png", "--views", 3, "--seed", 3]
    return [*words, "--model", model_file, "--device", "cpu", "--draws", 2, "--methods", "grad-cam", "combi-cam"]


def test_views_are_checked_written_and_said_and_a_broken_run_goes_on(
    run: Run, on_views: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(*on_views, "--out", tmp_path / "whole")
    assert (whole.code, whole.err) == (0, "")
    title, header, *lines = whole.out.splitlines()
    assert title == "random on 3 views of world.200401.png, 2 draws of the weights"
    assert header.split()[0] == "head"
    summary = json.loads((tmp_path / "whole" / SUMMARY).read_text(encoding="utf-8"))
    with (tmp_path / "whole" / TABLE).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for method, found in summary["methods"].items():
        line = next(line for line in lines if line.split()[0] == method)
        shown, _, span = line.partition("[")
        shown = shown.split()[1:]
        assert len(shown) == len(found["steps"])
        last = found["steps"][-1]
        assert span == f"{last['low']:.2f}, {last['high']:.2f}]"
        assert (found["verdict"], "more images should tell" in found["sentence"]) == ("too few", True)
        for step, text in zip(found["steps"], shown, strict=True):
            told = [row for row in rows if (row["method"], row["randomised"]) == (method, step["randomised"])]
            values = [float(row["resemblance"]) for row in told if row["resemblance"]]
            assert step["resemblance"] == pytest.approx(sum(values) / len(values), abs=2e-6)
            assert step["low"] <= step["resemblance"] <= step["high"]
            assert text == f"{step['resemblance']:.2f}"
        assert f"  {found['sentence']}" in lines
        assert sum(found["verdicts_of_single_images"].values()) == 3
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", screen := Terminal(cue="1/3"))
        assert run(*on_views, "--out", tmp_path / "out").code == 130
    assert "images are saved in" in screen.getvalue()
    assert 0 < len((tmp_path / "out" / ANSWERS).read_text().splitlines()) < 3
    again = run(*on_views, "--out", tmp_path / "out", "--resume")
    assert (again.code, again.out) == (0, whole.out)
    for name in (TABLE, SUMMARY, PLOT):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_baselines_cannot_be_checked(run: Run, tmp_path: Path) -> None:
    outcome = run("evaluate", "sanity", "--imagery", "x", "--methods", "random", "--out", tmp_path / "out")
    assert outcome.code == 2
    assert "invalid choice: 'random'" in outcome.err
