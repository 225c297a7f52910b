"""`geoexplain practice`: the files it writes are those that the next commands read."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geoexplain.cli import main
from geoexplain.photos.manifest import read_manifest
from geoexplain.training.practice import practice_set
from tests.imagery.earths import write_png


@pytest.fixture
def imagery(tmp_path: Path) -> Path:
    folder = tmp_path / "earth"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (64, 128, 3), dtype=np.uint8)
    write_png(folder, pixels)
    return folder


def test_a_set(tmp_path: Path, imagery: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "my set"
    options = ["--coordinates", "1500", "--photos", "1003", "--size", "32", "--seed", "5"]
    assert main(["practice", "--imagery", str(imagery), "--out", str(out), *options]) == 0
    assert "1,500 positions" in capsys.readouterr().out
    places = practice_set(1500, 5)
    written = np.loadtxt(out / "coordinates.csv", delimiter=",", skiprows=1)
    assert np.array_equal(written, places.points_deg)
    manifest = read_manifest(out / "photos.csv", out)
    assert not manifest.missing
    assert [(photo.lat_deg, photo.lon_deg) for photo in manifest.photos] == [
        tuple(point) for point in places.points_deg[:1003].tolist()
    ]
    with Image.open(manifest.photos[0].file) as photo:
        assert photo.size == (32, 32)
    with (out / "photos.csv").open() as file:
        authors = [row["author"] for row in csv.DictReader(file)]
    assert authors == [f"author-{author}" for author in places.authors[:1003]]


def test_nothing_is_written_over(tmp_path: Path, imagery: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "there.txt").touch()
    assert main(["practice", "--imagery", str(imagery), "--out", str(tmp_path)]) == 2
    assert "expected a new or empty folder" in capsys.readouterr().err
    too_many = ["--coordinates", "10", "--photos", "11"]
    assert main(["practice", "--imagery", str(imagery), "--out", str(tmp_path / "new"), *too_many]) == 2
    assert "at most one for each of 10 positions, got 11" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
