"""Positions from EXIF headers, valid and implausible ones."""

import os
import random
import struct
import tracemalloc
import zlib
from pathlib import Path

import pytest
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from geoexplain.errors import DataError
from geoexplain.photos import exif_position, geotagged_photos

TAGS = ExifTags.GPS
PARIS = {
    TAGS.GPSLatitudeRef: "N",
    TAGS.GPSLatitude: (48.0, 51.0, 30.24),
    TAGS.GPSLongitudeRef: "E",
    TAGS.GPSLongitude: (2.0, 17.0, 40.2),
}
PARIS_DEG = (48 + 51 / 60 + 30.24 / 3600, 2 + 17 / 60 + 40.2 / 3600)


def photo(file: Path, gps: dict, **options: object) -> Path:
    exif = Image.Exif()
    exif[ExifTags.Base.Model] = "Camera"
    exif[ExifTags.Base.GPSInfo] = gps
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), "red").save(file, exif=exif, **options)
    return file


@pytest.mark.parametrize("suffix", ["jpg", "JPEG", "png", "webp"])
def test_a_position_is_read_from_every_kind_of_photo(tmp_path: Path, suffix: str) -> None:
    assert exif_position(photo(tmp_path / f"photo.{suffix}", PARIS)) == pytest.approx(PARIS_DEG, abs=1e-9)


@pytest.mark.parametrize(
    ("lat", "lon", "signs"), [("N", "E", (1, 1)), ("S", "W", (-1, -1)), ("n", "w", (1, -1)), ("S\0", "E ", (-1, 1))]
)
def test_references_give_the_signs(tmp_path: Path, lat: str, lon: str, signs: tuple[int, int]) -> None:
    gps = {**PARIS, TAGS.GPSLatitudeRef: lat, TAGS.GPSLongitudeRef: lon}
    wanted = [sign * value for sign, value in zip(signs, PARIS_DEG, strict=True)]
    assert exif_position(photo(tmp_path / "photo.jpg", gps)) == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize(
    ("degrees", "wanted"),
    [
        ((48.8584, 0.0, 0.0), 48.8584),
        ((48.0, 51.504, 0.0), 48.8584),
        ((0.0, 59.0, 60.0), 1.0),
        ((90.0, 0.0, 0.0), 90.0),
        ((IFDRational(977, 20), 0.0, 0.0), 48.85),
    ],
)
def test_degrees_minutes_and_seconds_add_up(tmp_path: Path, degrees: tuple, wanted: float) -> None:
    position = exif_position(photo(tmp_path / "photo.jpg", {**PARIS, TAGS.GPSLatitude: degrees}))
    assert position is not None
    assert position[0] == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        {TAGS.GPSLatitude: (IFDRational(1, 0), 0.0, 0.0)},
        {TAGS.GPSLatitude: (IFDRational(0, 0), IFDRational(0, 0), IFDRational(0, 0))},
        {TAGS.GPSLongitude: (2.0, 17.0, IFDRational(5, 0))},
        {TAGS.GPSLatitude: (91.0, 0.0, 0.0)},
        {TAGS.GPSLatitude: (90.0, 0.0, 1.0)},
        {TAGS.GPSLongitude: (180.0, 1.0, 0.0)},
        {TAGS.GPSLatitude: (48.0, 61.0, 0.0)},
        {TAGS.GPSLatitude: (48.0, 0.0, 61.0)},
        {TAGS.GPSLatitude: (48.0, 51.0)},
        {TAGS.GPSLatitude: (48.0,)},
        {TAGS.GPSLatitudeRef: "X"},
        {TAGS.GPSLatitudeRef: "NS"},
        {TAGS.GPSLatitudeRef: "E"},
        {TAGS.GPSLatitudeRef: ""},
        {TAGS.GPSLongitudeRef: None},
        {TAGS.GPSLongitude: None},
        {TAGS.GPSStatus: "V"},
        {TAGS.GPSLatitude: (0.0, 0.0, 0.0), TAGS.GPSLongitude: (0.0, 0.0, 0.0)},
    ],
)
def test_implausible_values_give_no_position(tmp_path: Path, change: dict) -> None:
    gps = {tag: value for tag, value in {**PARIS, **change}.items() if value is not None}
    assert exif_position(photo(tmp_path / "photo.jpg", gps)) is None


def test_one_zero_is_a_position(tmp_path: Path) -> None:
    gps = {**PARIS, TAGS.GPSLatitude: (0.0, 0.0, 0.0), TAGS.GPSStatus: "A"}
    assert exif_position(photo(tmp_path / "photo.jpg", gps)) == pytest.approx((0.0, PARIS_DEG[1]))


def test_other_files_have_no_position(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("not a photo")
    (tmp_path / "empty.jpg").touch()
    Image.new("RGB", (8, 6)).save(tmp_path / "plain.jpg")
    Image.new("RGB", (8, 6)).save(tmp_path / "plain.png")
    os.mkfifo(tmp_path / "pipe.jpg")
    for name in ("text.jpg", "empty.jpg", "plain.jpg", "plain.png", "pipe.jpg", "none.jpg", "."):
        assert exif_position(tmp_path / name) is None


def test_damaged_headers_give_a_plausible_position_or_none(tmp_path: Path) -> None:
    draw = random.Random(1)
    whole = bytearray(photo(tmp_path / "photo.jpg", PARIS).read_bytes())
    header = slice(whole.index(b"Exif"), whole.index(b"\xff\xdb"))
    damaged = tmp_path / "damaged.jpg"
    for _ in range(300):
        changed = whole.copy()
        for _ in range(draw.randrange(1, 5)):
            changed[draw.randrange(header.start, header.stop)] = draw.randrange(256)
        damaged.write_bytes(changed)
        position = exif_position(damaged)
        assert position is None or (abs(position[0]) <= 90 and abs(position[1]) <= 180)  # false for NaN


def test_no_pixel_is_decoded(tmp_path: Path) -> None:
    # The header declares 12,000 × 7,000 pixels, which would be 250 MB; in a PNG, EXIF may follow the pixels.
    file = photo(tmp_path / "photo.png", PARIS)
    data = bytearray(file.read_bytes())
    data[16:24] = struct.pack(">II", 12_000, 7_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    file.write_bytes(data)
    tracemalloc.start()
    position = exif_position(file)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert position == pytest.approx(PARIS_DEG, abs=1e-9)
    assert peak < 2**21


def test_subfolders_are_searched_for_photos(tmp_path: Path) -> None:
    photo(tmp_path / "b.jpg", PARIS)
    photo(tmp_path / "holiday" / "day 1" / "a.JPG", {**PARIS, TAGS.GPSLongitudeRef: "W"})
    Image.new("RGB", (8, 6)).save(tmp_path / "holiday" / "none.png")
    (tmp_path / "broken.jpg").write_text("no photo")
    (tmp_path / "notes.txt").write_text("no photo")
    heard: list[tuple[int, int]] = []
    manifest = geotagged_photos(tmp_path, progress=lambda done, total: heard.append((done, total)))
    assert [(found.id, found.file) for found in manifest.photos] == [
        ("b.jpg", tmp_path / "b.jpg"),
        ("holiday/day 1/a.JPG", tmp_path / "holiday" / "day 1" / "a.JPG"),
    ]
    assert [found.lon_deg for found in manifest.photos] == pytest.approx([PARIS_DEG[1], -PARIS_DEG[1]])
    assert manifest.missing == ("broken.jpg", "holiday/none.png")
    assert heard == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_folder_without_photos_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match="expected JPEG, PNG or WebP photos, found none"):
        geotagged_photos(tmp_path)
    with pytest.raises(DataError, match="expected a folder of photos at"):
        geotagged_photos(tmp_path / "none")
