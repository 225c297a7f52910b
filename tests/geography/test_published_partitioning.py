"""TIB's published tables as partitionings: small ones in their layout, their parents and places by hand."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from geoexplain.errors import DataError
from geoexplain.geography import s2
from geoexplain.geography.partition_files import read_partitioning, write_partitioning
from geoexplain.geography.published_partitioning import read_published


def s2_table(file: Path, tokens: list[str], counts: list[int]) -> Path:
    middles = s2.centers_deg(s2.from_tokens(tokens)).tolist()
    with file.open("w", newline="", encoding="utf-8") as text:
        rows = csv.writer(text)
        header = ["class_label", "hex_id", "imgs_per_cell", "latitude_mean", "longitude_mean"]
        rows.writerows([["img_min", 50], ["img_max", 1000], header])
        for number, (token, count, (lat, lon)) in enumerate(zip(tokens, counts, middles, strict=True)):
            rows.writerow([number, token, count, lat, lon])
    return file


def test_s2_tables_in_any_order(tmp_path: Path) -> None:
    fine = s2_table(tmp_path / "fine.csv", ["3", "0b", "04"], [70, 60, 50])
    coarse = s2_table(tmp_path / "coarse.csv", ["3", "1"], [70, 160])
    for files in ((fine, coarse), (coarse, fine)):
        found = read_published(files, name="theirs")
        assert (found.kind, found.keys) == ("s2", (("3", "0b", "04"), ("3", "1")))
        assert found.levels[0].parents.tolist() == [0, 1, 1]
        assert [counts.tolist() for counts in found.counts] == [[70, 60, 50], [70, 160]]
        points = s2.centers_deg(s2.from_tokens(["04", "3", "0b", "0d"]))
        assert found.classes(points).tolist() == [[1, 2], [0, 0], [1, 1], [-1, -1]]
        assert found.borders[0][2].bounds == pytest.approx((-45, -45, 0, 0))
    write_partitioning(found, tmp_path / "own")
    assert read_partitioning(tmp_path / "own").classes(points).tolist() == [[1, 2], [0, 0], [1, 1], [-1, -1]]


def semantic_table(file: Path, names: list[str]) -> Path:
    places = {"R1": (48.9, 2.3), "R2": (45.8, 4.8), "R3": (31.9, 35.9), "R10": (46.6, 2.5), "R30": (31.2, 36.5)}
    with file.open("w", newline="", encoding="utf-8") as text:
        rows = csv.writer(text)
        rows.writerow(["class_index", "class_label", "latitude_mean", "longitude_mean"])
        rows.writerows([number, name, *places[name]] for number, name in enumerate(names))
    return file


def test_semantic_tables_and_their_tree(tmp_path: Path) -> None:
    files = [
        semantic_table(tmp_path / "a.csv", ["R30", "R10"]),
        semantic_table(tmp_path / "b.csv", ["R1", "R2", "R30"]),
        semantic_table(tmp_path / "c.csv", ["R3", "R1", "R2", "R30"]),
    ]
    tree = tmp_path / "h_dict.json"
    tree.write_text(
        json.dumps(
            {
                "m_4": {"R1": "R1", "R2": "R2", "R3": "R30", "R30": "R30"},
                "m_3": {"R1": "R10", "R2": "R10", "R30": "R30"},
            }
        )
    )
    found = read_published(files, tree)
    assert found.kind == "semantic"
    assert found.keys == (("R3", "R1", "R2", "R30"), ("R1", "R2", "R30"), ("R30", "R10"))
    assert [None if level.parents is None else level.parents.tolist() for level in found.levels] == [
        [2, 0, 1, 2], [1, 1, 0], None,
    ]  # fmt: skip
    paths = [[found.tree.labels[step] for step in found.tree.path(cell)] for cell in found.tree.of_cell.tolist()]
    assert ["".join(label[label.rindex("(") :] for label in path) for path in paths] == [
        "(R3)(R30)", "(R1)(R10)", "(R2)(R10)", "(R30)",
    ]  # fmt: skip
    assert found.classes(np.array([(48.8, 2.0), (31.9, 35.8)])).tolist() == [[1, 0, 1], [0, 2, 0]]
    write_partitioning(found, tmp_path / "own")
    assert read_partitioning(tmp_path / "own").tree.labels == found.tree.labels


def test_files_that_do_not_fit_are_named(tmp_path: Path) -> None:
    files = [semantic_table(tmp_path / "a.csv", ["R10"]), semantic_table(tmp_path / "b.csv", ["R1", "R2"])]
    with pytest.raises(DataError, match=r"h_dict\.json with the parents of the cells"):
        read_published(files)
    with pytest.raises(DataError, match=r"none\.json: expected a readable file"):
        read_published(files, tmp_path / "none.json")
    with pytest.raises(DataError, match=r"none\.csv: expected a readable table"):
        read_published([tmp_path / "none.csv"])
    with pytest.raises(DataError, match="got '5' in none"):
        read_published([s2_table(tmp_path / "c.csv", ["1"], [1]), s2_table(tmp_path / "d.csv", ["04", "5"], [1, 1])])
