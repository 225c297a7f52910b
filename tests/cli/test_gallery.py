"""geoexplain gallery: build one from photos, from a table, from HDF5; and say what one holds."""

import os
import pickle
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from geoexplain.files import Assignments, save_assignments
from geoexplain.locator.gallery import open_gallery
from geoexplain.locator.model import GeoModel
from geoexplain.locator.retrieval import search_within_cell
from tests.cli.conftest import Run, Terminal, smooth_colours

DIM = 1280


def save_photo(file: Path, seed: int, place: tuple[float, float] | None = None) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if place is not None:
        lat, lon = place
        gps = exif.get_ifd(0x8825)
        gps[1], gps[2] = "S" if lat < 0 else "N", (abs(lat), 0.0, 0.0)
        gps[3], gps[4] = "W" if lon < 0 else "E", (abs(lon), 0.0, 0.0)
    smooth_colours(seed, 80, 64 + 16 * (seed % 2)).save(file, exif=exif)


@pytest.fixture
def geotagged(tmp_path: Path, model: GeoModel) -> Path:
    """Six photos at the centres of the first three cells, two each; one without a place, one that is damaged."""
    folder = tmp_path / "holidays"
    for number in range(6):
        save_photo(
            folder / ("deep/" * (number % 2)) / f"{number}.jpg", number, tuple(model.partition.centers_deg[number // 2])
        )
    save_photo(folder / "nowhere.jpg", 6)
    save_photo(folder / "damaged.jpg", 7, (1.0, 2.0))
    whole = (folder / "damaged.jpg").read_bytes()
    (folder / "damaged.jpg").write_bytes(whole[: len(whole) - 200])
    return folder


def write_hdf5(file: Path, places: np.ndarray) -> np.ndarray:
    features = np.random.default_rng(4).normal(size=(len(places), DIM)).astype(np.float32)
    with h5py.File(file, "w") as target:
        target["features"], target["labels"] = features, places
    return features


def test_from_a_folder_of_geotagged_photos(
    tmp_path: Path, run: Run, model_file: Path, model: GeoModel, geotagged: Path
) -> None:
    out = tmp_path / "gallery"
    built = run("gallery", "build", "--from", geotagged, "--model", model_file, "--out", out, "--batch", 3)
    assert built.code == 1
    assert built.out == f"{out}: 6 of 7 photos, embedded by random\n"
    assert built.err.splitlines() == [
        "geoexplain: left out 1 photo that does not give its position: nowhere.jpg",
        *[line for line in built.err.splitlines() if "damaged.jpg" in line],
    ]
    assert len(built.err.splitlines()) == 2
    gallery = open_gallery(out, model.partition)
    assert [len(gallery.rows_of(cell)) for cell in range(4)] == [2, 2, 2, 0]
    assert gallery.positions_deg(np.arange(6)) == pytest.approx(
        np.repeat(model.partition.centers_deg[:3], 2, axis=0), abs=1e-3
    )

    shown = run("gallery", "show", out)
    lat, lon = gallery.centers_deg[0]
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.splitlines() == [
        str(out),
        "  photos     6",
        "  embedding  1,280 numbers, float16",
        "  model      random",
        "  cells      3 of 50 hold photos",
        f"  largest    2 photos: cell 0 ({lat:.4f},{lon:.4f})",
    ]


def test_from_a_table(tmp_path: Path, run: Run, model_file: Path, model: GeoModel) -> None:
    table, images = tmp_path / "places.csv", tmp_path / "images"
    for number in range(3):
        save_photo(images / f"{number}.jpg", number)
    table.write_text("image,latitude,longitude\n0.jpg,10,20\n1.jpg,-33,151\n2.jpg,64,-22\ngone.jpg,0,0\n")
    out = tmp_path / "gallery"
    built = run("gallery", "build", "--from", table, "--images", images, "--model", model_file, "--out", out)
    assert (built.code, built.out) == (0, f"{out}: 3 of 3 photos, embedded by random\n")
    assert built.err == "geoexplain: left out 1 photo whose file does not exist: gone.jpg\n"
    gallery = open_gallery(out, model.partition)
    places = {tuple(place) for place in gallery.positions_deg(np.arange(3)).tolist()}
    assert places == {(10.0, 20.0), (-33.0, 151.0), (64.0, -22.0)}


def test_a_tables_photos_lie_beside_it(tmp_path: Path, run: Run, model_file: Path) -> None:
    save_photo(tmp_path / "a.jpg", 1)
    (tmp_path / "places.csv").write_text("image,lat,lon\na.jpg,1,2\n")
    built = run("gallery", "build", "--from", tmp_path / "places.csv", "--model", model_file, "--out", tmp_path / "g")
    assert (built.code, built.err) == (0, "")


def test_from_hdf5_by_nearest_cell_and_by_assignments(
    tmp_path: Path, run: Run, model_file: Path, model: GeoModel
) -> None:
    places = model.partition.centers_deg[[7, 7, 9]]
    features = write_hdf5(tmp_path / "back.hdf5", places)
    (tmp_path / "cells_assignments.pkl").write_bytes(pickle.dumps({2: {0, 2}, 3: {1}}))
    words = ["gallery", "build", "--from", tmp_path / "back.hdf5", "--model", model_file, "--out"]
    near = run(*words, tmp_path / "near")
    assert (near.code, near.out, near.err) == (0, f"{tmp_path / 'near'}: 3 of 3 photos, embedded by random\n", "")
    said = run(*words, tmp_path / "said", "--assignments", tmp_path / "cells_assignments.pkl")
    assert said.code == 0
    by_nearest, by_hand = (open_gallery(tmp_path / name, model.partition) for name in ("near", "said"))
    assert {cell: len(by_nearest.rows_of(cell)) for cell in (2, 3, 7, 9)} == {2: 0, 3: 0, 7: 2, 9: 1}
    assert {cell: len(by_hand.rows_of(cell)) for cell in (2, 3, 7, 9)} == {2: 2, 3: 1, 7: 0, 9: 0}
    assert np.array_equal(by_hand.features(by_hand.rows_of(3)), features[[1]])
    original = open_gallery(tmp_path / "back.hdf5", model.partition)
    asked = np.random.default_rng(0).normal(size=DIM).astype(np.float32)
    one, other = (search_within_cell(gallery, asked, 7, np.zeros(2)) for gallery in (original, by_nearest))
    assert one is not None
    assert other is not None
    assert (one.lat_deg, one.lon_deg) == (other.lat_deg, other.lon_deg)


def test_assignments_added_with_a_model_are_taken_if_they_are_of_this_file(
    tmp_path: Path, run: Run, model_file: Path, model: GeoModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEOEXPLAIN_HOME", str(tmp_path / "home"))
    added = tmp_path / "home" / "models" / "mine"
    added.mkdir(parents=True)
    shutil.copy(model_file, added / "mine.safetensors")
    shutil.copy(model_file.with_suffix(".cells.csv"), added / "mine.cells.csv")
    three = Assignments(np.array([0, 3], dtype=np.int64), np.array([2, 0, 1], dtype=np.int64))
    save_assignments(three, added / "assignments.npz")
    for rows, cell in ((3, 0), (2, 7)):
        file = tmp_path / f"{rows}.hdf5"
        write_hdf5(file, np.repeat(model.partition.centers_deg[[7]], rows, axis=0))
        assert f"  largest    {rows} photos: cell {cell} (" in run("gallery", "show", file, "--model", "mine").out
        run("gallery", "build", "--from", file, "--model", "mine", "--out", tmp_path / f"g{rows}")
        assert len(open_gallery(tmp_path / f"g{rows}", model.partition).rows_of(cell)) == rows
    run(
        "gallery",
        "build",
        "--from",
        tmp_path / "3.hdf5",
        "--model",
        "mine",
        "--assignments",
        "nearest",
        "--out",
        tmp_path / "n",
    )
    assert len(open_gallery(tmp_path / "n", model.partition).rows_of(7)) == 3


def test_show_an_hdf5_file(tmp_path: Path, run: Run, model_file: Path, model: GeoModel) -> None:
    file = tmp_path / "back.hdf5"
    write_hdf5(file, model.partition.centers_deg[[7, 7, 9]])
    rows = [str(file), "  photos     3", "  embedding  1,280 numbers, float32", "  model      the file does not say"]
    assert run("gallery", "show", file).out.splitlines() == rows
    lat, lon = model.partition.centers_deg[7]
    cells = ["  cells      2 of 50 hold photos", f"  largest    2 photos: cell 7 ({lat:.4f},{lon:.4f})"]
    assert run("gallery", "show", file, "--model", model_file).out.splitlines() == rows + cells


def test_interrupted_it_leaves_nothing(
    tmp_path: Path, run: Run, model_file: Path, geotagged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal("4/7")
    monkeypatch.setattr("sys.stderr", terminal)
    (tmp_path / "galleries").mkdir()
    out = tmp_path / "galleries" / "g"
    built = run("gallery", "build", "--from", geotagged, "--model", model_file, "--out", out, "--batch", 1)
    assert (built.code, built.out) == (130, "")
    assert terminal.cue is None
    assert terminal.getvalue().endswith("geoexplain: interrupted.\n")
    assert os.listdir(tmp_path / "galleries") == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--from", "empty"], "empty: expected JPEG, PNG or WebP photos, found none"),
        (["--from", "nothing.csv"], "nothing.csv"),
        (["--from", "nothing.hdf5"], "expected a gallery at nothing.hdf5, found none: check the path"),
        (["--from", "empty", "--images", "empty"], "--images: expected a table of photos as --from"),
        (["--from", "text.hdf5", "--images", "empty"], "--images: expected a table of photos as --from"),
        (["--from", "empty", "--assignments", "nearest"], "--assignments: expected an HDF5 file as --from"),
        (["--from", "text.hdf5"], "gallery text.hdf5: expected an HDF5 file"),
        (["--from", "empty", "--out", "empty"], "empty: expected a folder that does not exist yet"),
        (["--from", "empty", "--batch", "0"], "expected a whole number of at least 1, got '0'"),
    ],
)
def test_what_is_not_right_is_said_in_one_line_and_nothing_is_made(
    tmp_path: Path, run: Run, model_file: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.hdf5").write_text("This is no gallery.")
    outcome = run("gallery", "build", "--model", model_file, "--out", "made/g", *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert sentence in outcome.err
    assert outcome.err.count("\n") == 1
    assert sorted(os.listdir(tmp_path)) == ["empty", "text.hdf5"]


def test_show_what_is_no_gallery(tmp_path: Path, run: Run) -> None:
    for path in (tmp_path, tmp_path / "nothing", tmp_path / "nothing.h5"):
        outcome = run("gallery", "show", path)
        assert (outcome.code, outcome.out) == (2, "")
        assert "expected" in outcome.err
        assert outcome.err.count("\n") == 1
