"""Shipped files are found in one place, wherever geoexplain is installed."""

import ast
import importlib.util
import shutil
from pathlib import Path

import pytest

from geoexplain.resources import ASSETS, DATA
from tests.test_architecture import PACKAGE, ROOT, SOURCES, imports


def test_nobody_else_computes_a_path_from_where_a_module_lies() -> None:
    found = []
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        named = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} | set(imports(path))
        if {"__file__", "importlib.resources", "pkgutil", "inspect.getfile"} & named:
            found.append(path.relative_to(PACKAGE).as_posix())
    assert found == ["resources.py"]


def test_in_this_checkout_they_lie_beside_the_package() -> None:
    assert (ASSETS, DATA) == (ROOT / "assets", ROOT / "data")


@pytest.mark.parametrize(
    ("there", "found"),
    [
        (["top/assets"], "top/assets"),  # a checkout, and an editable install of one
        (["top/package/assets"], "top/package/assets"),  # a wheel
        (["top/assets", "top/package/assets"], "top/package/assets"),  # somebody else's assets in site-packages
        ([], "top/package/assets"),
    ],
)
def test_the_folder_inside_the_package_comes_before_one_beside_it(there: list[str], found: str, tmp_path: Path) -> None:
    for folder in ("top/package", *there):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    copy = shutil.copy(PACKAGE / "resources.py", tmp_path / "top" / "package")
    spec = importlib.util.spec_from_file_location("copied_resources", copy)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.shipped_folder("assets") == tmp_path / found
