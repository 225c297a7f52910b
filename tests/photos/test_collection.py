"""Collections of photos from files with EXIF positions, from files in a table, and from shards."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from geoexplain.errors import DataError, ImageError
from geoexplain.images import open_image
from geoexplain.photos import open_collection
from tests.photos.pictures import encoded, jpeg, picture

TAGS = ExifTags.GPS


def geotagged(file: Path, seed: int, lat: float, lon: float, artist: str = "", orientation: int = 1) -> Path:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    if artist:
        exif[ExifTags.Base.Artist] = artist
    exif[ExifTags.Base.GPSInfo] = {
        TAGS.GPSLatitudeRef: "N" if lat >= 0 else "S",
        TAGS.GPSLatitude: (abs(lat), 0.0, 0.0),
        TAGS.GPSLongitudeRef: "E" if lon >= 0 else "W",
        TAGS.GPSLongitude: (abs(lon), 0.0, 0.0),
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(encoded(picture(seed), exif=exif))
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    geotagged(root / "ann" / "2019" / "a.jpg", 1, 10, -20, "Bo")
    geotagged(root / "bo" / "b.jpg", 2, -30.5, 40, orientation=6)
    geotagged(root / "c.jpg", 3, 1, 2, " Cy\0")
    (root / "d.jpg").write_bytes(jpeg(4))
    return root


def test_a_folder_of_geotagged_photos(folder: Path) -> None:
    collection = open_collection(folder)
    assert collection.keys == ("ann/2019/a.jpg", "bo/b.jpg", "c.jpg")
    np.testing.assert_allclose(collection.positions_deg, [[10, -20], [-30.5, 40], [1, 2]])
    assert collection.authors == ("", "", "")
    assert collection.left_out.listed == (("d.jpg", "its header states no position"),)
    assert collection.left_out.count == 1
    assert [collection.read(i).size for i in range(3)] == [(60, 45), (45, 60), (60, 45)]  # the second is stored rotated
    assert collection.read(1).tobytes() == open_image(folder / "bo" / "b.jpg").tobytes()
    assert collection.encoded(2) == (folder / "c.jpg").read_bytes()


def test_an_outlook_message_is_not_a_shard(folder: Path) -> None:
    (folder / "Re holiday.msg").write_bytes(bytes.fromhex("d0cf11e0a1b11ae1") + bytes(504))
    assert open_collection(folder).keys == ("ann/2019/a.jpg", "bo/b.jpg", "c.jpg")
    (folder / "damaged.msg").write_bytes(b"\xd0\xcf")  # too short for an Outlook message, so a shard
    with pytest.raises(DataError, match=r"damaged\.msg, record 1 at byte 0"):
        open_collection(folder)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere every file name is text")
def test_a_photo_with_a_name_that_is_not_utf8_is_left_out(folder: Path) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")  # Latin-1
    geotagged(folder / name, 5, 3, 4)
    collection = open_collection(folder)
    assert collection.keys == ("ann/2019/a.jpg", "bo/b.jpg", "c.jpg")
    assert ("caf?.jpg", "its name is not in UTF-8, as the tables of a run are: rename it") in collection.left_out.listed


def test_authors_are_headers_or_folders_by_choice(folder: Path) -> None:
    assert open_collection(folder, author_from="exif").authors == ("Bo", "", "Cy")
    assert open_collection(folder, author_from="folder").authors == ("ann", "bo", "")
    with pytest.raises(DataError, match="expected authors from table or exif or folder, got 'name'"):
        open_collection(folder, author_from="name")  # type: ignore[arg-type]


def test_a_table_gives_positions_and_authors(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "photos.csv"
    table.write_text("path,lat,lon,User\nd.jpg,5,6,dee\nbo/b.jpg,7,8,\ngone.jpg,1,1,x\n")
    collection = open_collection(folder, manifest=table)
    assert collection.keys == ("d.jpg", "bo/b.jpg")
    assert collection.positions_deg.tolist() == [[5, 6], [7, 8]]
    assert collection.authors == ("dee", "")
    assert collection.left_out.listed == (("gone.jpg", "no such file"),)
    assert open_collection(folder, manifest=table, author_from="folder").authors == ("", "bo")


def test_a_stamp_changes_with_its_file(folder: Path) -> None:
    collection = open_collection(folder)
    before = [collection.stamp(i) for i in range(3)]
    (folder / "c.jpg").write_bytes(jpeg(9))
    (folder / "bo" / "b.jpg").unlink()
    assert collection.stamp(0) == before[0]
    assert collection.stamp(1) == (-1, -1)
    assert collection.stamp(2) != before[2]


def test_unreadable_photos_raise_an_error_when_read(folder: Path) -> None:
    collection = open_collection(folder)
    (folder / "c.jpg").write_bytes(b"no picture")
    (folder / "bo" / "b.jpg").unlink()
    with pytest.raises(ImageError, match=r"c.jpg: expected a JPEG"):
        collection.read(2)
    for read in (collection.read, collection.encoded):
        with pytest.raises(ImageError, match=r"b.jpg: expected a readable"):
            read(1)


def test_a_folder_without_known_positions_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(jpeg(1))
    with pytest.raises(DataError, match="photos: expected photos of known position, got none"):
        open_collection(tmp_path / "photos")
    with pytest.raises(DataError, match="expected a folder of photos"):
        open_collection(tmp_path / "none")
