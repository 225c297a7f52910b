"""Tables of addresses: what is written is read, and what does not fit is said with its line."""

from pathlib import Path

import numpy as np
import pytest

from geoexplain.errors import DataError
from geoexplain.geography.address import Addresses, Location
from geoexplain.geography.addresses.address_file import locations_file, read_addresses, write_addresses

LOCATIONS = (
    Location("W1", 'Rue "de, la" Paix', "road"),
    Location("city:Ma'an|jo", "Ma'an", "city"),
    Location("country:jo", "Jordan, the kingdom", "country"),
)
ADDRESSES = Addresses(
    np.array([(30.2, 35.7), (-12.3456789, -180.0), (90.0, 0.0)]),
    LOCATIONS,
    np.array([(0, 1, 2), (2, -1, -1), (-1, -1, -1)], dtype=np.int32),
)


def test_tables_a_person_can_read(tmp_path: Path) -> None:
    write_addresses(ADDRESSES, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text().splitlines() == [
        "latitude,longitude,address",
        "30.2000000,35.7000000,W1 < city:Ma'an|jo < country:jo",
        "-12.3456789,-180.0000000,country:jo",
        "90.0000000,0.0000000,",
    ]
    assert locations_file(tmp_path / "a.csv").read_text().splitlines() == [
        "key,name,kind",
        'W1,"Rue ""de, la"" Paix",road',
        "city:Ma'an|jo,Ma'an,city",
        'country:jo,"Jordan, the kingdom",country',
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.locations.csv"]


def test_what_was_written_is_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    count, places = 1000, 40
    locations = tuple(Location(f'k,"{i}', f"name {i}, ü", "kind") for i in range(places))
    paths = np.where(np.arange(5) < rng.integers(0, 6, (count, 1)), rng.integers(0, places, (count, 5)), -1)
    points = np.stack([rng.uniform(-90, 90, count), rng.uniform(-180, 180, count)], axis=1)
    write_addresses(Addresses(points, locations, paths.astype(np.int32)), tmp_path / "a.csv")
    found = read_addresses(tmp_path / "a.csv")
    assert found.locations == locations
    assert np.array_equal(found.paths, paths)
    assert np.abs(found.points_deg - points).max() <= 0.5001e-7


def test_progress_ends_with_the_file(tmp_path: Path) -> None:
    write_addresses(ADDRESSES, tmp_path / "a.csv")
    told: list[tuple[int, int]] = []
    read_addresses(tmp_path / "a.csv", progress=lambda *step: told.append(step))
    assert told[-1] == ((tmp_path / "a.csv").stat().st_size,) * 2


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (
            "lat,lon,address\n",
            "a.csv: expected the columns latitude, longitude and address in its first line, got lat, lon, address",
        ),
        ("", "a.csv: expected the columns"),
        ("latitude,longitude,address\n1,2,W1\n91,2,W1\n", "a.csv, line 3: expected a latitude"),
        ("latitude,longitude,address\n1,nan,W1\n", "a.csv, line 2: expected a latitude"),
        ("latitude,longitude,address\n1,200,W1\n", "a.csv, line 2: expected a latitude"),  # a folder would not take it
        ("latitude,longitude,address\n1,x,W1\n", "a.csv, line 2: expected a latitude"),
        ("latitude,longitude,address\n1,2,W1 < W9\n", "line 2: expected at most 64 keys of the table of locations"),
        ("latitude,longitude,address\n1,2\n", "line 2: expected 3 values, got 2: correct"),
        ('latitude,longitude,address\n1,2,"W1\n', "line 2: expected values between commas"),
        ("latitude,longitude,address\n1,2," + " < ".join(["W1"] * 65) + "\n", "line 2: expected at most 64 keys"),
        ("latitude,longitude,address\n1,2," + "x" * 200_000 + "\n", "expected lines of less than 100,000"),
        (b"latitude,longitude,address\n1,2,\xff\n", "expected text in UTF-8"),
    ],
)
def test_what_does_not_fit_is_said(tmp_path: Path, table: str | bytes, said: str) -> None:
    write_addresses(ADDRESSES, tmp_path / "a.csv")
    (tmp_path / "a.csv").write_bytes(table if isinstance(table, bytes) else table.encode())
    with pytest.raises(DataError) as caught:
        read_addresses(tmp_path / "a.csv")
    assert said in str(caught.value)
    assert str(tmp_path) not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_key_stands_once_in_the_table_of_locations(tmp_path: Path) -> None:
    write_addresses(ADDRESSES, tmp_path / "a.csv")
    with (tmp_path / "a.locations.csv").open("a") as file:
        file.write("W1,again,road\n")
    with pytest.raises(DataError, match=r"a.locations.csv, line 5: expected every key once, got 'W1' again"):
        read_addresses(tmp_path / "a.csv")
    (tmp_path / "a.locations.csv").unlink()
    with pytest.raises(DataError, match=r"a.locations.csv: expected a table with key, name, kind, found none"):
        read_addresses(tmp_path / "a.csv")


@pytest.mark.parametrize("key", ["", "a < b", "a\nb", " a"])
def test_keys_that_would_be_read_otherwise_are_not_written(tmp_path: Path, key: str) -> None:
    strange = Addresses(np.zeros((1, 2)), (Location(key, "x", "y"),), np.zeros((1, 1), dtype=np.int32))
    with pytest.raises(DataError, match="expected keys of one line"):
        write_addresses(strange, tmp_path / "a.csv")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DataError, match="expected to write it"):
        write_addresses(ADDRESSES, tmp_path / "nowhere" / "a.csv")
