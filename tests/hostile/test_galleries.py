"""Galleries made to do harm: no code runs, no other file is read, memory stays small, the refusal is one sentence."""

import contextlib
import json
import os
import pickle
import random
import shutil
import warnings
import zlib
from collections.abc import Callable
from functools import partial
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from geoexplain.errors import DataError
from geoexplain.files import Assignments
from geoexplain.geography.partition import Partition
from geoexplain.locator.gallery import open_gallery
from geoexplain.locator.gallery_build import convert_gallery
from geoexplain.locator.retrieval import search_within_cell
from tests.locator.models import CENTERS, LABELS

CELLS = Partition("five", LABELS, CENTERS)
ROWS, DIM = 64, 16


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, canary: Path):
        self.canary = canary

    def __reduce__(self) -> tuple:
        return os.system, (f"touch '{self.canary}'",)


def features() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(ROWS, DIM)).astype(np.float32)


def labels() -> np.ndarray:
    return CENTERS[np.arange(ROWS) % 5]


def good_hdf5(file: Path) -> Path:
    with h5py.File(file, "w") as target:
        target["features"], target["labels"] = features(), labels()
    return file


def read_everything(path: Path) -> None:
    """What an application would do with a gallery, all of it."""
    gallery = open_gallery(path, CELLS)
    for cell in range(5):
        search_within_cell(gallery, np.ones(DIM, dtype=np.float32), cell, CENTERS[cell])


def assert_refused(path: Path, canary: Path) -> str:
    with pytest.raises(DataError) as refusal:
        read_everything(path)
    message = str(refusal.value)
    assert not canary.exists()
    assert "expected" in message
    assert ": " in message
    assert "\n" not in message
    assert len(message) < 500
    assert str(path.parent) not in message.replace(str(path), "")
    return message


# HDF5

Hdf5 = Callable[[h5py.File, Path], None]


def external_link(file: h5py.File, other: Path) -> None:
    file["features"], file["labels"] = h5py.ExternalLink(str(other), "/features"), labels()


def external_link_for_labels(file: h5py.File, other: Path) -> None:
    file["features"], file["labels"] = features(), h5py.ExternalLink(str(other), "/labels")


def external_storage(file: h5py.File, other: Path) -> None:
    file.create_dataset("features", (ROWS, DIM), "f4", external=[(str(other), 0, h5py.h5f.UNLIMITED)])
    file["labels"] = labels()


def virtual(file: h5py.File, other: Path) -> None:
    layout = h5py.VirtualLayout((ROWS, DIM), "f4")
    layout[:] = h5py.VirtualSource(str(other), "features", (ROWS, DIM))
    file.create_virtual_dataset("features", layout)
    file["labels"] = labels()


def unlimited_virtual(file: h5py.File, other: Path) -> None:
    """Its shape depends on the other file, so that to tell it HDF5 has to open that."""
    layout = h5py.VirtualLayout((ROWS, DIM), "f4", maxshape=(None, DIM))
    source = h5py.VirtualSource(str(other), "features", (ROWS, DIM), maxshape=(None, DIM))
    layout[: h5py.h5s.UNLIMITED, :] = source[: h5py.h5s.UNLIMITED, :]
    file.create_virtual_dataset("features", layout)
    file["labels"] = labels()


def soft_link(file: h5py.File, other: Path) -> None:
    file["elsewhere/features"], file["labels"] = features(), labels()
    file["features"] = h5py.SoftLink("/elsewhere/features")


def endless_link(file: h5py.File, other: Path) -> None:
    file["features"], file["labels"] = h5py.SoftLink("/features"), labels()


def wrong_names(file: h5py.File, other: Path) -> None:
    file["embeddings\n\x1b[2J"], file["gps"] = features(), labels()


def many_names(file: h5py.File, other: Path) -> None:
    for number in range(2000):
        file.create_group(f"{number:04}" + "x" * 200)


def a_group(file: h5py.File, other: Path) -> None:
    file.create_group("features/inner")
    file["labels"] = labels()


def a_type(file: h5py.File, other: Path) -> None:
    file["features"], file["labels"] = np.dtype("f4"), labels()


def objects(file: h5py.File, other: Path) -> None:
    file.create_dataset("features", (ROWS, DIM), h5py.string_dtype())
    file["labels"] = labels()


def pickled(file: h5py.File, other: Path) -> None:
    code = pickle.dumps(Payload(other.parent / "canary"))
    file["features"], file["labels"] = np.array([np.void(code)]), labels()


def compound(file: h5py.File, other: Path) -> None:
    file["features"] = np.zeros((ROWS, DIM), np.dtype([("a", "f4"), ("b", "i8")]))
    file["labels"] = labels()


def odd_floats(file: h5py.File, other: Path) -> None:
    kind = h5py.h5t.IEEE_F32LE.copy()
    kind.set_fields(31, 20, 11, 0, 20)
    space = h5py.h5s.create_simple((ROWS, DIM))
    h5py.h5d.create(file.id, b"features", kind, space)
    file["labels"] = labels()


def bomb(file: h5py.File, other: Path) -> None:
    """600 MB of zeros for a chunk that holds 4 kB: HDF5 inflates all of it."""
    squeezer = zlib.compressobj(9)
    zeros = b"".join(squeezer.compress(bytes(2**20)) for _ in range(600)) + squeezer.flush()
    dataset = file.create_dataset("features", (ROWS, DIM), "f4", chunks=(ROWS, DIM), compression="gzip")
    dataset.id.write_direct_chunk((0, 0), zeros)
    file["labels"] = labels()


def never_written(shape: tuple[int, ...], **options: object) -> Hdf5:
    def write(file: h5py.File, other: Path) -> None:
        file.create_dataset("features", shape, "f4", **options)
        if shape[0] < 2**20:
            file["labels"] = labels()
        else:
            file.create_dataset("labels", (shape[0], 2), "f8", **({"chunks": (1024, 2)} if options else {}))

    return write


def stored(first: np.ndarray, second: np.ndarray) -> Hdf5:
    def write(file: h5py.File, other: Path) -> None:
        file["features"], file["labels"] = first, second

    return write


def changed(array: np.ndarray, place: tuple[int, int], value: float) -> np.ndarray:
    array = array.copy()
    array[place] = value
    return array


HDF5: dict[str, tuple[Hdf5, str]] = {
    "external link": (external_link, "features to be a dataset .* in the file itself, got a link to somewhere else"),
    "external link for labels": (external_link_for_labels, "labels to be .* got a link to somewhere else"),
    "external storage": (external_storage, "features to be .* got one stored in other files"),
    "virtual": (virtual, "features to be .* got one stored in other files"),
    "unlimited virtual": (unlimited_virtual, "features to be .* got one stored in other files"),
    "soft link": (soft_link, "a link to somewhere else"),
    "link to itself": (endless_link, "a link to somewhere else"),
    "wrong names": (wrong_names, "expected the datasets features and labels, got 'embeddings"),
    "many names": (many_names, "expected the datasets features and labels, got '0000x"),
    "empty": (lambda file, other: None, "expected the datasets features and labels, got none"),
    "no labels": (lambda file, other: file.update({"features": features()}), "got 'features'"),
    "a group": (a_group, "something that is not a dataset"),
    "a type": (a_type, "something that is not a dataset"),
    "objects": (objects, "expected features in float16 or float32, got numbers of another kind"),
    "pickle": (pickled, "expected features in float16 or float32"),
    "compound": (compound, "expected features in float16 or float32"),
    "odd floats": (odd_floats, "expected features in float16 or float32"),
    "whole numbers": (stored(np.ones((ROWS, DIM), int), labels()), "expected features in float16 or float32"),
    "float64": (stored(np.ones((ROWS, DIM)), labels()), "expected features in float16 or float32"),
    "labels in float16": (stored(features(), labels().astype("f2")), "expected labels in float32 or float64"),
    "compression bomb": (bomb, "expected features stored uncompressed"),
    "never written": (never_written((ROWS, DIM)), "expected 4,096 bytes of features"),
    "terabytes": (never_written((2**26, 4096)), "expected 1,099,511,627,776 bytes of features"),
    "terabytes in chunks": (never_written((2**26, 4096), chunks=(1, 4096)), "bytes of features"),
    "absurd chunks": (never_written((2**20, 1024), chunks=(2**19, 1024)), "expected 4,294,967,296 bytes of features"),
    "2^62 rows": (never_written((2**61, 2), chunks=(1024, 2)), "bytes of features"),
    "one dimension": (stored(np.ones(ROWS, "f4"), labels()), r"shape \(N, D\), got \(64,\)"),
    "three dimensions": (stored(np.ones((4, 4, 4), "f4"), labels()), r"got \(4, 4, 4\)"),
    "a scalar": (stored(np.float32(1), labels()), r"shape \(N, D\), got \(\)"),
    "no rows": (stored(np.ones((0, DIM), "f4"), np.ones((0, 2))), r"got \(0, 16\)"),
    "too few labels": (stored(features(), labels()[:-1]), r"labels of shape \(64, 2\).*got \(63, 2\)"),
    "labels of three": (stored(features(), np.ones((ROWS, 3))), r"got \(64, 3\)"),
    "another model's length": (stored(features()[:, :-1].copy(), labels()), "an embedding of 15 finite numbers"),
    "columns swapped": (stored(features(), labels()[:, ::-1].copy()), "are the columns swapped"),
    "latitude out of range": (stored(features(), changed(labels(), (63, 0), 90.01)), "latitudes in"),
    "longitude out of range": (stored(features(), changed(labels(), (0, 1), -181)), "longitudes in"),
    "nowhere": (stored(features(), changed(labels(), (5, 1), np.nan)), "longitudes in"),
    "NaN": (stored(changed(features(), (60, 3), np.nan), labels()), "NaN or infinite ones in row 60"),
    "too large": (stored(np.full((ROWS, DIM), 3e38, "f4"), labels()), "too large to be compared"),
    "infinite": (stored(changed(features(), (1, 3), -np.inf), labels()), "NaN or infinite ones in row 1:"),
}


@pytest.mark.parametrize("kind", HDF5)
def test_a_hostile_hdf5_file_is_refused_in_one_sentence(tmp_path: Path, kind: str) -> None:
    write, sentence = HDF5[kind]
    other = good_hdf5(tmp_path / "private.hdf5")
    file = tmp_path / "gallery.hdf5"
    with h5py.File(file, "w") as target:
        write(target, other)
    message = assert_refused(file, tmp_path / "canary")
    assert "gallery.hdf5" in message or "another model" in message
    with pytest.raises(DataError, match=sentence):
        read_everything(file)
    assert "private" not in message


def test_without_the_poison_it_is_a_gallery(tmp_path: Path) -> None:
    read_everything(good_hdf5(tmp_path / "gallery.hdf5"))
    pickle.loads(pickle.dumps(Payload(tmp_path / "canary")))
    assert (tmp_path / "canary").exists()


def outcome(path: Path) -> str:
    """What comes of opening a gallery and reading all of it."""
    try:
        gallery = open_gallery(path, CELLS)
        for cell in range(5):
            gallery.features(gallery.rows_of(cell))
    except DataError:
        return "refused"
    return "read"


def in_a_child(work: Callable[[Connection], None], timeout_s: float = 60) -> list[Any]:
    """What `work` sends from a process of its own, which must neither hang nor crash."""
    receiver, sender = Pipe(duplex=False)
    child = get_context("fork").Process(target=work, args=(sender,))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns wherever threads have been
        child.start()
    sender.close()
    sent = []
    with contextlib.suppress(EOFError):
        while receiver.poll(timeout_s):
            sent.append(receiver.recv())
    receiver.close()
    child.join(1)
    hangs = child.exitcode is None
    child.kill()
    child.join()
    assert not hangs
    assert child.exitcode == 0
    child.close()
    return sent


posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes do not fork here")


@posix
@pytest.mark.parametrize("write", [external_link, external_storage, virtual, unlimited_virtual])
def test_the_other_file_is_not_even_opened(tmp_path: Path, write: Hdf5) -> None:
    other = good_hdf5(tmp_path / "private.hdf5")
    file = tmp_path / "gallery.hdf5"
    with h5py.File(file, "w") as target:
        write(target, other)
    other.unlink()
    os.mkfifo(other)  # whoever opens it waits for ever
    assert in_a_child(lambda parent: parent.send(outcome(file)), timeout_s=20) == ["refused"]


def test_what_is_no_hdf5_file_is_refused(tmp_path: Path) -> None:
    good = good_hdf5(tmp_path / "good.hdf5").read_bytes()
    contents = {
        "empty": b"",
        "html": b"<!doctype html><title>404 Not Found</title>",
        "noise": np.random.default_rng(0).bytes(5000),
        "pickle": pickle.dumps(Payload(tmp_path / "canary")),
        "signature": good[:8],
        "numpy": b"\x93NUMPY\x01\x00" + b"\0" * 100,
    }
    for name, content in contents.items():
        file = tmp_path / f"{name}.h5"
        file.write_bytes(content)
        assert f"gallery {name}.h5: expected an HDF5 file" in assert_refused(file, tmp_path / "canary")


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    whole = good_hdf5(tmp_path / "good.hdf5").read_bytes()
    file = tmp_path / "cut.hdf5"
    for share in np.linspace(0, 0.999, 40):
        file.write_bytes(whole[: int(share * len(whole))])
        assert "cut.hdf5" in assert_refused(file, tmp_path / "canary")


def mutate(good: bytes, file: Path, times: int, seed: int, parent: Connection) -> None:
    rng = random.Random(seed)
    for _ in range(times):
        broken = bytearray(good)
        for _ in range(rng.randint(1, 4)):
            # The first 2,200 bytes describe what the others are.
            broken[rng.randrange(min(2200, len(broken)))] = rng.choice([0, 1, 255, rng.randrange(256)])
        file.write_bytes(broken)
        parent.send(outcome(file))


@posix
def test_flipped_bytes_are_refused_or_harmless(tmp_path: Path) -> None:
    good = good_hdf5(tmp_path / "good.hdf5").read_bytes()
    outcomes = in_a_child(partial(mutate, good, tmp_path / "broken.hdf5", 300, 4))
    assert len(outcomes) == 300
    assert set(outcomes) == {"read", "refused"}


@posix
def test_folders_and_pipes_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.hdf5")
    (tmp_path / "folder.hdf5").mkdir()
    for name in ("pipe.hdf5", "folder.hdf5", "nothing.hdf5", "other.txt"):
        assert name in assert_refused(tmp_path / name, tmp_path / "canary")


# The own format


def rewrite(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path, Path], None]:
    def write(folder: Path, canary: Path) -> None:
        np.save(folder / name, change(np.load(folder / name)))

    return write


def describe(**facts: object) -> Callable[[Path, Path], None]:
    def write(folder: Path, canary: Path) -> None:
        told = json.loads((folder / "gallery.json").read_text())
        (folder / "gallery.json").write_text(json.dumps({**told, **facts}))

    return write


def content(name: str, data: bytes) -> Callable[[Path, Path], None]:
    return lambda folder, canary: (folder / name).write_bytes(data) and None  # type: ignore[func-returns-value]


def object_array(folder: Path, canary: Path) -> None:
    np.save(folder / "features.npy", np.array([[Payload(canary)] * DIM] * ROWS, dtype=object), allow_pickle=True)


def plain_pickle(folder: Path, canary: Path) -> None:
    (folder / "positions.npy").write_bytes(pickle.dumps(Payload(canary)))


def zipped(folder: Path, canary: Path) -> None:
    np.savez(folder / "cells.npz", cells=np.zeros(6, np.int64))
    (folder / "cells.npz").rename(folder / "cells.npy")


def header(shape: str, dtype: str = "<f4") -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def half(folder: Path, canary: Path) -> None:
    with (folder / "features.npy").open("r+b") as file:
        file.truncate(2000)


def a_pipe(folder: Path, canary: Path) -> None:
    (folder / "features.npy").unlink()
    os.mkfifo(folder / "features.npy")


def wrapped(offsets: np.ndarray) -> np.ndarray:
    """Differences of these overflow to positive numbers."""
    return np.array([0, 2**63 - 1, -(2**63), -1, ROWS, ROWS], dtype=np.int64)


FOLDERS: dict[str, tuple[Callable[[Path, Path], None], str]] = {
    "objects": (object_array, r"features\.npy: expected float16 or float32 .* got \|O"),
    "pickle": (plain_pickle, r"positions\.npy: expected a NumPy file"),
    "zip": (zipped, r"cells\.npy: expected a NumPy file"),
    "header of 2^40 rows": (content("features.npy", header(f"({2**40}, {DIM})")), "of shape"),
    "header of 2^62 rows": (content("features.npy", header(f"({2**62}, {2**62})")), "of shape"),
    "header alone": (content("features.npy", header(f"({ROWS}, {DIM})")), "expected 4,224 bytes, got 128"),
    "code in the header": (content("features.npy", header("__import__('os').system('touch x')")), "a NumPy file"),
    "brackets in brackets": (content("features.npy", header("(" * 60)), "expected a NumPy file"),
    "empty": (content("features.npy", b""), "expected a NumPy file"),
    "half": (half, r"features\.npy: expected 4,224 bytes, got 2,000"),
    "a pipe": (a_pipe, r"features\.npy: expected this file in the folder, found none"),
    "no features": (lambda folder, canary: (folder / "features.npy").unlink(), "expected this file in the folder"),
    "by columns": (rewrite("features.npy", np.asfortranarray), "by columns"),
    "float64": (rewrite("features.npy", lambda array: array.astype("f8")), "expected float16 or float32"),
    "big-endian": (rewrite("features.npy", lambda array: array.astype(">f4")), "expected float16 or float32"),
    "too few rows": (rewrite("features.npy", lambda array: array[:-1]), r"got <f4 of shape \(63, 16\)"),
    "too large": (rewrite("features.npy", lambda array: array * 0 + 3e38), "too large to be compared"),
    "NaN": (rewrite("features.npy", lambda array: changed(array, (60, 3), np.nan)), "expected finite embeddings"),
    "positions in float32": (rewrite("positions.npy", lambda array: array.astype("f4")), "expected float64"),
    "out of range": (
        rewrite("positions.npy", lambda array: changed(array, (1, 0), 91)),
        r"positions\.npy: .*latitudes",
    ),
    "centres out of range": (
        rewrite("centers.npy", lambda array: changed(array, (1, 0), 91)),
        r"centers\.npy: .*latitudes",
    ),
    "other centres": (
        rewrite("centers.npy", lambda array: array[::-1].copy()),
        "expected the 5 cells of five, got 5 others",
    ),
    "offsets that fall": (
        rewrite("cells.npy", lambda array: array[[0, 2, 1, 3, 4, 5]]),
        "numbers that rise from 0 to 64",
    ),
    "offsets that wrap": (rewrite("cells.npy", wrapped), "numbers that rise from 0 to 64"),
    "offsets beyond": (rewrite("cells.npy", lambda array: array + 1), "numbers that rise from 0 to 64"),
    "no description": (
        lambda folder, canary: (folder / "gallery.json").unlink(),
        r"expected gallery\.json in the folder",
    ),
    "no JSON": (content("gallery.json", b"<html>"), "expected JSON with the format"),
    "not UTF-8": (content("gallery.json", b'{"format": "\xff\xfe'), "expected JSON with the format"),
    "a list": (content("gallery.json", b"[]"), "expected JSON with the format"),
    "deep JSON": (content("gallery.json", b"[" * 9000), "expected JSON with the format"),
    "long JSON": (content("gallery.json", b'{"format": "' + b"x" * 2**20), "expected JSON with the format"),
    "another format": (describe(format="geoexplain-gallery/2"), "expected JSON with the format 'geoexplain-gallery/1'"),
    "another length": (describe(dim=15), r"expected float16 or float32 of shape \(64, 15\)"),
    "more rows": (describe(rows=10**8), "of shape"),
    "negative rows": (describe(rows=-1), "expected a valid value of 'rows', got '-1'"),
    "rows in words": (describe(rows="64"), "rows"),
    "fractional": (describe(dim=16.0), "dim"),
    "true": (describe(cells=True), "cells"),
    "no number": (describe(dim=float("nan")), "dim"),
    "other cells": (describe(cells=4), r"centers\.npy: expected float64 of shape \(4, 2\)"),
    "no model": (describe(model=None), "model"),
}


@pytest.fixture(scope="module")
def good_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    convert_gallery(open_gallery(good_hdf5(folder / "g.hdf5"), CELLS), "m", CELLS, folder / "gallery")
    return folder / "gallery"


@pytest.mark.parametrize("kind", FOLDERS)
def test_a_hostile_folder_is_refused_in_one_sentence(tmp_path: Path, good_folder: Path, kind: str) -> None:
    poison, sentence = FOLDERS[kind]
    folder = tmp_path / "gallery"
    shutil.copytree(good_folder, folder)
    read_everything(folder)
    poison(folder, tmp_path / "canary")
    assert "gallery gallery: " in assert_refused(folder, tmp_path / "canary")
    with pytest.raises(DataError, match=sentence):
        read_everything(folder)


def test_every_truncation_of_a_folder_is_refused(tmp_path: Path, good_folder: Path) -> None:
    folder = tmp_path / "gallery"
    for name in ("features.npy", "positions.npy", "cells.npy", "centers.npy", "gallery.json"):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(good_folder, folder)
        whole = (folder / name).read_bytes()
        for share in np.linspace(0, 0.98, 12):
            (folder / name).write_bytes(whole[: int(share * len(whole))])
            assert name in assert_refused(folder, tmp_path / "canary")


def test_a_file_that_changes_under_an_open_gallery_is_refused(tmp_path: Path, good_folder: Path) -> None:
    shutil.copytree(good_folder, tmp_path / "gallery")
    good_hdf5(tmp_path / "gallery.hdf5")
    for path, shorter in ((tmp_path / "gallery", half), (tmp_path / "gallery.hdf5", cut_rows)):
        gallery = open_gallery(path, CELLS)
        shorter(path, tmp_path)
        with pytest.raises(DataError, match=r"expected .* got "):
            gallery.features(np.array([0]))


def cut_rows(file: Path, canary: Path) -> None:
    with h5py.File(file, "w") as target:
        target["features"], target["labels"] = features()[:10], labels()[:10]


# Memory


def status_mb(key: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(key))


def measure(paths: list[Path], parent: Connection) -> None:
    for path in paths:
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        before = status_mb("VmRSS")
        assert outcome(path) == "refused"
        parent.send(status_mb("VmHWM") - before)


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="the peak of memory cannot be reset here")
def test_a_small_gallery_does_not_ask_for_much_memory(tmp_path: Path, good_folder: Path) -> None:
    paths = []
    for kind in ("compression bomb", "terabytes", "terabytes in chunks", "absurd chunks", "2^62 rows", "many names"):
        file = tmp_path / f"{kind}.hdf5"
        with h5py.File(file, "w") as target:
            HDF5[kind][0](target, tmp_path / "private.hdf5")
        paths.append(file)
    for kind in (
        "header of 2^40 rows",
        "header of 2^62 rows",
        "long JSON",
        "deep JSON",
        "more rows",
        "offsets that wrap",
    ):
        shutil.copytree(good_folder, tmp_path / kind)
        FOLDERS[kind][0](tmp_path / kind, tmp_path / "canary")
        paths.append(tmp_path / kind)
    grown_mb = in_a_child(partial(measure, paths))
    assert len(grown_mb) == len(paths)
    assert max(grown_mb) < 20


def test_assignments_beyond_the_gallery_are_refused(tmp_path: Path) -> None:
    file = good_hdf5(tmp_path / "gallery.hdf5")
    offsets = np.array([0, 1], dtype=np.int64)
    for row in (ROWS, 2**39):
        with pytest.raises(DataError, match=f"expected rows below {ROWS}"):
            open_gallery(file, CELLS, Assignments(offsets, np.array([row], dtype=np.int64)))
