"""The command line as a whole: help, version, refusals, pipes."""

import argparse
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import geoexplain
from geoexplain.cli import COMMANDS, attached_targets, build_parser
from tests.cli.conftest import Run
from tests.test_architecture import PACKAGE, ROOT

KINDS = [
    ["locate"],
    ["explain"],
    ["concepts"],
    ["evaluate", "views"],
    ["evaluate", "photos"],
    ["evaluate", "gate"],
    ["evaluate", "explanations"],
    ["evaluate", "sanity"],
    ["evaluate", "concepts"],
    ["tune"],
    ["practice"],
    ["addresses"],
    ["partition", "build", "s2"],
    ["partition", "build", "semantic"],
    ["partition", "build", "kmeans"],
    ["partition", "show"],
    ["partition", "import"],
    ["train", "views"],
    ["train", "release"],
    ["train", "photos"],
    ["train", "embedding"],
    ["models", "add"],
    ["models", "remove"],
    ["models", "name-cells"],
    ["models", "split"],
    ["models", "convert"],
    ["gallery", "build"],
    ["gallery", "show"],
    ["inference"],
    ["studio"],
]


def parser_of(words: list[str]) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = build_parser(words)
    for word in words:
        choices = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction)).choices
        parser = choices[word]
    return parser


def test_every_command_and_kind_is_looked_at() -> None:
    for name in COMMANDS:
        assert callable(importlib.import_module(f"geoexplain.cli.{name}").add_arguments)
    assert [words for name in COMMANDS for words in kinds_of([name])] == KINDS


def kinds_of(words: list[str]) -> list[list[str]]:
    nested = [a.choices for a in parser_of(words)._actions if isinstance(a, argparse._SubParsersAction)]
    return [found for kinds in nested for kind in kinds for found in kinds_of([*words, kind])] or [words]


@pytest.mark.parametrize("words", KINDS, ids=" ".join)
def test_help_says_what_every_option_does(words: list[str], run: Run) -> None:
    outcome = run(*words, "--help")
    assert (outcome.code, outcome.err) == (0, "")
    for action in parser_of(words)._actions:
        assert action.help
        for name in action.option_strings or [action.metavar]:
            assert re.search(rf"{re.escape(str(name))}\b", outcome.out), name


def test_help_lists_the_commands(run: Run) -> None:
    outcome = run("--help")
    assert outcome.code == 0
    for name, summary in COMMANDS.items():
        assert re.search(rf"^ +{name}\b", outcome.out, flags=re.MULTILINE)
        assert summary.split(":")[0] in outcome.out


def test_version_is_that_of_the_package(run: Run) -> None:
    # Packaging reads it from the same place; tests/test_wheel.py compares the wheel's.
    assert 'version.attr = "geoexplain.__version__"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert re.fullmatch(r"geoexplain \d+\.\d+\.\d+\n", run("--version").out)
    assert run("--version").out == f"geoexplain {geoexplain.__version__}\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["guess", "a.png"], "invalid choice: 'guess'"),
        ([], "COMMAND"),
        (["locate"], "IMAGE"),
        (["locate", "a.png", "--modl", "x"], "--modl"),
        (["locate", "a.png", "--device", "abacus"], "expected a device of this machine, such as cpu, got 'abacus'"),
        (["explain", "a.png", "--opacity", "1.5"], "expected an opacity from 0 to 1, got '1.5'"),
        (["explain", "a.png", "--opacity", "nan"], "expected an opacity from 0 to 1, got 'nan'"),
        (["explain", "a.png", "--target", "12;7"], "expected a cell such as 12, or a latitude and longitude"),
        (["explain", "a.png", "--method", "gradcam"], "invalid choice: 'gradcam'"),
        (["evaluate", "views", "--imagery", "x", "--views", "0"], "expected a whole number of at least 1, got '0'"),
        (["train", "views", "--imagery", "x", "--out", "y", "--phases", "96:96"], "expected PX:BATCH:VIEWS"),
        (["train", "views", "--imagery", "x", "--out", "y", "--phases", "16:8:80"], "with 32 to 1024 px"),
        (["studio", "--port", "70000"], "expected a port from 1 to 65535, got '70000'"),
    ],
)
def test_a_wrong_command_line_is_refused_in_one_line(words: list[str], sentence: str, run: Run) -> None:
    outcome = run(*words)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("geoexplain: ")
    assert sentence in outcome.err
    assert outcome.err.count("\n") == 1


def test_a_southern_target_is_no_option() -> None:
    assert attached_targets(["explain", "--target", "-12.5,30", "a"]) == ["explain", "--target=-12.5,30", "a"]
    assert attached_targets(["--target", "-.5,1"]) == ["--target=-.5,1"]
    # Left alone: another option, what is attached already, and names of files behind --.
    assert attached_targets(["--target", "--json"]) == ["--target", "--json"]
    assert attached_targets(["--target=3", "-1.png"]) == ["--target=3", "-1.png"]
    assert attached_targets(["--", "--target", "-1.png"]) == ["--", "--target", "-1.png"]


def test_a_reader_who_leaves_causes_no_traceback(model_file: Path, photos: list[Path]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    words = [sys.executable, "-m", "geoexplain", "locate", "--json", "--model", model_file, *photos]
    done = subprocess.run(words, stdout=writing, stderr=subprocess.PIPE, text=True, cwd=PACKAGE.parent, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")
