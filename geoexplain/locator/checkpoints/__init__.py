"""Load models from published files, with strict checks of keys, shapes, dtypes and finite values.

Only the loaders import PyTorch, which takes seconds, so that menus and the command line can read this table quickly.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from geoexplain.errors import CheckpointError
from geoexplain.locator.shards import stored_models

if TYPE_CHECKING:
    from geoexplain.locator.model import GeoModel


@dataclass(frozen=True)
class Format:
    """A format in which models are published.

    title  publisher and project
    files  description of the files in a folder of this format
    load   (folder, name of the model, number of its cells or None) → GeoModel on the CPU; raises CheckpointError or
           DataError
    """

    title: str
    files: str
    load: "Callable[[Path, str, int | None], GeoModel]"


def _load_certh(folder: Path, name: str, cells: int | None) -> "GeoModel":
    from geoexplain.locator.checkpoints.certh import load_certh  # noqa: PLC0415

    return load_certh(folder, name=name, cells=cells, device="cpu")


def _load_tib(folder: Path, name: str, _cells: int | None) -> "GeoModel":
    from geoexplain.locator.checkpoints.tib import load_tib  # noqa: PLC0415

    return load_tib(folder, name=name, device="cpu")


def _load_geoexplain(folder: Path, _name: str, _cells: int | None) -> "GeoModel":
    from geoexplain.locator.checkpoints.native import load_geoexplain  # noqa: PLC0415

    files = stored_models(folder)
    if len(files) != 1:
        raise CheckpointError(
            f"expected one .safetensors file in the folder, found {len(files)}: name the folder of one model."
        )
    return load_geoexplain(files[0], "cpu")


FORMATS: dict[str, Format] = {
    "certh": Format(
        "CERTH, visloc-estimation",
        "efficientnet_backbone.pt, mvmf_head.pt, rrm_head.pt",
        _load_certh,
    ),
    "tib": Format(
        "TIB, semantic_geo_partitioning",
        "a .ckpt, hparams.yaml, the tables that this names, and h_dict.json for semantic partitionings",
        _load_tib,
    ),
    "geoexplain": Format("this project", "a .safetensors file and its tables of cells", _load_geoexplain),
}
"""All formats of folders that models are loaded from. Menus, command-line choices and tests read this table."""
