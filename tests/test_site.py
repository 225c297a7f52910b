"""The documents make a site: every link and anchor leads somewhere, and no page sends a request to another host."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import geoexplain
from tests.test_architecture import ROOT
from tests.test_documents import DOCUMENTS, ids

LOADS = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
"""Tags that make a browser send a request, and the attribute that says where."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (command,) = re.findall(r"^\t\$\(BIN\)/python -m (sphinx .*) build/site$", makefile, flags=re.MULTILINE)
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", *command.split(), str(folder)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


class Loads(HTMLParser):
    """Collects what a page makes a browser load."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        address = dict(attrs).get(LOADS.get(tag, ""))
        if address:
            self.addresses.append(address)


def test_every_document_is_a_page(site: Path) -> None:
    assert all((site / path.relative_to(ROOT)).with_suffix(".html").is_file() for path in DOCUMENTS)
    assert (site / "index.html").read_bytes() == (site / "README.html").read_bytes()


def test_every_page_is_in_the_menu(site: Path) -> None:
    text = (site / "README.html").read_text(encoding="utf-8")
    menu = text.partition('class="sidebar-tree"')[2].partition("</aside>")[0]
    pages = {path.relative_to(ROOT).with_suffix(".html").as_posix() for path in DOCUMENTS} - {"README.html"}
    assert pages == set(re.findall(r'href="([\w/-]+\.html)"', menu))


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        loads = Loads()
        loads.feed(page.read_text(encoding="utf-8"))
        assert loads.addresses
        for address in loads.addresses:
            assert not re.match(r"(https?:)?//", address), (page, address)
            assert address.startswith(("#", "data:")) or (page.parent / address.partition("?")[0]).exists(), address
    styles = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]
    assert not any(re.search(r"@import|url\(\s*[\"']?(https?:)?//", style) for style in styles)


@pytest.mark.parametrize("path", DOCUMENTS, ids=ids)
def test_no_line_is_lost_on_the_site(path: Path) -> None:
    # MyST takes a line that begins with % for a comment, and +++ for the end of a part.
    assert not re.search(r"^(%|\+\+\+)", path.read_text(encoding="utf-8"), flags=re.MULTILINE)


@pytest.mark.parametrize("path", DOCUMENTS, ids=ids)
def test_no_page_holds_a_path_of_one_machine(path: Path) -> None:
    # A link that leaves the repository, or an absolute path that a reader does not have.
    assert not re.search(r"\.\./\.\./|/(home|root|mnt|opt|srv)/|/tmp/(?!ray)", path.read_text(encoding="utf-8"))


def test_the_page_on_python_describes_every_public_name(site: Path) -> None:
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE)
    assert sorted(rows) == sorted(geoexplain.__all__)
    assert sorted(re.findall(r"^\.\. auto\w+:: geoexplain\.(\w+)", text, flags=re.MULTILINE)) == sorted(rows)
    page = (site / "docs" / "api.html").read_text(encoding="utf-8")
    assert all(f'id="geoexplain.{name}"' in page for name in rows)
    # A docstring's columns become a list: here those of `locate`.
    terms = re.findall(r"<dt><code[^>]*>(.*?)</code></dt>", page.partition('id="geoexplain.locate"')[2])
    assert [re.sub("<[^>]+>", "", term) for term in terms[:3]] == ["rule, search", "crops", "how"]


def test_the_readme_is_one_page() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "---"  # the settings of the Space
    assert len(lines) <= 150
