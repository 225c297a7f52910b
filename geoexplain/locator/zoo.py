"""The models that geoexplain knows by name: the published ones, one row each, and those that the user has added."""

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from geoexplain.errors import CheckpointError
from geoexplain.locator.shards import INDEX_SUFFIX, stored_file
from geoexplain.resources import DATA

if TYPE_CHECKING:
    import torch

    from geoexplain.locator.model import GeoModel

BUNDLED = "earth-views-lite0"
"""The model that is shipped with geoexplain."""

HOME_VARIABLE = "GEOEXPLAIN_HOME"
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
"""Valid names of models; a name is also the name of a folder."""

LONGEST_PATH = 4096

ASSIGNMENTS, GALLERY, SOURCES = "assignments.npz", "gallery.json", "sources.json"
"""Files next to an added model: the gallery rows of each cell, the path of the gallery, and the model's origin."""


@dataclass(frozen=True)
class ZooRow:
    """One published model.

    format    key in FORMATS of the published files
    title     name for people
    purpose   the kind of image that it is for
    licence   licence of the weights
    citation  papers to cite
    obtain    how to get the files
    cells     number of cells that it must have; None: unknown
    sha256    file name → hexadecimal digest, for files with a known digest
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
        title="Earth from above (EfficientNet-Lite0)",
        purpose="Views of Earth from above, north roughly up; for street photos load another model.",
        licence="Apache-2.0; trained on NASA's Blue Marble Next Generation (public domain).",
        citation="Stöckli, Vermote, Saleous, Simmon, Herring: The Blue Marble Next Generation, NASA, 2005.",
        cells=2000,
        sha256={
            f"{BUNDLED}-00001-of-00002.safetensors": "c09f6fc4775126d21b43d2eb4b0f4becfcdd1f795a82e847bcf2206f7aa38ae6",
            f"{BUNDLED}-00002-of-00002.safetensors": "d85d1c069e145319e69405083d5e0c1ae62b0948f22296766c85aaca520f5e3e",
        },
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
    """State of one known model.

    name     value of `--model`
    title    name for people
    purpose  the kind of image that it is for
    ready    whether it can be loaded
    file     path of its weights, or of the index of their shards; exists only if the model is ready
    gallery  path of the gallery that was added with it, which may be gone since; None: no gallery was added
    note     one sentence: the licence if the model is ready, else how to obtain it
    """

    name: str
    title: str
    purpose: str
    ready: bool
    file: Path
    gallery: Path | None
    note: str


def home() -> Path:
    """Return the folder of added models: $GEOEXPLAIN_HOME, or .geoexplain in the home folder. It may not exist.

    Without a home folder, as in some containers, it is in the current folder.
    """
    path = os.environ.get(HOME_VARIABLE)
    try:
        return Path(path).expanduser() if path else Path.home() / ".geoexplain"
    except RuntimeError:
        return Path(path or ".geoexplain").absolute()


def model_folder(name: str) -> Path:
    """Return the folder of an added model. Raises CheckpointError for an invalid name."""
    if not NAME.fullmatch(name):
        raise CheckpointError(
            f"expected a name of at most 64 lower-case letters, digits, '.', '_' and '-', got {name[:80]!r}: "
            "choose another name."
        )
    return home() / "models" / name


def model_file(name: str) -> Path:
    """Return the path of a model's weights, which may not exist. Raises CheckpointError for an invalid name."""
    return (DATA if name == BUNDLED else model_folder(name)) / f"{name}.safetensors"


def has_model(name: str) -> bool:
    """Return whether the weights of a model exist. Raises CheckpointError for an invalid name."""
    return stored_file(model_file(name)).is_file()


def models() -> list[ModelStatus]:
    """Return all known models: the bundled one, the published ones, then the others that were added."""
    folder = home() / "models"
    added = sorted(path.name for path in folder.iterdir() if NAME.fullmatch(path.name)) if folder.is_dir() else []
    others = [name for name in added if name not in ZOO and has_model(name)]
    return [_status(name) for name in [*ZOO, *others]]


def ready_models() -> list[str]:
    """Return the names of the models that can be loaded, the bundled one first."""
    return [status.name for status in models() if status.ready]


def _status(name: str) -> ModelStatus:
    file, row = stored_file(model_file(name)), ZOO.get(name)
    ready = file.is_file()
    if row is not None:
        note = row.licence if ready else row.obtain
        return ModelStatus(name, row.title, row.purpose, ready, file, gallery_of(name), note)
    texts = _read_texts(file.parent / SOURCES)
    return ModelStatus(name, texts.get("title", name), texts.get("purpose", ""), ready, file, gallery_of(name), "")


def _read_texts(file: Path) -> dict[str, str]:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return {key: value for key, value in data.items() if isinstance(value, str)} if isinstance(data, dict) else {}


def load_model(
    name: str | Path = BUNDLED, device: "str | torch.device | None" = None, *, hierarchical: bool | None = None
) -> "GeoModel":
    """Load a model by its name, or by the path of a .safetensors file or of the index of its shards.

    `device` is a torch device; None takes the GPU if there is one. `hierarchical` is that of `load_geoexplain`. Raises
    CheckpointError if the name is unknown, if its files do not exist yet, or if the file does not hold a model.
    """
    # Imported here, since PyTorch takes seconds to import and this module is also used without loading a model.
    from geoexplain.locator.checkpoints.native import load_geoexplain  # noqa: PLC0415

    return load_geoexplain(weights_file(name), device, hierarchical=hierarchical)


def weights_file(name: str | Path) -> Path:
    """Return the path of existing weights, from a model's name, their path, or the path of their index.

    The result is the path of the single file, also if the weights are in shards. Raises CheckpointError if the name is
    unknown or the files do not exist.
    """
    text = str(name)
    if isinstance(name, str) and NAME.fullmatch(text) and (text in ZOO or has_model(text)):
        file = model_file(text)
        if not has_model(text):
            raise CheckpointError(f"model {text}: expected its files, found none yet. {ZOO[text].obtain}")
        return file
    file = Path(text.removesuffix(INDEX_SUFFIX))
    if _exists(file):
        return file
    raise CheckpointError(
        f"expected a model name ({', '.join(ready_models())}) or the path of a .safetensors file, got {text[:200]!r}: "
        "check the spelling; `geoexplain models` lists all."
    )


def gallery_of(name: str) -> Path | None:
    """Return the path of the gallery that was added with a model, which may be gone since; None without a gallery."""
    if not NAME.fullmatch(name) or name == BUNDLED:
        return None
    path = _read_texts(model_folder(name) / GALLERY).get("path")
    return Path(path) if path and len(path) < LONGEST_PATH else None


def _exists(path: Path) -> bool:
    try:
        return stored_file(path).is_file()
    except OSError:  # a name that is too long for the file system
        return False
