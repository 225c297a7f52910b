"""Tables of coordinates: what spreadsheets write is read, what is wrong is named with its line."""

from pathlib import Path

import numpy as np
import pytest

from geoexplain.errors import DataError
from geoexplain.geography import coordinates
from geoexplain.geography.coordinates import read_coordinates


def table(folder: Path, text: str | bytes) -> Path:
    file = folder / "places.csv"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


@pytest.mark.parametrize(
    "text",
    [
        "lat,lon\n48.5,2.25\n-33,151.5\n",
        "IMG_ID,LAT,LON,author\r\na.jpg,48.5,2.25,x\r\nb.jpg,-33,151.5,y\r\n",
        "longitude;name;latitude\n2.25;Paris;48.5\n151.5;Sydney;-33\n",
        "lng\tlatitude\n2.25\t48.5\n151.5\t-33\n",
        "\n\nlat_deg,lon_deg\n\n48.5,2.25\n\n-33,151.5\n\n",
        'id,lat,lon\n"a, ""b""",48.5,2.25\n"two\nlines",-33,151.5\n',
        ' Lat , Long \n" 48.5", 2.25\n -33 ,+151.5',
        "lat,lon\n4.85e1,2.25\n,\n-33,151.5\n , \n",
        "lat,latitude,lon\n48.5,1,2.25\n-33,1,151.5\n",
        "#id,lat,lon\n#1,48.5,2.25\n#2,-33,151.5\n",
        "\ufefflat,lon\n48.5,2.25\n-33,151.5\n",
    ],
    ids=["plain", "windows", "semicolons", "tabs", "gaps", "quotes", "spaces", "blanks", "first", "hashes", "bom"],
)
def test_what_is_a_table_is_read(tmp_path: Path, text: str) -> None:
    assert read_coordinates(table(tmp_path, text)).tolist() == [[48.5, 2.25], [-33, 151.5]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lat,lon\n1,2\n91,2\n", r"line 3: expected a latitude from -90 to 90.*got '91 and 2'"),
        ("lat,lon\n1,2\n\n1,-180.5\n", r"line 4: .*got '1 and -180.5'"),
        ("lat,lon\n1,2\nnan,2\n", r"line 3: .*got 'nan and 2'"),
        ("lat,lon\n1,inf\n", r"line 2: .*got '1 and inf'"),
        ("lat,lon\n1,2\n3\n", r"line 3: .*got '3 and '"),
        ("lat,lon\n1,2\n,4\n", r"line 3: .*got ' and 4'"),
        ("lat,lon\n1_0,2\n", r"line 2: .*got '1_0 and 2'"),
        ("\n\nlat;lon\n1;2\nnorth;east\n", r"line 5: .*got 'north and east'"),
        ('id,lat,lon\n"two\nlines",1,2\nx,1,200\n', r"line 4: .*got '1 and 200'"),
        ("lat,lon\n", "got none after the header"),
        ("", "header with lat or latitude and with lon or lng or long or longitude, got ''"),
        ("x,y\n1,2\n", "got 'x,y'"),
        ("48.5,2.25\n", "got '48.5,2.25'"),
        (b"lat,lon\n1,2\n\xff\xfe,3\n", "UTF-8"),
        (b"\x00\x01\x02" * 50, "header"),
        ("lat,lon\n1,2\n" + "9" * 1_100_000 + ",1\n", "lines of less than 1,000,000"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str | bytes, words: str) -> None:
    with pytest.raises(DataError, match=words) as refusal:
        read_coordinates(table(tmp_path, text))
    assert str(refusal.value).startswith("places.csv")
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 400


def test_many_rows_in_blocks_with_a_mistake_far_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coordinates, "ROWS_AT_A_TIME", 100)
    points = np.random.default_rng(0).uniform([-90, -180], [90, 180], (1234, 2)).round(6)
    lines = ["lat,lon", *(f"{lat},{lon}" for lat, lon in points.tolist())]
    heard: list[tuple[int, int]] = []
    file = table(tmp_path, "\n".join(lines))
    found = read_coordinates(file, progress=lambda *step: heard.append(step))
    assert (found == points).all()
    assert heard[-1] == (file.stat().st_size,) * 2
    assert len(heard) == 13
    # What only the slow way reads, in the middle: the blocks before it stay, nothing comes twice.
    blank = [*lines[:700], " , ", *lines[700:]]
    assert (read_coordinates(table(tmp_path, "\n".join(blank))) == points).all()
    lines[1000] = "somewhere,else"
    with pytest.raises(DataError, match=r"line 1,001: .*got 'somewhere and else'"):
        read_coordinates(table(tmp_path, "\n".join(lines)))
    monkeypatch.setattr(coordinates, "MAX_ROWS", 500)
    with pytest.raises(DataError, match="at most 500 coordinates"):
        read_coordinates(file)


def test_a_missing_table_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(DataError, match="found none: check the path"):
            read_coordinates(path)
