"""Folders of partitionings: what was written is read, and what is damaged is refused in one sentence."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from shapely.geometry import shape

from geoexplain.errors import DataError
from geoexplain.geography.address import Addresses, Location
from geoexplain.geography.kmeans_partitioning import build_kmeans
from geoexplain.geography.partition_files import KINDS, read_partitioning, write_partitioning
from geoexplain.geography.partitioning import Partitioning
from geoexplain.geography.s2_partitioning import build_s2
from geoexplain.geography.semantic_partitioning import build_semantic
from tests.geography.scattered import nameless, scattered_points

POINTS = np.concatenate([scattered_points(3, 300), scattered_points(4, 300)])


def semantic() -> Partitioning:
    """Northern and southern half, each with an east and a west."""
    south, west = (POINTS < 0).T
    locations = tuple(Location(key, f"the {key}", "region") for key in ("ne", "nw", "se", "sw", "north", "south"))
    paths = np.stack([2 * south + west, 4 + south], axis=1).astype(np.int32)
    return build_semantic(Addresses(POINTS, locations, paths), [5, 100], name="halves")


MADE: dict[str, Callable[[], Partitioning]] = {
    "s2": lambda: build_s2(POINTS, [(3, 90), (3, 30), (3, 9)], name_by=nameless),
    "kmeans": lambda: build_kmeans(POINTS, [3, 12], name_by=nameless),
    "semantic": semantic,
}


def test_every_kind_is_tried_here() -> None:
    assert set(MADE) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_written_is_read(tmp_path: Path, kind: str) -> None:
    made = MADE[kind]()
    write_partitioning(made, tmp_path / "new" / kind)
    read = read_partitioning(tmp_path / "new" / kind)
    assert (read.name, read.kind, dict(read.settings)) == (made.name, kind, dict(made.settings))
    assert read.keys == made.keys
    assert [counts.tolist() for counts in read.counts] == [counts.tolist() for counts in made.counts]
    for ours, theirs in zip(read.levels, made.levels, strict=True):
        assert (ours.name, ours.labels) == (theirs.name, theirs.labels)
        assert (ours.centers_deg == theirs.centers_deg).all()
        assert np.array_equal(ours.parents, theirs.parents) or (ours.parents is theirs.parents is None)
    for ours, theirs in zip(read.borders, made.borders, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            assert (one is None) == (other is None)
            assert one is None or one.symmetric_difference(other).area <= 1e-5 * (1 + other.length)
    assert (read.classes(POINTS) == made.classes(POINTS)).all()
    assert (read.tree is None) == (made.tree is None)


def test_another_takes_the_place_of_the_first(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("a note")
    write_partitioning(MADE["s2"](), tmp_path)
    assert (tmp_path / "cells.2.csv").is_file()
    write_partitioning(MADE["kmeans"](), tmp_path)
    assert read_partitioning(tmp_path).kind == "kmeans"
    assert not (tmp_path / "cells.2.csv").exists()
    assert not (tmp_path / "outlines.2.geojson").exists()
    assert (tmp_path / "mine.txt").read_text() == "a note"


def test_what_was_cut_short_is_no_partitioning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = MADE["s2"]()
    write_partitioning(made, tmp_path)
    written: list[str] = []

    def stop(file: Path, *_: object) -> None:
        written.append(file.name)
        if len(written) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("geoexplain.geography.partition_files.write_outlines", stop)
    with pytest.raises(KeyboardInterrupt):
        write_partitioning(made, tmp_path)
    with pytest.raises(DataError, match="build it again if that was interrupted"):
        read_partitioning(tmp_path)


def changed(change: Callable[[dict], object]) -> Callable[[Path], object]:
    def damage(folder: Path) -> None:
        facts = json.loads((folder / "partition.json").read_text())
        change(facts)
        (folder / "partition.json").write_text(json.dumps(facts))

    return damage


def rewritten(name: str, old: str, new: str, count: int = -1) -> Callable[[Path], object]:
    def damage(folder: Path) -> None:
        text = (folder / name).read_text(encoding="utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new, count), encoding="utf-8")

    return damage


def line(name: str, number: int, text: str) -> Callable[[Path], object]:
    def damage(folder: Path) -> None:
        lines = (folder / name).read_text(encoding="utf-8").splitlines()
        lines[number] = text
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")

    return damage


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "partition.json").unlink(), "found no partition.json"),
        (lambda folder: (folder / "partition.json").write_text("{"), "format geoexplain-partition/1"),
        (lambda folder: (folder / "partition.json").write_text("[" * 10**5), "format geoexplain-partition/1"),
        (lambda folder: (folder / "partition.json").write_bytes(b" " * (2**20 + 1)), "at most 1,048,576 bytes"),
        (changed(lambda facts: facts.update(format="geoexplain-partition/9")), "format geoexplain-partition/1"),
        (changed(lambda facts: facts.update(kind="squares")), "one of the kinds s2, semantic, kmeans, got 'squares'"),
        (changed(lambda facts: facts.update(kind=["s2"])), "format geoexplain-partition/1"),
        (changed(lambda facts: facts.update(levels=[])), "format geoexplain-partition/1"),
        (changed(lambda facts: facts.update(levels=[{}] * 2)), "format geoexplain-partition/1"),
        (changed(lambda facts: facts["settings"].update(in_no_cell="many")), "format geoexplain-partition/1"),
        (changed(lambda facts: facts["levels"][0].update(cells=3)), r"cells.csv: expected 3 cells"),
        (changed(lambda facts: facts["levels"].pop()), r"cells.1.csv: expected no parents at the coarsest"),
        (lambda folder: (folder / "cells.1.csv").unlink(), r"cells.1.csv: expected this table"),
        (line("cells.csv", 1, "a,91,0,0,04,5"), "are the columns swapped"),
        (line("cells.csv", 1, "a,1,0,0,04,-5"), "expected a count of coordinates .* for every cell, got such as"),
        (line("cells.csv", 1, "a,1,0,0,04,1e5"), "expected a count of coordinates .* for every cell, got such as"),
        (
            line("cells.csv", 1, "a,1,0,0,04," + "9" * 30),
            "expected a count of coordinates .* for every cell, got such as",
        ),
        (line("cells.csv", 1, "a,1,0,0,squares,5"), "S2 tokens such as '89c25', got 'squares'"),
        (line("cells.csv", 1, "a,1,0,0,1,5"), "overlap"),
        (line("cells.csv", 1, "a,1,0,99999,04,5"), r"cells.csv: expected for every cell a parent below"),
        (line("cells.csv", 0, "label,latitude,longitude"), "columns label, latitude, longitude, key, count"),
        (rewritten("cells.csv", ",parent,", ",other,"), r"cells.csv: expected for every cell a parent below"),
    ],
)
def test_a_damaged_folder_is_refused_in_one_sentence(
    tmp_path: Path, damage: Callable[[Path], object], words: str
) -> None:
    write_partitioning(MADE["s2"](), tmp_path)
    damage(tmp_path)
    with pytest.raises(DataError, match=words) as refusal:
        read_partitioning(tmp_path)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 600


@pytest.mark.parametrize("text", [None, "", "null", '{"type":"FeatureCollection","features":[]}', "[" * 10**5])
def test_damaged_outlines_are_refused(tmp_path: Path, text: str | None) -> None:
    write_partitioning(MADE["kmeans"](), tmp_path)
    file = tmp_path / "outlines.1.geojson"
    file.unlink() if text is None else file.write_text(text)
    with pytest.raises(DataError, match=r"^outlines\.1\.geojson: expected"):
        read_partitioning(tmp_path)


def test_the_outlines_are_geojson_that_others_read(tmp_path: Path) -> None:
    made = MADE["s2"]()
    write_partitioning(made, tmp_path)
    features = json.loads((tmp_path / "outlines.geojson").read_text(encoding="utf-8"))["features"]
    assert [feature["properties"]["label"] for feature in features] == list(made.levels[0].labels)
    drawn = [(shape(feature["geometry"]), border) for feature, border in zip(features, made.borders[0], strict=True)
             if feature["geometry"] is not None]  # fmt: skip
    assert len(drawn) > 0.8 * len(features)  # others are leaves of a centimetre
    assert max(one.symmetric_difference(other).area for one, other in drawn) < 0.01


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none: expected the folder of a partitioning"):
        read_partitioning(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="expected to write a partitioning there"):
        write_partitioning(MADE["s2"](), tmp_path / "file")
