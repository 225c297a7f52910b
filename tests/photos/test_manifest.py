"""Matching files with positions: tables, original metadata and their ids."""

import csv
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from geoexplain.errors import DataError
from geoexplain.files import convert
from geoexplain.photos import Manifest, Photo, read_manifest
from geoexplain.photos.manifest import match_files


@pytest.fixture
def images(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that creates a folder with files of given names; matching never opens one."""

    def make(*names: str) -> Path:
        folder = tmp_path / "images"
        folder.mkdir(exist_ok=True)
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
        return folder

    return make


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    def write(text: str, encoding: str = "utf-8") -> Path:
        file = tmp_path / "photos.csv"
        file.write_bytes(text.encode(encoding))
        return file

    return write


def places(manifest: Manifest) -> list[tuple[str, str, float, float]]:
    return [(photo.id, photo.file.name, photo.lat_deg, photo.lon_deg) for photo in manifest.photos]


def published_rule(stem: str, ids: set[str]) -> str | None:
    """Apply the rule: the whole name; else the part before the first underscore; else the same for the rest."""
    if stem in ids:
        return stem
    if "_" not in stem:
        return None
    first, rest = stem.split("_", 1)
    return first if first in ids else published_rule(rest, ids)


NAMES = [
    "12345",
    "bafg_34_12345",
    "12345_34_bafg",
    "34_bafg_12345",
    "x_12_345_y",
    "a_b",
    "_12345_",
    "__",
    "99",
    "345_99",
    "bafg_1234",
]


@pytest.mark.parametrize(
    "ids", [{"12345"}, {"34", "12345"}, {"12_345"}, {"12", "345"}, {"99", "345", "b"}, {""}, {"_"}]
)
def test_ids_are_found_between_underscores_as_published(ids: set[str]) -> None:
    for name in NAMES:
        wanted = published_rule(name, ids)
        for suffix in (".jpg", ".JPG", ".jpeg", ".png", ".WebP"):
            assert match_files([name + suffix], ids) == ({} if wanted is None else {wanted: name + suffix})


def test_ids_match_with_and_without_their_ending() -> None:
    files = ["1.jpg", "2.png", "u_3_v.JPEG", "4.jpg", "5.6.jpg"]
    assert match_files(files, ["1", "2.jpg", "3.JPG", "4.png", "5.6"]) == dict(
        zip(["1", "2.jpg", "3.JPG", "4.png", "5.6"], files, strict=True)
    )
    assert match_files(["1.txt", "1.jpg.part"], ["1"]) == {}


def test_an_exact_file_name_comes_first() -> None:
    assert match_files(["a_1.jpg", "b_1.jpg"], ["1"]) == {"1": "a_1.jpg"}
    assert match_files(["a_1.jpg", "deep/er/1.jpg"], ["1"]) == {"1": "deep/er/1.jpg"}
    assert match_files(["1.jpg", "1.png"], ["1"]) == {"1": "1.jpg"}


METADATA = {
    "12345": {"lat": "45.5", "lon": "4.75"},
    "777.jpg": {"lat": -1.5, "lon": 2.0},
    "888": {"lat": 0, "lon": 0},
}


def test_original_metadata_finds_its_images(images: Callable, tmp_path: Path) -> None:
    folder = images("bafg_34_12345.jpg", "777.PNG", "12345_2.jpg", "sub/other.jpg", "readme.txt")
    for name in ("metadata.pkl", "metadata.data"):
        (tmp_path / name).write_bytes(pickle.dumps(METADATA))
        manifest = read_manifest(tmp_path / name, folder)
        assert places(manifest) == [("12345", "12345_2.jpg", 45.5, 4.75), ("777.jpg", "777.PNG", -1.5, 2.0)]
        assert manifest.missing == ("888",)
        assert manifest.unknown == ("bafg_34_12345.jpg", "sub/other.jpg")
        assert all(photo.file.is_file() and photo.file.is_relative_to(folder) for photo in manifest.photos)


def test_converted_metadata_is_the_same_manifest(images: Callable, tmp_path: Path) -> None:
    folder = images("bafg_34_12345.jpg", "777.PNG")
    (tmp_path / "metadata.pkl").write_bytes(pickle.dumps(METADATA))
    convert(tmp_path / "metadata.pkl", tmp_path / "metadata.csv")
    original, converted = (read_manifest(tmp_path / name, folder) for name in ("metadata.pkl", "metadata.csv"))
    assert converted.photos == original.photos
    assert len(converted.photos) == 2
    assert converted.missing == original.missing == ("888",)


def test_an_id_with_and_without_its_ending_is_one_id(images: Callable, tmp_path: Path) -> None:
    (tmp_path / "metadata.pkl").write_bytes(pickle.dumps({"1": METADATA["888"], "1.jpg": METADATA["888"]}))
    with pytest.raises(DataError, match=r"metadata.pkl: expected each image once, got '1' and '1.jpg'"):
        read_manifest(tmp_path / "metadata.pkl", images("1.jpg"))


@pytest.mark.parametrize("path", ["id", "image", "img_id", "filename", "path", "FileName", "IMG_ID", " Image "])
@pytest.mark.parametrize(("lat", "lon"), [("lat", "lon"), ("Latitude", "LONGITUDE"), ("LAT", "lng")])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_columns_go_by_many_names(
    images: Callable, table: Callable, path: str, lat: str, lon: str, delimiter: str
) -> None:
    folder = images("a.jpg", "sub/b.png")
    rows = [["author", lon, path, lat], ["x", "2.5", "a.jpg", "-1.5"], ["y", "-180", "sub/b.png", "90"]]
    manifest = read_manifest(table("\r\n".join(delimiter.join(row) for row in rows)), folder)
    assert manifest == Manifest(
        (
            Photo("a.jpg", folder / "a.jpg", -1.5, 2.5, "x"),
            Photo("sub/b.png", folder / "sub" / "b.png", 90.0, -180.0, "y"),
        )
    )


def test_an_id_next_to_a_path_names_the_photo(images: Callable, table: Callable) -> None:
    manifest = read_manifest(table("id,path,lat,lon\nfirst,a.jpg,1,2\nsecond,none.jpg,3,4\n"), images("a.jpg"))
    assert places(manifest) == [("first", "a.jpg", 1.0, 2.0)]
    assert manifest.missing == ("second",)


def test_marks_quotes_and_empty_lines_do_no_harm(images: Callable, table: Callable) -> None:
    text = '\ufeff\n\nimage;lat;lon\n"a;b ""c"".jpg";1;2\n\n;;\n  \n"d.jpg";"3";"4"'
    manifest = read_manifest(table(text), images('a;b "c".jpg', "d.jpg"))
    assert places(manifest) == [('a;b "c".jpg', 'a;b "c".jpg', 1.0, 2.0), ("d.jpg", "d.jpg", 3.0, 4.0)]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("image,lat,lon\na.jpg,1,2\n\na.jpg,91,2\n", "line 4: expected a latitude from -90 to 90 degrees.*got '91'"),
        ("image,lat,lon\na.jpg,1,-180.5\n", "line 2: expected a longitude from -180 to 180 degrees.*'-180.5'"),
        ("\n\nimage,lat,lon\na.jpg,nan,2\n", "line 4: expected a latitude.*'nan'"),
        ("image,lat,lon\na.jpg,inf,2\n", "line 2: expected a latitude"),
        ("image,lat,lon\na.jpg,1_0,2\n", "line 2: expected a latitude"),
        ("image;lat;lon\na.jpg;48,85;2\n", "line 2: expected a latitude.*'48,85'"),
        ("image,lat,lon\na.jpg,,2\n", "line 2: expected a latitude.*got ''"),
        ("image,lat,lon\na.jpg,1\n", "line 2: expected a longitude.*got ''"),
        ("image,lat,lon\n,1,2\n", "line 2: expected the name of a photo"),
        ("id,image,lat,lon\nfirst,,1,2\n", "line 2: expected the name of a photo"),
        ("id,lat,lon\n1,1,2\n2,1,2\n1,1,2\n", "line 4: expected each photo once, got '1' again, after line 2"),
        ("id,path,lat,lon\n1,a.jpg,1,2\n2,a.jpg,1,2\n", "line 3: expected a photo of its own for '2', got that of '1'"),
        ("image,lat\na.jpg,1\n", "expected a header with id or img_id or path.*got 'image,lat'"),
        ("lat,lon\n1,2\n", "expected a header"),
        ("a.jpg,1,2\n", "expected a header"),
        ("", "expected a header.*got ''"),
        ("image,lat,lon\n", "expected a line for every photo, got none"),
        ('image,lat,lon\n"a.jpg,1,2\n', "line 2: expected values between ','"),
        ('image,lat,lon\n"a"b.jpg,1,2\n', "line 2: expected values"),
        ("image,lat,lon\n" + "a" * 200_000 + ",1,2\n", "line 2: expected values"),
    ],
)
def test_a_bad_line_is_named(images: Callable, table: Callable, text: str, sentence: str) -> None:
    with pytest.raises(DataError, match=rf"^photos.csv.*{sentence}") as refused:
        read_manifest(table(text), images("a.jpg"))
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 400


def test_other_encodings_are_refused(images: Callable, table: Callable) -> None:
    for encoding in ("latin-1", "utf-16"):
        with pytest.raises(DataError, match="expected text in UTF-8"):
            read_manifest(table("image,lat,lon\né.jpg,1,2\n", encoding), images())


@pytest.mark.parametrize("column", ["id", "path"])
@pytest.mark.parametrize(
    "path",
    [
        "../secret.jpg",
        "sub/../../secret.jpg",
        "sub\\..\\..\\secret.jpg",
        "..",
        "link.jpg",
        "up/secret.jpg",
        "loop/a.jpg",
        "a\0b.jpg",
    ],
)
def test_no_path_leaves_the_folder(images: Callable, table: Callable, tmp_path: Path, column: str, path: str) -> None:
    folder = images("sub/a.jpg")
    (tmp_path / "secret.jpg").touch()
    (folder / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (folder / "up").symlink_to(tmp_path)
    (folder / "loop").symlink_to(folder / "loop")
    with pytest.raises(DataError, match="line 3: expected"):
        read_manifest(table(f"{column},lat,lon\nsub/a.jpg,1,2\n{path},1,2\n"), folder)


def test_absolute_paths_are_refused_even_inside(images: Callable, table: Callable) -> None:
    folder = images("a.jpg")
    for path in (folder / "a.jpg", "/etc/hostname"):
        with pytest.raises(DataError, match="line 2: expected a path inside the folder of images"):
            read_manifest(table(f"path,lat,lon\n{path},1,2\n"), folder)


def test_links_that_stay_inside_are_followed_but_folders_only_by_name(
    images: Callable, table: Callable, tmp_path: Path
) -> None:
    folder = images("sub/1.jpg")
    (folder / "alias.jpg").symlink_to(folder / "sub" / "1.jpg")
    (folder / "again").symlink_to(folder / "sub")
    (tmp_path / "2.jpg").touch()
    (folder / "2.jpg").symlink_to(tmp_path / "2.jpg")
    manifest = read_manifest(table("path,lat,lon\nalias.jpg,1,2\nagain/1.jpg,3,4\n"), folder)
    assert [photo.id for photo in manifest.photos] == ["alias.jpg", "again/1.jpg"]
    (tmp_path / "metadata.pkl").write_bytes(pickle.dumps({"1": METADATA["888"], "2": METADATA["888"]}))
    manifest = read_manifest(tmp_path / "metadata.pkl", folder)
    assert [photo.file for photo in manifest.photos] == [folder / "sub" / "1.jpg"]
    assert manifest.missing == ("2",)
    assert manifest.unknown == ("alias.jpg",)


def test_a_name_longer_than_any_file_is_missing(images: Callable, table: Callable) -> None:
    manifest = read_manifest(table(f"path,lat,lon\n{'a' * 5000},1,2\n"), images())
    assert manifest.missing == ("a" * 5000,)


def test_a_missing_folder_or_table_is_refused(images: Callable, table: Callable, tmp_path: Path) -> None:
    good = table("path,lat,lon\na.jpg,1,2\n")
    for folder in (tmp_path / "none", good):
        with pytest.raises(DataError, match="expected a folder of photos at"):
            read_manifest(good, folder)
    os.mkfifo(tmp_path / "pipe.csv")
    for manifest in (tmp_path / "none.csv", tmp_path / "pipe.csv", tmp_path):
        with pytest.raises(DataError, match="expected a table of photos, or a metadata pickle, found none"):
            read_manifest(manifest, images())


def test_code_in_a_manifest_does_not_run(images: Callable, tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple:
            return os.system, (f"touch '{tmp_path / 'canary'}'",)

    (tmp_path / "metadata.pkl").write_bytes(pickle.dumps(Harm()))
    with pytest.raises(DataError, match=r"metadata.pkl: expected a pickle of plain data, got a request to load"):
        read_manifest(tmp_path / "metadata.pkl", images())
    assert not (tmp_path / "canary").exists()


def test_thousands_of_lines_keep_their_values(images: Callable, tmp_path: Path) -> None:
    names = [f"{number}.jpg" for number in range(3000)]
    with (tmp_path / "photos.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["img_id", "lat", "lon"])
        rows.writerows([name, place / 100, -place / 100] for place, name in enumerate(names))
    manifest = read_manifest(tmp_path / "photos.csv", images(*names[::3]))
    assert [photo.lat_deg for photo in manifest.photos] == [place / 100 for place in range(0, 3000, 3)]
    assert len(manifest.missing) == 2000
