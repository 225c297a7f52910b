"""Folders as the authors publish them, filled with the deterministic weights behind the golden vectors."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.golden.golden import state_dict

GOLDEN = Path(__file__).parent


def spec(name: str) -> dict[str, Any]:
    return json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


def certh_folder(folder: Path, cells: int | None = None) -> Path:
    """The three files of CERTH; `cells` makes the head as large as the published one, or any size."""
    weights = spec("certh_b4")
    for name, entries in weights["files"].items():
        wanted = cells if name == "mvmf_head.pt" else None
        torch.save(state_dict(weights["seed"], resized(entries, wanted)), folder / name)
    return folder


def resized(entries: dict[str, Any], cells: int | None) -> dict[str, Any]:
    """The 257 cells of the golden vectors' head as another number of cells."""
    return {
        key: {**entry, "shape": [cells or 257 if length == 257 else length for length in entry["shape"]]}
        for key, entry in entries.items()
    }


def golden(name: str) -> dict[str, np.ndarray]:
    with np.load(GOLDEN / f"{name}.npz") as arrays:
        return dict(arrays)


def tib_folder(folder: Path, hparams: str | None = None) -> Path:
    """A semantic model of TIB: the checkpoint, its settings, three tables and the tree that joins them."""
    weights = spec("semp_b4")
    levels = golden("semp_b4")["M"]  # (43, 3)
    checkpoint = {
        "state_dict": state_dict(weights["seed"], weights["state_dict"]),
        "pytorch-lightning_version": "1.2.7",
        "epoch": 12,
        "hyper_parameters": {"arch": "efficientnet-b4"},
    }
    torch.save(checkpoint, folder / "base.ckpt")
    sizes = [int(column.max()) + 1 for column in levels.T]
    names = [[f"{kind}{index}" for index in range(size)] for kind, size in zip("CMF", sizes, strict=True)]
    files = []
    for level, size in enumerate(sizes):
        files.append(f"m_{size}.csv")
        write_table(folder / files[-1], names[level])
    tree = {
        f"m_{sizes[level]}": {
            names[level][fine]: names[level - 1][coarse]
            for coarse, fine in {(int(row[level - 1]), int(row[level])) for row in levels}
        }
        for level in (1, 2)
    }
    (folder / "h_dict.json").write_text(json.dumps(tree), encoding="utf-8")
    (folder / "hparams.yaml").write_text(hparams or HPARAMS.format(files=", ".join(files)), encoding="utf-8")
    return folder


HPARAMS = """\
arch: efficientnet-b4
image_size: 300
weights: !!python/object/apply:pathlib.PosixPath [data, base.ckpt]
partitionings:
  ptype: semp
  shortnames: [coarse, middle, fine]
  h_dict: somewhere/else/h_dict.json
  files: [{files}]
  base_part_kwargs:
    skiprows: 0
    index_col: class_index
    col_class_label: class_label
    col_latitute: latitude_mean
    col_longitude: longitude_mean
"""


def write_table(file: Path, names: list[str]) -> None:
    """A table of cells with centres on a spiral, in the layout of the semantic partitionings, rows out of order."""
    count = len(names)
    with file.open("w", newline="", encoding="utf-8") as text:
        rows = csv.writer(text)
        rows.writerow(["class_index", "class_label", "latitude_mean", "longitude_mean"])
        for index in [*range(1, count), 0]:
            rows.writerow([index, names[index], 90 - 180 * (index + 0.5) / count, (index * 137.5) % 360 - 180])
