"""What the documents name exists: targets of make, files, versions."""

import re
from pathlib import Path

import pytest

from geoexplain.cli.evaluate import QUESTIONS
from tests.test_architecture import ROOT

DOCUMENTS = sorted(
    path for folder in ("", "docs", "data", "benchmarks", "assets") for path in (ROOT / folder).glob("*.md")
)


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


def targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))


@pytest.mark.parametrize("path", DOCUMENTS, ids=ids)
def test_every_make_command_exists(path: Path) -> None:
    named = re.findall(r"^\s*make(?: [A-Z]+=\S+)* ([a-z]+)\b", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    named += re.findall(r"`make(?: [A-Z]+=\S+)* ([a-z]+)`", path.read_text(encoding="utf-8"))
    assert set(named) <= targets()


@pytest.mark.parametrize("path", DOCUMENTS, ids=ids)
def test_every_link_to_a_file_leads_to_one(path: Path) -> None:
    for link in re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8")):
        if not re.match(r"[a-z]+:", link):
            assert (path.parent / link).exists(), link


@pytest.mark.parametrize("path", DOCUMENTS, ids=ids)
def test_every_named_source_file_exists(path: Path) -> None:
    for name in re.findall(r"`((?:geoexplain|tests|assets|benchmarks)/[\w./-]+)`", path.read_text(encoding="utf-8")):
        assert (ROOT / name).exists(), name


def test_the_guide_to_clusters_names_whatever_can_be_shared_out() -> None:
    first = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8").split("\n\n")[1]
    assert set(re.findall(r"`geoexplain evaluate (\w+)`", first)) == set(QUESTIONS)


def test_every_target_of_make_is_declared() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    declared = re.search(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE)
    assert declared is not None
    assert set(declared.group(1).split()) == targets()


def test_continuous_integration_runs_the_tests_and_nothing_else() -> None:
    script = ROOT / ".ci" / "run"
    lines = script.read_text(encoding="utf-8").splitlines()
    assert script.stat().st_mode & 0o111
    assert lines[-1] == "exec make test"
    assert len(lines) == 4
