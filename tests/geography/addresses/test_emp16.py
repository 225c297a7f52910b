"""EMP-16's files: the photo that its authors give as an example, and what a broken download looks like."""

import bz2
from pathlib import Path

import pytest

from geoexplain.errors import DataError
from geoexplain.geography.address import Location
from geoexplain.geography.addresses.emp16 import read_emp16
from tests.geography.addresses.names import keys, names

FIJI = (
    b'{"id":"54\\/ff\\/2588992263.jpg","latitude":-16.885703,"longitude":-179.998283,'
    b'"h_raw":["N262907788","R4632581","R571747"],"h":["R4632581","R571747"]}\n'
)
NOWHERE = b'{"id":"a","latitude":1,"longitude":2.5,"h_raw":["W7"],"h":[]}\n'


@pytest.mark.parametrize("packed", [True, False])
def test_filtered_and_raw_addresses(tmp_path: Path, packed: bool) -> None:
    file = tmp_path / "emp16.jsonl"
    file.write_bytes(bz2.compress(FIJI + NOWHERE) if packed else FIJI + b"\n" + NOWHERE)
    found = read_emp16(file)
    assert found.points_deg.tolist() == [[-16.885703, -179.998283], [1.0, 2.5]]
    assert keys(found) == [["R4632581", "R571747"], []]
    assert keys(read_emp16(file, column="h_raw")) == [["N262907788", "R4632581", "R571747"], ["W7"]]
    assert found.locations[1] == Location("R571747", "R571747", "place")
    with pytest.raises(DataError, match="expected the column h or h_raw, got 'id'"):
        read_emp16(file, column="id")


def test_names_of_the_published_table(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    feather = pytest.importorskip("pyarrow.feather")
    columns = {
        "id": ["R4632581", "R1"],
        "name_en": ["Northern", "x"],
        "type": ["administrative", "y"],
        "geometry": [b"", b""],
    }
    feather.write_feather(pyarrow.table(columns), str(tmp_path / "l.feather"))
    (tmp_path / "e.jsonl").write_bytes(FIJI)
    found = read_emp16(tmp_path / "e.jsonl", names=tmp_path / "l.feather")
    assert names(found) == [["Northern", "R571747"]]
    assert found.locations[0].kind == "administrative"
    (tmp_path / "bad.feather").write_bytes(b"ARROW1 not really")
    with pytest.raises(DataError, match=r"bad.feather: expected an Arrow table"):
        read_emp16(tmp_path / "e.jsonl", names=tmp_path / "bad.feather")


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"7",
        b'{"latitude": 1, "longitude": 2}',
        b'{"latitude": 91, "longitude": 2, "h": []}',
        b'{"latitude": 1, "longitude": NaN, "h": []}',
        b'{"latitude": "1", "longitude": 2, "h": []}',
        b'{"latitude": true, "longitude": 2, "h": []}',
        b'{"latitude": 1, "longitude": 2, "h": "R1"}',
        b'{"latitude": 1, "longitude": 2, "h": [1]}',
        b'{"latitude": 1, "longitude": 2, "h": ["R1 < R2"]}',
        b'{"latitude": 1, "longitude": 2, "h": [' + b",".join([b'"R1"'] * 65) + b"]}",
        b"\xff\xfe",
        b"[" * 50_000,
    ],
)
def test_a_line_that_is_none_is_said(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "emp16.jsonl").write_bytes(FIJI + line + b"\n" + NOWHERE)
    with pytest.raises(
        DataError, match=r"emp16.jsonl, line 2: expected a photo with latitude, longitude and h"
    ) as caught:
        read_emp16(tmp_path / "emp16.jsonl")
    assert len(str(caught.value)) < 400


def test_damaged_files_are_said(tmp_path: Path) -> None:
    file = tmp_path / "emp16.jsonl.bz2"
    whole = bz2.compress(FIJI * 1000)
    file.write_bytes(whole[:-20])
    with pytest.raises(DataError, match="expected a whole file, got its beginning"):
        read_emp16(file)
    file.write_bytes(whole[:40] + b"\0" * 40 + whole[80:])
    with pytest.raises(DataError, match="line 1: expected readable JSON lines"):
        read_emp16(file)
    file.write_bytes(bz2.compress(bytes(10_000_000)))
    with pytest.raises(DataError, match="line 1: expected less than 100,000 bytes"):
        read_emp16(file)
    file.write_bytes(b"\n\n")
    with pytest.raises(DataError, match="expected a photo in every line, got none"):
        read_emp16(file)
    with pytest.raises(DataError, match="expected a file of EMP-16, found none"):
        read_emp16(tmp_path / "none")


def test_one_can_stop(tmp_path: Path) -> None:
    (tmp_path / "e").write_bytes(FIJI)
    with pytest.raises(DataError, match="stopped before"):
        read_emp16(tmp_path / "e", cancelled=lambda: True)
