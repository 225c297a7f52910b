"""Photos whose places are known, or a gallery in HDF5 → a gallery in the own format, all of it or nothing."""

import json
import secrets
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from numpy.lib.format import dtype_to_descr, write_array_header_1_0
from numpy.typing import NDArray
from torch import Tensor

from geoexplain.errors import DataError, GeoExplainError
from geoexplain.geography.partition import Partition
from geoexplain.images import open_image
from geoexplain.locator.gallery import CELLS, CENTERS, DESCRIPTION, FEATURES, FORMAT, POSITIONS, nearest_cells
from geoexplain.locator.gallery_hdf5 import Hdf5Gallery
from geoexplain.locator.model import GeoModel
from geoexplain.photos import Photo

BATCHES_AT_A_TIME = 4
"""Photos of so many batches are prepared together, since only those of one shape share a batch."""
ROWS_AT_A_TIME = 4096

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Block:
    """Rows of a gallery: their cells (n,), not descending, positions (n, 2) in degrees and embeddings (n, E)."""

    cells: NDArray[np.int64]
    positions_deg: NDArray[np.float64]
    embeddings: NDArray


@dataclass(frozen=True)
class Built:
    """What became of a gallery: its number of rows, and (photo, what is wrong with it) of those that were left out."""

    rows: int
    skipped: tuple[tuple[Photo, str], ...]


def build_gallery(
    model: GeoModel, photos: Sequence[Photo], out: Path, *, batch: int = 16, progress: Progress | None = None
) -> Built:
    """Embed photos and write them as the gallery `out`, a folder that must not exist yet.

    A photo belongs to the cell whose centre is nearest; embeddings are stored in float16. Photos that cannot be read
    are left out. Up to `batch` ≥ 1 photos go through the network together. `progress` hears (photos done, all).
    Raises DataError when `out` exists, no photo can be read, or an embedding is not finite. Nothing is left behind
    when it fails or is interrupted.
    """
    skipped: list[tuple[Photo, str]] = []
    positions_deg = np.array([(photo.lat_deg, photo.lon_deg) for photo in photos], dtype=np.float64).reshape(-1, 2)
    by_cell = nearest_cells(model.partition, positions_deg)
    cells = np.repeat(np.arange(len(by_cell.offsets) - 1), np.diff(by_cell.offsets))
    window = BATCHES_AT_A_TIME * batch

    def blocks() -> Iterator[Block]:
        for start in range(0, len(photos), window):
            places = by_cell.rows[start : start + window].tolist()
            tensors: dict[int, Tensor] = {}
            for place in places:
                try:
                    tensors[place] = model.tensor(open_image(photos[place].file))
                except (GeoExplainError, OSError) as error:
                    skipped.append((photos[place], _sentence(error)))
            found = _embeddings(model, tensors, batch)
            kept = [index for index, place in enumerate(places) if place in found]
            if kept:
                rows = [places[index] for index in kept]
                yield Block(
                    cells[start : start + window][kept], positions_deg[rows], np.stack([found[r] for r in rows])
                )
            if progress is not None:
                progress(min(start + window, len(photos)), len(photos))

    rows = write_gallery(out, model.name, model.partition, blocks(), np.dtype(np.float16), most=len(photos))
    return Built(rows, tuple(skipped))


def convert_gallery(
    source: Hdf5Gallery, model: str, partition: Partition, out: Path, *, progress: Progress | None = None
) -> int:
    """Write an HDF5 gallery as the gallery `out` in the own format, number by number; return the rows written.

    Rows that lie in no cell are left out. `model` names whose embeddings they are. `progress` hears (rows, all).
    Raises DataError when `out` exists, there is no row, or the source cannot be read; nothing is left behind then.
    """
    total = len(source.assignments.rows)

    def blocks() -> Iterator[Block]:
        done = 0
        for cell in range(len(partition)):
            in_cell = source.rows_of(cell)
            for start in range(0, len(in_cell), ROWS_AT_A_TIME):
                rows = in_cell[start : start + ROWS_AT_A_TIME]
                yield Block(np.full(len(rows), cell), source.positions_deg(rows), source.features(rows))
                done += len(rows)
                if progress is not None:
                    progress(done, total)

    return write_gallery(out, model, partition, blocks(), source.table.dtype, most=total)


def write_gallery(
    out: Path, model: str, partition: Partition, blocks: Iterable[Block], dtype: np.dtype, *, most: int
) -> int:
    """Write blocks of rows, by ascending cell and at most `most` rows, as the gallery `out`; return their number.

    Raises DataError when `out` exists, there is no row, or a number is not finite in `dtype`.
    """
    counts = np.zeros(len(partition), dtype=np.int64)
    positions: list[NDArray[np.float64]] = []
    dim = rows = 0
    with _folder(out) as folder:
        with (folder / FEATURES).open("wb") as stream:
            for block in blocks:
                if not rows:
                    dim = block.embeddings.shape[1]
                    _write_header(stream, dtype, (most, dim))
                stored = _stored(out, block.embeddings, dtype)
                stream.write(stored.tobytes())
                counts += np.bincount(block.cells, minlength=len(partition))
                positions.append(block.positions_deg)
                rows += len(stored)
            if not rows:
                raise DataError(f"gallery {out.name}: expected at least one photo that can be read, got none.")
            stream.seek(0)
            _write_header(stream, dtype, (rows, dim))  # as long as the first one: NumPy leaves room for the number
        np.save(folder / POSITIONS, np.concatenate(positions))
        np.save(folder / CELLS, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))
        np.save(folder / CENTERS, partition.centers_deg)
        facts = {"format": FORMAT, "model": model, "dim": dim, "rows": rows, "cells": len(partition)}
        (folder / DESCRIPTION).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return rows


def check_new(out: Path) -> None:
    """Raise DataError unless there is nothing yet where a gallery is to be written."""
    if out.exists() or not out.name:
        raise DataError(f"{out}: expected a folder that does not exist yet, found something: choose another.")


@contextmanager
def _folder(out: Path) -> Iterator[Path]:
    """A folder that becomes `out` once it is complete, and is gone if it does not come to that."""
    check_new(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = out.with_name(f".{out.name}.{secrets.token_hex(4)}")
    folder.mkdir()
    try:
        yield folder
        folder.rename(out)
    except BaseException:  # Ctrl-C too
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _write_header(stream: BinaryIO, dtype: np.dtype, shape: tuple[int, int]) -> None:
    write_array_header_1_0(stream, {"descr": dtype_to_descr(dtype), "fortran_order": False, "shape": shape})


def _stored(out: Path, embeddings: NDArray, dtype: np.dtype) -> NDArray:
    with np.errstate(over="ignore"):
        stored = embeddings.astype(dtype)
    if not np.isfinite(stored).all():
        raise DataError(
            f"gallery {out.name}: expected finite embeddings, got NaN, infinite or too large ones: "
            "the weights of the model may be damaged."
        )
    return stored


def _embeddings(model: GeoModel, tensors: dict[int, Tensor], batch: int) -> dict[int, NDArray[np.float32]]:
    """Embeddings (E,) of tensors (1, 3, H, W) by their key; tensors of one shape go through the network together."""
    shapes: defaultdict[torch.Size, list[int]] = defaultdict(list)
    for key, tensor in tensors.items():
        shapes[tensor.shape].append(key)
    found: dict[int, NDArray[np.float32]] = {}
    for keys in shapes.values():
        for start in range(0, len(keys), batch):
            some = keys[start : start + batch]
            embedded = model.embedding(model.features(torch.cat([tensors[key] for key in some])))
            found.update(zip(some, embedded.float().cpu().numpy(), strict=True))
    return found


def _sentence(error: GeoExplainError | OSError) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"expected a readable file, got '{error.strerror}'."
    return str(error)
