"""requirements.txt names what is imported, no less and no more, and its floors and caps agree."""

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.test_architecture import ROOT, SOURCES, imports

DISTRIBUTIONS = {"PIL": "pillow", "huggingface_hub": "huggingface-hub", "sklearn": "scikit-learn", "yaml": "pyyaml"}
# Part of what the listed package offers: its version is that package's business.
COMES_WITH = {"starlette": "gradio", "branca": "folium", "huggingface-hub": "transformers"}
# What a Space needs to be there, imported by name or not; torchvision is timm's.
ALWAYS = {"gradio", "torch", "torchvision", "timm", "folium", "geopy", "numpy", "pillow", "matplotlib"}


IMPORT_ALL = """
import importlib, pkgutil, sys
import geoexplain
for module in pkgutil.walk_packages(geoexplain.__path__, "geoexplain."):
    if module.name != "geoexplain.__main__":
        importlib.import_module(module.name)
sys.exit(", ".join(name for name in sys.argv[1:] if name in sys.modules) or 0)
"""
"""Imports every module, and complains of the packages it is given if they came along."""


def read(name: str) -> dict[str, Requirement]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    rows = [Requirement(line) for line in lines if line and not line.startswith(("#", "-r "))]
    return {row.name: row for row in rows}


REQUIREMENTS = read("requirements.txt")
DEVELOPMENT = read("requirements-dev.txt")


# Named by nobody: PyTorch's writer of logs asks for it.
THROUGH_ANOTHER = {"tensorboard"}
# Imported by pandas, which Gradio brings, wherever it is installed.
BY_OTHERS = {"pyarrow"}

# What only some people need: each is imported where it is used, and development has them all.
OPTIONAL = {
    row.name: row
    for line in re.findall(
        r'^\w+ = \["(.+)"\]$',
        (ROOT / "pyproject.toml")
        .read_text("utf-8")
        .partition("[project.optional-dependencies]")[2]
        .partition("\n[")[0],
        flags=re.MULTILINE,
    )
    for row in [Requirement(line)]
}


def imported() -> set[str]:
    paths = [*SOURCES, *(path for path in [ROOT / "app.py"] if path.exists())]
    modules = {name.partition(".")[0] for path in paths for name in imports(path)}
    modules -= {"geoexplain", *sys.stdlib_module_names}
    return {DISTRIBUTIONS.get(module, module) for module in modules}


def test_what_is_imported_is_listed() -> None:
    assert imported() - COMES_WITH.keys() - REQUIREMENTS.keys() == OPTIONAL.keys() - THROUGH_ANOTHER


def test_extras_are_tested_and_nobody_else_needs_them() -> None:
    assert {name: DEVELOPMENT[name] for name in OPTIONAL} == OPTIONAL
    assert not OPTIONAL.keys() & REQUIREMENTS.keys()
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, *(OPTIONAL.keys() - BY_OTHERS)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_what_is_listed_is_imported() -> None:
    assert REQUIREMENTS.keys() - ALWAYS - imported() == set()
    assert REQUIREMENTS.keys() >= ALWAYS


@pytest.mark.parametrize("part", COMES_WITH)
def test_what_comes_with_another_package_does(part: str) -> None:
    needs = metadata.requires(COMES_WITH[part]) or []
    assert any(Requirement(line).name == part for line in needs)


@pytest.mark.parametrize("row", [*REQUIREMENTS.values(), *DEVELOPMENT.values()], ids=str)
def test_every_row_has_a_floor_and_a_cap_and_admits_what_is_tested(row: Requirement) -> None:
    assert sorted(one.operator for one in row.specifier) == ["<", ">="]
    assert row.specifier.contains(metadata.version(row.name))


@pytest.mark.parametrize("row", REQUIREMENTS.values(), ids=str)
def test_no_two_rows_contradict_each_other(row: Requirement) -> None:
    # A listed package may narrow another one; the version tested here has to satisfy both.
    for line in metadata.requires(row.name) or []:
        need = Requirement(line)
        if need.name.lower() in REQUIREMENTS and (need.marker is None or need.marker.evaluate({"extra": ""})):
            assert need.specifier.contains(metadata.version(need.name))


def test_the_floors_of_torch_and_torchvision_are_a_pair() -> None:
    def floor(name: str) -> Version:
        return next(Version(one.version) for one in REQUIREMENTS[name].specifier if one.operator == ">=")

    # torchvision 0.n is built for torch 2.(n − 15).
    assert floor("torch").major == 2
    assert floor("torchvision").minor - floor("torch").minor == 15


def test_the_floors_of_safety_hold() -> None:
    for name, floor in (("gradio", "6.20"), ("torch", "2.10"), ("pillow", "12.2")):
        assert not REQUIREMENTS[name].specifier.contains(f"{Version(floor).major}.{Version(floor).minor - 1}")


def test_the_lists_name_no_place_to_install_from() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        text = Path(ROOT / name).read_text(encoding="utf-8")
        assert not re.search(r"--|https?:|@", text)
