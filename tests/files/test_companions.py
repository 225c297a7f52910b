"""Centres, assignments and positions: small pickles converted to .npz and CSV, and read back."""

import csv
import io
import pickle
import random
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from geoexplain.errors import DataError
from geoexplain.files import (
    Assignments,
    convert,
    read_assignments,
    read_centers,
    read_metadata,
    save_assignments,
    save_centers,
)

CENTERS = [
    (np.float64(36.97537128391929), np.float64(-122.02778357932031)),
    (np.float64(-90), np.float64(180)),
    (0.1, -180.0),
]
CELLS = {3: {40, 7, 100_000}, 0: {5}, 2: set()}
PLACES = {
    "104123223": {"lat": "-16.663606", "lon": "145.563537"},
    "1234.jpg": {"lon": np.str_("-79.365637"), "lat": np.str_("43.649708")},
    "a, quoted": {"lat": 62.215611, "lon": 25.743777},
}


@pytest.fixture
def stored(tmp_path: Path) -> Callable[[object], Path]:
    def store(data: object) -> Path:
        file = tmp_path / "stored.pkl"
        file.write_bytes(pickle.dumps(data, protocol=4))
        return file

    return store


def test_centers_keep_every_digit(stored: Callable, tmp_path: Path) -> None:
    wanted = [[36.97537128391929, -122.02778357932031], [-90, 180], [0.1, -180]]
    centers = read_centers(stored(CENTERS))
    assert centers.dtype == np.float64
    assert centers.tolist() == wanted
    save_centers(centers, tmp_path / "centers.npz")
    assert read_centers(tmp_path / "centers.npz").tolist() == wanted


def test_assignments_hold_the_rows_of_every_cell(stored: Callable, tmp_path: Path) -> None:
    file = stored(CELLS)
    read = read_assignments(file)
    assert read.offsets.tolist() == [0, 1, 1, 1, 4]
    save_assignments(read, tmp_path / "cells.npz")
    for assignments in (read, read_assignments(tmp_path / "cells.npz")):
        assert [sorted(assignments.rows_of(cell)) for cell in range(6)] == [[5], [], [], [7, 40, 100_000], [], []]
        assert assignments.rows_of(3).dtype == np.int64
        assert assignments.rows_of(3).tolist() == list(pickle.loads(file.read_bytes())[3])
        with pytest.raises(DataError, match="at least 0, got -1"):
            assignments.rows_of(-1)


def test_rows_keep_the_order_of_the_original(stored: Callable) -> None:
    draw = random.Random(3)
    file = stored({cell: {draw.randrange(10**6) for _ in range(draw.randrange(3000))} for cell in range(20)})
    assignments = read_assignments(file)
    for cell, rows in pickle.loads(file.read_bytes()).items():
        assert assignments.rows_of(cell).tolist() == list(rows)


def test_assignments_are_checked_against_a_model_and_a_gallery(stored: Callable, tmp_path: Path) -> None:
    file = stored(CELLS)
    save_assignments(read_assignments(file), tmp_path / "cells.npz")
    for source in (file, tmp_path / "cells.npz"):
        assert read_assignments(source, cells=6).offsets.tolist() == [0, 1, 1, 1, 4, 4, 4]
        assert read_assignments(source, cells=4).offsets.tolist() == [0, 1, 1, 1, 4]
        with pytest.raises(DataError, match="cell"):
            read_assignments(source, cells=3)
    assignments = read_assignments(file, cells=6)
    assignments.check(cells=4, rows=100_001)
    with pytest.raises(DataError, match="cells below 3, got cell 3: do they belong to this model"):
        assignments.check(cells=3, rows=100_001)
    with pytest.raises(DataError, match="rows below 100,000, got row 100,000: do they belong to this gallery"):
        assignments.check(cells=4, rows=100_000)
    read_assignments(stored({0: set()})).check(cells=0, rows=0)


@pytest.mark.parametrize(
    ("offsets", "rows"),
    [
        ([0, 2, 1, 3], [1, 2, 3]),
        ([1, 3], [1, 2, 3]),
        ([0, 2], [1, 2, 3]),
        ([0], []),
        ([0, 1], [-1]),
        ([0, 1], [2**41]),
        ([0.0, 1.0], [1]),
        ([0, 1], [[1]]),
    ],
)
def test_assignments_that_do_not_fit_together_are_refused(offsets: list, rows: list) -> None:
    with pytest.raises(DataError, match="expected int64 offsets"):
        Assignments(np.array(offsets), np.array(rows, dtype=np.int64))


def test_positions_are_numbers_whatever_they_were(stored: Callable) -> None:
    assert read_metadata(stored(PLACES)) == {
        "104123223": (-16.663606, 145.563537),
        "1234.jpg": (43.649708, -79.365637),
        "a, quoted": (62.215611, 25.743777),
    }
    assert list(read_metadata(stored({7: {"lat": 1, "lon": 2, "title": "extra"}}))) == ["7"]


WRONG = [
    (read_centers, ["a", "b"], "cell 0: expected a latitude"),
    (read_centers, [(1.0, 2.0), (91.0, 2.0)], r"cell 1: expected .* got \(91.0, 2.0\)"),
    (read_centers, [(1.0, 2.0), (1.0, float("nan"))], "cell 1: expected"),
    (read_centers, [(1.0, -180.1)], "cell 0: expected"),
    (read_centers, [(1.0, 2.0, 3.0)], "cell 0: expected"),
    (read_centers, [("1", "2")], "cell 0: expected"),
    (read_centers, [(True, False)], "cell 0: expected"),
    (read_centers, [], "got a list of 0"),
    (read_centers, {"a": 1}, "got a dict of 1"),
    (read_centers, None, "got None"),
    (read_centers, "x" * 10_000, "got 'xxx"),
    (read_assignments, {}, "got a dict of 0"),
    (read_assignments, [1], "got a list of 1"),
    (read_assignments, {-1: {1}}, "expected cells from 0 to 999,999, got -1"),
    (read_assignments, {10**12: {1}}, "got 1000000000000"),
    (read_assignments, {"1": {1}}, "got '1'"),
    (read_assignments, {True: {1}}, "got True"),
    (read_assignments, {1: {-1}}, "cell 1: expected rows from 0 to .*, got -1"),
    (read_assignments, {1: {2**63}}, "got 9223372036854775808"),
    (read_assignments, {1: {1.5}}, "cell 1: expected a set of row numbers"),
    (read_assignments, {1: [True]}, "cell 1: expected a set of row numbers"),
    (read_assignments, {1: 5}, "cell 1: expected a set of row numbers, got 5"),
    (read_metadata, [], "got a list of 0"),
    (read_metadata, {}, "got a dict of 0"),
    (read_metadata, {"a": (1, 2)}, "image 'a': expected {'lat', 'lon'}"),
    (read_metadata, {"a": {"lat": 1}}, "image 'a': expected {'lat', 'lon'}"),
    (read_metadata, {"a": {"lat": "north", "lon": 2}}, r"got \('north', 2\)"),
    (read_metadata, {"a": {"lat": "nan", "lon": 2}}, "expected a latitude"),
    (read_metadata, {"a": {"lat": 1, "lon": 1e9}}, "expected a latitude"),
    (read_metadata, {"a": {"lat": [1], "lon": 2}}, "expected a latitude"),
    (read_metadata, {"": {"lat": 1, "lon": 2}}, "expected image ids"),
    (read_metadata, {1: {"lat": 1, "lon": 2}, "1": {"lat": 1, "lon": 2}}, "each once"),
    (read_metadata, {"a\x1b[2J": 5}, r"image 'a\?\[2J'"),
]


@pytest.mark.parametrize(("reader", "data", "sentence"), WRONG)
def test_other_data_gets_one_sentence(stored: Callable, reader: Callable, data: object, sentence: str) -> None:
    file = stored(data)
    tracemalloc.start()
    with pytest.raises(DataError, match=sentence) as refused:
        reader(file)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20
    assert str(refused.value).startswith("stored.pkl")
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 300


def test_conversion_goes_by_what_is_in_the_file(stored: Callable, tmp_path: Path) -> None:
    assert convert(stored(CENTERS), tmp_path / "cells.csv") == "3 cell centres"
    with (tmp_path / "cells.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["label"] for row in table] == ["0", "1", "2"]
    assert [(float(row["latitude"]), float(row["longitude"])) for row in table] == CENTERS
    assert convert(stored(CENTERS), tmp_path / "cells.npz") == "3 cell centres"
    assert [tuple(center) for center in np.load(tmp_path / "cells.npz")["centers_deg"]] == CENTERS
    assert convert(stored(CELLS), tmp_path / "rows.NPZ") == "4 rows of 3 cells"
    assert read_assignments(tmp_path / "rows.NPZ").offsets.tolist() == [0, 1, 1, 1, 4]
    assert convert(stored(PLACES), tmp_path / "places.csv") == "3 positions of images"
    with (tmp_path / "places.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["id", "latitude", "longitude"],
            ["104123223", "-16.663606", "145.563537"],
            ["1234.jpg", "43.649708", "-79.365637"],
            ["a, quoted", "62.215611", "25.743777"],
        ]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "cells.csv", "cells.npz", "places.csv", "rows.NPZ", "stored.pkl"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "out", "sentence"),
    [
        (CENTERS, "cells.json", "ends in .csv or .npz for this content, got '.json'"),
        (CELLS, "cells.csv", "ends in .npz for this content"),
        (PLACES, "places", "ends in .csv for this content, got 'no suffix'"),
        ("text", "out.csv", "stored.pkl: expected cell centres, assignments or metadata, got a str"),
        ({"a": 1}, "out.csv", "expected cells from 0"),
        ({}, "out.csv", "got a dict of 0"),
        (CENTERS, "nowhere/cells.csv", "cells.csv: expected to write it, got 'No such file or directory'"),
        (CENTERS, "/dev/null/cells.csv", "cells.csv: expected to write it, got 'Not a directory'"),
    ],
)
def test_conversion_writes_nothing_when_it_cannot(
    stored: Callable, tmp_path: Path, data: object, out: str, sentence: str
) -> None:
    file = stored(data)
    with pytest.raises(DataError, match=sentence):
        convert(file, tmp_path / out)
    assert list(tmp_path.iterdir()) == [file]


def npz(**members: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return data.getvalue()


def npy(array: np.ndarray) -> bytes:
    data = io.BytesIO()
    np.save(data, array, allow_pickle=True)
    return data.getvalue()


def compressed(**arrays: np.ndarray) -> bytes:
    data = io.BytesIO()
    np.savez_compressed(data, **arrays)
    return data.getvalue()


GOOD = npy(np.array([0, 1]))
HOSTILE = {
    "empty zip": npz(),
    "one array missing": npz(offsets=GOOD),
    "objects": npz(offsets=GOOD, rows=npy(np.array([{"a": 1}], dtype=object))),
    "wrong kind": npz(offsets=GOOD, rows=npy(np.array([1.0]))),
    "wrong order of bytes": npz(offsets=GOOD, rows=npy(np.array([1], dtype=">i8"))),
    "wrong shape": npz(offsets=GOOD, rows=npy(np.array([[1]]))),
    "shape of 8 TB": npz(offsets=GOOD, rows=npy(np.array([1])).replace(b"(1,), }" + b" " * 11, b"(999999999999,), }")),
    "a header of brackets": npz(offsets=GOOD, rows=b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535),
    "no array at all": npz(offsets=GOOD, rows=b"text"),
    "bomb": compressed(offsets=np.array([0, 10**7]), rows=np.zeros(10**7, dtype=np.int64)),
    "cut": npz(offsets=GOOD, rows=GOOD)[:-30],
    "damaged": npz(offsets=GOOD, rows=GOOD).replace(b"\x01" + b"\x00" * 7, b"\x02" + b"\x00" * 7),
}  # fmt: skip


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_an_npz_is_not_trusted(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "cells.npz"
    file.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(DataError, match=r"cells.npz: expected") as refused:
        read_assignments(file)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * len(content) + 2**20
    assert "\n" not in str(refused.value)
