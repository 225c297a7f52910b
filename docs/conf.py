"""Builds the documents of this repository as a site: `make docs` runs Sphinx with this file.

The pages are read where they lie, so that their links work in the repository and on the site alike.
"""

import re
import shutil
import sys
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

project = "geoexplain"
copyright = "the authors of geoexplain"  # noqa: A001
html_title = "geoexplain"
html_theme = "furo"
html_show_sphinx = False
html_copy_source = False
html_static_path = ["site.css"]
html_css_files = ["site.css"]
pygments_style = "friendly"
pygments_dark_style = "monokai"
smartquotes = False
default_role = "code"

extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_heading_anchors = 4
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True

root_doc = "README"
CONTENTS = {
    "Use it": ["docs/studio", "docs/command-line", "docs/api"],
    "Understand it": ["docs/explanations", "docs/verdicts", "docs/places"],
    "Trust it": ["docs/trust", "data/README", "benchmarks/README"],
    "Go further": ["docs/photo-models", "docs/training", "docs/cluster"],
    "The project": ["CONTRIBUTING", "docs/releases", "CHANGELOG", "assets/CREDITS"],
}
"""The pages of the site, in the order of its menu."""

include_patterns = ["README.md", *(f"{page}.md" for pages in CONTENTS.values() for page in pages), "docs/*.md"]
exclude_patterns = [".*", "build", "runs", "geoexplain", "tests"]


def add_contents(_app: Sphinx, page: str, source: list[str]) -> None:
    """Append the menu to the README, which needs none where it is read as a file."""
    if page == root_doc:
        for caption, pages in CONTENTS.items():
            source[0] += f"\n\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n" + "\n".join(pages) + "\n```\n"


def describe_names(_app: Sphinx, _what: str, _name: str, _found: object, _options: object, lines: list[str]) -> None:
    """Turn the columns `name   what it is` of a docstring into a list, and leave all other marks as they are typed."""
    field = re.compile(r"^([a-z]\w*(?:, [a-z]\w*)*) {2,}(\S.*)$")
    shown: list[str] = []
    column = 0
    for line in lines:
        found = field.match(line)
        if found:
            column = found.start(2)
            shown += [f"``{found[1]}``", f"    {plain(found[2])}"]
        elif column and line.startswith(" " * column):
            shown.append(f"    {plain(line.strip())}")
        else:
            if column and line:
                shown.append("")
            column = 0
            shown.append(plain(line))
    lines[:] = shown


def plain(text: str) -> str:
    """Escape what reStructuredText would take for markup, but for `code`."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([\\*|_])", r"\\\1", part) for part in parts)


def write_index(app: Sphinx, problem: Exception | None) -> None:
    """The README is the first page of the site, whatever a server calls a first page."""
    if problem is None:
        shutil.copyfile(Path(app.outdir) / f"{root_doc}.html", Path(app.outdir) / "index.html")


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", add_contents)
    app.connect("autodoc-process-docstring", describe_names)
    app.connect("build-finished", write_index)
