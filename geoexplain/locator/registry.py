"""Adding a model from its authors' files, with the photos that it searches through, and removing it."""

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
"""CERTH's names for the cells before training, for which photos lie in which cell, and for the photos' embeddings."""

STALE_S = 24 * 3600


def open_search(
    model: GeoModel, name: str, gallery: Path, *, top_k: int = TOP_K, eps_km: float = EPS_KM
) -> SearchWithinCell:
    """Search within Cell of a model, loaded by `name`, through a gallery, which is opened and checked, not read.

    Which photos of an HDF5 file lie in which cell, the assignments say that were added with the model, if they are of
    as many photos; otherwise every photo lies in the cell whose centre is nearest. Raises DataError when there is no
    gallery, it is damaged, or it does not fit the model.
    """
    return checked_search(model, gallery, _fitting(assignments_of(name), gallery), top_k=top_k, eps_km=eps_km)


def assignments_of(name: str) -> Assignments | None:
    """Which photos of its gallery lie in which cell, if that was added with a model."""
    file = model_folder(name) / ASSIGNMENTS if NAME.fullmatch(name) and name != BUNDLED else None
    return read_assignments(file) if file is not None and file.is_file() else None


def unused_assignments(name: str, gallery: Path) -> str:
    """A sentence when `open_search` does not use the assignments added with a model for a gallery; "" otherwise."""
    added = assignments_of(name) if is_hdf5(gallery) else None
    if added is None or _fitting(added, gallery) is not None:
        return ""
    return (
        f"gallery {gallery.name}: {len(open_hdf5(gallery)):,} photos, but the cells added with {name} are for "
        f"{len(added.rows):,}: each photo goes to the cell whose centre is nearest."
    )


def _fitting(assignments: Assignments | None, gallery: Path) -> Assignments | None:
    if assignments is None or not is_hdf5(gallery) or len(open_hdf5(gallery)) != len(assignments.rows):
        return None
    return assignments


def add_model(name: str, folder: Path, format_name: str | None = None, gallery: Path | None = None) -> GeoModel:
    """Check a model's files, convert them to this project's format, and register it under a name.

    folder       the authors' files: see `FORMATS[format_name].files`; may also hold CERTH's `cells_assignments.pkl`
                 and `back_coll_features.hdf5`, and `initial_mu_kappa.pkl`, whose cells must be as many as the model's
    format_name  key in FORMATS; None takes that of the row in ZOO
    gallery      photos for Search within Cell; it is registered where it is, not copied. None takes the folder's own

    A model of the same name is replaced once the new one is complete. Returns the model, on the CPU. Raises
    CheckpointError or DataError, and leaves nothing behind, when the files do not fit each other, the format, or what
    ZOO says of the name, or when the model cannot be written.
    """
    row = ZOO.get(name)
    if name == BUNDLED:
        raise CheckpointError(f"expected another name than {BUNDLED}, which is the bundled model's: choose one.")
    format_name = format_name or (row.format if row else None)
    if format_name not in FORMATS or (row and format_name != row.format):
        wanted = row.format if row else " or ".join(FORMATS)
        raise CheckpointError(f"model {name}: expected --format {wanted}, got {format_name}: give that one.")
    target = model_folder(name)
    if not folder.is_dir():
        raise CheckpointError(f"expected a folder with {FORMATS[format_name].files}, found none at {folder}.")
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
    """A new folder that takes the place of `target` once the block has ended well, and vanishes otherwise.

    Raises CheckpointError when it cannot be written.
    """
    partial = _beside(target)
    try:
        _sweep(target.parent)
        partial.mkdir(parents=True)
        yield partial
        _put(partial, target)
    except OSError as error:
        raise CheckpointError(
            f"model {target.name}: expected to write to ${HOME_VARIABLE} or ~/.geoexplain, got '{error.strerror}': "
            "check that folder and the room left."
        ) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _beside(target: Path) -> Path:
    """A name that nobody else has, and that no model can have, in the folder of `target`."""
    return target.with_name(f".{target.name}-{secrets.token_hex(4)}")


def _sweep(folder: Path) -> None:
    """Delete what was left of additions that were cut off more than a day ago."""
    for partial in folder.glob(".*-????????"):
        with suppress(FileNotFoundError):  # somebody else is adding, too
            if time.time() - partial.lstat().st_mtime > STALE_S:
                shutil.rmtree(partial, ignore_errors=True)


def _put(folder: Path, target: Path) -> None:
    """Give a folder the name `target`; what had it is deleted. Of several who do so at once, the last one stays."""
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
    """Delete a folder, or a link to one: its name is gone at once, so that nobody finds half of it."""
    old = target.rename(_beside(target))
    if old.is_symlink():
        old.unlink()
    else:
        shutil.rmtree(old)


def remove_model(name: str) -> None:
    """Forget an added model and delete its files here; a gallery stays. Raises CheckpointError when there is none."""
    if name == BUNDLED or not model_folder(name).is_dir():
        raise CheckpointError(
            f"expected the name of a model that was added, got {name!r}: `geoexplain models` lists them."
        )
    _delete(model_folder(name))
