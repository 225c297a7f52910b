"""The house holds: who may import whom, and what nobody does. Read from the source, so that nothing has to run."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "geoexplain"
# Data flows down this list; a wing imports only from those above it. "__init__" is the public interface.
WINGS = (
    "errors",
    "words",
    "resources",
    "files",
    "images",
    "geography",
    "photos",
    "imagery",
    "locator",
    "explainer",
    "view",
    "__init__",
    "evaluation",
    "training",
    "studio",
    "cli",
    "__main__",
)
SOURCES = sorted(PACKAGE.rglob("*.py"))


def wing(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Every module a file imports, anywhere in it, by its full name; `from a import b` gives a and a.b."""
    package = path.parent.relative_to(ROOT).parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{name.name}" for name in node.names)


def imported_wings(path: Path) -> set[str]:
    found = set()
    for module in imports(path):
        package, _, rest = module.partition(".")
        if package == "geoexplain":
            first = rest.partition(".")[0]
            if first in WINGS:
                found.add(first)
            elif rest:  # a name of the package itself: geoexplain.locate
                found.add("__init__")
    return found


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Every call in a file, with the last part of the name of what is called."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute):
                yield node.func.attr, node
            elif isinstance(node.func, ast.Name):
                yield node.func.id, node


def ids(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", SOURCES, ids=ids)
def test_a_wing_imports_only_from_those_above(path: Path) -> None:
    own = wing(path)
    assert own in WINGS, f"{own} has no place in the order yet"
    above = set(WINGS[: WINGS.index(own) + 1])
    assert imported_wings(path) <= above


def test_the_reader_sees_every_kind_of_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.test_architecture.ROOT", tmp_path)
    path = tmp_path / "geoexplain" / "view" / "a.py"
    path.parent.mkdir(parents=True)
    path.write_text(
        "import geoexplain.cli as c\nfrom geoexplain import studio, locate\nfrom ..training.views import x\n"
        "def f():\n    from geoexplain.evaluation import y\n    from . import z\n    import gradio.components\n"
    )
    assert imported_wings(path) == {"cli", "studio", "__init__", "training", "evaluation", "view"}
    assert "gradio.components" in set(imports(path))


@pytest.mark.parametrize(
    ("library", "wings"),
    [
        ("gradio", {"studio"}),
        ("gradio_client", {"studio"}),
        ("starlette", {"studio"}),
        ("folium", {"view"}),
        ("matplotlib", {"view", "evaluation"}),
        ("geopy", {"geography", "evaluation", "training"}),
        ("timm", {"locator", "training"}),
    ],
)
def test_a_library_is_known_only_where_it_belongs(library: str, wings: set[str]) -> None:
    users = {wing(path) for path in SOURCES if any(name.partition(".")[0] == library for name in imports(path))}
    assert users <= wings


@pytest.mark.parametrize("path", SOURCES, ids=ids)
def test_nothing_is_unpickled(path: Path) -> None:
    assert not {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"} & set(imports(path))
    for name, call in calls(path):
        given = {word.arg: getattr(word.value, "value", None) for word in call.keywords}
        if name == "load" and isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name):
            if call.func.value.id == "torch":
                assert given.get("weights_only") is True
            if call.func.value.id in ("np", "numpy"):
                assert given.get("allow_pickle", False) is False


@pytest.mark.parametrize("path", [path for path in SOURCES if wing(path) != "training"], ids=ids)
def test_no_hook_no_backward_no_training_mode(path: Path) -> None:
    # Shared hooks give wrong maps without an error, as soon as two requests run at once.
    forbidden = {"backward", "register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook"}
    forbidden |= {"register_hook", "register_backward_hook", "train"}
    assert not forbidden & {name for name, call in calls(path) if isinstance(call.func, ast.Attribute)}


def test_nothing_is_called_utilities() -> None:
    assert not {"utils", "helpers", "common", "manager", "processor", "misc"} & {path.stem for path in SOURCES}
