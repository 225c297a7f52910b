"""The house holds: who may import whom, and what nobody does. Read from the source, so that nothing has to run."""

import ast
from collections.abc import Callable, Iterator
from functools import cache
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


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """The imports and calls in a file, which is parsed once for all rules."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return tuple(node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom, ast.Call)))


def imports(path: Path) -> Iterator[str]:
    """Every module a file imports, anywhere in it, by its full name; `from a import b` gives a and a.b."""
    package = path.parent.relative_to(ROOT).parts
    for node in nodes(path):
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
    for node in nodes(path):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute):
                yield node.func.attr, node
            elif isinstance(node.func, ast.Name):
                yield node.func.id, node


def violations(rule: Callable[[Path], set[str]]) -> dict[str, set[str]]:
    """What breaks a rule, by the file that breaks it."""
    return {str(path.relative_to(PACKAGE)): found for path in SOURCES if (found := rule(path))}


def wings_not_above(path: Path) -> set[str]:
    return imported_wings(path) - set(WINGS[: WINGS.index(wing(path)) + 1])


def test_every_wing_has_a_place_in_the_order() -> None:
    assert {wing(path) for path in SOURCES} <= set(WINGS)


def test_a_wing_imports_only_from_those_above() -> None:
    assert violations(wings_not_above) == {}


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


def unpickling(path: Path) -> set[str]:
    """Modules that unpickle, and calls of `load` that do not rule it out, by name and line."""
    found = {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"} & set(imports(path))
    for name, call in calls(path):
        given = {word.arg: getattr(word.value, "value", None) for word in call.keywords}
        if name == "load" and isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name):
            library = call.func.value.id
            if library == "torch" and given.get("weights_only") is not True:
                found.add(f"torch.load, line {call.lineno}")
            if library in ("np", "numpy") and given.get("allow_pickle", False) is not False:
                found.add(f"{library}.load, line {call.lineno}")
    return found


def test_nothing_is_unpickled() -> None:
    assert violations(unpickling) == {}


def training_calls(path: Path) -> set[str]:
    """Calls that belong to training, outside of it."""
    # Shared hooks give wrong maps without an error, as soon as two requests run at once.
    forbidden = {"backward", "register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook"}
    forbidden |= {"register_hook", "register_backward_hook", "train"}
    if wing(path) == "training":
        return set()
    return forbidden & {name for name, call in calls(path) if isinstance(call.func, ast.Attribute)}


def test_no_hook_no_backward_no_training_mode() -> None:
    assert violations(training_calls) == {}


@pytest.mark.parametrize(
    ("rule", "code", "expected"),
    [
        (wings_not_above, "from geoexplain.studio import app\nimport geoexplain.geography\n", {"studio"}),
        (unpickling, "import pickle\n", {"pickle"}),
        (unpickling, "torch.load(f)\n\ntorch.load(f, weights_only=False)\n", {f"torch.load, line {n}" for n in (1, 3)}),
        (unpickling, "np.load(f, allow_pickle=True)\nnp.load(f)\n", {"np.load, line 1"}),
        (unpickling, "torch.load(f, weights_only=True)\n", set()),
        (training_calls, "model.train()\nloss.backward()\ntrain()\n", {"train", "backward"}),
    ],
)
def test_every_rule_finds_what_breaks_it(
    rule: Callable[[Path], set[str]], code: str, expected: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.test_architecture.ROOT", tmp_path)
    monkeypatch.setattr("tests.test_architecture.PACKAGE", tmp_path / "geoexplain")
    path = tmp_path / "geoexplain" / "view" / "a.py"
    path.parent.mkdir(parents=True)
    path.write_text(code)
    assert rule(path) == expected


def test_nothing_is_called_utilities() -> None:
    assert not {"utils", "helpers", "common", "manager", "processor", "misc"} & {path.stem for path in SOURCES}
