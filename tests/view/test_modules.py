"""Several modules as one script: what it holds, what it refuses, and that the browser runs it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from geoexplain.errors import DataError
from geoexplain.view.modules import bundle, module_order

ASSETS = Path(__file__).parents[2] / "assets"
NODE = Path(sys.executable).parent / "node"


def written(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (folder / f"{name}.js").write_text(text, encoding="utf-8")
    return folder / f"{next(iter(texts))}.js"


def printed(script: str, folder: Path) -> str:
    (folder / "bundled.mjs").write_text(script, encoding="utf-8")
    done = subprocess.run([NODE, folder / "bundled.mjs"], capture_output=True, text=True, check=True)
    return done.stdout


def test_one_script_does_what_the_modules_do(tmp_path: Path) -> None:
    entry = written(
        tmp_path,
        page='import { add, ONE as unit } from "./sums.js";\nimport {\n  Twice,\n} from "./twice.js";\n'
        "const secret = 40;\nconsole.log(new Twice(add(secret, unit)).value);\n",
        sums="export const ONE = 1;\nconst secret = 0;\nexport function add(a, b) {\n  return a + b + secret;\n}\n"
        'console.log("once");\n',
        twice='import { add } from "./sums.js";\n'
        "export class Twice {\n  constructor(of) {\n    this.value = add(of, of);\n  }\n}\n",
    )
    assert [path.name for path in module_order(entry)] == ["sums.js", "twice.js", "page.js"]
    assert printed(bundle(entry), tmp_path) == "once\n82\n"


@pytest.mark.parametrize(
    "line",
    [
        'import * as all from "./other.js";',
        'import other from "./other.js";',
        'import { a } from "../other.js";',
        "export default 1;",
        "export { a };",
        'const later = import("./other.js");',
        'const end = "</script>";',
    ],
)
def test_what_one_script_cannot_hold_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(DataError, match=r"expected imports as in .*, got "):
        bundle(written(tmp_path, page=f"const a = 1;\n{line}\n", other="export const a = 1;\n"))


def test_modules_that_import_each_other_are_refused(tmp_path: Path) -> None:
    entry = written(
        tmp_path,
        one='import { b } from "./two.js";\nexport const a = 1;\n',
        two='import { a } from "./one.js";\nexport const b = 1;\n',
    )
    with pytest.raises(DataError, match=re.escape("one.js → two.js → one.js")):
        module_order(entry)


def test_a_module_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.js: expected a script"):
        bundle(written(tmp_path, page='import { a } from "./gone.js";\n'))


@pytest.mark.parametrize("entry", ["worldmap.js", "partitionmap.js"])
def test_every_name_that_a_map_imports_is_exported(entry: str) -> None:
    exported = {}
    for path in module_order(ASSETS / "world" / entry):
        text = path.read_text(encoding="utf-8")
        for names, source in re.findall(r'^import \{([^}]*)\} from "\./([\w-]+\.js)";$', text, re.MULTILINE):
            wanted = {name.partition(" as ")[0].strip() for name in names.split(",") if name.strip()}
            assert wanted <= exported[source], f"{path.name} from {source}"
        exported[path.name] = set(re.findall(r"^export \w+ (\w+)", text, re.MULTILINE))
