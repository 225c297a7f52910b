"""The models that geoexplain knows by name: the published ones, one row each, and those that a person has added."""

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch

from geoexplain.errors import CheckpointError
from geoexplain.locator.checkpoints import FORMATS, describe, load_geoexplain, save_geoexplain
from geoexplain.locator.model import GeoModel
from geoexplain.research import Assignments, read_assignments, read_centers, save_assignments

BUNDLED = "earth-views-b0"
"""The model that comes with geoexplain."""

DATA = Path(__file__).parents[2] / "data"
HOME_VARIABLE = "GEOEXPLAIN_HOME"
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
"""What a model may be called: the name becomes that of a folder."""

ASSIGNMENTS, GALLERY, SOURCES = "assignments.npz", "gallery.json", "sources.json"
RESEARCH_CENTERS, RESEARCH_ASSIGNMENTS = "initial_mu_kappa.pkl", "cells_assignments.pkl"
RESEARCH_GALLERY = "back_coll_features.hdf5"
"""CERTH's names for the cells before training, for which photos lie in which cell, and for the photos' embeddings."""


MOST_PHOTOS = 100_000_000
"""No collection of photos is expected to be larger, where it is not there to be asked."""


@dataclass(frozen=True)
class ZooRow:
    """One published model.

    format    key in FORMATS of the files that its authors give out
    title     what people read
    purpose   what kind of image it is for
    licence   of the weights
    citation  whom to cite
    obtain    how to get it
    cells     how many cells it must have; None where that is not known
    sha256    file name → hexadecimal digest, where it is known
    """

    format: str
    title: str
    purpose: str
    licence: str
    citation: str
    obtain: str = ""
    cells: int | None = None
    sha256: dict[str, str] = field(default_factory=dict)


_PHOTOS = "Photos taken on the ground, anywhere in the world."
_CERTH = (
    "Kordopatis-Zilos, Galopoulos, Papadopoulos, Kompatsiaris: Leveraging EfficientNet and Contrastive Learning for "
    "Accurate Global-scale Location Estimation, ICMR 2021."
)
_TIB = (
    "Theiner, Müller-Budack, Ewerth: Interpretable Semantic Photo Geolocation, WACV 2022; "
    "Müller-Budack, Pustu-Iren, Ewerth: Geolocation Estimation of Photos Using a Hierarchical Model, ECCV 2018."
)
_TIB_OBTAIN = (
    "Unpack the authors' archive (the links are in the README of github.com/jtheiner/semantic_geo_partitioning), then: "
    "geoexplain models add {name} --from FOLDER"
)

ZOO: dict[str, ZooRow] = {
    BUNDLED: ZooRow(
        format="geoexplain",
        title="Earth from above (EfficientNet-B0)",
        purpose="Views of Earth from above; for street photos load another model.",
        licence="Apache-2.0; trained on NASA's Blue Marble Next Generation (public domain).",
        citation="Stöckli, Vermote, Saleous, Simmon, Herring: The Blue Marble Next Generation, NASA, 2005.",
        cells=2000,
        sha256={f"{BUNDLED}.safetensors": "52c9b59c3ced7a5d13271db06c3dcff07bddd0cfef3d1803dc0ce268c3952b9e"},
    ),
    "certh-b4-mvmf": ZooRow(
        format="certh",
        title="CERTH photo geolocator (EfficientNet-B4, MvMF)",
        purpose=_PHOTOS,
        licence="The weights are CERTH's, given out on request; code and companion data Apache-2.0.",
        citation=_CERTH,
        obtain="Ask the authors (github.com/mever-team/visloc-estimation) for efficientnet_backbone.pt, mvmf_head.pt "
        "and rrm_head.pt, then: geoexplain models add certh-b4-mvmf --from FOLDER",
        cells=31_145,
    ),
    "tib-b4-s2": ZooRow(
        format="tib",
        title="TIB photo geolocator, S2 (EfficientNet-B4, f*)",
        purpose=_PHOTOS,
        licence="The weights are TIB's; see their download.",
        citation=_TIB,
        obtain=_TIB_OBTAIN.format(name="tib-b4-s2"),
    ),
    "tib-b4-semp": ZooRow(
        format="tib",
        title="TIB photo geolocator, semantic partitioning {100, 125, 250} (EfficientNet-B4, f)",
        purpose=_PHOTOS,
        licence="The weights are TIB's; see their download.",
        citation=_TIB,
        obtain=_TIB_OBTAIN.format(name="tib-b4-semp"),
    ),
}
"""Every published model. Menus, command-line choices and tests read this table."""


@dataclass(frozen=True)
class ModelStatus:
    """One model that has a name here.

    name     what `--model` takes
    title    what people read
    purpose  what kind of image it is for
    ready    whether it can be loaded
    file     where its weights are, or would be
    gallery  the photos that Search within Cell looks through, if some were added with it
    note     one sentence: how to obtain it, while it is not ready; its licence, when it is
    """

    name: str
    title: str
    purpose: str
    ready: bool
    file: Path
    gallery: Path | None
    note: str


def home() -> Path:
    """The folder for what a person adds: $GEOEXPLAIN_HOME, or .geoexplain in the home folder. It need not exist."""
    given = os.environ.get(HOME_VARIABLE)
    return Path(given).expanduser() if given else Path.home() / ".geoexplain"


def model_folder(name: str) -> Path:
    """The folder of an added model. Raises CheckpointError for what cannot be a model's name."""
    if not NAME.fullmatch(name):
        raise CheckpointError(
            f"expected a name of small letters, digits, '.', '_' and '-', at most 64 of them, got {name[:80]!r}: "
            "choose another name."
        )
    return home() / "models" / name


def model_file(name: str) -> Path:
    """The weights of a model by name, whether they are there or not. Raises CheckpointError for an impossible name."""
    return (DATA if name == BUNDLED else model_folder(name)) / f"{name}.safetensors"


def models() -> list[ModelStatus]:
    """Every model that has a name here: the bundled one, the published ones, then the others that were added."""
    folder = home() / "models"
    added = sorted(path.name for path in folder.iterdir() if NAME.fullmatch(path.name)) if folder.is_dir() else []
    others = [name for name in added if name not in ZOO and model_file(name).is_file()]
    return [_status(name) for name in [*ZOO, *others]]


def ready_models() -> list[str]:
    """The names of the models that can be loaded, the bundled one first."""
    return [status.name for status in models() if status.ready]


def _status(name: str) -> ModelStatus:
    file, row = model_file(name), ZOO.get(name)
    ready = file.is_file()
    if row is not None:
        note = row.licence if ready else row.obtain
        return ModelStatus(name, row.title, row.purpose, ready, file, gallery_of(name), note)
    told = _words(file.parent / SOURCES)
    return ModelStatus(name, told.get("title", name), told.get("purpose", ""), ready, file, gallery_of(name), "")


def _words(file: Path) -> dict[str, str]:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return {key: value for key, value in data.items() if isinstance(value, str)} if isinstance(data, dict) else {}


def load_model(
    name: str | Path = BUNDLED, device: str | torch.device | None = None, *, hierarchical: bool | None = None
) -> GeoModel:
    """Load a model by its name, or by the path of a .safetensors file.

    `device` is a torch device; None takes the GPU when there is one. `hierarchical` is as for `load_geoexplain`. Raises
    CheckpointError when the name is not known or its files are not there yet, or when the file does not hold a model.
    """
    text = str(name)
    if isinstance(name, str) and NAME.fullmatch(text) and (text in ZOO or model_file(text).is_file()):
        file = model_file(text)
        if not file.is_file():
            raise CheckpointError(f"model {text}: expected its files, found none yet. {ZOO[text].obtain}")
        return load_geoexplain(file, device, hierarchical=hierarchical)
    if _is_there(Path(name)) and Path(name).is_file():
        return load_geoexplain(Path(name), device, hierarchical=hierarchical)
    raise CheckpointError(
        f"expected a model name ({', '.join(ready_models())}) or the path of a .safetensors file, got {text[:200]!r}: "
        "check the spelling; `geoexplain models` lists all."
    )


def gallery_of(name: str) -> Path | None:
    """The gallery that was added with a model; None when there is none, or it has gone."""
    if not NAME.fullmatch(name) or name == BUNDLED:
        return None
    told = _words(model_folder(name) / GALLERY).get("path")
    return Path(told) if told and _is_there(Path(told)) else None


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name longer than any file's
        return False


def assignments_of(name: str, photos: int) -> Assignments | None:
    """Which photos of a gallery lie in which cell, if that was added with a model and is of as many photos."""
    file = model_folder(name) / ASSIGNMENTS if NAME.fullmatch(name) and name != BUNDLED else None
    added = read_assignments(file) if file is not None and file.is_file() else None
    return added if added is not None and len(added.rows) == photos else None


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
    model = FORMATS[format_name].load(folder, name, row.cells if row else None)
    if row and row.cells not in {None, len(model.partition)}:
        raise CheckpointError(
            f"model {name}: expected {row.cells:,} cells, got {len(model.partition):,}: is this another model? "
            "Add it under another name."
        )
    _check_centers(folder / RESEARCH_CENTERS, model)
    with _finished_folder(target) as partial:
        _write(model, name, row, partial)
        if (folder / RESEARCH_ASSIGNMENTS).is_file():
            save_assignments(_assignments(folder / RESEARCH_ASSIGNMENTS, model), partial / ASSIGNMENTS)
        if gallery is not None:
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


def _assignments(file: Path, model: GeoModel) -> Assignments:
    assignments = read_assignments(file)
    assignments.check(cells=len(model.partition), rows=MOST_PHOTOS)
    return assignments


def _write(model: GeoModel, name: str, row: ZooRow | None, folder: Path) -> None:
    description = describe(model) | {"name": name}
    description |= {"title": row.title, "purpose": row.purpose} if row else {"title": model.title or name}
    file = folder / f"{name}.safetensors"
    save_geoexplain(
        model.network, description, model.partition, file, coarser=model.coarser, embedder=model.embedder, half=False
    )
    load_geoexplain(file, "cpu")


@contextmanager
def _finished_folder(target: Path) -> Iterator[Path]:
    """A new folder that takes the place of `target` once the block has ended well, and vanishes otherwise.

    Raises CheckpointError when it cannot be written.
    """
    partial = _beside(target)
    try:
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


def sha256(file: Path) -> str:
    """Hexadecimal SHA-256 digest of a file."""
    digest = hashlib.sha256()
    with file.open("rb") as data:
        while chunk := data.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()
