"""Every command and every line of Python in the documents works, with the bundled model and the examples.

CONTRIBUTING.md states the convention that this file tests: a block of `sh` runs as it stands, in a block of `console`
every command begins with `$`, and `<NAME>` stands for what the reader brings.
"""

import importlib.util
import json
import re
import shlex
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import numpy as np
import pytest

from geoexplain.cli import attached_targets, build_parser, main
from geoexplain.locator.zoo import load_model
from tests.test_architecture import ROOT
from tests.test_documents import DOCUMENTS, ids, targets

FENCE = re.compile(r"^```(\w*|\{[\w-]+\})\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
PLACEHOLDER = re.compile(r"<([A-Z][A-Z\d_]*)>")
ASSIGNMENT = re.compile(r"[A-Z_]+=\S+")
WRITTEN_HERE = [path for path in DOCUMENTS if path.parent.name != "assets"]

CHAIN = ROOT / "docs" / "training.md"
"""Its `sh` blocks are one long chain, which tests/test_train_your_own.py runs in small."""


def blocks(path: Path, language: str) -> list[list[str]]:
    """The commands of every block of a language, continued lines joined; of `console` those that begin with `$`."""
    found = []
    for kind, text in FENCE.findall(path.read_text(encoding="utf-8")):
        if kind == language:
            lines = re.sub(r"\s*\\\n\s*", " ", text).splitlines()
            if language == "console":
                lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
            found.append([line for line in lines if line.strip() and not line.startswith("#")])
    return found


def commands(language: str) -> list[tuple[Path, str]]:
    return [(path, line) for path in WRITTEN_HERE for block in blocks(path, language) for line in block]


def words_of(command: str) -> list[str]:
    """A command line as a shell would split it, without comment and assignments, patterns for examples expanded."""
    words = shlex.split(command, comments=True)
    while words and ASSIGNMENT.fullmatch(words[0]):
        words = words[1:]
    return [str(path) for word in words for path in (sorted(ROOT.glob(word)) if "*" in word else [word])]


def options_of_geoexplain(words: list[str]) -> list[str] | None:
    """What follows `geoexplain`, or `-m geoexplain`; None for a command of another program."""
    if words[0] == "geoexplain":
        return words[1:]
    return words[words.index("geoexplain") + 1 :] if words[0] == "torchrun" else None


def show(value: object) -> str:
    return ids(value) if isinstance(value, Path) else str(value)


RUNNABLE = commands("sh")
BY_HAND = commands("console")
ON_EXAMPLES = [
    (path, command)
    for path, command in RUNNABLE
    if path != CHAIN and command.startswith("geoexplain ") and not command.startswith("geoexplain studio")
]


def test_the_documents_have_commands() -> None:
    assert len(ON_EXAMPLES) >= 15
    assert len(BY_HAND) >= 30


@pytest.mark.parametrize("path", WRITTEN_HERE, ids=ids)
def test_blocks_follow_the_convention(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"^    (geoexplain|make|pip|python|\$) ", text, flags=re.MULTILINE), "an indented command"
    assert {kind for kind, _ in FENCE.findall(text)} <= {"sh", "console", "python", "text", "{eval-rst}"}
    assert not any(PLACEHOLDER.search(line) for block in blocks(path, "sh") for line in block)
    for _, block in [found for found in FENCE.findall(text) if found[0] == "console"]:
        assert PLACEHOLDER.search(block), f"runs as it stands, so it is sh: {block}"
        assert all(line.startswith(("$ ", "  ")) for line in block.splitlines())
        assert not re.search(r"\b(DIR|PHOTOS|PICTURES|FILE)\b(?!>)", PLACEHOLDER.sub("", block)), "no angle brackets"


@pytest.mark.parametrize(("path", "command"), RUNNABLE, ids=show)
def test_every_runnable_command_is_one_that_exists(path: Path, command: str) -> None:
    words = words_of(command)
    match words:
        case ["make", *settings, target] if all("=" in one for one in settings):
            assert target in targets()
        case [".", activate]:
            assert activate == ".venv/bin/activate"
        case ["pip", "install", "-e", project]:
            extras = (ROOT / "pyproject.toml").read_text("utf-8").partition("[project.optional-dependencies]")[2]
            assert re.fullmatch(r"\.(\[\w+\])?", project)
            assert all(re.search(rf"^{extra} = ", extras, flags=re.MULTILINE) for extra in re.findall(r"\w+", project))
        case ["python", "-m", "pytest", *options]:
            assert all((ROOT / one).exists() for one in options if not one.startswith("-") and " " not in one)
        case ["python", "-m", module, *options]:
            assert module.startswith("benchmarks.")
            assert importlib.util.find_spec(module) is not None
            source = (ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
            source += (ROOT / "benchmarks" / "subject.py").read_text(encoding="utf-8")
            assert all(f'"{one}"' in source for one in options if one.startswith("--"))
        case ["geoexplain", *options]:
            assert build_parser(options).parse_args(attached_targets(options))
        case _:
            pytest.fail(f"{path.name}: no test knows how to check {command!r}")


@pytest.mark.parametrize(("path", "command"), BY_HAND, ids=show)
def test_every_command_with_placeholders_is_understood(path: Path, command: str) -> None:
    words = words_of(PLACEHOLDER.sub(r"\1", command))
    options = options_of_geoexplain(words)
    if options is None:
        assert words[:2] == ["ray", "start"]
        return
    assert build_parser(options).parse_args(attached_targets(options))


def mentioned(path: Path) -> Iterator[list[str]]:
    """The commands that stand inside sentences."""
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    for span in re.findall(r"(?<!`)`(geoexplain [^`]+)`", text):
        yield shlex.split(span.replace("…", ""))[1:]


@pytest.mark.parametrize("path", WRITTEN_HERE, ids=ids)
def test_what_commands_in_sentences_name_exists(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in mentioned(path):
        command = list(takewhile(lambda word: not word.startswith("-"), words))
        with pytest.raises(SystemExit) as ended:
            build_parser(words).parse_args([*command, "--help"])
        known = capsys.readouterr()
        assert ended.value.code == 0, known.err
        for option in [word for word in words if word.startswith("-")]:
            assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", known.out), (command, option)


@pytest.mark.parametrize(("path", "command"), ON_EXAMPLES, ids=show)
def test_every_command_on_examples_runs(
    path: Path, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "assets").symlink_to(ROOT / "assets")
    monkeypatch.chdir(tmp_path)
    assert main(words_of(command)[1:]) == 0
    printed = capsys.readouterr().out
    if "--json" in command:
        cells = len(load_model().partition)
        assert all(0 <= json.loads(line)["cell"] < cells for line in printed.splitlines())
    if "--out out" in command:
        record = json.loads((tmp_path / "out" / "explanation.json").read_text(encoding="utf-8"))
        assert all((tmp_path / "out" / row["file"]).is_file() for row in record["explanation"]["heatmaps"].values())
    if "--save-maps" in command:
        with np.load(tmp_path / "maps.npz") as maps:
            np.testing.assert_array_equal(maps["grad-cam/stage/7"], maps["grad-cam/block/16"])
    if command.startswith("geoexplain inference"):
        assert len(list((tmp_path / "pictures").rglob("*.*"))) == 5


PYTHON = [
    (path, code)
    for path in WRITTEN_HERE
    for kind, code in FENCE.findall(path.read_text(encoding="utf-8"))
    if kind == "python"
]


@pytest.mark.parametrize(("path", "code"), PYTHON, ids=[ids(path) for path, _ in PYTHON])
def test_the_python_runs(
    path: Path, code: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    exec(compile(code, path.name, "exec"), {})
    size = load_model().preprocess.size_px
    assert capsys.readouterr().out.splitlines()[-1].endswith(f"({size}, {size})")
