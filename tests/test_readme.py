"""What the documents tell people to type works: commands, and Python, with the bundled model and the examples."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from geoexplain.cli import build_parser, main
from geoexplain.locator.zoo import load_model
from tests.test_architecture import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    geoexplain (.+)$", README, flags=re.MULTILINE)
COMMANDS_OF_DOCS = [
    command
    for file in ("docs/trust.md", "data/README.md")
    for command in re.findall(r"^    geoexplain (.+)$", (ROOT / file).read_text(encoding="utf-8"), flags=re.MULTILINE)
]
# NASA's imagery, hours, a server that runs on, weights and photos that may not be passed on, or a test of its own
NEEDS_MORE = ("train ", "evaluate ", "studio", "models add ", "gallery build ", "practice ", "partition ")


def words_of(command: str) -> list[str]:
    """A command line as a shell would split it, with the pattern for examples expanded."""
    words = shlex.split(command)
    return [str(path) for word in words for path in (sorted(ROOT.glob(word)) if "*" in word else [word])]


@pytest.mark.parametrize("command", COMMANDS + COMMANDS_OF_DOCS)
def test_every_command_is_understood(command: str) -> None:
    words = words_of(command)
    assert build_parser(words).parse_args(words)


@pytest.mark.parametrize("command", [c for c in COMMANDS if not c.startswith(NEEDS_MORE) and "photo.jpg" not in c])
def test_every_command_on_examples_runs(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if "path/to/model" in command:
        command = command.replace("path/to/model.safetensors", str(ROOT / "data" / "earth-views-lite0.safetensors"))
        command = command.replace("image.jpg", "assets/examples/italy.jpg")
    (tmp_path / "assets").symlink_to(ROOT / "assets")
    monkeypatch.chdir(tmp_path)
    assert main(words_of(command)) == 0
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


def test_the_python_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    size = load_model().preprocess.size_px
    assert capsys.readouterr().out.splitlines()[-1] == f"({size}, {size}) ({size}, {size})"
