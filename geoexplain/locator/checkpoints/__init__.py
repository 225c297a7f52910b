"""Model files → GeoModel, strict on keys, shapes, dtypes and finiteness."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from geoexplain.errors import CheckpointError
from geoexplain.geography.cell_tables import read_cells
from geoexplain.locator.checkpoints.cells import cells_file
from geoexplain.locator.checkpoints.certh import load_certh
from geoexplain.locator.checkpoints.description import FORMAT
from geoexplain.locator.checkpoints.imagenet import imagenet_backbone
from geoexplain.locator.checkpoints.native import describe, load_geoexplain, save_geoexplain
from geoexplain.locator.checkpoints.tib import load_tib
from geoexplain.locator.model import GeoModel
from geoexplain.locator.shards import stored_models

__all__ = [
    "FORMAT",
    "FORMATS",
    "Format",
    "cells_file",
    "describe",
    "imagenet_backbone",
    "load_certh",
    "load_geoexplain",
    "load_tib",
    "read_cells",
    "save_geoexplain",
]


@dataclass(frozen=True)
class Format:
    """One way in which models are published.

    title  whose it is
    files  what a folder has to hold, in words
    load   folder, name of the model, number of its cells if that is known → GeoModel on the CPU; raises CheckpointError
           or DataError
    """

    title: str
    files: str
    load: Callable[[Path, str, int | None], GeoModel]


def _load_native(folder: Path, _name: str, _cells: int | None) -> GeoModel:
    files = stored_models(folder)
    if len(files) != 1:
        raise CheckpointError(
            f"expected one .safetensors file in the folder, found {len(files)}: name the folder of one model."
        )
    return load_geoexplain(files[0], torch.device("cpu"))


FORMATS: dict[str, Format] = {
    "certh": Format(
        "CERTH, visloc-estimation",
        "efficientnet_backbone.pt, mvmf_head.pt, rrm_head.pt",
        lambda folder, name, cells: load_certh(folder, name=name, cells=cells, device="cpu"),
    ),
    "tib": Format(
        "TIB, semantic_geo_partitioning",
        "a .ckpt, hparams.yaml, the tables that this names, and h_dict.json for semantic partitionings",
        lambda folder, name, _cells: load_tib(folder, name=name, device="cpu"),
    ),
    "geoexplain": Format("this project", "a .safetensors file and its tables of cells", _load_native),
}
"""Every kind of folder that a model can be read from. Menus, command-line choices and tests read this table."""
