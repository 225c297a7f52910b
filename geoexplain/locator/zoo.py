"""The models that geoexplain knows by name: the published ones, one row each, and those that a person has added."""

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
"""The model that comes with geoexplain."""

HOME_VARIABLE = "GEOEXPLAIN_HOME"
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
"""What a model may be called: the name becomes that of a folder."""

LONGEST_PATH = 4096

ASSIGNMENTS, GALLERY, SOURCES = "assignments.npz", "gallery.json", "sources.json"
"""What lies beside an added model: which photos are in which cell, where the photos are, and what the model is."""


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
    """One model that has a name here.

    name     what `--model` takes
    title    what people read
    purpose  what kind of image it is for
    ready    whether it can be loaded
    file     where its weights, or the index of their shards, are, or would be
    gallery  the photos that Search within Cell looks through, if some were added with it; they may have gone since
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
    """The folder for what a person adds: $GEOEXPLAIN_HOME, or .geoexplain in the home folder. It need not exist.

    Whoever has no home folder, as in some containers, gets it in the current one.
    """
    given = os.environ.get(HOME_VARIABLE)
    try:
        return Path(given).expanduser() if given else Path.home() / ".geoexplain"
    except RuntimeError:
        return Path(given or ".geoexplain").absolute()


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


def has_model(name: str) -> bool:
    """Whether the weights of a model by name are there. Raises CheckpointError for an impossible name."""
    return stored_file(model_file(name)).is_file()


def models() -> list[ModelStatus]:
    """Every model that has a name here: the bundled one, the published ones, then the others that were added."""
    folder = home() / "models"
    added = sorted(path.name for path in folder.iterdir() if NAME.fullmatch(path.name)) if folder.is_dir() else []
    others = [name for name in added if name not in ZOO and has_model(name)]
    return [_status(name) for name in [*ZOO, *others]]


def ready_models() -> list[str]:
    """The names of the models that can be loaded, the bundled one first."""
    return [status.name for status in models() if status.ready]


def _status(name: str) -> ModelStatus:
    file, row = stored_file(model_file(name)), ZOO.get(name)
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
    name: str | Path = BUNDLED, device: "str | torch.device | None" = None, *, hierarchical: bool | None = None
) -> "GeoModel":
    """Load a model by its name, or by the path of a .safetensors file or of the index of its shards.

    `device` is a torch device; None takes the GPU when there is one. `hierarchical` is as for `load_geoexplain`. Raises
    CheckpointError when the name is not known or its files are not there yet, or when the file does not hold a model.
    """
    # PyTorch takes seconds to import, and this table of models is read where no model is loaded.
    from geoexplain.locator.checkpoints.native import load_geoexplain  # noqa: PLC0415

    return load_geoexplain(weights_file(name), device, hierarchical=hierarchical)


def weights_file(name: str | Path) -> Path:
    """The weights of a model by its name, or by their path or that of their index; they are there.

    The path is that of one file, which stands for its shards where they are several. Raises CheckpointError when the
    name is not known, or its files are not there yet.
    """
    text = str(name)
    if isinstance(name, str) and NAME.fullmatch(text) and (text in ZOO or has_model(text)):
        file = model_file(text)
        if not has_model(text):
            raise CheckpointError(f"model {text}: expected its files, found none yet. {ZOO[text].obtain}")
        return file
    file = Path(text.removesuffix(INDEX_SUFFIX))
    if _is_there(file):
        return file
    raise CheckpointError(
        f"expected a model name ({', '.join(ready_models())}) or the path of a .safetensors file, got {text[:200]!r}: "
        "check the spelling; `geoexplain models` lists all."
    )


def gallery_of(name: str) -> Path | None:
    """The gallery that was added with a model, whether it is still there or not; None when none was."""
    if not NAME.fullmatch(name) or name == BUNDLED:
        return None
    told = _words(model_folder(name) / GALLERY).get("path")
    return Path(told) if told and len(told) < LONGEST_PATH else None


def _is_there(path: Path) -> bool:
    try:
        return stored_file(path).is_file()
    except OSError:  # a name longer than any file's
        return False
