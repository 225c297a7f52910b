"""geoexplain partition: build each kind, show it, take over published tables, and refuse to overwrite."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from geoexplain.geography import s2
from geoexplain.geography.partition_files import read_partitioning
from geoexplain.geography.sphere import destination
from tests.cli.conftest import Run


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four hundred coordinates around Paris, Lyon, Amman and Suva, which the antimeridian passes."""
    rng = np.random.default_rng(0)
    towns = np.repeat([(48.86, 2.35), (45.76, 4.84), (31.95, 35.93), (-18.14, 178.44)], 100, axis=0)
    points = destination(towns, rng.uniform(0, 360, 400), rng.gamma(1, 8, 400))
    file = tmp_path_factory.mktemp("table") / "photos.csv"
    with file.open("w", newline="", encoding="utf-8") as text:
        csv.writer(text).writerows([("id", "lat", "lon"), *((i, *point) for i, point in enumerate(points.tolist()))])
    return file


@pytest.mark.parametrize(
    ("words", "levels"),
    [
        (("s2", "--tau", "5:200", "5:50"), 2),
        (("kmeans", "--cells", "2", "8"), 2),
        (("semantic", "--tau", "5", "20", "60"), 3),
    ],
    ids=["s2", "kmeans", "semantic"],
)
def test_build_and_show(tmp_path: Path, run: Run, table: Path, words: tuple[str, ...], levels: int) -> None:
    out = tmp_path / "deep" / "cells"
    built = run("partition", "build", *words, "--coordinates", table, "--out", out)
    assert built.code == 0, built.err
    facts = json.loads((out / "partition.json").read_text(encoding="utf-8"))
    assert (facts["kind"], facts["name"], facts["coordinates"]) == (words[0], "cells", 400)
    read = read_partitioning(out)
    assert len(read.levels) == levels
    assert f"{len(read.levels[0])} cells" in built.out
    assert "coordinates     400" in built.out
    assert (out / "map.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    shown = run("partition", "show", out)
    assert shown.code == 0
    assert built.out.startswith(shown.out)
    again = run("partition", "build", *words, "--coordinates", table, "--out", out)
    assert again.code == 2
    assert "give --force to replace it" in again.err
    assert run("partition", "build", *words, "--coordinates", table, "--out", out, "--force").code == 0


def test_semantic_from_a_table_of_addresses(tmp_path: Path, run: Run, table: Path) -> None:
    addresses = tmp_path / "addresses.csv"
    assert run("addresses", "--coordinates", table, "--out", addresses).code == 0
    words = ("partition", "build", "semantic", "--tau", "20", "--out", tmp_path / "cells")
    assert run(*words, "--addresses", addresses).code == 0
    assert read_partitioning(tmp_path / "cells").settings["assign"] == "nearest coordinate"
    for more in ((), ("--addresses", addresses, "--coordinates", table)):
        refused = run(*words, "--force", *more)
        assert refused.code == 2
        assert "either --coordinates or --addresses" in refused.err


def test_import(tmp_path: Path, run: Run) -> None:
    files = []
    for name, tokens in (("coarse", ["1", "3"]), ("fine", ["04", "0c", "3"])):
        files.append(tmp_path / f"{name}.csv")
        with files[-1].open("w", newline="", encoding="utf-8") as text:
            rows = csv.writer(text)
            rows.writerows([("min", 50), ("max", 100), ("class_label", "hex_id", "latitude_mean", "longitude_mean")])
            places = s2.centers_deg(s2.from_tokens(tokens)).tolist()
            rows.writerows((i, token, *place) for i, (token, place) in enumerate(zip(tokens, places, strict=True)))
    done = run("partition", "import", *files, "--out", tmp_path / "theirs")
    assert done.code == 0, done.err
    assert "3 cells" in done.out
    assert read_partitioning(tmp_path / "theirs").levels[0].parents.tolist() == [0, 0, 1]
    assert "coordinates not known" in run("partition", "show", tmp_path / "theirs").out


@pytest.mark.parametrize("tau", ["50", "a:b", "9:3", "0:5", "-1:5", "5:", "1:2:3"])
def test_thresholds_that_are_none(tmp_path: Path, run: Run, table: Path, tau: str) -> None:
    refused = run("partition", "build", "s2", "--coordinates", table, "--out", tmp_path / "x", f"--tau={tau}")
    assert refused.code == 2
    assert "two numbers such as 50:1000" in refused.err


def test_what_is_in_the_way_is_left_alone(tmp_path: Path, run: Run, table: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    (tmp_path / "file").touch()
    for out, words in ((tmp_path / "thesis", "found something else"), (tmp_path / "file", "found a file")):
        refused = run("partition", "build", "s2", "--coordinates", table, "--out", out, "--force")
        assert (refused.code, words in refused.err) == (2, True)
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["chapter.txt"]


def test_a_wrong_line_is_named_and_nothing_made(tmp_path: Path, run: Run) -> None:
    file = tmp_path / "photos.csv"
    file.write_text("lat,lon\n1,2\nnorth,3\n")
    refused = run("partition", "build", "kmeans", "--coordinates", file, "--out", tmp_path / "x")
    assert refused.code == 2
    assert "photos.csv, line 3" in refused.err
    assert not (tmp_path / "x").exists()


def test_what_a_terminal_would_obey_is_shown(tmp_path: Path, run: Run, table: Path) -> None:
    out = tmp_path / "cells"
    assert run("partition", "build", "kmeans", "--cells", 2, "--coordinates", table, "--out", out).code == 0
    facts = json.loads((out / "partition.json").read_text(encoding="utf-8"))
    facts["settings"] |= {"\x1b[31mred": "\x1b]0;title\x07", "list": ["\x1b[2J", {"\x1b[1m": 1}]}
    (out / "partition.json").write_text(json.dumps(facts), encoding="utf-8")
    cells = (out / "cells.csv").read_text(encoding="utf-8")
    hostile = re.sub(r'(?m)^("?)(?!label)(?=.)', "\\1\x1b[7m", cells)
    (out / "cells.csv").write_text(hostile, encoding="utf-8")
    shown = run("partition", "show", out)
    assert shown.code == 0
    assert shown.out.replace("\n", "").isprintable()
    assert "the fullest: ?[7m" in shown.out


@pytest.mark.parametrize("kind", ["s2", "semantic"])
def test_an_interrupted_build_can_be_made_again(tmp_path: Path, run: Run, table: Path, kind: str) -> None:
    tau = {"s2": "5:50", "semantic": "20"}[kind]
    words = ("partition", "build", kind, "--tau", tau, "--coordinates", table, "--out", tmp_path / "cells")
    assert run(*words).code == 0
    (tmp_path / "cells" / "partition.json").rename(tmp_path / "cells" / "partition.json.77.part")
    refused = run(*words)
    assert (refused.code, "left of an interrupted build: give --force" in refused.err) == (2, True)
    assert run(*words, "--force").code == 0
    assert run("partition", "show", tmp_path / "cells").code == 0
    (tmp_path / "cells" / "partition.json").unlink()
    (tmp_path / "cells" / "mine.csv").touch()
    refused = run(*words, "--force")
    assert (refused.code, "found something else" in refused.err) == (2, True)
