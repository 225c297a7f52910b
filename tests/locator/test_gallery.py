"""Galleries: reading by cell from several threads and processes, and building without partial results."""

import json
import os
import pickle
import tracemalloc
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from geoexplain.errors import DataError
from geoexplain.files import Assignments
from geoexplain.geography.partition import Partition
from geoexplain.images import open_image
from geoexplain.locator.gallery import Gallery, gallery_by_cell, open_gallery
from geoexplain.locator.gallery_build import build_gallery, convert_gallery
from geoexplain.locator.gallery_hdf5 import open_hdf5
from geoexplain.locator.retrieval import search_within_cell
from geoexplain.photos import Photo
from tests.locator.models import CENTERS, LABELS, small_model

CELLS = Partition("five", LABELS, CENTERS)
ROWS, DIM = 60, 7


def some_rows(rows: int = ROWS, dim: int = DIM) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(11)
    places = CENTERS[rng.integers(0, 4, rows)] + rng.normal(0, 3, (rows, 2))  # nobody took a photo at the South Pole
    places[:, 1] = (places[:, 1] + 180) % 360 - 180
    return rng.normal(size=(rows, dim)).astype(np.float16), places


def write_hdf5(file: Path, features: np.ndarray, labels: np.ndarray, **options: object) -> Path:
    with h5py.File(file, "w") as target:
        target.create_dataset("features", data=features, **options)
        target["labels"] = labels
    return file


def by_hand(cells: list[list[int]]) -> Assignments:
    offsets = np.cumsum([0, *map(len, cells)])
    return Assignments(offsets.astype(np.int64), np.array([row for cell in cells for row in cell], dtype=np.int64))


def brute_force_cells(places: np.ndarray) -> list[int]:
    """Return the nearest centre by the angle between unit vectors, one point at a time."""

    def vector(lat: float, lon: float) -> np.ndarray:
        lat, lon = np.radians(lat), np.radians(lon)
        return np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])

    return [int(np.argmin([np.arccos(vector(*place) @ vector(*center)) for center in CENTERS])) for place in places]


@pytest.mark.parametrize("options", [{}, {"chunks": (8, 3)}, {"chunks": True, "maxshape": (None, DIM)}], ids=str)
@pytest.mark.parametrize("dtype", ["<f2", ">f2", "<f4", ">f4"])
def test_hdf5_gives_back_what_was_stored(tmp_path: Path, dtype: str, options: dict) -> None:
    features, places = some_rows()
    gallery = open_gallery(write_hdf5(tmp_path / "a.hdf5", features.astype(dtype), places, **options), CELLS)
    assert (len(gallery), gallery.dim, gallery.name, gallery.model) == (ROWS, DIM, "a.hdf5", None)
    rng = np.random.default_rng(0)
    for rows in (
        np.arange(ROWS),
        np.array([59]),
        np.array([3, 3, 0]),
        rng.permutation(ROWS)[:20],
        np.array([7, 11, 16]),
    ):
        found = gallery.features(rows)
        assert found.dtype == np.float32
        assert np.array_equal(found, features[rows].astype(np.float32))
        assert np.array_equal(gallery.positions_deg(rows), places[rows])


def test_labels_in_float32_are_taken(tmp_path: Path) -> None:
    features, places = some_rows()
    gallery = open_gallery(write_hdf5(tmp_path / "a.h5", features, places.astype(np.float32)), CELLS)
    assert np.array_equal(gallery.positions_deg(np.arange(ROWS)), places.astype(np.float32).astype(np.float64))


def test_without_assignments_a_row_lies_in_the_nearest_cell(tmp_path: Path) -> None:
    features, places = some_rows()
    gallery = open_gallery(write_hdf5(tmp_path / "a.hdf5", features, places), CELLS)
    owners = brute_force_cells(places)
    for cell in range(len(CELLS)):
        assert gallery.rows_of(cell).tolist() == [row for row, owner in enumerate(owners) if owner == cell]
    assert len(gallery.rows_of(4)) == 0
    assert len(gallery.rows_of(1000)) == 0


def test_assignments_say_which_rows_in_which_order(tmp_path: Path) -> None:
    file = write_hdf5(tmp_path / "a.hdf5", *some_rows())
    gallery = open_gallery(file, CELLS, by_hand([[], [9, 2, 5], [0]]))
    assert [gallery.rows_of(cell).tolist() for cell in range(5)] == [[], [9, 2, 5], [0], [], []]
    with pytest.raises(DataError, match=f"expected rows below {ROWS}, got row {ROWS}"):
        open_gallery(file, CELLS, by_hand([[0], [ROWS]]))
    with pytest.raises(DataError, match="expected cells below 5, got cell 5"):
        open_gallery(file, CELLS, by_hand([[], [], [], [], [], [1]]))


def test_a_row_that_is_not_finite_is_refused_only_when_read(tmp_path: Path) -> None:
    features, places = some_rows()
    features[30, 2] = np.nan
    features[31, 0] = np.inf
    gallery = open_gallery(write_hdf5(tmp_path / "a.hdf5", features, places), CELLS)
    assert np.isfinite(gallery.features(np.array([0, 29, 32, 59]))).all()
    with pytest.raises(
        DataError, match=r"gallery a\.hdf5: expected finite features, got NaN or infinite ones in row 31"
    ):
        gallery.features(np.array([2, 31]))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Return 12,000 rows of 256 numbers, nearly all of one cell, in HDF5 and in the folder format."""
    features, places = some_rows(12_000, 256)
    places[1000:] = CENTERS[2] + (places[1000:] - CENTERS[2]) / 1000
    folder = tmp_path_factory.mktemp("large")
    hdf5 = open_gallery(write_hdf5(folder / "large.hdf5", features, places), CELLS)
    convert_gallery(hdf5, "small", CELLS, folder / "own")
    return SimpleNamespace(galleries=[hdf5, open_gallery(folder / "own", CELLS)], features=features, places=places)


def test_a_large_cell_is_never_held_whole(large: SimpleNamespace) -> None:
    embedding = large.features[5000].astype(np.float32)
    for gallery in large.galleries:
        in_cell = len(gallery.rows_of(2))
        assert in_cell > 11_000
        search_within_cell(gallery, embedding, 2, CENTERS[2])  # triggers late imports
        tracemalloc.start()
        search_within_cell(gallery, embedding, 2, CENTERS[2])
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < in_cell * 256 * 4 / 2


def test_both_formats_find_the_same(large: SimpleNamespace) -> None:
    rng = np.random.default_rng(1)
    for cell in (0, 1, 2, 3):
        embedding = rng.normal(size=256).astype(np.float32)
        one, other = (
            search_within_cell(gallery, embedding, cell, CENTERS[cell], top_k=30) for gallery in large.galleries
        )
        assert one is not None
        assert other is not None
        assert one.similarity == pytest.approx(other.similarity, abs=1e-4)
        assert np.array_equal(one.positions_deg, other.positions_deg)
        assert (one.lat_deg, one.lon_deg, one.searched) == (other.lat_deg, other.lon_deg, other.searched)


def answers(gallery: Gallery, seeds: range) -> list[list[int]]:
    rows = []
    for seed in seeds:
        embedding = np.random.default_rng(seed).normal(size=256).astype(np.float32)
        found = search_within_cell(gallery, embedding, seed % 4, CENTERS[0])
        assert found is not None
        rows.append(found.rows.tolist())
    return rows


def test_threads_may_share_a_gallery(large: SimpleNamespace) -> None:
    for gallery in large.galleries:
        alone = answers(gallery, range(6))
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(lambda _: answers(gallery, range(6)), range(8))) == [alone] * 8  # noqa: B023


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes do not fork here")
def test_a_fork_reads_what_its_parent_opened(large: SimpleNamespace) -> None:
    for gallery in large.galleries:
        rows = np.arange(0, 12_000, 7)
        expected = gallery.features(rows)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns wherever threads have been
            child = os.fork()
        same = np.array_equal(gallery.features(rows), expected)  # parent and child at the same time
        if child == 0:
            os._exit(0 if same else 1)
        assert same
        assert os.waitpid(child, 0)[1] == 0


def test_a_gallery_goes_to_other_processes(large: SimpleNamespace) -> None:
    for gallery in large.galleries:
        copy = pickle.loads(pickle.dumps(gallery))
        assert answers(copy, range(3)) == answers(gallery, range(3))


# Building


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Photo]:
    """Return eleven photos of three shapes near four cells; one file is not an image, one is missing."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(2)
    found = []
    for number in range(11):
        size = [(80, 64), (64, 90), (80, 64), (64, 64)][number % 4]
        file = folder / f"{number}.png"
        pixels = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).save(file)
        lat, lon = CENTERS[(3 * number) % 4] + (0.1 * number, 0.0)
        found.append(Photo(str(number), file, lat, lon))
    (folder / "4.png").write_bytes(b"not a picture")
    (folder / "7.png").unlink()
    return found


def test_built_from_photos_it_holds_the_models_embeddings(tmp_path: Path, photos: list[Photo]) -> None:
    model = small_model()
    seen: list[tuple[int, int]] = []
    built = build_gallery(model, photos, tmp_path / "made" / "g", batch=2, progress=lambda *at: seen.append(at))
    assert built.rows == 9
    assert [(photo.id, "4.png" in what or "7.png" in what) for photo, what in built.skipped] == [
        ("4", True),
        ("7", True),
    ]
    assert seen == [(8, 11), (11, 11)]
    gallery = open_gallery(tmp_path / "made" / "g", model.partition)
    assert (len(gallery), gallery.model) == (9, "small")

    stored = {}
    for cell in range(5):
        rows = gallery.rows_of(cell)
        for row, place in zip(rows, gallery.positions_deg(rows), strict=True):
            stored[tuple(place.tolist())] = cell, gallery.features(np.array([row]))[0]
    readable = [photo for photo in photos if photo.id not in "47"]
    assert len(stored) == len(readable)
    for photo in readable:
        cell, embedding = stored[photo.lat_deg, photo.lon_deg]
        assert cell == brute_force_cells(np.array([(photo.lat_deg, photo.lon_deg)]))[0]
        alone = model.embedding(model.features(model.tensor(open_image(photo.file))))[0].numpy()
        assert embedding == pytest.approx(alone, abs=1e-3)  # float16
        assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-3)


def test_a_photo_of_the_gallery_finds_itself(tmp_path: Path, photos: list[Photo]) -> None:
    model = small_model()
    build_gallery(model, photos, tmp_path / "g", batch=16)
    gallery = open_gallery(tmp_path / "g", model.partition)
    photo = photos[5]
    embedding = model.embedding(model.features(model.tensor(open_image(photo.file))))[0].numpy()
    cell = brute_force_cells(np.array([(photo.lat_deg, photo.lon_deg)]))[0]
    found = search_within_cell(gallery, embedding, cell, CENTERS[cell], top_k=1)
    assert found is not None
    assert found.similarity[0] == pytest.approx(1, abs=2e-3)
    assert (found.lat_deg, found.lon_deg) == pytest.approx((photo.lat_deg, photo.lon_deg))


def test_the_files_are_plain_numpy(tmp_path: Path, photos: list[Photo]) -> None:
    build_gallery(small_model(), photos, tmp_path / "g")
    facts = json.loads((tmp_path / "g" / "gallery.json").read_text())
    features = np.load(tmp_path / "g" / "features.npy", mmap_mode="r", allow_pickle=False)
    assert facts == {
        "format": "geoexplain-gallery/1",
        "model": "small",
        "dim": features.shape[1],
        "rows": 9,
        "cells": 5,
    }
    assert features.dtype == np.float16
    offsets = np.load(tmp_path / "g" / "cells.npy", allow_pickle=False)
    places = np.load(tmp_path / "g" / "positions.npy", allow_pickle=False)
    owners = brute_force_cells(places)
    assert owners == sorted(owners)
    assert offsets.tolist() == [sum(owner < cell for owner in owners) for cell in range(6)]
    assert os.listdir(tmp_path) == ["g"]


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_converted_from_hdf5_every_number_is_the_same(tmp_path: Path, dtype: type) -> None:
    features, places = some_rows()
    features = (features.astype(np.float64) * np.pi).astype(dtype)
    table = open_hdf5(write_hdf5(tmp_path / "a.hdf5", features, places))
    seen: list[tuple[int, int]] = []
    rows = convert_gallery(
        gallery_by_cell(table, CELLS, by_hand([[3], [], [9, 2, 5]])),
        "m",
        CELLS,
        tmp_path / "g",
        progress=lambda *at: seen.append(at),
    )
    gallery = open_gallery(tmp_path / "g", CELLS)
    assert rows == len(gallery) == 4
    assert seen == [(1, 4), (4, 4)]
    assert [gallery.rows_of(cell).tolist() for cell in range(5)] == [[0], [], [1, 2, 3], [], []]
    everything = np.arange(4)
    assert np.array_equal(gallery.features(everything), features[[3, 9, 2, 5]].astype(np.float32))
    assert np.array_equal(gallery.positions_deg(everything), places[[3, 9, 2, 5]])


@pytest.mark.parametrize("problem", [KeyboardInterrupt, ZeroDivisionError])
def test_interrupted_it_leaves_nothing_behind(tmp_path: Path, photos: list[Photo], problem: type) -> None:
    def interrupt(_done: int, _total: int) -> None:
        assert len(os.listdir(tmp_path)) == 1  # it had begun
        raise problem

    with pytest.raises(problem):
        build_gallery(small_model(), photos, tmp_path / "g", batch=1, progress=interrupt)
    assert os.listdir(tmp_path) == []


def test_without_a_readable_photo_there_is_no_gallery(tmp_path: Path, photos: list[Photo]) -> None:
    for some in ([], [photos[4], photos[7]]):
        with pytest.raises(DataError, match="gallery g: expected at least one photo that can be read, got none"):
            build_gallery(small_model(), some, tmp_path / "g")
    assert os.listdir(tmp_path) == []


def test_an_existing_folder_is_not_overwritten(tmp_path: Path, photos: list[Photo]) -> None:
    (tmp_path / "g").mkdir()
    (tmp_path / "g" / "precious").write_text("work")
    with pytest.raises(DataError, match="expected a folder that does not exist yet"):
        build_gallery(small_model(), photos, tmp_path / "g")
    assert (tmp_path / "g" / "precious").read_text() == "work"


def test_damaged_weights_make_no_gallery(tmp_path: Path, photos: list[Photo]) -> None:
    model = small_model()
    model.embedder = nn.Linear(model.backbone.feature_dim, 3)
    model.embedder.bias.data.fill_(torch.nan)
    with pytest.raises(DataError, match="expected finite embeddings"):
        build_gallery(model, photos, tmp_path / "g")
    assert os.listdir(tmp_path) == []


def test_the_gallery_of_other_cells_is_refused(tmp_path: Path) -> None:
    table = open_hdf5(write_hdf5(tmp_path / "a.hdf5", *some_rows()))
    convert_gallery(gallery_by_cell(table, CELLS), "m", CELLS, tmp_path / "g")
    with pytest.raises(DataError, match="gallery g: expected the 4 cells of four, got 5 of model m"):
        open_gallery(tmp_path / "g", Partition("four", LABELS[:4], CENTERS[:4]))
    moved = CENTERS.copy()
    moved[2] += (0.01, 0.0)
    with pytest.raises(DataError, match="gallery g: expected the 5 cells of moved, got 5 others of model m"):
        open_gallery(tmp_path / "g", Partition("moved", LABELS, moved))
    rounded = CENTERS.copy()
    rounded[0] += 4e-6
    rounded[3, 1] = -180  # the same meridian
    assert len(open_gallery(tmp_path / "g", Partition("rounded", LABELS, rounded))) == ROWS
