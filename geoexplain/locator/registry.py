"""Add a model from its authors' files, with a gallery for Search within Cell, and remove it."""

import errno
import json
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from geoexplain.errors import CheckpointError
from geoexplain.files import Assignments, read_assignments, read_centers, save_assignments
from geoexplain.files.reading import sha256
from geoexplain.locator.checkpoints import FORMATS
from geoexplain.locator.checkpoints.native import describe, load_geoexplain, save_geoexplain
from geoexplain.locator.gallery import is_hdf5
from geoexplain.locator.gallery_hdf5 import open_hdf5
from geoexplain.locator.model import GeoModel
from geoexplain.locator.retrieval import EPS_KM, TOP_K, SearchWithinCell, checked_search
from geoexplain.locator.zoo import (
    ASSIGNMENTS,
    BUNDLED,
    GALLERY,
    HOME_VARIABLE,
    NAME,
    SOURCES,
    ZOO,
    ZooRow,
    load_model,
    model_folder,
)

RESEARCH_CENTERS, RESEARCH_ASSIGNMENTS = "initial_mu_kappa.pkl", "cells_assignments.pkl"
RESEARCH_GALLERY = "back_coll_features.hdf5"
"""CERTH's names for the cell centres before training, the gallery rows of each cell, and the photos' embeddings."""

STALE_S = 24 * 3600
"""Age after which temporary folders of interrupted additions are deleted."""


def open_search(
    model: GeoModel, name: str, gallery: Path, *, top_k: int = TOP_K, eps_km: float = EPS_KM
) -> SearchWithinCell:
    """Open and check a gallery for Search within Cell with a model that was loaded by `name`.

    For an HDF5 file, the assignments that were added with the model are used if their number of photos matches;
    otherwise each photo belongs to the cell with the nearest centre. Raises DataError if there is no gallery, or if it
    is damaged or does not fit the model.
    """
    return checked_search(model, gallery, _fitting(assignments_of(name), gallery), top_k=top_k, eps_km=eps_km)


def assignments_of(name: str) -> Assignments | None:
    """Return the gallery rows of each cell that were added with a model; None if there are none."""
    file = model_folder(name) / ASSIGNMENTS if NAME.fullmatch(name) and name != BUNDLED else None
    return read_assignments(file) if file is not None and file.is_file() else None


def unused_assignments(name: str, gallery: Path) -> str:
    """Explain in one sentence why `open_search` does not use a model's assignments for a gallery; "" if it does."""
    added = assignments_of(name) if is_hdf5(gallery) else None
    if added is None or _fitting(added, gallery) is not None:
        return ""
    return (
        f"gallery {gallery.name}: {len(open_hdf5(gallery)):,} photos, but the cells added with {name} are for "
        f"{len(added.rows):,}: each photo is assigned to the cell with the nearest centre."
    )


def _fitting(assignments: Assignments | None, gallery: Path) -> Assignments | None:
    if assignments is None or not is_hdf5(gallery) or len(open_hdf5(gallery)) != len(assignments.rows):
        return None
    return assignments


def add_model(name: str, folder: Path, format_name: str | None = None, gallery: Path | None = None) -> GeoModel:
    """Check a model's files, convert them to this project's format, and register it under a name.

    folder       the authors' files, see `FORMATS[format_name].files`; may also hold CERTH's `cells_assignments.pkl`,
                 `back_coll_features.hdf5`, and `initial_mu_kappa.pkl`, which must have as many cells as the model
    format_name  key in FORMATS; None takes that of the row in ZOO
    gallery      photos for Search within Cell; only its path is stored. None takes the gallery in `folder`, if any

    A model of the same name is replaced once the new one is complete. Returns the model, on the CPU. Raises
    CheckpointError or DataError if the files do not fit each other, the format, or the row in ZOO, or if the model
    cannot be written; no files remain then.
    """
    row = ZOO.get(name)
    if name == BUNDLED:
        raise CheckpointError(
            f"expected another name than {BUNDLED}, which is that of the bundled model: choose another name."
        )
    format_name = format_name or (row.format if row else None)
    if format_name not in FORMATS or (row and format_name != row.format):
        formats = row.format if row else " or ".join(FORMATS)
        raise CheckpointError(f"model {name}: expected --format {formats}, got {format_name}: change this option.")
    target = model_folder(name)
    if not folder.is_dir():
        raise CheckpointError(
            f"expected a folder with {FORMATS[format_name].files}, found none at {folder}: check the path."
        )
    gallery = gallery or (folder / RESEARCH_GALLERY if (folder / RESEARCH_GALLERY).is_file() else None)
    for file, digest in row.sha256.items() if row else ():
        if (folder / file).is_file() and sha256(folder / file) != digest:
            raise CheckpointError(f"{file}: expected the published file, got another: get it again, or choose a name.")
    model = FORMATS[format_name].load(folder, name, row.cells if row else None)
    if row and row.cells not in {None, len(model.partition)}:
        raise CheckpointError(
            f"model {name}: expected {row.cells:,} cells, got {len(model.partition):,}: is this another model? "
            "Add it under another name."
        )
    _check_centers(folder / RESEARCH_CENTERS, model)
    assignments = _assignments(folder / RESEARCH_ASSIGNMENTS, model)
    with _finished_folder(target) as partial:
        converted = _write(model, name, row, partial)
        if assignments is not None:
            save_assignments(assignments, partial / ASSIGNMENTS)
        if gallery is not None:
            checked_search(converted, gallery, _fitting(assignments, gallery))
            (partial / GALLERY).write_text(json.dumps({"path": str(gallery.resolve())}), encoding="utf-8")
        sources = {
            "title": row.title if row else model.title,
            "purpose": row.purpose if row else model.purpose,
            "format": format_name,
        }
        (partial / SOURCES).write_text(json.dumps(sources, indent=2) + "\n", encoding="utf-8")
    return load_model(name, "cpu")


def _check_centers(file: Path, model: GeoModel) -> None:
    centers = len(read_centers(file)) if file.is_file() else len(model.partition)
    if centers != len(model.partition):
        raise CheckpointError(
            f"{file.name}: expected the {len(model.partition):,} cells of the model, got {centers:,}: is it another's?"
        )


def _assignments(file: Path, model: GeoModel) -> Assignments | None:
    if not file.is_file():
        return None
    assignments = read_assignments(file)
    assignments.check(cells=len(model.partition))
    return assignments


def _write(model: GeoModel, name: str, row: ZooRow | None, folder: Path) -> GeoModel:
    description = describe(model) | {"name": name}
    description |= {"title": row.title, "purpose": row.purpose} if row else {"title": model.title or name}
    file = folder / f"{name}.safetensors"
    save_geoexplain(
        model.network,
        description,
        model.partition,
        file,
        coarser=model.coarser,
        embedder=model.embedder,
        half=False,
        trees=model.trees,
        gate=model.gate,
    )
    return load_geoexplain(file, "cpu")


@contextmanager
def _finished_folder(target: Path) -> Iterator[Path]:
    """Create a temporary folder that replaces `target` on success and is deleted on failure.

    Raises CheckpointError if it cannot be written.
    """
    partial = _temporary_path(target)
    try:
        _sweep(target.parent)
        partial.mkdir(parents=True)
        yield partial
        _put(partial, target)
    except OSError as error:
        raise CheckpointError(
            f"model {target.name}: expected to write to ${HOME_VARIABLE} or ~/.geoexplain, got '{error.strerror}': "
            "check that folder and the free space."
        ) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _temporary_path(target: Path) -> Path:
    """Return a unique path in the folder of `target`, with a name that no model can have."""
    return target.with_name(f".{target.name}-{secrets.token_hex(4)}")


def _sweep(folder: Path) -> None:
    """Delete temporary folders of additions that were interrupted more than a day ago."""
    for partial in folder.glob(".*-????????"):
        with suppress(FileNotFoundError):  # another process may delete it at the same time
            if time.time() - partial.lstat().st_mtime > STALE_S:
                shutil.rmtree(partial, ignore_errors=True)


def _put(folder: Path, target: Path) -> None:
    """Rename a folder to `target` and delete the previous one. If several processes do so at once, the last wins."""
    while True:
        with suppress(FileNotFoundError):
            _delete(target)
        try:
            folder.rename(target)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
        else:
            return


def _delete(target: Path) -> None:
    """Delete a folder, or a link to one; it is renamed first, so that no other process sees a part of it."""
    old = target.rename(_temporary_path(target))
    if old.is_symlink():
        old.unlink()
    else:
        shutil.rmtree(old)


def remove_model(name: str) -> None:
    """Remove an added model and its files, but not its gallery. Raises CheckpointError if there is no such model."""
    if name == BUNDLED or not model_folder(name).is_dir():
        raise CheckpointError(
            f"expected the name of a model that was added, got {name!r}: `geoexplain models` lists them."
        )
    _delete(model_folder(name))
