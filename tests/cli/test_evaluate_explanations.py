"""`geoexplain evaluate explanations` from its options to its files and its words."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from geoexplain.cli.evaluate_explanations import PLOT, beating_text, cell_text, lines_of, mark_of
from geoexplain.evaluation.explanations import Examination, ImageMeasures
from geoexplain.evaluation.record import ANSWERS, SETTINGS, SUMMARY, TABLE
from geoexplain.evaluation.scoreboard import Cell, Standing
from geoexplain.explainer.intervals import mean_interval
from tests.cli.conftest import Run, Terminal
from tests.evaluation.photos import write_photos

QUICK = ["--methods", "random", "grad-cam", "combi-cam", "--metrics", "insertion", "deletion", "road-morf"]
QUICK += ["--steps", 3, "--road-steps", 2]


@pytest.fixture
def on_views(model_file: Path, imagery: Path) -> list[object]:
    words = ["evaluate", "explanations", "--imagery", imagery / "world.200401.png", imagery / "world.200406.png"]
    return [*words, "--views", 5, "--seed", 3, "--model", model_file, "--device", "cpu", *QUICK]


def test_views_are_measured_written_and_said(run: Run, on_views: list[object], tmp_path: Path) -> None:
    outcome = run(*on_views, "--out", tmp_path / "out")
    assert (outcome.code, outcome.err) == (0, "")
    title, header, *lines = outcome.out.splitlines()
    assert title == "random on 5 views of world.200401.png, world.200406.png"
    assert header.split() == ["↓", "deletion@3", "↑", "insertion@3", "↓", "road-morf@2"]
    assert [line.split()[0] for line in lines[:3]] == ["grad-cam", "combi-cam", "(random)"]
    summary = json.loads((tmp_path / "out" / SUMMARY).read_text(encoding="utf-8"))
    with (tmp_path / "out" / TABLE).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5 * 3
    for method, scores in summary["scores"].items():
        for column, cell in scores.items():
            values = [float(row[column]) for row in rows if row["method"] == method]
            assert cell["mean"] == pytest.approx(sum(values) / 5)
            assert (cell["low"], cell["high"]) == pytest.approx(mean_interval(np.array(values)))
            assert f"{cell['mean']:.3f} ± " in next(line for line in lines if method in line.split()[0])
    assert summary["settings"]["source"]["footprint_km"] == [500, 2000]
    assert summary["best"] == {}  # of five views
    assert summary["leading"]["deletion@3"] == ["grad-cam", "combi-cam"]
    assert "  better than every baseline: none, by any metric" in lines


def test_ctrl_c_saves_and_resume_ends_with_the_same_files(
    run: Run, on_views: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(*on_views, "--out", tmp_path / "whole")
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", screen := Terminal(cue="2/5"))
        assert run(*on_views, "--out", tmp_path / "out").code == 130
    assert "images are saved in" in screen.getvalue()
    assert 0 < len((tmp_path / "out" / ANSWERS).read_text().splitlines()) < 5
    again = run(*on_views, "--out", tmp_path / "out", "--resume")
    assert (again.code, again.out, again.err) == (0, whole.out, "")
    for name in (SETTINGS, ANSWERS, TABLE, SUMMARY):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    refused = run(*on_views, "--out", tmp_path / "out", "--resume", "--seed", 4)
    assert refused.code == 2
    assert "expected source" in refused.err


def test_photos_are_measured_and_those_left_out_named(run: Run, model_file: Path, tmp_path: Path) -> None:
    file = write_photos(tmp_path / "set", 4, unreadable=(2,), missing=1)
    given = ["--manifest", file, "--images", file.parent / "images", "--model", model_file, "--device", "cpu"]
    outcome = run("evaluate", "explanations", *given, *QUICK, "--out", tmp_path / "out")
    assert (outcome.code, outcome.err) == (1, "")
    lines = outcome.out.splitlines()
    assert lines[0] == "random on 4 photos"
    assert lines[-2:] == ["  unreadable: 1 (2.png)", "  missing: 1 (gone0.png)"]
    assert json.loads((tmp_path / "out" / SUMMARY).read_text())["counts"] == {
        "evaluated": 3,
        "unreadable": 1,
        "failed": 0,
        "missing": 1,
    }


def test_processes_give_the_same_words_from_another_folder(
    run: Run, on_views: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(*on_views, "--out", tmp_path / "whole")
    monkeypatch.chdir(Path(str(on_views[3])).parent)
    here = [word.name if isinstance(word, Path) and word.suffix == ".png" else word for word in on_views]
    outcome = run(*here, "--processes", 2, "--out", tmp_path / "out")
    assert (outcome.code, outcome.out) == (0, whole.out)
    assert (tmp_path / "out" / SETTINGS).read_bytes() == (tmp_path / "whole" / SETTINGS).read_bytes()
    assert (tmp_path / "out" / PLOT).stat().st_size > 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--imagery", "x", "--engine", "dask"], "invalid choice: 'dask'"),
        (["--imagery", "x", "--processes", "0"], "a whole number of at least 1"),
        (["--imagery", "nowhere", "--processes", "2"], "--imagery nowhere: expected a file, a folder"),
        (["--images", "x"], "one of the arguments --imagery --manifest is required"),
        (["--manifest", "x"], "expected --manifest and --images together"),
        (["--imagery", "x", "--images", "x"], "expected --manifest and --images together"),
        (["--imagery", "x", "--manifest", "x"], "not allowed with"),
        (["--imagery", "x", "--methods", "gradcam"], "invalid choice: 'gradcam'"),
        (["--imagery", "x", "--metrics", "auc"], "invalid choice: 'auc'"),
        (["--imagery", "nowhere"], "--imagery nowhere: expected a file, a folder"),
        (["--imagery", "x", "--footprint", "900", "300"], "expected the smaller width first"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_begun(
    run: Run, words: list[str], sentence: str, model_file: Path, tmp_path: Path
) -> None:
    outcome = run("evaluate", "explanations", *words, "--model", model_file, "--out", tmp_path / "out")
    assert (outcome.code, outcome.out) == (2, "")
    assert sentence in outcome.err
    assert outcome.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_table_by_hand() -> None:
    examination = Examination(methods=("grad-cam", "random"), metrics=("deletion", "adcc"), steps=9)
    answers = [
        ImageMeasures("a", status="ok", values={"grad-cam": {"deletion@9": 0.25, "adcc": None}, "random": both})
        for both in ({"deletion@9": 0.125, "adcc": 0.5},)
    ]
    rows = [" ".join(line.split()) for line in lines_of(examination, examination.findings(answers))]
    assert rows[0] == "↓ deletion@9 ↑ adcc"
    assert rows[1] == "grad-cam = 0.250 ± – –"  # one image has no interval, and no best
    assert rows[2] == "(random) 0.125 ± – 0.500 ± –"
    assert rows[5] == "better than every baseline: none, by any metric"
    assert rows[6] == "grad-cam: no value for 1 of 1 images; see images.csv"
    assert cell_text(Cell(97.25, 95.0, 99.0, 10), "") == "97.2 ± 2.0"
    assert cell_text(Cell(0.25, 0.2, 0.3, 10), "*") == "* 0.250 ± 0.050"
    best = Standing("grad-cam", ("grad-cam",), ("grad-cam", "layer-cam"))
    assert [mark_of(name, best) for name in ("grad-cam", "layer-cam")] == ["*", ""]
    tie = Standing(None, ("grad-cam", "layer-cam"), ())
    assert [mark_of(name, tie) for name in ("grad-cam", "layer-cam", "combi-cam")] == ["=", "=", ""]
    assert beating_text({"adcc": best, "deletion@9": tie}) == "adcc: grad-cam, layer-cam"
