"""Resolve the imports of ES modules in `assets`, and bundle modules for a page without files next to it."""

import re
from pathlib import Path

from geoexplain.errors import DataError

_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([\w-]+\.js)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|const|let|class)\b)", re.MULTILINE)
_EXPORTED = re.compile(r"^export (?:async )?(?:function|const|let|class) (\w+)", re.MULTILINE)
_LEFT_OVER = re.compile(r"^(?:import|export)\b.*|\bimport\(.*|</script.*", re.MULTILINE | re.IGNORECASE)


def module_order(entry: Path) -> list[Path]:
    """Return the files that a module needs, each after those that it imports from its folder; the module is last.

    Raises DataError if a file cannot be read, or for circular imports.
    """
    order: list[Path] = []
    _visit(entry, order, ())
    return order


def bundle(entry: Path) -> str:
    """Bundle a module and all its imports into one text, for a `<script type="module">` without a URL.

    Each module becomes a function that is called once and returns the module's exports. Supported are only
    `import { a, b as c } from "./name.js";` and `export` before a function, const, let or class, each at the start of
    a line.

    Raises DataError for other imports and exports, for text that would end the script, and like module_order().
    """
    parts = ["const modules = {};"]
    for path in module_order(entry):
        text = _module_text(path)
        names = ", ".join(_EXPORTED.findall(text))
        body = _EXPORT.sub("", _IMPORT.sub(_destructured, text))
        if left := _LEFT_OVER.search(body):
            raise DataError(
                f"assets/{path.parent.name}/{path.name}: expected imports as in 'import {{ a }} from \"./b.js\";' and "
                f"exports of functions, constants and classes, got {left[0]!r}: write it so, or link the file."
            )
        parts.append(f'modules["{path.name}"] = (() => {{\n{body}return {{ {names} }};\n}})();')
    return "\n".join(parts)


def _visit(path: Path, order: list[Path], above: tuple[Path, ...]) -> None:
    if path in above:
        raise DataError(
            f"assets/{path.parent.name}/{path.name}: expected modules that do not import each other, got a circle of "
            f"{' → '.join(each.name for each in (*above, path))}: move what both need into a third."
        )
    if path in order:
        return
    for _, name in _IMPORT.findall(_module_text(path)):
        _visit(path.parent / name, order, (*above, path))
    order.append(path)


def _destructured(match: re.Match[str]) -> str:
    return f'const {{{match[1].replace(" as ", ": ")}}} = modules["{match[2]}"];'


def _module_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(
            f"assets/{path.parent.name}/{path.name}: expected a script, but it cannot be read; restore it from the "
            "repository."
        ) from error
