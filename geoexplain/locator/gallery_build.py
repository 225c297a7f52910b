"""Build galleries in the folder format from photos of known position or from HDF5 files."""

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
"""Number of batches whose photos are preprocessed together, since only photos of one shape can share a batch."""
ROWS_AT_A_TIME = 4096

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Block:
    """Rows of a gallery: cells (n,), not descending; positions (n, 2) in degrees; embeddings (n, E)."""

    cells: NDArray[np.int64]
    positions_deg: NDArray[np.float64]
    embeddings: NDArray


@dataclass(frozen=True)
class Built:
    """Result of building a gallery: number of rows, and (photo, reason) of the photos that were left out."""

    rows: int
    skipped: tuple[tuple[Photo, str], ...]


def build_gallery(
    model: GeoModel, photos: Sequence[Photo], out: Path, *, batch: int = 16, progress: Progress | None = None
) -> Built:
    """Compute the embeddings of photos and write them as the gallery `out`, a folder that must not exist yet.

    A photo belongs to the cell with the nearest centre; embeddings are stored in float16. Photos that cannot be read
    are left out. Batches have up to `batch` ≥ 1 photos. `progress` is called with (photos done, total).

    Raises DataError if `out` exists, no photo can be read, or an embedding is not finite. After a failure or an
    interruption, no files remain.
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
            embeddings = _embeddings(model, tensors, batch)
            kept = [index for index, place in enumerate(places) if place in embeddings]
            if kept:
                rows = [places[index] for index in kept]
                yield Block(
                    cells[start : start + window][kept], positions_deg[rows], np.stack([embeddings[r] for r in rows])
                )
            if progress is not None:
                progress(min(start + window, len(photos)), len(photos))

    rows = write_gallery(out, model.name, model.partition, blocks(), np.dtype(np.float16), most=len(photos))
    return Built(rows, tuple(skipped))


def convert_gallery(
    source: Hdf5Gallery, model: str, partition: Partition, out: Path, *, progress: Progress | None = None
) -> int:
    """Convert an HDF5 gallery to the folder format, with the same numbers; return the number of rows written.

    Rows without a cell are left out. `model` is the name of the model that computed the embeddings. `progress` is
    called with (rows done, total). Raises DataError if `out` exists, there is no row, or the source cannot be read; no
    files remain then.
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
    """Write blocks of at most `most` rows, by ascending cell, as the gallery `out`; return the number of rows.

    Raises DataError if `out` exists, there is no row, or a number is not finite in `dtype`.
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
                raise DataError(
                    f"gallery {out.name}: expected at least one photo that can be read, got none: check the photos."
                )
            stream.seek(0)
            _write_header(stream, dtype, (rows, dim))  # of the same length, since NumPy pads for larger numbers
        np.save(folder / POSITIONS, np.concatenate(positions))
        np.save(folder / CELLS, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))
        np.save(folder / CENTERS, partition.centers_deg)
        facts = {"format": FORMAT, "model": model, "dim": dim, "rows": rows, "cells": len(partition)}
        (folder / DESCRIPTION).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return rows


def check_new(out: Path) -> None:
    """Raise DataError if the path of a new gallery exists already."""
    if out.exists() or not out.name:
        raise DataError(f"{out}: expected a folder that does not exist yet, found something: choose another.")


@contextmanager
def _folder(out: Path) -> Iterator[Path]:
    """Create a temporary folder that is renamed to `out` on success and removed on failure."""
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
    """Compute the embeddings (E,) of tensors (1, 3, H, W), by key; tensors of one shape share batches."""
    shapes: defaultdict[torch.Size, list[int]] = defaultdict(list)
    for key, tensor in tensors.items():
        shapes[tensor.shape].append(key)
    embeddings: dict[int, NDArray[np.float32]] = {}
    for keys in shapes.values():
        for start in range(0, len(keys), batch):
            some = keys[start : start + batch]
            embedded = model.embedding(model.features(torch.cat([tensors[key] for key in some])))
            embeddings.update(zip(some, embedded.float().cpu().numpy(), strict=True))
    return embeddings


def _sentence(error: GeoExplainError | OSError) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"expected a readable file, got '{error.strerror}'."
    return str(error)
